//! Our streams of every level against independent inflaters; streams of other encoders, whole and damaged,
//! through our inflater and an independent one.

use super::{Deflater, Inflater};
use std::io::Read;

/// A small generator of numbers, only for texts.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }
}

/// Compact JSON of the real shape, cut off at `len` bytes.
pub fn json_text(len: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let accounts = [
        1_097_844_002_039u64,
        895_456_882_897,
        621_452_032_379,
        831_361_201_829,
    ];
    let mut text = String::from("{\"chain\":[");
    let mut time = 1_582_520_400_000_000_000u64;
    while text.len() < len {
        text.push_str("{\"all_tx\":[");
        for _ in 0..numbers.next() % 3 {
            time += numbers.next() % 60_000_000_000;
            let sig = numbers.next() % 1_561_906_343_821;
            let (from, to) = (numbers.next() % 4, numbers.next() % 4);
            text.push_str(&format!(
                "{{\"sig\":{sig},\"recv\":{},\"fee\":{},\"amt\":{},\"time\":\"{time}\",\"send\":{},\"hash\":\"{:08x}\"}},",
                accounts[to as usize], numbers.next() % 10_000, numbers.next() % 200_000_000,
                accounts[from as usize], numbers.next() as u32,
            ));
        }
        time += 600_000_000_000;
        text.push_str(&format!(
            "{{\"recv\":{},\"amt\":{},\"time\":\"{time}\",\"hash\":\"{:08x}\"}}],\"pow\":\"{}\",\"id\":{},\"hash\":\"{:08x}\",\"target\":\"0{:x}\"}},",
            accounts[(numbers.next() % 4) as usize], 500_000_000 >> (numbers.next() % 8),
            numbers.next() as u32, numbers.next() % 99, numbers.next() % 20,
            numbers.next() as u32 >> 4, numbers.next() % 16,
        ));
    }
    text.truncate(len);
    text.into_bytes()
}

/// Texts of many kinds.
pub fn texts() -> Vec<Vec<u8>> {
    let mut numbers = Numbers(1);
    let mut texts = vec![Vec::new(), b"a".to_vec(), vec![0], b"abc".repeat(3)];
    for len in 0..600 {
        texts.push(json_text(len, len as u64));
    }
    for len in [1000usize, 4095, 4096, 4097, 65_535, 65_536, 70_000, 200_000] {
        texts.push(json_text(len, 5));
        texts.push((0..len).map(|_| numbers.next() as u8).collect());
        texts.push(vec![b'x'; len]);
        texts.push(b"\"recv\":1097844002039,".repeat(len / 21 + 1));
        texts.push(
            (0..len)
                .map(|i| {
                    if i % 300 < 40 {
                        b'0' + (i % 10) as u8
                    } else {
                        numbers.next() as u8
                    }
                })
                .collect(),
        );
        texts.push(
            (0..len)
                .map(|_| b"{}[],:\" 0123abc"[(numbers.next() % 15) as usize])
                .collect(),
        );
    }
    texts
}

fn inflated(stream: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(stream)
        .read_to_end(&mut text)
        .ok()?;
    Some(text)
}

#[test]
fn every_level_inflates_to_the_text() {
    let texts = texts();
    for level in 0..=12 {
        let mut deflater = Deflater::new(level);
        let mut inflater = Inflater::new(1 << 20);
        for text in texts.iter().step_by(if level < 2 { 1 } else { 7 }) {
            let mut out = b"kept".to_vec();
            deflater.deflate(text, &mut out);
            let stream = &out[4..];
            assert_eq!(
                inflated(stream).as_deref(),
                Some(&text[..]),
                "level {level}"
            );
            assert_eq!(inflater.inflate(stream), Ok(&text[..]), "level {level}");
        }
    }
}

/// `text` as other encoders send it.
fn streams_of(text: &[u8]) -> Vec<Vec<u8>> {
    let with_flate2 = [0, 1, 4, 6, 9].map(|level| {
        let level = flate2::Compression::new(level);
        let mut encoder = flate2::read::ZlibEncoder::new(text, level);
        let mut stream = Vec::new();
        encoder.read_to_end(&mut stream).unwrap();
        stream
    });
    let mut ours = Vec::new();
    Deflater::new(1).deflate(text, &mut ours);
    with_flate2.into_iter().chain([ours]).collect()
}

fn answer(deflater: &mut Deflater, inflater: &Inflater, text: &[u8]) -> Vec<u8> {
    let mut out = b"kept".to_vec();
    deflater.deflate_answer(text, inflater, &mut out);
    out.split_off(4)
}

#[test]
fn answers_inflate_to_their_text_whatever_their_request_was() {
    let (mut deflater, mut inflater) = (Deflater::new(1), Inflater::new(1 << 20));
    let mut smaller = 0;
    for len in [0, 200, 600, 1100, 4000, 4200, 30_000] {
        let request = json_text(len, 3);
        for stream in streams_of(&request) {
            assert_eq!(inflater.inflate(&stream), Ok(&request[..]));
            for same in [0, 31, 255, 256, 257, 300, 515, 1000, 3900, len] {
                for more in [0, 1, 5, 40, 320] {
                    let mut text = request[..same.min(len)].to_vec();
                    text.extend_from_slice(&json_text(600, 4)[600 - more..]);
                    let stream = answer(&mut deflater, &inflater, &text);
                    assert_eq!(inflated(&stream).as_deref(), Some(&text[..]));
                    let mut plain = Vec::new();
                    deflater.deflate(&text, &mut plain);
                    assert!(stream.len() <= plain.len() * 9 / 8 + 8);
                    smaller += usize::from(stream.len() < plain.len());
                }
            }
        }
    }
    assert!(smaller > 0, "matches of requests are not used");
}

#[test]
fn matches_of_a_request_that_was_refused_are_not_used() {
    let (mut deflater, mut inflater) = (Deflater::new(1), Inflater::new(1 << 20));
    let text = json_text(900, 5);
    let mut plain = Vec::new();
    deflater.deflate(&text, &mut plain);
    let mut stream = streams_of(&text)[3].clone();
    assert!(inflater.inflate(&stream).is_ok());
    let with_request = answer(&mut deflater, &inflater, &text);
    assert!(with_request != plain);
    *stream.last_mut().unwrap() ^= 1;
    assert!(inflater.inflate(&stream).is_err());
    assert_eq!(answer(&mut deflater, &inflater, &text), plain);
    assert!(inflater.inflate(b"").is_err());
    assert_eq!(answer(&mut deflater, &inflater, &text), plain);
}

/// A client that sends no matches, or too many, gets what it would get without them.
#[test]
fn poor_matches_of_a_request_are_not_used() {
    let (mut deflater, mut inflater) = (Deflater::new(1), Inflater::new(1 << 20));
    for (text, stream) in [(900, 0), (20_000, 3)].map(|(len, nth)| {
        let text = json_text(len, 6);
        (text.clone(), streams_of(&text)[nth].clone())
    }) {
        let mut plain = Vec::new();
        deflater.deflate(&text[..900], &mut plain);
        assert!(inflater.inflate(&stream).is_ok());
        assert_eq!(answer(&mut deflater, &inflater, &text[..900]), plain);
    }
}
