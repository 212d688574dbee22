//! The update itself, without a server: any split of any input gives the store of the whole.

use super::*;
use trident::{
    etl::update::{
        batch::{Applied, Batch},
        refused::Refused,
    },
    store::Store,
};

const UPDATES_BYTES_MAX: u64 = 1 << 30;
const VALUE_BYTES_MAX: usize = 64 << 20;

pub(super) fn open(path: &Path) -> Store {
    Store::open_for_updates(path, UPDATES_BYTES_MAX).unwrap()
}

pub(super) fn apply(store: &Store, text: &[u8]) -> Applied {
    let batch = Batch::read(text).unwrap();
    batch.apply(store, VALUE_BYTES_MAX).unwrap()
}

#[test]
fn every_split_gives_the_store_of_the_whole() {
    let (mut replaced, mut deleted, mut too_late) = (0, 0, 0);
    for seed in 1..=24 {
        // From a few users that all know each other to many that hardly do.
        let users = [12, 60, 400][seed as usize % 3];
        let lines = lines_with_deletions(seed, 500, users);
        let split = split(lines, seed, 1 + seed as usize % 7, false);
        let store = open(&split.path);
        for batch in &split.batches {
            let applied = apply(&store, batch);
            replaced += applied.tweets_replaced;
            deleted += applied.tweets_deleted;
            too_late += applied.deleted;
        }
        drop(store);
        assert_eq!(verify(&split.path), split.expected[0], "seed {seed}");
    }
    assert!(
        replaced > 100,
        "only {replaced} tweets took another's place"
    );
    assert!(deleted > 100 && too_late > 100, "{deleted} {too_late}");
}

#[test]
fn a_tweet_at_a_time_and_each_twice_gives_the_store_of_the_whole() {
    let lines = lines_with_deletions(77, 120, 15);
    let directory = fresh_directory("ingest");
    let (path, whole) = (directory.join("store"), directory.join("whole"));
    build(&directory, &path, &[], true);
    let expected = build(&directory, &whole, &lines, true);
    let store = open(&path);
    for line in lines.iter().rev() {
        apply(&store, line);
        let again = apply(&store, line);
        assert_eq!((again.batch, again.users_touched), (0, 0), "{again:?}");
    }
    drop(store);
    assert_eq!(verify(&path), expected);
}

/// A snapshot makes one store of a store and its updates, byte for byte that of the ETL, and can be
/// updated in turn.
#[test]
fn a_snapshot_takes_the_updates_in() {
    let split = split(lines_with_deletions(5, 400, 40), 5, 4, true);
    let at = |name: &str| split.directory.join(name);
    let mut path = split.path.clone();
    for (n, batch) in split.batches.iter().enumerate() {
        apply(&open(&path), batch);
        let next = at(&format!("snapshot{n}"));
        let meta = maintenance::snapshot(&path, &next).unwrap();
        assert_eq!(meta, split.expected[n + 1]);
        assert_eq!(verify(&next), meta);
        assert_eq!(maintenance::stat(&next).unwrap().updates, None);
        path = next;
    }
    let same = |name: &str| {
        fs::read(path.join(name)).unwrap() == fs::read(at("other").join(name)).unwrap()
    };
    assert!(same("data.mdb") && same("history.mdb"));
    // Restoring copies, or takes the updates in, as needed.
    for from in [&path, &split.path] {
        maintenance::restore(from, &at("restored"), true).unwrap();
        assert_eq!(verify(&at("restored")), verify(from));
    }
    let mut dumps = [Vec::new(), Vec::new()];
    apply(&open(&split.path), &split.batches.join(&b'\n'));
    for (dump, path) in dumps.iter_mut().zip([&split.path, &path]) {
        maintenance::dump(path, dump).unwrap();
    }
    assert!(dumps[0] == dumps[1] && !dumps[0].is_empty());
}

#[test]
fn what_is_refused_changes_nothing() {
    let split = split(lines(6, 300, 10), 6, 1, true);
    let before = split.expected[0].clone();
    let store = open(&split.path);
    let batch = Batch::read(&split.batches[0]).unwrap();
    let refused = batch.apply(&store, 4096).unwrap_err();
    assert!(
        matches!(
            refused,
            Refused::ValueTooLarge {
                bytes_max: 4096,
                ..
            }
        ),
        "{refused}"
    );
    drop(store);
    assert_eq!(verify(&split.path), before);

    // A map that is too small for the batch.
    let store = Store::open_for_updates(&split.path, 64 << 10).unwrap();
    let refused = batch.apply(&store, VALUE_BYTES_MAX).unwrap_err();
    assert!(
        refused.to_string().contains("have reached 65536 bytes"),
        "{refused}"
    );
    drop(store);
    assert_eq!(verify(&split.path), before);

    apply(&open(&split.path), &split.batches[0]);
    assert_eq!(verify(&split.path), split.expected[1]);
}

#[test]
fn history_is_kept_on_request_only() {
    let lines = lines(7, 100, 20);
    let directory = fresh_directory("ingest");
    let (with, without) = (directory.join("with"), directory.join("without"));
    let meta = build(&directory, &with, &lines, true);
    let plain = build(&directory, &without, &lines, false);
    assert_eq!(
        (meta.content_crc32, None),
        (plain.content_crc32, plain.history)
    );
    let history = meta.history.unwrap();
    assert!(
        history.user_states > meta.users && history.tweets > 50,
        "{history:?}"
    );
    let store = open(&without);
    let batch = Batch::read(b"").unwrap();
    let Err(refused) = batch.apply(&store, VALUE_BYTES_MAX) else {
        panic!("a store without history takes updates");
    };
    assert!(refused.to_string().contains("--keep-history"), "{refused}");
    assert!(!fs::exists(without.join("history.mdb")).unwrap());
    // The history is sealed as the values are.
    let path = with.join("history.mdb");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = Store::open(&with).err().unwrap().to_string();
    assert!(
        error.contains("the checksum of history.mdb is wrong"),
        "{error}"
    );
}
