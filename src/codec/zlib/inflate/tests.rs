//! The inflater against two others, and against streams written bit by bit.
//!
//! `generated` has the streams that a seed makes and damages.

use super::{InflateError, Inflater, block::HEADERS_MAX};
use crate::codec::zlib::{
    Deflater,
    tests::{Numbers, json_text, texts},
};
use std::io::Read;

mod generated;

const BYTES_MAX: usize = 1 << 20;

fn with_flate2(stream: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(stream)
        .read_to_end(&mut text)
        .ok()?;
    Some(text)
}

fn with_libdeflate(stream: &[u8]) -> Option<Vec<u8>> {
    let mut text = vec![0; BYTES_MAX];
    let len = libdeflater::Decompressor::new()
        .zlib_decompress(stream, &mut text)
        .ok()?;
    text.truncate(len);
    Some(text)
}

/// Ours agrees with both others, or with one of them where they differ: on headers that name more symbols
/// than exist.
fn check(inflater: &mut Inflater, stream: &[u8]) {
    let ours = inflater.inflate(stream).ok().map(<[u8]>::to_vec);
    let others = [with_flate2(stream), with_libdeflate(stream)];
    assert!(others.contains(&ours), "{:?} but {:?}", ours, others);
}

/// The same for a stream with changed blocks: the checksum is corrected, so that the texts are compared and
/// not only the checksum refused.
fn check_blocks(inflater: &mut Inflater, stream: &[u8]) {
    let blocks = stream.get(2..).unwrap_or(&[]);
    let mut text = vec![0; BYTES_MAX];
    let mut flate = flate2::Decompress::new(false);
    let end = flate.decompress(blocks, &mut text, flate2::FlushDecompress::Finish);
    text.truncate(flate.total_out() as usize);
    let used = flate.total_in() as usize;
    let mut stream = [&[0x78, 0x9c], &blocks[..used]].concat();
    stream.extend_from_slice(&libdeflater::adler32(&text).to_be_bytes());
    match end {
        Ok(flate2::Status::StreamEnd) => {
            let others = [Some(text), with_libdeflate(&stream)];
            let ours = inflater.inflate(&stream).ok().map(<[u8]>::to_vec);
            assert!(others.contains(&ours), "{ours:?} but {others:?}");
        }
        _ => check(inflater, &stream),
    }
}

/// Writes streams bit by bit.
struct Stream {
    bytes: Vec<u8>,
    count: usize,
}

impl Stream {
    fn new() -> Self {
        Self {
            bytes: vec![0x78, 0x9c],
            count: 0,
        }
    }

    /// Appends `count` bits, lowest first, as numbers are sent.
    fn bits(mut self, bits: u32, count: usize) -> Self {
        for nth in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((bits >> nth & 1) as u8) << (self.count % 8);
            self.count += 1;
        }
        self
    }

    /// Appends `count` bits, highest first, as codes are sent.
    fn code(self, bits: u32, count: usize) -> Self {
        self.bits(bits.reverse_bits() >> (32 - count), count)
    }

    /// Appends bytes at the next byte.
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.count = 0;
        self
    }

    /// The header of a dynamic block that is the last, whose lengths are sent in codes of 4 bits
    /// for lengths 0..=14 and 5 bits for 15 and the repetition `16`.
    fn dynamic(self, literals: u32, distances: u32) -> Self {
        self.bits(1, 1).dynamic_after_last_bit(literals, distances)
    }

    /// [`Self::dynamic`] without the bit that says whether the block is the last.
    fn dynamic_after_last_bit(self, literals: u32, distances: u32) -> Self {
        let order = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let stream = self
            .bits(2, 2)
            .bits(literals - 257, 5)
            .bits(distances - 1, 5);
        order.iter().fold(stream.bits(15, 4), |stream, symbol| {
            stream.bits(
                [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 0, 0][*symbol],
                3,
            )
        })
    }

    /// Appends code lengths under [`Self::dynamic`].
    fn lengths(self, lengths: &[u32]) -> Self {
        lengths.iter().fold(self, |stream, &len| match len {
            15 | 16 => stream.code(15 + len, 5),
            _ => stream.code(len, 4),
        })
    }

    /// The stream with the checksum of `text`.
    fn of(mut self, text: &[u8]) -> Vec<u8> {
        self.bytes.extend(libdeflater::adler32(text).to_be_bytes());
        self.bytes
    }
}

