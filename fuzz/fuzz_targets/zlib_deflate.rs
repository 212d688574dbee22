//! Level 1 of our deflater: the C library and our own inflater give the text back. The text is the
//! input, and the input brought into the alphabet of compact JSON, for which there is another code.
#![no_main]

use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use trident::codec::zlib::{Deflater, Inflater};

const TEXT_BYTES_MAX: usize = 1 << 20;

thread_local!(static CODERS: RefCell<(Deflater, Inflater)> =
    RefCell::new((Deflater::new(1), Inflater::new(TEXT_BYTES_MAX))));

fn check(text: &[u8]) {
    CODERS.with_borrow_mut(|(deflater, inflater)| {
        // A new one: its capacity is then what the deflater asked for, and no byte more.
        let mut stream = Vec::new();
        deflater.deflate(text, &mut stream);
        let (mut decoder, mut theirs) = (Decompress::new(true), Vec::with_capacity(text.len() + 1));
        let status = decoder.decompress_vec(&stream, &mut theirs, FlushDecompress::Finish);
        assert!(matches!(status, Ok(Status::StreamEnd)), "{status:?}");
        assert_eq!(decoder.total_in(), stream.len() as u64);
        assert!(theirs == text, "the C library's text differs");
        assert_eq!(inflater.inflate(&stream), Ok(text));
    });
}

fuzz_target!(|input: &[u8]| {
    check(input);
    let letters = b"0123456789abcdef\",:{}[]_recvamtsndhiglpox";
    let json: Vec<u8> = input
        .iter()
        .map(|&byte| {
            if letters.contains(&byte) {
                byte
            } else {
                letters[usize::from(byte) % letters.len()]
            }
        })
        .collect();
    check(&json);
    if json.len() < 400 {
        check(&json.repeat(2));
    }
    // Repeats around the longest distance that deflate has, 32,768 bytes.
    if let [0, shift, ..] = input {
        let between = 32_768 + usize::from(*shift) - 128 - json.len();
        check(&[&json[..], &vec![b'x'; between], &json].concat());
    }
});
