//! Our inflater accepts what the C library accepts, and gives the same text. The input is a zlib
//! stream, and a deflate stream to which header and checksum are added: random bytes have neither.
#![no_main]

use flate2::read::{DeflateDecoder, ZlibDecoder};
use libfuzzer_sys::fuzz_target;
use std::{cell::RefCell, io::Read};
use trident::codec::zlib::{InflateError, Inflater};

const TEXT_BYTES_MAX: usize = 8 << 10;

thread_local!(static INFLATER: RefCell<Inflater> = RefCell::new(Inflater::new(TEXT_BYTES_MAX)));

/// Fails unless `stream` inflates to `want`: `None` if it is malformed, else its first bytes.
fn check(stream: &[u8], want: Option<Vec<u8>>) {
    let too_large = |want: &Vec<u8>| want.len() > TEXT_BYTES_MAX;
    for fresh in [false, true] {
        INFLATER.with_borrow_mut(|inflater| {
            if fresh {
                *inflater = Inflater::new(TEXT_BYTES_MAX);
            }
            match inflater.inflate(stream) {
                Ok(text) => assert_eq!(Some(text), want.as_deref()),
                Err(InflateError::Malformed) => assert_eq!(want, None),
                // The C library reports no text before a fault.
                Err(InflateError::TooLarge) => assert!(want.as_ref().is_none_or(too_large)),
            }
        });
    }
}

/// What the reader has, one byte past the bound at most; `None` on a fault.
fn read(reader: &mut impl Read) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let bound = TEXT_BYTES_MAX as u64 + 1;
    reader.take(bound).read_to_end(&mut text).ok()?;
    Some(text)
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
    check(input, read(&mut ZlibDecoder::new(input)));

    let mut decoder = DeflateDecoder::new(input);
    let text = read(&mut decoder);
    let used = match text {
        Some(_) => decoder.total_in() as usize,
        None => input.len(),
    };
    let sum = adler32(text.as_deref().unwrap_or_default()).to_be_bytes();
    check(&[b"\x78\x01", &input[..used], &sum].concat(), text);
});
