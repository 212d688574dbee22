//! Level 1 of our deflater: the C library and our own inflater give the text back. The text is the
//! input, and the input brought into the alphabet of compact JSON, for which there is another code; and each of
//! these behind the beginning of a request that was inflated before.
#![no_main]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
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

/// An answer that begins with the first `same` bytes of a request and goes on with others of it.
fn check_answer(request: &[u8], same: usize) {
    CODERS.with_borrow_mut(|(deflater, inflater)| {
        let mut encoder = Compress::new(Compression::new(6), true);
        let mut stream = Vec::with_capacity(request.len() + request.len() / 8 + 256);
        let status = encoder.compress_vec(request, &mut stream, FlushCompress::Finish);
        assert!(matches!(status, Ok(Status::StreamEnd)), "{status:?}");
        assert_eq!(inflater.inflate(&stream), Ok(request));
        let text = [&request[..same], &request[same / 2..]].concat();
        let mut answer = Vec::new();
        deflater.deflate_answer(&text, inflater, &mut answer);
        assert_eq!(inflater.inflate(&answer), Ok(&text[..]));
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
    // Repeated, a short input has the length from which on a request's matches are used.
    if let [same, ..] = input
        && json.len() < 1000
    {
        let request = json.repeat(3);
        check_answer(&request, request.len() * usize::from(*same) / 255);
    }
    if json.len() < 400 {
        check(&json.repeat(2));
    }
    // Repeats around the longest distance that deflate has, 32,768 bytes.
    if let [0, shift, ..] = input {
        let between = 32_768 + usize::from(*shift) - 128 - json.len();
        check(&[&json[..], &vec![b'x'; between], &json].concat());
    }
});
