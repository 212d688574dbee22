//! Tests of the model.

use super::dump::user_line;
use super::*;
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Debug)]
struct PlainTweet {
    id: u64,
    created_at: i64,
    types: u32,
    text: String,
    tags: Vec<String>,
}

#[derive(Clone, Debug)]
struct PlainContact {
    other_id: u64,
    same: u64,
    screen_name: String,
    description: String,
    tweets: Vec<PlainTweet>,
}

fn tweet() -> impl Strategy<Value = PlainTweet> {
    let numbers = (0..u64::MAX / 2, any::<i64>(), 1u32..=3);
    (numbers, ".{0,12}", vec(".{1,4}", 0..4)).prop_map(|((id, created_at, types), text, tags)| {
        PlainTweet {
            id,
            created_at,
            types,
            text,
            tags,
        }
    })
}

fn contact() -> impl Strategy<Value = PlainContact> {
    (
        any::<u64>(),
        0u64..1000,
        ".{0,8}",
        ".{0,8}",
        vec(tweet(), 1..4),
    )
        .prop_map(|(other_id, same, screen_name, description, mut tweets)| {
            tweets.sort_by_key(|t| (t.created_at, t.id));
            tweets.dedup_by_key(|t| (t.created_at, t.id));
            PlainContact {
                other_id,
                same,
                screen_name,
                description,
                tweets,
            }
        })
}

fn contacts() -> impl Strategy<Value = Vec<PlainContact>> {
    vec(contact(), 0..5).prop_map(|mut contacts| {
        contacts.sort_by_key(|c| c.other_id);
        contacts.dedup_by_key(|c| c.other_id);
        contacts
    })
}

/// The user whose values are made here.
const USER: u64 = 1;

fn encode(contacts: &[PlainContact]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    for c in contacts {
        let (name, description) = (c.screen_name.as_bytes(), c.description.as_bytes());
        encoder.contact(c.other_id, false, c.same, name, description);
        for t in &c.tweets {
            let tags = t.tags.iter().map(String::as_bytes);
            encoder.tweet(t.id, t.created_at, t.types, t.text.as_bytes(), tags);
        }
    }
    let mut out = Vec::new();
    encoder.finish(USER, &mut out).unwrap();
    out
}

fn decode(value: &[u8]) -> Vec<PlainContact> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let plain_tweet = |t: Tweet<'_>| PlainTweet {
        id: t.id,
        created_at: t.created_at,
        types: t.types,
        text: text(t.text),
        tags: t.tags().map(text).collect(),
    };
    let user = User::verify(USER, value).unwrap();
    user.contacts()
        .map(|c| PlainContact {
            other_id: c.other_id,
            same: c.same,
            screen_name: text(c.screen_name),
            description: text(c.description),
            tweets: c.tweets().map(plain_tweet).collect(),
        })
        .collect()
}

/// Reads everything in a value.
fn read_all(value: &[u8]) {
    let mut out = String::new();
    let _ = user_line(1, value, &mut out);
    let _ = User::verify(USER, value);
    if let Ok(user) = User::parse(value) {
        let in_texts =
            |t: &Tweet<'_>| user.texts()[t.text_start..].starts_with(t.text) || t.text.is_empty();
        assert!(user.contacts().all(|c| c.tweets().all(|t| in_texts(&t))));
    }
}

