//! Our inflater accepts what the C library accepts, and gives the same text. The input is a zlib
//! stream, and a deflate stream to which header and checksum are added: random bytes have neither.
#![no_main]

use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use trident::codec::zlib::{InflateError, Inflater};

const TEXT_BYTES_MAX: usize = 8 << 10;

thread_local!(static INFLATER: RefCell<Inflater> = RefCell::new(Inflater::new(TEXT_BYTES_MAX)));

/// Fails unless `stream` inflates to `want`: `None` if it is malformed, else the
/// text as far as one byte past the bound.
fn check(stream: &[u8], want: Option<Vec<u8>>) {
    let too_large = |want: &Vec<u8>| want.len() > TEXT_BYTES_MAX;
    for fresh in [false, true] {
        INFLATER.with_borrow_mut(|inflater| {
            if fresh {
                *inflater = Inflater::new(TEXT_BYTES_MAX);
            }
            match inflater.inflate(stream) {
                Ok(text) => assert_eq!(Some(text), want.as_deref()),
                // The C library reports no text before a fault, and no fault after the text there was
                // room for; ours may have come to either first.
                Err(InflateError::Malformed | InflateError::TooLarge) => {
                    assert!(want.as_ref().is_none_or(too_large));
                }
            }
        });
    }
}

/// What the C library makes of a whole stream in one of the two formats: the text, cut one byte past
/// the bound, or `None` if it is malformed; and the bytes used.
fn inflated(stream: &[u8], zlib: bool) -> (Option<Vec<u8>>, usize) {
    let mut decoder = Decompress::new(zlib);
    let mut text = Vec::with_capacity(TEXT_BYTES_MAX + 1);
    let status = decoder.decompress_vec(stream, &mut text, FlushDecompress::Finish);
    let large = status.is_ok() && text.len() > TEXT_BYTES_MAX;
    let whole = large || matches!(status, Ok(Status::StreamEnd));
    (whole.then_some(text), decoder.total_in() as usize)
}

fn adler32(text: &[u8]) -> u32 {
    let sums = |(a, b), &byte| {
        (
            (a + u32::from(byte)) % 65_521,
            (a + u32::from(byte) + b) % 65_521,
        )
    };
    let (a, b) = text.iter().fold((1, 0), sums);
    b << 16 | a
}

fuzz_target!(|input: &[u8]| {
    check(input, inflated(input, true).0);

    let (text, used) = inflated(input, false);
    let sum = adler32(text.as_deref().unwrap_or_default()).to_be_bytes();
    // If the text is too large, its end may not have been seen; if it is malformed, there is no end.
    let whole = text
        .as_ref()
        .is_some_and(|text| text.len() <= TEXT_BYTES_MAX);
    let deflated = if whole { &input[..used] } else { input };
    check(&[b"\x78\x01", deflated, &sum].concat(), text);
});
