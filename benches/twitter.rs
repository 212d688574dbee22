//! What `/twitter` costs without HTTP: the lookup of a value, the parsing of a request, and the whole
//! answer by number of contacts (2 is the median of real users, 13 the 99th percentile).

use std::{fs, hint::black_box, path::PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trident::twitter::{Found, Scratch, Store, model::Encoder, query, store::StoreWriter};

/// Users of the store: enough that neither the tree nor the values fit a processor's cache.
const USERS: u64 = 100_000;

/// Contact counts, each with the share of users that have it, in thousandths.
const CLASSES: [(u64, u64); 3] = [(1000, 1), (13, 10), (2, 989)];

const WORDS: [&str; 16] = [
    "the",
    "cloud",
    "computing",
    "team",
    "haha",
    "life",
    "is",
    "good",
    "música",
    "今日は",
    "new",
    "video",
    "RT",
    "@someone",
    "http://t.co/abcdefgh",
    "thanks",
];

/// A reproducible sequence of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn text(&mut self, words: u64) -> String {
        let words = (0..words).map(|_| WORDS[self.below(WORDS.len() as u64) as usize]);
        words.collect::<Vec<_>>().join(" ")
    }
}

fn contacts(user_id: u64) -> u64 {
    let mut place = user_id % 1000;
    for (contacts, share) in CLASSES {
        if place < share {
            return contacts;
        }
        place -= share;
    }
    2
}

/// A value with the shape of real ones: 1.2 tweets per contact, 1.7 tags per tweet.
fn value(user_id: u64) -> Vec<u8> {
    let mut random = Random(user_id);
    let mut encoder = Encoder::default();
    for contact in 0..contacts(user_id) {
        let (name, about) = (random.text(1), random.text(10));
        let same = random.below(30);
        encoder.contact(
            100 * contact,
            false,
            same,
            name.as_bytes(),
            about.as_bytes(),
        );
        for tweet in 0..1 + u64::from(random.below(5) == 0) {
            let text = random.text(12);
            let tags = ["cloud", "cmu", "aws"];
            let tags = tags.iter().take(1 + random.below(2) as usize);
            let types = 1 + random.below(2) as u32;
            let tags = tags.map(|tag| tag.as_bytes());
            encoder.tweet(tweet, tweet as i64, types, text.as_bytes(), tags);
        }
    }
    let mut out = Vec::new();
    encoder.finish(&mut out).unwrap();
    out
}

/// A store that is removed at the end.
struct Place(PathBuf);

impl Place {
    fn with_store() -> (Self, Store) {
        let path = std::env::temp_dir().join(format!("trident-bench-{}", std::process::id()));
        let mut writer = StoreWriter::create(&path, true).unwrap();
        for user_id in 0..USERS {
            writer.put(user_id, &value(user_id)).unwrap();
        }
        writer.finish().unwrap();
        let store = Store::open(&path).unwrap();
        (Self(path), store)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lookup(c: &mut Criterion) {
    let (_place, store) = Place::with_store();
    let mut group = c.benchmark_group("twitter/lookup");
    group.throughput(Throughput::Elements(1));
    let mut random = Random(1);
    group.bench_function("found", |b| {
        b.iter(|| {
            let reader = store.read().unwrap();
            let value = reader.get(random.below(USERS)).unwrap().unwrap();
            assert_eq!(value[..3], *b"TUV");
        })
    });
    group.bench_function("missing", |b| {
        b.iter(|| {
            let reader = store.read().unwrap();
            assert!(reader.get(USERS + random.below(USERS)).unwrap().is_none());
        })
    });
    group.finish();
    answers(c, &store);
}

/// From the query string to the rows.
fn answers(c: &mut Criterion, store: &Store) {
    let mut group = c.benchmark_group("twitter/answer");
    let mut scratch = Scratch::default();
    let mut out = Vec::with_capacity(1 << 20);
    for (contacts_wanted, _) in CLASSES.iter().rev() {
        let users: Vec<u64> = (0..USERS)
            .filter(|id| contacts(*id) == *contacts_wanted)
            .collect();
        let mut random = Random(2);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{contacts_wanted} contacts"), |b| {
            b.iter(|| {
                let user = users[random.below(users.len() as u64) as usize];
                let rows = answer(store, user, &mut scratch, &mut out);
                assert_eq!(rows as u64, *contacts_wanted);
            })
        });
    }
    group.finish();
}

fn answer(store: &Store, user_id: u64, scratch: &mut Scratch, out: &mut Vec<u8>) -> usize {
    let query = format!("user_id={user_id}&type=both&phrase=computing%20team&hashtag=Cloud");
    let request = query::parse(query.as_bytes(), &mut scratch.query).unwrap();
    let reader = store.read().unwrap();
    let found = Found::new(reader.get(request.user_id).unwrap().unwrap()).unwrap();
    out.clear();
    let rows = found.write_rows(&request, &mut scratch.score, out);
    black_box(&out);
    rows
}

fn parse(c: &mut Criterion) {
    let mut scratch = query::Scratch::default();
    let mut group = c.benchmark_group("twitter/parse");
    for (name, query, phrase) in [
        (
            "plain",
            &b"user_id=2412345678&type=retweet&phrase=hello&hashtag=cmu"[..],
            "hello",
        ),
        (
            "encoded",
            b"user_id=2412345678&type=retweet&phrase=hello%20cc%2e&hashtag=C%C3%89mu",
            "hello cc.",
        ),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let request = query::parse(black_box(query), &mut scratch).unwrap();
                assert_eq!(request.phrase, phrase);
            })
        });
    }
    group.finish();
}

criterion_group!(benches, parse, lookup);
criterion_main!(benches);
