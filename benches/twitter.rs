//! What `/twitter` costs without HTTP: the lookup of a value, the parsing of a request, and the whole
//! answer by number of contacts (2 is the median of real users, 13 the 99th percentile, 1,000 as the most
//! followed have). The last lines are ratios, from rounds that take turns: a lookup to one in a table in
//! memory, an answer to copying it when it is ready.

use std::{collections::HashMap, hint::black_box, io::Write, time::Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use trident::{
    store::{Store, StoreWriter, value::Encoder},
    twitter::{Found, Scratch, query},
};

/// Rounds of a ratio, of which the median counts.
const ROUNDS: usize = 31;

/// Bytes of updates that a store may have here.
const UPDATES_BYTES_MAX: u64 = 1 << 30;

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
    encoder.finish(user_id, &mut out).unwrap();
    out
}

/// Stores that are removed at the end.
struct TempStores(TempDir);

impl TempStores {
    /// A store; and the same open for updates, of which every other user has had one.
    fn with_stores() -> (Self, [Store; 2]) {
        let directory = Self(tempfile::tempdir().unwrap());
        let [plain, updated] = ["plain", "updated"].map(|name| directory.store(name));
        drop(updated);
        let updated = directory.0.path().join("updated");
        let updated = Store::open_for_updates(&updated, UPDATES_BYTES_MAX).unwrap();
        let mut update = updated.update().unwrap();
        for user_id in (0..USERS).step_by(2) {
            update.put_value(user_id, Some(&value(user_id))).unwrap();
        }
        update.commit().unwrap();
        (directory, [plain, updated])
    }

    fn store(&self, name: &str) -> Store {
        let path = self.0.path().join(name);
        let mut writer = StoreWriter::create(&path, true).unwrap();
        writer.begin_history(b"").unwrap();
        for user_id in 0..USERS {
            writer.put(user_id, &value(user_id)).unwrap();
        }
        writer.finish().unwrap();
        Store::open(&path).unwrap()
    }
}

fn lookup(c: &mut Criterion) {
    let (_directory, [plain, updated]) = TempStores::with_stores();
    let mut group = c.benchmark_group("twitter/lookup");
    group.throughput(Throughput::Elements(1));
    let mut random = Random(1);
    for (name, store) in [("found", &plain), ("found, with updates", &updated)] {
        group.bench_function(name, |b| {
            b.iter(|| assert!(found(store, random.below(USERS))))
        });
    }
    group.bench_function("missing", |b| {
        b.iter(|| assert!(!found(&plain, USERS + random.below(USERS))))
    });
    group.finish();
    answers(c, &plain);
    ratios(&plain, &updated);
}

fn found(store: &Store, user_id: u64) -> bool {
    let reader = store.read().unwrap();
    let value = reader.get(user_id).unwrap();
    value.is_some_and(|value| value[..3] == *b"TUV")
}

/// Prints what a lookup costs in lookups of a table in memory, and an answer in copies of it.
fn ratios(plain: &Store, updated: &Store) {
    let mut out = std::io::stderr().lock();
    let table: HashMap<u64, Vec<u8>> = (0..USERS).map(|id| (id, value(id))).collect();
    let in_table = |user: u64| table.get(&user).is_some_and(|value| value[..3] == *b"TUV");
    for (name, store) in [("lookup", plain), ("lookup, with updates", updated)] {
        let (mut ours, mut theirs) = (Random(3), Random(3));
        let ratio = ratio(
            20_000,
            || assert!(found(store, ours.below(USERS))),
            || assert!(in_table(theirs.below(USERS))),
        );
        writeln!(out, "{name}: {ratio:.2} x a lookup in memory").unwrap();
    }
    let mut scratch = Scratch::default();
    for (contacts_wanted, _) in CLASSES.iter().rev() {
        let users: Vec<u64> = (0..USERS)
            .filter(|id| contacts(*id) == *contacts_wanted)
            .take(100)
            .collect();
        let (mut rows, mut ready) = (Vec::new(), HashMap::new());
        for user in &users {
            answer(plain, *user, &mut scratch, &mut rows);
            ready.insert(*user, rows.clone());
        }
        let mut turn = [users.iter().cycle(), users.iter().cycle()];
        let [first, second] = &mut turn;
        let mut copy = Vec::new();
        let ratio = ratio(
            (40_000 / contacts_wanted) as usize,
            || {
                let user = *first.next().unwrap();
                answer(plain, user, &mut scratch, &mut rows);
                assert_eq!(rows.len(), ready[&user].len());
            },
            || {
                copy.clear();
                copy.extend_from_slice(&ready[second.next().unwrap()]);
                black_box(&copy);
            },
        );
        writeln!(
            out,
            "answer, {contacts_wanted} contacts: {ratio:.1} x its copy"
        )
        .unwrap();
    }
}

/// How many times longer `a` takes than `b`: the median of rounds in which both run `times` times.
fn ratio(times: usize, mut a: impl FnMut(), mut b: impl FnMut()) -> f64 {
    let seconds = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..times).for_each(|_| run());
        start.elapsed().as_secs_f64()
    };
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| seconds(&mut a) / seconds(&mut b))
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
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
