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
