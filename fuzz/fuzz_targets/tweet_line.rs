//! Lines of tweets: the map stage never panics, and what it lets through is one record that can be read
//! back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trident::etl::{record::records::TweetRecord, stage::map::Mapper};

fuzz_target!(|line: &[u8]| {
    let (mut mapper, mut record) = (Mapper::default(), Vec::new());
    let id = mapper.line(line, &mut record);
    assert_eq!(id.is_some(), !record.is_empty());
    if let Some(id) = id {
        assert!(!record.contains(&b'\n'));
        assert_eq!(TweetRecord::parse(&record).expect("a record").id, id);
    }
});
