//! The encoder's blocks against two inflaters, and its two implementations against each other.

use super::{
    Encoder, JSON_TEXT_BYTES_MIN,
    code::{Code, FIXED, JSON, WINDOW_BYTES},
    emit::block_bytes_max,
    matcher::{Matcher, PADDING_BYTES, SEGMENT_BYTES, TEXT_START},
    portable,
};
use crate::codec::zlib::{
    Deflater, Inflater,
    inflate::{Copied, Inflated},
    tests::{Numbers, json_text, texts},
};
use proptest::prelude::*;

fn inflate_raw(block: &[u8], len: usize) -> Vec<u8> {
    let mut text = vec![0; len + 1];
    let mut flate = flate2::Decompress::new(false);
    let status = flate
        .decompress(block, &mut text, flate2::FlushDecompress::Finish)
        .unwrap();
    assert_eq!(status, flate2::Status::StreamEnd);
    assert_eq!(flate.total_in() as usize, block.len());
    text.truncate(flate.total_out() as usize);
    let mut second = vec![0; len];
    let n = libdeflater::Decompressor::new()
        .deflate_decompress(block, &mut second)
        .unwrap();
    assert_eq!(second[..n], text);
    text
}

fn portable_block(matcher: &mut Matcher, text: &[u8], code: &Code) -> Option<Vec<u8>> {
    let mut room = vec![0; block_bytes_max(text.len())];
    matcher.load(text);
    portable::block::<portable::Portable>(matcher, code, &mut room)
        .map(|used| room[..used].to_vec())
}

fn check(encoder: &mut Encoder, plain: &mut Matcher, text: &[u8]) {
    let mut out = b"before".to_vec();
    encoder.encode(text, None, &mut out);
    let block = &out[6..];
    assert_eq!(inflate_raw(block, text.len()), text);
    let fitted = (text.len() >= JSON_TEXT_BYTES_MIN)
        .then(|| portable_block(plain, text, &JSON))
        .flatten();
    let expected = fitted
        .or_else(|| portable_block(plain, text, &FIXED))
        .unwrap();
    assert!(
        block == expected,
        "the implementations differ on {} bytes",
        text.len()
    );
}

