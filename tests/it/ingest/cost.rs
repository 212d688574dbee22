//! What a batch costs follows from its users: from the sum of the sizes of their records, not from the product.
//!
//! The tests count the bytes that a batch reads from the store and writes into it, see [`Work`].

use super::{
    rules::{apply, open},
    *,
};
use trident::store::Work;

/// The user who has contact with everybody.
const HUB: u64 = 1;

/// A line: `user` replies to `to`.
fn reply(id: u64, user: u64, to: u64, tag: &str, day: u64) -> Vec<u8> {
    let tweet = serde_json::json!({
        "id": id,
        "text": format!("to {to}"),
        "user": {"id": user, "screen_name": format!("u{user}")},
        "lang": "en",
        "in_reply_to_user_id": to,
        "created_at": format!("Fri Apr {day:02} 05:30:11 +0000 2014"),
        "entities": {"hashtags": [{"text": tag}]},
    });
    (tweet.to_string() + "\n").into_bytes()
}

/// The hub replies to each of `contacts` users, and each to the hub.
fn star(contacts: u64) -> Vec<Vec<u8>> {
    let pair = |n: u64| {
        let other = HUB + n;
        let from_hub = reply(2 * n, HUB, other, "hub", 4);
        [from_hub, reply(2 * n + 1, other, HUB, "leaf", 4)]
    };
    (1..=contacts).flat_map(pair).collect()
}

/// Tweets of the hub that change different values: nobody else's, those of one new contact, those of all contacts.
fn tweets_of_the_hub() -> [Vec<u8>; 4] {
    let renamed = reply(4_000_004, HUB, 2, "hub", 8);
    let renamed = String::from_utf8(renamed)
        .unwrap()
        .replace("\"u1\"", "\"new name\"");
    [
        reply(4_000_001, HUB, 2, "hub", 5),
        reply(4_000_002, HUB, 3_000_000, "new", 6),
        reply(4_000_003, HUB, 2, "leaf", 7),
        renamed.into_bytes(),
    ]
}

/// What each of these tweets costs in a store of a hub with `contacts` contacts, and how many values it changes.
fn costs(contacts: u64) -> Vec<(Work, u64)> {
    let directory = fresh_directory("cost");
    let path = directory.join("store");
    let mut lines = star(contacts);
    build(&directory, &path, &lines, true);
    let store = open(&path);
    let costs = tweets_of_the_hub().map(|tweet| {
        let applied = apply(&store, &tweet);
        lines.push(tweet);
        (applied.work, applied.users_touched)
    });
    drop(store);
    let whole = build(&directory, &directory.join("whole"), &lines, true);
    assert_eq!(verify(&path), whole);
    costs.into()
}

#[test]
fn four_times_the_contacts_cost_four_times_as_much() {
    let (few, many) = (costs(500), costs(2_000));
    for ((few, _), (many, _)) in few.iter().zip(&many) {
        let ratio = |part: fn(&Work) -> u64| part(many) as f64 / part(few) as f64;
        for ratio in [
            ratio(|work| work.bytes_read),
            ratio(|work| work.bytes_written),
            ratio(|work| work.records_read),
            ratio(|work| work.records_written),
        ] {
            assert!(ratio < 4.5, "{ratio} times the work: {few:?} {many:?}");
        }
        assert!(many.bytes_read > many.bytes_written && few.bytes_written > 0);
    }
    let touched: Vec<_> = many.iter().map(|(_, touched)| *touched).collect();
    assert_eq!(touched, [2, 2, 2_001, 2_002]);
}

/// A batch of many tweets of one user costs about as much as one of them.
#[test]
fn the_records_of_a_user_are_read_once_per_batch() {
    let directory = fresh_directory("cost");
    let path = directory.join("store");
    build(&directory, &path, &star(500), true);
    let store = open(&path);
    let cost = |first: u64, count: u64| {
        let tweets = (0..count).map(|n| reply(first + n, HUB, 2 + n, "new", 5));
        apply(&store, &tweets.collect::<Vec<_>>().concat()).work
    };
    let (one, hundred) = (cost(5_000_000, 1), cost(6_000_000, 100));
    assert!(
        hundred.bytes_read < 2 * one.bytes_read,
        "{one:?} {hundred:?}"
    );
}

#[test]
fn what_changes_nothing_costs_nothing() {
    let directory = fresh_directory("cost");
    let path = directory.join("store");
    let lines = star(500);
    build(&directory, &path, &lines, true);
    let store = open(&path);
    let nothing = apply(&store, b"no tweet\n{\"id\":1}\n");
    assert_eq!(nothing.work, Work::default());
    // A stored tweet is looked up, and no user.
    let known = apply(&store, &lines[0]);
    assert_eq!(
        (known.work.records_read, known.work.records_written),
        (1, 0)
    );
    assert!(known.work.bytes_read < 200, "{:?}", known.work);
    assert_eq!((known.batch, known.duplicates), (0, 1));
}
