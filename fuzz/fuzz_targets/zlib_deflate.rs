//! Level 1 of our deflater: the C library and our own inflater give the text back. The text is the
//! input, and the input brought into the alphabet of compact JSON, for which there is another code.
#![no_main]

use flate2::read::ZlibDecoder;
use libfuzzer_sys::fuzz_target;
use std::{cell::RefCell, io::Read};
use trident::codec::zlib::{Deflater, Inflater};

const TEXT_BYTES_MAX: usize = 1 << 20;

thread_local!(static CODERS: RefCell<(Deflater, Inflater)> =
    RefCell::new((Deflater::new(1), Inflater::new(TEXT_BYTES_MAX))));

fn check(text: &[u8]) {
    CODERS.with_borrow_mut(|(deflater, inflater)| {
        // Made anew: its capacity is then what the deflater asked for, and no byte more.
        let mut stream = Vec::new();
        deflater.deflate(text, &mut stream);
        let mut theirs = Vec::new();
        let whole = ZlibDecoder::new(&stream[..]).read_to_end(&mut theirs);
        assert!(
            whole.is_ok() && theirs == text,
            "the C library's text differs"
        );
        assert_eq!(inflater.inflate(&stream), Ok(text));
    });
}

fuzz_target!(|input: &[u8]| {
    check(input);
    let letters = b"0123456789abcdef\",:{}[]_recvamtsndhiglpox";
    let json: Vec<u8> = input
        .iter()
        .map(|&byte| match letters.contains(&byte) {
            true => byte,
            false => letters[usize::from(byte) % letters.len()],
        })
        .collect();
    check(&json);
    check(&json.repeat(usize::from(input.len() < 400) + 1));
});