fn lengths(alphabet: usize, some: &[(usize, u32)]) -> Vec<u32> {
    let mut lengths = vec![0; alphabet];
    for (symbol, len) in some {
        lengths[*symbol] = *len;
    }
    lengths
}

fn accepted(stream: Vec<u8>, text: &[u8]) {
    assert_eq!(Inflater::new(BYTES_MAX).inflate(&stream), Ok(text));
    assert_eq!(with_flate2(&stream).as_deref(), Some(text));
}

fn refused(stream: Vec<u8>) {
    assert_eq!(
        Inflater::new(BYTES_MAX).inflate(&stream),
        Err(InflateError::Malformed)
    );
    assert_eq!(with_flate2(&stream), None);
}

#[test]
fn headers() {
    let text = json_text(300, 1);
    let mut stream = Vec::new();
    Deflater::new(6).deflate(&text, &mut stream);
    for method in 0..=255u8 {
        for flags in 0..=255u8 {
            (stream[0], stream[1]) = (method, flags);
            let expected = method & 15 == 8
                && method >> 4 < 8
                && flags & 32 == 0
                && (u32::from(method) * 256 + u32::from(flags)) % 31 == 0;
            assert_eq!(Inflater::new(BYTES_MAX).inflate(&stream).is_ok(), expected);
        }
    }
}

#[test]
fn streams_cut_off_anywhere_are_malformed() {
    let mut inflater = Inflater::new(BYTES_MAX);
    for level in [0, 1, 6] {
        let text = json_text(1000, 2);
        let mut stream = Vec::new();
        Deflater::new(level).deflate(&text, &mut stream);
        for end in 0..stream.len() {
            assert_eq!(
                inflater.inflate(&stream[..end]),
                Err(InflateError::Malformed),
                "{end}"
            );
        }
        stream.extend_from_slice(b"and more");
        assert_eq!(inflater.inflate(&stream), Ok(&text[..]));
    }
}

#[test]
fn any_wrong_bit_of_the_checksum_is_noticed() {
    let mut stream = Vec::new();
    Deflater::new(6).deflate(b"{\"chain\":[]}", &mut stream);
    for bit in 0..32 {
        let mut stream = stream.clone();
        let at = stream.len() - 1 - bit / 8;
        stream[at] ^= 1 << (bit % 8);
        assert_eq!(
            Inflater::new(BYTES_MAX).inflate(&stream),
            Err(InflateError::Malformed)
        );
    }
}

#[test]
fn empty_blocks_of_every_kind() {
    let fixed_end = |stream: Stream| stream.code(0, 7);
    accepted(fixed_end(Stream::new().bits(0b011, 3)).of(b""), b"");
    accepted(
        Stream::new().bits(1, 3).bytes(&[0, 0, 0xff, 0xff]).of(b""),
        b"",
    );
    let stored = Stream::new().bits(0, 3).bytes(&[0, 0, 0xff, 0xff]);
    accepted(fixed_end(stored.bits(0b011, 3)).of(b""), b"");
    let dynamic = Stream::new()
        .dynamic(257, 1)
        .lengths(&lengths(258, &[(256, 1)]));
    accepted(dynamic.code(0, 1).of(b""), b"");
    refused(Stream::new().bits(0b111, 3).code(0, 7).of(b""));
}

/// `headers` empty dynamic blocks, each followed by a block in the fixed codes with an `x`.
fn alternating(headers: usize) -> Vec<u8> {
    let end_only = lengths(258, &[(256, 1)]);
    let x = |stream: Stream, last: u32| {
        let stream = stream.bits(0b010 | last, 3);
        stream.code(0x30 + u32::from(b'x'), 8).code(0, 7)
    };
    let mut stream = Stream::new();
    for _ in 0..headers {
        let dynamic = stream.bits(0, 1).dynamic_after_last_bit(257, 1);
        stream = x(dynamic.lengths(&end_only).code(0, 1), 0);
    }
    x(stream, 1).of(&vec![b'x'; headers + 1])
}

#[test]
fn headers_of_blocks_are_bounded() {
    let mut inflater = Inflater::new(BYTES_MAX);
    for headers in [1, HEADERS_MAX] {
        let text = vec![b'x'; headers + 1];
        accepted(alternating(headers), &text);
        // Counted per stream.
        assert_eq!(inflater.inflate(&alternating(headers)), Ok(&text[..]));
    }
    let stream = alternating(HEADERS_MAX + 1);
    assert!(with_flate2(&stream).is_some());
    assert_eq!(inflater.inflate(&stream), Err(InflateError::TooLarge));
    // Bytes after the bound are not read.
    let (whole, within) = (stream.len(), alternating(HEADERS_MAX).len());
    for (cut, error) in [
        (whole - 20, InflateError::TooLarge),
        (within - 20, InflateError::Malformed),
    ] {
        assert_eq!(inflater.inflate(&stream[..cut]), Err(error));
    }
}