#[test]
fn blocks_inflate_to_the_text_and_do_not_depend_on_the_cpu() {
    let (mut encoder, mut plain) = (Encoder::new(), Matcher::new());
    for text in texts() {
        check(&mut encoder, &mut plain, &text);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_cpu_without_the_instructions_makes_the_same() {
    let (mut encoder, mut without) = (Encoder::new(), Encoder::new());
    without.wide = None;
    for text in texts().iter().step_by(9) {
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        encoder.encode(text, None, &mut expected);
        without.encode(text, None, &mut out);
        assert!(out == expected, "{} bytes", text.len());
    }
}

/// They cover the text, and each is so short that searching anew makes fewer bytes.
#[test]
fn short_matches_of_a_request_are_not_taken_over() {
    let text = json_text(400, 10);
    for (len, is_taken) in [(5, false), (40, true)] {
        let copies: Vec<_> = (50..350)
            .step_by(len)
            .map(|start| Copied {
                start: start as u32,
                len: len as u16,
                distance: 20,
            })
            .collect();
        let mut matcher = Matcher::new();
        matcher.load(&text);
        matcher.adopt(&Inflated {
            text: &text,
            copies: &copies,
        });
        assert_eq!(matcher.known().end > TEXT_START, is_taken, "{len}");
    }
}

/// With the matches of a request, too.
#[test]
fn answers_do_not_depend_on_the_cpu() {
    let (mut encoder, mut plain) = (Encoder::new(), Matcher::new());
    let mut inflater = Inflater::new(1 << 20);
    for len in [400, 900, 2500, 4000] {
        let request = json_text(len, 8);
        let mut stream = Vec::new();
        Deflater::new(6).deflate(&request, &mut stream);
        assert!(inflater.inflate(&stream).is_ok());
        for same in (200..len).step_by(37) {
            let text = [&request[..same], &json_text(90, 9)].concat();
            let mut out = Vec::new();
            encoder.encode(&text, inflater.last(), &mut out);
            assert_eq!(inflate_raw(&out, text.len()), text);
            let mut room = vec![0; block_bytes_max(text.len())];
            plain.load(&text);
            plain.adopt(&inflater.last().unwrap());
            let used = portable::block::<portable::Portable>(&mut plain, &JSON, &mut room);
            assert!(out == room[..used.unwrap()], "{len} {same}");
        }
    }
}

#[test]
fn every_length_around_a_segment_and_a_block() {
    let (mut encoder, mut plain) = (Encoder::new(), Matcher::new());
    let text = json_text(3 * SEGMENT_BYTES, 7);
    for len in (0..700)
        .chain(SEGMENT_BYTES - 70..SEGMENT_BYTES + 70)
        .chain([text.len()])
    {
        check(&mut encoder, &mut plain, &text[..len]);
        check(&mut encoder, &mut plain, &text[text.len() - len..]);
    }
}

#[test]
fn the_longest_distance_is_used_and_no_longer_one() {
    let mut encoder = Encoder::new();
    let mut numbers = Numbers(11);
    let window = WINDOW_BYTES as usize;
    let noise: Vec<u8> = (0..window + 100)
        .map(|_| b"~!@$%^&*()"[(numbers.next() % 10) as usize])
        .collect();
    let word = b"\n\"recv\":1097844002039,\"amt\"";
    let mut sizes = Vec::new();
    for distance in [window - 1, window, window + 1] {
        // Nothing in between starts like a word, so the match is with the first one or none.
        let mut text = [&noise[..20], word].concat();
        text.extend_from_slice(&noise[20..20 + distance - word.len()]);
        text.extend_from_slice(word);
        let mut out = Vec::new();
        encoder.encode(&text, None, &mut out);
        assert_eq!(inflate_raw(&out, text.len()), text);
        sizes.push(out.len());
    }
    assert!(sizes[2] > sizes[1] + 15, "{sizes:?}");
    assert!(sizes[1].abs_diff(sizes[0]) < 5, "{sizes:?}");
}

#[test]
fn repetitions_of_every_period_and_length() {
    let (mut encoder, mut plain) = (Encoder::new(), Matcher::new());
    for period in 1..80 {
        let piece = &json_text(200, 12)[60..60 + period];
        for len in [
            0, 5, 20, 31, 32, 33, 255, 256, 257, 258, 259, 260, 300, 520, 2000,
        ] {
            check(
                &mut encoder,
                &mut plain,
                &piece.iter().copied().cycle().take(len).collect::<Vec<_>>(),
            );
        }
    }
    let mut out = Vec::new();
    encoder.encode(&vec![b'0'; 100_000], None, &mut out);
    // Matches of half the greatest length would need twice as much.
    assert!(out.len() < 4000, "long matches are not used: {}", out.len());
}

#[test]
fn positions_of_earlier_texts_are_not_referred_to() {
    let mut encoder = Encoder::new();
    let text = json_text(900, 1);
    let mut first = Vec::new();
    encoder.encode(&text, None, &mut first);
    for _ in 0..3 {
        let mut again = Vec::new();
        encoder.encode(&text, None, &mut again);
        assert_eq!(first, again);
    }
}

#[test]
fn positions_start_over_before_they_overflow() {
    let (mut encoder, mut plain) = (Encoder::new(), Matcher::new());
    let text = json_text(2000, 2);
    let mut expected = Vec::new();
    encoder.encode(&text, None, &mut expected);
    for base in [
        u32::MAX - (1 << 30) - 40_000,
        u32::MAX - (1 << 30) - 1,
        u32::MAX - (1 << 30),
    ] {
        encoder.matcher.set_base(base);
        for _ in 0..3 {
            let mut out = Vec::new();
            encoder.encode(&text, None, &mut out);
            assert_eq!(out, expected);
            check(&mut encoder, &mut plain, &text);
        }
    }
}

#[test]
fn a_byte_outside_the_alphabet_anywhere_falls_back_to_the_fixed_code() {
    let (mut encoder, mut plain) = (Encoder::new(), Matcher::new());
    let json = json_text(SEGMENT_BYTES + 500, 3);
    for at in [
        0,
        1,
        15,
        16,
        17,
        300,
        SEGMENT_BYTES - 1,
        SEGMENT_BYTES,
        json.len() - 1,
    ] {
        for byte in [0u8, b'Q', b'`', 0x7f, 0x80, 0xff] {
            let mut text = json.clone();
            text[at] = byte;
            check(&mut encoder, &mut plain, &text);
        }
    }
}

#[test]
fn memory_of_a_long_text_is_given_back() {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    encoder.encode(&vec![b'1'; 4 << 20], None, &mut out);
    encoder.encode(b"short", None, &mut out);
    assert!(encoder.matcher.text_capacity() <= (64 << 10) + TEXT_START + PADDING_BYTES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(text in proptest::collection::vec(any::<u8>(), 0..3000)) {
        check(&mut Encoder::new(), &mut Matcher::new(), &text);
    }

    #[test]
    fn few_bytes(text in "[ab0,\":]{0,9000}") {
        check(&mut Encoder::new(), &mut Matcher::new(), text.as_bytes());
    }

    #[test]
    fn repeated_pieces(pieces in proptest::collection::vec(("[a-f0-9]{1,12}[,:\"{}]{1,3}", 1..9usize), 0..80)) {
        let text: String = pieces.iter().map(|(piece, times)| piece.repeat(*times)).collect();
        check(&mut Encoder::new(), &mut Matcher::new(), text.as_bytes());
    }
}
