//! Every reason with its place and values, over the oracle's grids and damaged ones.

use super::*;
use crate::qrcode::key_stream;

const CASES: &str = include_str!("../../../tests/data/qrcode_cases.tsv");

fn explain(query: &str) -> Explanation {
    QrCode::new().explain(query.as_bytes())
}

fn broken(query: &str) -> Broken {
    match explain(query).verdict {
        Verdict::Invalid(broken) => broken,
        Verdict::Valid(answer) => panic!("{query}: {answer}"),
    }
}

#[track_caller]
fn assert_found(broken: &Broken, reason: Reject, place: &str, expected: &str, found: &str) {
    assert_eq!(broken.reason, reason.name(), "{broken}");
    assert_eq!((broken.section, broken.rule), reason.rule());
    assert_eq!(broken.place, place, "{broken}");
    assert!(broken.expected.contains(expected), "{expected} in {broken}");
    assert!(broken.found.contains(found), "{found} in {broken}");
}

/// Message, grid and offset-free clear rows of the oracle's decode cases.
fn decode_cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = CASES
        .lines()
        .filter_map(|line| line.strip_prefix("decode\t"));
    lines.map(|line| line.split_once('\t').unwrap())
}

#[test]
fn parameters_that_are_missing_or_misspelt() {
    let typo = broken("type=encoed&data=a");
    assert_found(
        &typo,
        Reject::Type,
        "type",
        "encode or decode",
        "\"encoed\"",
    );
    let missing = broken("data=a");
    assert_found(
        &missing,
        Reject::Type,
        "type",
        "encode or decode",
        "missing",
    );
    let no_data = broken("type=decode&timestamp=1");
    assert_found(&no_data, Reject::Data, "data", "a text", "missing");
    let format = broken("type=encode&data=a&format=jpeg");
    assert_found(
        &format,
        Reject::Format,
        "format",
        "svg, png or text",
        "\"jpeg\"",
    );
    let time = broken("type=decode&data=0x1&timestamp=1.5");
    assert_found(&time, Reject::Timestamp, "timestamp", "64 bits", "\"1.5\"");
}

#[test]
fn messages_that_are_too_long() {
    let long = broken("type=encode&data=%61bcdefghijklmnopqrstuvw");
    assert_found(
        &long,
        Reject::TooLong,
        "data",
        "at most 22 bytes",
        "23 bytes",
    );
    let text = "a".repeat(render::TEXT_BYTES_MAX + 1);
    let picture = broken(&format!("type=encode&data={text}&format=svg"));
    assert_found(
        &picture,
        Reject::TooLong,
        "data",
        "at most 2953 bytes",
        "2954 bytes",
    );
}

#[test]
fn grids_that_are_not_32_words() {
    let words = broken(&format!("type=decode&data={}", "0x1".repeat(31)));
    assert_found(&words, Reject::Words, "data", "32 words", "31 words");
    let word = broken("type=decode&data=0x1");
    assert_eq!(word.found, "1 word");
    let wide = broken(&format!(
        "type=decode&data={}0x123456789{}",
        "0x1".repeat(3),
        "0x1".repeat(28)
    ));
    assert_found(
        &wide,
        Reject::Words,
        "data, word 3",
        "32 bits",
        "0x123456789",
    );
    let first = broken("type=decode&data=7");
    assert_found(
        &first,
        Reject::Words,
        "data, the first word",
        "32 words",
        "\"7\"",
    );
}

#[test]
fn grids_without_a_code() {
    let noise = broken(&format!("type=decode&data={}", "0x0".repeat(32)));
    assert_found(
        &noise,
        Reject::NoCode,
        "the decrypted grid",
        "21x21 or 25x25",
        "0 finders",
    );

    // A payload cell of an oracle's grid that carries no finder is flipped.
    let (grid, _) = decode_cases().next().unwrap();
    let clear: Vec<u32> = hex_text::parse(grid.as_bytes())
        .unwrap()
        .iter()
        .zip(key_stream::words())
        .map(|(word, key)| word ^ key)
        .collect();
    let mut different = 0;
    for row in 0..32 {
        for column in 0..32 {
            let mut words = clear.clone();
            words[row] ^= 1 << (31 - column);
            let text: String = words
                .iter()
                .zip(key_stream::words())
                .map(|(word, key)| format!("{:#x}", word ^ key))
                .collect();
            let explanation = explain(&format!("type=decode&data={text}"));
            if let Verdict::Invalid(broken) = explanation.verdict {
                assert_eq!(broken.reason, "no_code");
                different += usize::from(broken.found.contains("other cells"));
            }
        }
    }
    assert!(different > 100, "{different} cells of the payload");
}

#[test]
fn the_oracles_grids_show_their_message() {
    for (grid, message) in decode_cases().take(40) {
        let text = explain(&format!("type=decode&data={grid}")).to_string();
        let expected = quoted(&decoded(message.as_bytes()));
        assert!(
            text.contains(&format!("VALID\n  message  {expected} (")),
            "{message}: {text}"
        );
        assert_eq!(text.lines().filter(|line| line.len() == 66).count(), 32);
    }
}

/// The drawing is the documented symbol: three finders, and the payload begins at the lower right.
#[test]
fn an_encoded_message_is_drawn_in_the_clear() {
    for (line, side) in [("a", 21), ("fourteen bytes", 25)] {
        let text = explain(&format!("type=encode&data={line}")).to_string();
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("  #") || line.starts_with("  ."))
            .collect();
        assert_eq!(rows.len(), side, "{text}");
        let finder = "##############..";
        assert!(
            rows[0].starts_with(&format!("  {finder}"))
                && rows[side - 1].starts_with(&format!("  {finder}"))
        );
        let length = line.len();
        let last = rows[side - 1].as_bytes();
        // The length's highest two bits, right cell first.
        assert_eq!(
            [last[2 * side], last[2 * side - 2]],
            [7, 6].map(|bit| if length >> bit & 1 == 1 { b'#' } else { b'.' })
        );
    }
}