#[test]
fn fixed_codes_are_put_in_place_once() {
    let mut inflater = Inflater::new(BYTES_MAX);
    for _ in 0..2 {
        assert!(inflater.inflate(&alternating(100)).is_ok());
    }
    assert_eq!((inflater.fixed.fixes, inflater.codes.fixes), (1, 0));
}

/// The encoder with the most frequent blocks, on a text that maximises them.
#[test]
fn streams_of_many_small_blocks_are_within_the_bound() {
    // zlib's default buffer is 128 times as large; the library has no call for `memLevel`.
    let mut numbers = Numbers(5);
    let text: Vec<u8> = (0..256 << 10)
        .map(|_| b"0123456789abcdef"[numbers.next() as usize % 16])
        .collect();
    let mut encoder = flate2::Compress::new(flate2::Compression::new(6), true);
    let mut stream = Vec::with_capacity(1 << 20);
    for part in text.chunks(127) {
        encoder
            .compress_vec(part, &mut stream, flate2::FlushCompress::Partial)
            .unwrap();
    }
    encoder
        .compress_vec(&[], &mut stream, flate2::FlushCompress::Finish)
        .unwrap();
    assert_eq!(Inflater::new(BYTES_MAX).inflate(&stream), Ok(&text[..]));
}

#[test]
fn stored_blocks() {
    accepted(
        Stream::new()
            .bits(1, 3)
            .bytes(&[3, 0, 0xfc, 0xff])
            .bytes(b"abc")
            .of(b"abc"),
        b"abc",
    );
    refused(
        Stream::new()
            .bits(1, 3)
            .bytes(&[3, 0, 0xfc, 0xfe])
            .bytes(b"abc")
            .of(b"abc"),
    );
    refused(
        Stream::new()
            .bits(1, 3)
            .bytes(&[9, 0, 0xf6, 0xff])
            .bytes(b"abc")
            .of(b"abc"),
    );
    // The checksum's bytes must not be taken for the block's.
    refused(
        Stream::new()
            .bits(1, 3)
            .bytes(&[7, 0, 0xf8, 0xff])
            .bytes(b"abc")
            .of(b"abc"),
    );
}

/// The zeros behind a stream are read as symbols until a refill would take more than there are.
#[test]
fn streams_that_end_within_a_match_or_a_block() {
    let refused = |stream: Stream| {
        let stream = stream.bytes;
        let ours = Inflater::new(BYTES_MAX).inflate(&stream).map(<[u8]>::len);
        assert_eq!(ours, Err(InflateError::Malformed));
        assert_eq!(with_flate2(&stream), None);
    };
    // The extra bits of a distance are missing, then the end of the block, which is not the last, and the next one.
    let a = Stream::new().bits(0b010, 3).code(0x30 + u32::from(b'a'), 8);
    let long = (0..5).fold(a, |stream, _| stream.code(0b1100_0101, 8).code(0, 5));
    refused(long.code(1, 7).code(20, 5));
    // Zeros are a length, and a distance; both begin at even bits or at odd ones.
    let prefix = |stream: Stream| stream.bits(0b010, 3).code(0x190, 9).code(0, 7);
    for stream in [Stream::new(), prefix(Stream::new())] {
        let all = [
            lengths(286, &[(97, 2), (256, 2), (257, 1)]),
            lengths(30, &[(0, 1)]),
        ]
        .concat();
        refused(stream.dynamic(286, 30).lengths(&all).code(2, 2));
    }
}

#[test]
fn stored_blocks_that_are_too_large() {
    let stream = Stream::new().bits(1, 3).bytes(&[0, 8, 0xff, 0xf7]);
    let stream = stream.bytes(&[b'x'; 2048]).of(&[b'x'; 2048]);
    assert_eq!(Inflater::new(2048).inflate(&stream), Ok(&[b'x'; 2048][..]));
    for bytes_max in [0, 100, 2047] {
        let ours = Inflater::new(bytes_max).inflate(&stream).map(<[u8]>::len);
        assert_eq!(ours, Err(InflateError::TooLarge));
    }
}

