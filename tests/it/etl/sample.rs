//! The data that comes with the program.

use super::{assert_equal_dumps, dump, sets::fresh_directory};
use flate2::read::GzDecoder;
use std::{fs, io::Read, path::Path};
use trident::{
    etl::Options,
    synth::{
        self, Dataset,
        output::{Form, write_lines},
    },
};

fn shipped(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

/// If you change the generator, regenerate the files.
#[test]
fn the_sample_is_what_the_generator_makes() {
    let dataset = Dataset::new(synth::Options::sample());
    let mut expected = Vec::new();
    let line = |index, line: &mut Vec<u8>| dataset.write_line(index, line);
    write_lines(synth::SAMPLE_LINES, 2, Form::Plain, &mut expected, line).unwrap();
    let mut text = Vec::new();
    let file = fs::File::open(shipped("sample-tweets.jsonl.gz")).unwrap();
    GzDecoder::new(file).read_to_end(&mut text).unwrap();
    assert!(text == expected);
    let list = fs::read_to_string(shipped("popular-hashtags.txt")).unwrap();
    assert_eq!(list, dataset.excluded_list());
}

#[test]
fn the_sample_gives_users_with_several_contacts() {
    let directory = fresh_directory("sample");
    let inputs = vec![shipped("sample-tweets.jsonl.gz")];
    let options = Options {
        exclude: Some(shipped("popular-hashtags.txt")),
        ..Options::new(inputs, directory.join("work"))
    };
    let (ours, report) = dump(&options);
    assert!(report.counts.users > 300);
    assert!(
        ours.lines()
            .any(|line| line.matches("\"screen_name\"").count() > 50)
    );
    let list = report.tags.excluded_list(40);
    let shipped_list = fs::read_to_string(shipped("popular-hashtags.txt")).unwrap();
    let popular = list.lines().filter(|tag| {
        shipped_list
            .lines()
            .any(|listed| listed.to_lowercase() == **tag)
    });
    assert!(
        popular.count() > 10,
        "the shipped list is a good part of what --top 40 gives:\n{list}"
    );
    assert_equal_dumps(&dump(&options).0, &ours, "again");
}
