//! Stored users: whatever bytes a store holds, reading and scoring them never panics, and what passes
//! `verify` can be dumped.
//!
//! The first half of the input writes a value with the encoder, the second half damages it: bytes
//! alone would hardly ever get beyond the header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trident::{
    store::value::{Encoder, Kind, REPLY, RETWEET, User, dump},
    twitter::{query::{Page, Query}, score},
};

/// Contacts and tweets, five bytes of `recipe` each.
fn written(recipe: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    for step in recipe.chunks_exact(5) {
        let [what, a, b, c, d] = [step[0], step[1], step[2], step[3], step[4]];
        let text = &recipe[..usize::from(d).min(recipe.len())];
        if what % 3 == 0 {
            let (name, description) = text.split_at(text.len() / 2);
            encoder.contact(u64::from(a), b == 0, u64::from(c), name, description);
        }
        // A contact has at least one tweet; tweets before the first contact are ignored.
        let types = [REPLY, RETWEET, REPLY | RETWEET][usize::from(b) % 3];
        let tags: Vec<&[u8]> = text.chunks(1 + usize::from(c) % 7).take(9).collect();
        encoder.tweet(u64::from(a), i64::from(c) << (b % 48), types, text, tags);
    }
    let mut value = Vec::new();
    encoder.finish(1, &mut value).expect("a few kilobytes");
    value
}

fn ask(value: &[u8]) {
    let Ok(user) = User::parse(value) else { return };
    let mut scratch = score::Scratch::default();
    for kind in [Kind::Reply, Kind::Retweet, Kind::Both] {
        for (phrase, hashtag) in [("a", "a"), ("aa", "b"), ("\u{1f600}", "\u{e9}")] {
            let request = Query {
                user_id: 1,
                kind,
                phrase,
                hashtag,
                page: Page::default(),
            };
            let mut out = Vec::new();
            let rows = score::write_rows(&user, &request, &mut scratch, &mut out);
            assert!(rows <= user.contact_count());
        }
    }
    let mut line = String::new();
    let dumped = dump::user_line(1, value, &mut line);
    assert!(dumped.is_ok() || User::verify(1, value).is_err());
}

fuzz_target!(|input: &[u8]| {
    ask(input);
    let (recipe, damage) = input.split_at(input.len() / 2);
    let mut value = written(recipe);
    assert!(User::parse(&value).is_ok(), "what was written can be read");
    for change in damage.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % value.len();
        value[at] = change[2];
        ask(&value);
    }
});