#[test]
fn fixed_codes_of_symbols_that_do_not_exist() {
    let a = |stream: Stream| stream.bits(0b011, 3).code(0x30 + u32::from(b'a'), 8);
    // Length 3 at distance 1, then the two lengths and two distances without meaning.
    accepted(
        a(Stream::new())
            .code(1, 7)
            .code(0, 5)
            .code(0, 7)
            .of(b"aaaa"),
        b"aaaa",
    );
    refused(
        a(Stream::new())
            .code(0b1100_0110, 8)
            .code(0, 5)
            .code(0, 7)
            .of(b"aaaa"),
    );
    refused(
        a(Stream::new())
            .code(0b1100_0111, 8)
            .code(0, 5)
            .code(0, 7)
            .of(b"aaaa"),
    );
    refused(
        a(Stream::new())
            .code(1, 7)
            .code(30, 5)
            .code(0, 7)
            .of(b"aaaa"),
    );
    refused(
        a(Stream::new())
            .code(1, 7)
            .code(31, 5)
            .code(0, 7)
            .of(b"aaaa"),
    );
    refused(
        a(Stream::new())
            .code(1, 7)
            .code(1, 5)
            .code(0, 7)
            .of(b"aaaa"),
    );
}

#[test]
fn incomplete_and_overfull_codes() {
    let block = |literals: &[(usize, u32)], distances: &[(usize, u32)]| {
        let all = [lengths(286, literals), lengths(30, distances)].concat();
        Stream::new().dynamic(286, 30).lengths(&all)
    };
    let complete = [(97, 2), (256, 2), (257, 1)];
    // 97 is 10, 256 is 11, 257 is 0: "a", length 3 at distance 1.
    let aaaa = |stream: Stream| {
        stream
            .code(2, 2)
            .code(0, 1)
            .code(0, 1)
            .code(3, 2)
            .of(b"aaaa")
    };
    accepted(aaaa(block(&complete, &[(0, 1), (1, 1)])), b"aaaa");
    accepted(aaaa(block(&complete, &[(0, 1)])), b"aaaa");
    refused(aaaa(block(&complete, &[(0, 2)])));
    refused(aaaa(block(&complete, &[(0, 2), (1, 2), (2, 2)])));
    refused(aaaa(block(&complete, &[(0, 1), (1, 1), (2, 1)])));
    refused(aaaa(block(&complete, &[])));
    refused(aaaa(block(&[(97, 2), (256, 2), (257, 2)], &[(0, 1)])));
    refused(aaaa(block(
        &[(97, 2), (256, 2), (257, 1), (258, 3)],
        &[(0, 1)],
    )));
    // The missing half of a distance code of one symbol.
    let other = block(&complete, &[(0, 1)])
        .code(2, 2)
        .code(0, 1)
        .code(1, 1)
        .code(3, 2);
    refused(other.of(b"aaaa"));
    // No distances, and none used.
    accepted(block(&complete, &[]).code(2, 2).code(3, 2).of(b"a"), b"a");
    // No literals, and none used.
    refused(block(&[], &[(0, 1)]).code(0, 1).of(b""));
    // No end of block.
    refused(
        block(&[(97, 1), (98, 1)], &[])
            .code(0, 1)
            .code(1, 1)
            .of(b"ab"),
    );
}

#[test]
fn repetitions_of_lengths() {
    let repeated = |stream: Stream, times: u32| stream.code(31, 5).bits(times - 3, 2);
    // Nothing to repeat.
    refused(
        repeated(Stream::new().dynamic(257, 1), 3)
            .lengths(&[1; 255])
            .of(b""),
    );
    // 256 literals of 8 bits would be a complete code; one more symbol is one too many.
    let literals = |count: u32| {
        let mut stream = Stream::new().dynamic(257, 2).lengths(&[9, 9, 8]);
        for _ in 0..count / 6 {
            stream = repeated(stream, 6);
        }
        stream
    };
    // 3 + 252 + 1 lengths so far, end of block next; then a repetition into the distances.
    let stream = literals(252).lengths(&[8, 8]);
    accepted(stream.lengths(&[1, 1]).code(0b1111_1110, 8).of(b""), b"");
    refused(
        repeated(literals(252).lengths(&[8, 8]), 3)
            .code(0b1111_1110, 8)
            .of(b""),
    );
}

