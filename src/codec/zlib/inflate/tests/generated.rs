//! Generated streams, damaged streams, and bytes that are no stream.

use super::{BYTES_MAX, check, check_blocks};
use crate::codec::zlib::{
    Deflater,
    inflate::Inflater,
    tests::{Numbers, json_text},
};
use proptest::prelude::*;

/// Streams of all kinds, small.
fn some_stream() -> impl Strategy<Value = Vec<u8>> {
    (0..10u8, 0..1500usize, any::<u64>(), any::<bool>()).prop_map(|(level, len, seed, json)| {
        let mut numbers = Numbers(seed);
        let text = if json {
            json_text(len, seed)
        } else {
            (0..len)
                .map(|_| (numbers.next() % 13 * (seed % 19)) as u8)
                .collect()
        };
        let mut stream = Vec::new();
        if level < 10 {
            Deflater::new(level).deflate(&text, &mut stream);
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whole_streams(stream in some_stream()) {
        check(&mut Inflater::new(BYTES_MAX), &stream);
    }

    #[test]
    fn changed_streams(
        mut stream in some_stream(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        end in any::<proptest::sample::Index>(),
    ) {
        for (at, byte) in &changes {
            let at = at.index(stream.len());
            stream[at] ^= *byte;
        }
        check(&mut Inflater::new(BYTES_MAX), &stream);
        check_blocks(&mut Inflater::new(BYTES_MAX), &stream);
        stream.truncate(end.index(stream.len()));
        check(&mut Inflater::new(BYTES_MAX), &stream);
    }

    #[test]
    fn changed_block_headers(mut stream in some_stream(), at in 2..80usize, byte in any::<u8>()) {
        if let Some(changed) = stream.get_mut(at) {
            *changed ^= byte;
        }
        check(&mut Inflater::new(BYTES_MAX), &stream);
        check_blocks(&mut Inflater::new(BYTES_MAX), &stream);
    }

    #[test]
    fn bytes_that_are_no_stream(mut stream in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&mut Inflater::new(BYTES_MAX), &stream);
        stream.splice(0..0, [0x78, 0x9c]);
        check_blocks(&mut Inflater::new(BYTES_MAX), &stream);
        check(&mut Inflater::new(BYTES_MAX), &stream);
    }
}