fn sample() -> Vec<PlainContact> {
    let tweet = |id, created_at, types, text: &str| {
        let tags = vec!["a".to_owned(), "b".to_owned()];
        PlainTweet {
            id,
            created_at,
            types,
            text: text.to_owned(),
            tags,
        }
    };
    let contact = |other_id, same, tweets| {
        let (screen_name, description) = ("name".to_owned(), "what\tever\n".to_owned());
        PlainContact {
            other_id,
            same,
            screen_name,
            description,
            tweets,
        }
    };
    vec![
        contact(
            5,
            12,
            vec![tweet(9, 1, RETWEET, "first"), tweet(3, 2, REPLY, "second")],
        ),
        contact(70, 0, vec![tweet(4, -5, REPLY | RETWEET, "")]),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_read_back(contacts in contacts()) {
        let value = encode(&contacts);
        prop_assert_eq!(format!("{:?}", decode(&value)), format!("{contacts:?}"));
    }

    #[test]
    fn changed_bytes_never_panic(
        contacts in contacts(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut value = encode(&contacts);
        for (at, byte) in changes {
            let at = at.index(value.len());
            value[at] = byte;
        }
        value.truncate(cut.map_or(value.len(), |cut| cut.index(value.len())));
        read_all(&value);
    }

    #[test]
    fn random_bytes_after_a_good_header_never_panic(mut value in vec(any::<u8>(), 0..400)) {
        for (to, from) in value.iter_mut().zip([b'T', b'U', b'V', VERSION]) {
            *to = from;
        }
        read_all(&value);
    }

    #[test]
    fn any_changed_byte_fails_verification(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut value = encode(&sample());
        let at = at.index(value.len());
        value[at] ^= 1 << bit;
        prop_assert!(User::verify(USER, &value).is_err());
    }
}

#[test]
fn the_value_of_one_user_is_not_that_of_another() {
    let value = encode(&sample());
    assert!(User::verify(USER, &value).is_ok());
    for other in [0, 2, USER << 8, USER << 56, u64::MAX] {
        let error = User::verify(other, &value).unwrap_err();
        assert_eq!(error, Corrupt::Checksum, "{other}");
    }
}

#[test]
fn every_number_of_the_tables_may_be_extreme() {
    let value = encode(&sample());
    for at in (4..value.len() - 4).step_by(4) {
        for number in [0, 1, 0x7FFF_FFFF, u32::MAX - 1, u32::MAX] {
            let mut broken = value.clone();
            broken[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
            read_all(&broken);
        }
    }
    for end in 0..value.len() {
        assert!(User::parse(&value[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn latest_follows_time_then_id_for_each_type() {
    let mut encoder = Encoder::default();
    encoder.contact(2, false, 0, b"", b"");
    for (id, created_at, types) in [(8, 1, REPLY), (10, 1, RETWEET), (9, 1, REPLY | RETWEET)] {
        encoder.tweet(id, created_at, types, b"", []);
    }
    let mut value = Vec::new();
    encoder.finish(USER, &mut value).unwrap();
    let contact = User::parse(&value).unwrap().contacts().next().unwrap();
    let latest = [Kind::Reply, Kind::Retweet, Kind::Both].map(|k| contact.latest(k).unwrap().id);
    assert_eq!(latest, [9, 10, 10]);
    assert_eq!(contact.counts(), (2, 2));
}

#[test]
fn a_missing_type_has_no_latest_tweet() {
    let value = encode(&sample()[..1]);
    let mut value_without_reply = Vec::new();
    let mut encoder = Encoder::default();
    encoder.contact(5, false, 0, b"", b"");
    encoder.tweet(1, 1, RETWEET, b"x", []);
    encoder.finish(USER, &mut value_without_reply).unwrap();
    let latest = |value| {
        let contact = User::parse(value).unwrap().contacts().next().unwrap();
        contact.latest(Kind::Reply).map(|t| t.id)
    };
    assert_eq!(latest(&value), Some(3));
    assert_eq!(latest(&value_without_reply), None);
}

#[test]
fn products_follow_the_write_up() {
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    close(product(1, 0, 0, false), 3f64.ln());
    close(product(0, 1, 10, false), 2f64.ln());
    close(product(2, 3, 11, false), 8f64.ln() * (1.0 + 2f64.ln()));
    close(product(2, 3, 11, true), 8f64.ln());
    assert!(product(u64::MAX, u64::MAX, u64::MAX, false).is_finite());
}

#[test]
fn texts_are_one_run_with_separators() {
    let value = encode(&sample());
    let user = User::parse(&value).unwrap();
    assert_eq!(user.texts(), b"first\xFFsecond\xFF\xFF");
    assert_eq!((user.contact_count(), user.tweet_count()), (2, 3));
}

#[test]
fn other_versions_are_refused_by_number() {
    let mut value = encode(&sample());
    value[3] = 9;
    assert_eq!(User::parse(&value).unwrap_err(), Corrupt::Version(9));
}

#[test]
fn a_dumped_line_shows_every_field() {
    let mut line = String::new();
    user_line(1, &encode(&sample()[1..]), &mut line).unwrap();
    assert_eq!(
        line,
        "{\"user_id\":1,\"contacts\":[{\"user_id\":70,\"screen_name\":\"name\",\
         \"description\":\"what\\tever\\n\",\"replies\":1,\"retweets\":1,\"same\":0,\
         \"product\":\"1.386294361\",\"latest\":[4,4,4],\"tweets\":[{\"id\":4,\
         \"created_at\":-5,\"types\":3,\"text\":\"\",\"tags\":[\"a\",\"b\"]}]}]}\n"
    );
}

/// A contact whose strings and tweets take some bytes.
fn contacts_of_many() -> Vec<PlainContact> {
    let tweet = |id| PlainTweet {
        id,
        created_at: id as i64 / 2,
        types: 1 + (id % 3) as u32,
        text: format!("text {id} é"),
        tags: (0..id % 4).map(|tag| format!("tag{tag}")).collect(),
    };
    (0..40)
        .map(|other_id| PlainContact {
            other_id,
            same: other_id,
            screen_name: format!("name {other_id}"),
            description: "ü".repeat(other_id as usize),
            tweets: (1..=other_id + 1).map(tweet).collect(),
        })
        .collect()
}

#[test]
fn a_value_made_in_files_is_the_one_made_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let contacts = contacts_of_many();
    let expected = encode(&contacts);
    let mut encoder = Encoder::default();
    for bytes_max in [0, 100, 2000, 1 << 20] {
        for c in &contacts {
            let (name, description) = (c.screen_name.as_bytes(), c.description.as_bytes());
            encoder.contact(c.other_id, false, c.same, name, description);
            for t in &c.tweets {
                let tags = t.tags.iter().map(String::as_bytes);
                encoder.tweet(t.id, t.created_at, t.types, t.text.as_bytes(), tags);
                encoder.spill(directory.path(), bytes_max).unwrap();
            }
        }
        assert_eq!(encoder.is_spilled(), bytes_max < expected.len());
        let mut value = Vec::new();
        let (bytes, mut read) = encoder.finish_spilled(USER).unwrap();
        read.read_to_end(&mut value).unwrap();
        assert!(
            value == expected && bytes == expected.len() as u64,
            "{bytes_max}"
        );
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

/// Whatever the pieces, they are checked as the whole is.
fn pieces(value: &[u8], piece_bytes: usize) -> Result<(u64, u64), Corrupt> {
    let mut pieces = Pieces::of(USER);
    for piece in value.chunks(piece_bytes) {
        pieces.add(piece)?;
    }
    pieces.end()
}

#[test]
fn pieces_are_checked_as_the_whole_is() {
    let value = encode(&contacts_of_many());
    let user = User::verify(USER, &value).unwrap();
    let counts = (user.contact_count() as u64, user.tweet_count() as u64);
    for piece_bytes in [1, 3, 31, 32, 33, 48, 1000, value.len()] {
        assert_eq!(pieces(&value, piece_bytes), Ok(counts), "{piece_bytes}");
    }
    let empty = encode(&[]);
    assert_eq!(pieces(&empty, 7), Ok((0, 0)));
    for end in 0..value.len() {
        assert!(pieces(&value[..end], 50).is_err(), "cut at {end}");
    }
    assert_eq!(
        pieces(&[&value[..], b"x"].concat(), 9),
        Err(Corrupt::Length)
    );
    for at in 0..value.len() {
        let mut broken = value.clone();
        broken[at] ^= 0x10;
        // The checksum stands for what `parse` does not see.
        let error = pieces(&broken, 57).unwrap_err();
        match User::parse(&broken) {
            Ok(_) => assert_eq!(error, Corrupt::Checksum, "byte {at}"),
            Err(_) => assert_ne!(error, Corrupt::Checksum, "byte {at}"),
        }
    }
}