#[test]
fn counts_of_symbols() {
    let stream = |literals: u32, distances: u32| {
        let all = [
            lengths(literals as usize, &[(256, 1)]),
            lengths(distances as usize, &[]),
        ];
        Stream::new()
            .dynamic(literals, distances)
            .lengths(&all.concat())
            .code(0, 1)
            .of(b"")
    };
    let inflate = |stream: Vec<u8>| Inflater::new(BYTES_MAX).inflate(&stream).is_ok();
    assert!(inflate(stream(257, 1)) && inflate(stream(286, 30)));
    for (literals, distances) in [(287, 1), (288, 1), (257, 31), (257, 32)] {
        assert!(!inflate(stream(literals, distances)), "zlib refuses these");
    }
}

#[test]
fn codes_longer_than_the_tables_index() {
    // Counts that grow like Fibonacci's make codes of every length up to 15 bits.
    let mut text = Vec::new();
    let (mut a, mut b) = (1usize, 1usize);
    for byte in 0..20u8 {
        text.extend(std::iter::repeat_n(byte * 7, a));
        (a, b) = (b, a + b);
    }
    let mut numbers = Numbers(3);
    for at in (1..text.len()).rev() {
        text.swap(at, numbers.next() as usize % (at + 1));
    }
    for level in [6, 9] {
        let mut stream = Vec::new();
        Deflater::new(level).deflate(&text, &mut stream);
        assert_eq!(Inflater::new(BYTES_MAX).inflate(&stream), Ok(&text[..]));
    }
}

#[test]
fn the_bound_is_exact_and_bombs_stop_at_it() {
    for len in [0usize, 1, 300, 8191, 8192, 8193, 60_000, 100_000] {
        for text in [vec![b'0'; len], json_text(len, 4)] {
            for level in [0, 1, 9] {
                let mut stream = Vec::new();
                Deflater::new(level).deflate(&text, &mut stream);
                assert_eq!(Inflater::new(len).inflate(&stream), Ok(&text[..]));
                assert_eq!(Inflater::new(len + 1).inflate(&stream), Ok(&text[..]));
                if let Some(less) = len.checked_sub(1) {
                    let result = Inflater::new(less).inflate(&stream).map(<[u8]>::len);
                    assert_eq!(result, Err(InflateError::TooLarge), "{len} level {level}");
                }
            }
        }
    }
    let mut bomb = Vec::new();
    Deflater::new(9).deflate(&vec![0; 64 << 20], &mut bomb);
    let mut inflater = Inflater::new(1 << 20);
    assert_eq!(inflater.inflate(&bomb), Err(InflateError::TooLarge));
    assert!(inflater.output.capacity() <= (1 << 20) + 4096);
}

#[test]
fn memory_of_long_streams_and_texts_is_given_back() {
    let mut inflater = Inflater::new(8 << 20);
    let mut numbers = Numbers(9);
    let noise: Vec<u8> = (0..2 << 20).map(|_| numbers.next() as u8).collect();
    let mut stream = Vec::new();
    Deflater::new(0).deflate(&noise, &mut stream);
    assert_eq!(inflater.inflate(&stream), Ok(&noise[..]));
    let mut short = Vec::new();
    Deflater::new(1).deflate(b"short", &mut short);
    assert_eq!(inflater.inflate(&short), Ok(&b"short"[..]));
    assert!(inflater.output.capacity() < 16 << 10 && inflater.stream.capacity() < 16 << 10);
}

#[test]
fn warm_buffers_are_not_reallocated() {
    let mut inflater = Inflater::new(BYTES_MAX);
    let mut buffers = None;
    for seed in 0..20 {
        let text = json_text(500 + seed as usize * 100, seed);
        let mut stream = Vec::new();
        Deflater::new(6).deflate(&text, &mut stream);
        let at = inflater.inflate(&stream).unwrap().as_ptr();
        assert_eq!(
            *buffers.get_or_insert((at, inflater.stream.as_ptr())),
            (at, inflater.stream.as_ptr())
        );
    }
}

#[test]
fn without_the_instructions_found_at_run_time() {
    let mut plain = Inflater::new(BYTES_MAX);
    #[cfg(target_arch = "x86_64")]
    {
        plain.avx2 = false;
    }
    for text in texts().iter().step_by(5) {
        let mut stream = Vec::new();
        Deflater::new(6).deflate(text, &mut stream);
        assert_eq!(plain.inflate(&stream), Ok(&text[..]));
        check(&mut plain, &stream);
    }
}
