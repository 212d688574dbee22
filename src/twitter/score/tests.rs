//! Tests of the score.

use super::*;
use crate::store::value::Encoder;
use crate::twitter::query::Page;
use proptest::{collection::vec, prelude::*};

/// Overlapping matches by the definition.
fn plain_count(text: &str, phrase: &str) -> u64 {
    (0..text.len())
        .filter(|start| text.as_bytes()[*start..].starts_with(phrase.as_bytes()))
        .count() as u64
}

fn joined(texts: &[String]) -> Vec<u8> {
    texts
        .iter()
        .flat_map(|text| text.bytes().chain([crate::store::value::TEXT_SEPARATOR]))
        .collect()
}

fn counts(texts: &[String], phrase: &str) -> Vec<u64> {
    let run = joined(texts);
    let mut borders = Vec::new();
    let mut matches = Matches::of(phrase, &run, &mut borders);
    matches.find(0);
    let mut end = 0;
    texts
        .iter()
        .map(|text| {
            end += text.len() + 1;
            matches.before(end - 1)
        })
        .collect()
}

proptest! {
    #[test]
    fn matches_are_counted_per_text(
        texts in vec("[abé]{0,40}", 0..6),
        phrase in "[abé]{1,4}",
    ) {
        let want: Vec<u64> = texts.iter().map(|text| plain_count(text, &phrase)).collect();
        prop_assert_eq!(counts(&texts, &phrase), want);
    }

    #[test]
    fn long_phrases_are_counted_alike(
        texts in vec("(ab?){60,120}", 1..4),
        repeats in 1usize..4,
        piece in "(a|ab){30,40}",
    ) {
        let phrase = piece.repeat(repeats + 1);
        let want: Vec<u64> = texts.iter().map(|text| plain_count(text, &phrase)).collect();
        prop_assert_eq!(counts(&texts, &phrase), want);
    }
}

#[test]
fn a_phrase_of_one_letter_repeated_costs_linear_time() {
    let texts = ["a".repeat(3 << 20), "b".into(), "a".repeat(1 << 20)];
    let phrase = "a".repeat(1 << 20);
    assert_eq!(counts(&texts, &phrase), [(2 << 20) + 1, 0, 1]);
}

#[test]
fn scores_round_half_up_to_five_decimals() {
    // ln 3 = 1.09861228…, times 1 + ln 2
    assert_eq!(score(3f64.ln(), 0), 109_861);
    assert_eq!(score(3f64.ln(), 1), 186_011);
    assert_eq!(score(0.000_004_999, 0), 0);
    assert_eq!(score(0.000_005, 0), 1);
    // whatever a value may hold
    assert_eq!(score(-1.0, 5), 0);
    assert_eq!(score(f64::MAX, u64::MAX - 1), u64::MAX);
}

fn rows(value: &[u8], kind: Kind, phrase: &str, hashtag: &str) -> (usize, String) {
    let user = User::parse(value).unwrap();
    let request = Query {
        user_id: 1,
        kind,
        phrase,
        hashtag,
        page: Page::default(),
    };
    let mut out = Vec::new();
    let rows = write_rows(&user, &request, &mut Scratch::default(), &mut out);
    (rows, String::from_utf8(out).unwrap())
}

#[test]
fn rows_are_sorted_by_score_then_id_and_written_raw() {
    let mut encoder = Encoder::default();
    for (id, text) in [(7, "one"), (9, "two\n\t "), (100, "xx one one")] {
        encoder.contact(
            id,
            false,
            0,
            format!("name{id}").as_bytes(),
            b"de\nscription",
        );
        encoder.tweet(id, 5, 1, text.as_bytes(), [b"tag".as_slice()]);
    }
    encoder.contact(200, false, 0, b"", b"");
    encoder.tweet(1, 5, 2, b"latest retweet", []);
    let mut value = Vec::new();
    encoder.finish(1, &mut value).unwrap();
    let replies = "100\tname100\tde\nscription\txx one one\n\
                   7\tname7\tde\nscription\tone\n\
                   9\tname9\tde\nscription\ttwo\n\t ";
    assert_eq!(
        rows(&value, Kind::Reply, "one", "none"),
        (3, replies.into())
    );
    let (count, both) = rows(&value, Kind::Both, "zz", "zz");
    let ids: Vec<&str> = both
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(id, _)| id)
        .filter(|id| id.parse::<u64>().is_ok())
        .collect();
    // a reply weighs ln 3, a retweet ln 2; equal scores go by descending id, as numbers
    assert_eq!((count, ids), (4, vec!["100", "9", "7", "200"]));
    assert_eq!(
        rows(&value, Kind::Retweet, "latest", "x"),
        (1, "200\t\t\tlatest retweet".into())
    );
}

#[test]
fn a_hundred_thousand_contacts_are_listed_and_the_memory_given_back() {
    let mut encoder = Encoder::default();
    for id in 0..100_000 {
        encoder.contact(id, false, id % 50, b"name", b"");
        encoder.tweet(id, 5, 1, b"aaaa", [b"t".as_slice(), b"t"]);
    }
    let mut value = Vec::new();
    encoder.finish(1, &mut value).unwrap();
    let request = Query {
        user_id: 1,
        kind: Kind::Both,
        phrase: "aa",
        hashtag: "t",
        page: Page::default(),
    };
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let user = User::parse(&value).unwrap();
    assert_eq!(write_rows(&user, &request, &mut scratch, &mut out), 100_000);
    assert!(out.starts_with(b"99999\tname\t\taaaa\n99949\t"));
    scratch.release_large_buffers();
    assert_eq!(scratch.rows.capacity(), 0);
}
