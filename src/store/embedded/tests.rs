//! Tests of the store.

use super::{files::DATA_FILE, *};
use crate::store::{FORMAT, Meta, StoreError, value::Encoder};
use std::{fs, ops::Deref, path::Path};

/// A directory for one test, removed at its end.
struct TempDir(tempfile::TempDir);

impl TempDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&**self).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Deref for TempDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.path()
    }
}

fn value(user_id: u64, contacts: u64, text: &str) -> Vec<u8> {
    let mut encoder = Encoder::default();
    for other in 0..contacts {
        encoder.contact(other, false, 0, b"name", b"about");
        encoder.tweet(other, 0, 1, text.as_bytes(), [b"tag".as_slice()]);
    }
    let mut out = Vec::new();
    encoder.finish(user_id, &mut out).unwrap();
    out
}

/// A store of `users` users with ids 0, 3, 6 …, of which every tenth is large.
fn build(target: &Path, users: u64, text: &str) -> Meta {
    let mut writer = StoreWriter::create(target, true).unwrap();
    for n in 0..users {
        let contacts = if n % 10 == 9 { 100 } else { 2 };
        writer.put(3 * n, &value(3 * n, contacts, text)).unwrap();
    }
    writer.finish().unwrap()
}

fn get(store: &Store, user_id: u64) -> Option<Vec<u8>> {
    store
        .read()
        .unwrap()
        .get(user_id)
        .unwrap()
        .map(<[u8]>::to_vec)
}

#[test]
fn what_was_written_is_found_and_nothing_else() {
    let directory = TempDir::new();
    let meta = build(&directory.join("s"), 2000, "hello");
    assert_eq!((meta.users, meta.contacts), (2000, 200 * 100 + 1800 * 2));
    let store = Store::open(&directory.join("s")).unwrap();
    assert_eq!(*store.meta(), meta);
    for n in 0..2000 {
        let contacts = if n % 10 == 9 { 100 } else { 2 };
        assert_eq!(
            get(&store, 3 * n),
            Some(value(3 * n, contacts, "hello")),
            "{n}"
        );
        assert_eq!(get(&store, 3 * n + 1), None);
    }
    assert_eq!(get(&store, u64::MAX), None);
    assert_eq!(directory.names(), ["s"]);
    assert_eq!(maintenance::verify(&directory.join("s")).unwrap(), meta);
}

#[test]
fn an_empty_store_is_a_store() {
    let directory = TempDir::new();
    let meta = build(&directory.join("s"), 0, "");
    assert_eq!((meta.users, meta.content_crc32), (0, 0));
    assert_eq!(get(&Store::open(&directory.join("s")).unwrap(), 0), None);
    assert_eq!(
        maintenance::stat(&directory.join("s")).unwrap().value_bytes,
        [0; 4]
    );
}

#[test]
fn equal_input_makes_equal_files_and_more_than_one_batch_fits() {
    let directory = TempDir::new();
    // 60 MB of values: four batches, more than the first map.
    let text = "x".repeat(2000);
    let metas = ["a", "b"].map(|name| build(&directory.join(name), 2500, &text));
    assert_eq!(metas[0], metas[1]);
    assert!(metas[0].value_bytes > 50 << 20, "{:?}", metas[0]);
    let files = ["a", "b"].map(|name| fs::read(directory.join(name).join(DATA_FILE)).unwrap());
    assert!(files[0] == files[1]);
}

#[test]
fn a_writer_refuses_what_it_cannot_store_and_leaves_nothing_behind() {
    let directory = TempDir::new();
    let mut writer = StoreWriter::create(&directory.join("s"), false).unwrap();
    writer.put(5, &value(5, 1, "")).unwrap();
    for (id, value, why) in [
        (5, value(5, 1, ""), "ascend"),
        (4, value(4, 1, ""), "ascend"),
        (1 << 63, value(1 << 63, 1, ""), "2^63"),
        (6, b"something else".to_vec(), "not a user value"),
    ] {
        let error = writer.put(id, &value).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(directory.names().len(), 1);
    drop(writer);
    assert!(directory.names().is_empty());
    assert!(matches!(
        Store::open(&directory.join("s")),
        Err(StoreError::Io { .. })
    ));
}

#[test]
fn a_name_that_is_taken_is_replaced_only_when_asked() {
    let directory = TempDir::new();
    let (target, link) = (directory.join("s"), directory.join("link"));
    build(&target, 10, "old");
    std::os::unix::fs::symlink("s", &link).unwrap();
    assert!(matches!(
        StoreWriter::create(&target, false),
        Err(StoreError::Exists(_))
    ));
    assert!(matches!(
        maintenance::snapshot(&target, &link),
        Err(StoreError::Exists(_))
    ));
    build(&link, 20, "new");
    assert_eq!(Store::open(&target).unwrap().meta().users, 20);
    assert_eq!(directory.names(), ["link", "s"]);
}

#[test]
fn a_store_can_be_replaced_again_and_again_while_it_is_open() {
    let directory = TempDir::new();
    let target = directory.join("s");
    build(&target, 10, "0");
    let mut open = Store::open(&target).unwrap();
    for round in 1..6 {
        assert!(!open.is_replaced_at(&target));
        build(&target, 10 + round, &round.to_string());
        assert!(open.is_replaced_at(&target));
        let new = Store::open(&target).unwrap();
        assert_eq!(get(&open, 0), Some(value(0, 2, &(round - 1).to_string())));
        assert_eq!(get(&new, 0), Some(value(0, 2, &round.to_string())));
        assert_eq!(new.meta().users, 10 + round);
        open = new;
    }
    assert_eq!(directory.names(), ["s"]);
}

#[test]
fn what_is_not_a_store_of_this_version_is_refused_with_a_reason() {
    let directory = TempDir::new();
    let target = directory.join("s");
    let refused = |path: &Path| match Store::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    };
    assert!(refused(&directory.join("missing")).contains("No such file"));
    assert!(refused(&directory).contains("is not a store: there is no seal.json in it"));
    build(&target, 10, "");
    let seal = target.join("seal.json");
    assert!(refused(&seal).contains("is not a store"));
    let old = fs::read_to_string(&seal).unwrap();
    fs::write(&seal, "{\"data_bytes\":1").unwrap();
    assert!(refused(&target).contains("is damaged: seal.json: "));
    fs::write(&seal, &old).unwrap();
    let data = fs::read(target.join(DATA_FILE)).unwrap();
    fs::write(target.join(DATA_FILE), &data[..data.len() - 1]).unwrap();
    assert!(refused(&target).contains("bytes instead of"));
    fs::write(target.join(DATA_FILE), &data).unwrap();
    assert!(Store::open(&target).is_ok());

    let meta = Store::open(&target).unwrap().meta().clone();
    let other = Meta {
        format: FORMAT + 1,
        built_by: "9.9".into(),
        ..meta.clone()
    };
    let text = other.check(&target).unwrap_err().to_string();
    assert!(
        text.contains("has format 3, this program reads 2"),
        "{text}"
    );
    assert!(text.contains("(9.9)"), "{text}");
    let other = Meta {
        value_version: 77,
        ..meta
    };
    let text = other.check(&target).unwrap_err().to_string();
    assert!(text.contains("values of version 77"), "{text}");
}

/// Damaged files are an error and never end the process, whatever happened before they are opened.
#[test]
fn damaged_files_are_refused() {
    let directory = TempDir::new();
    let target = directory.join("s");
    build(&target, 200, "some text");
    let path = target.join(DATA_FILE);
    let whole = fs::read(&path).unwrap();
    let mut state = 1u64;
    for _ in 0..300 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut data = whole.clone();
        let at = (state >> 33) as usize % data.len();
        data[at] ^= (state >> 24) as u8 | 1;
        fs::write(&path, &data).unwrap();
        assert!(matches!(
            Store::open(&target),
            Err(StoreError::Damaged { .. })
        ));
    }
    for bytes in [0, 1, 4095, 4096, 8192, whole.len() - 4096] {
        fs::write(&path, &whole[..bytes]).unwrap();
        assert!(Store::open(&target).is_err(), "{bytes}");
    }
    fs::remove_file(&path).unwrap();
    assert!(Store::open(&target).is_err());
}

#[test]
fn snapshots_are_stores_and_restore_brings_them_back() {
    let directory = TempDir::new();
    let (target, snap, copy) = (
        directory.join("s"),
        directory.join("snap"),
        directory.join("copy"),
    );
    let meta = build(&target, 500, "first");
    let open = Store::open(&target).unwrap();
    assert_eq!(maintenance::snapshot(&target, &snap).unwrap(), meta);
    build(&target, 500, "second");
    assert!(matches!(
        maintenance::restore(&snap, &target, false),
        Err(StoreError::Exists(_))
    ));
    assert_eq!(maintenance::restore(&snap, &copy, false).unwrap(), meta);
    assert_eq!(maintenance::restore(&snap, &target, true).unwrap(), meta);
    assert_eq!(dump(&copy), dump(&target));
    assert_eq!(get(&open, 0), Some(value(0, 2, "first")));

    let data = snap.join(DATA_FILE);
    let mut damaged = fs::read(&data).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&data, damaged).unwrap();
    assert!(matches!(
        maintenance::restore(&snap, &target, true),
        Err(StoreError::Damaged { .. })
    ));
    assert_eq!(maintenance::verify(&target).unwrap(), meta);
    assert_eq!(directory.names(), ["copy", "s", "snap"]);
}

fn dump(path: &Path) -> String {
    let mut out = Vec::new();
    maintenance::dump(path, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_dump_has_a_line_per_user_in_the_order_of_ids() {
    let directory = TempDir::new();
    build(&directory.join("s"), 30, "t");
    let dump = dump(&directory.join("s"));
    let ids: Vec<u64> = dump
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|user| user["user_id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, (0..30).map(|n| 3 * n).collect::<Vec<_>>());
}

#[test]
fn statistics_tell_the_distribution() {
    let directory = TempDir::new();
    let meta = build(&directory.join("s"), 100, "t");
    let stat = maintenance::stat(&directory.join("s")).unwrap();
    assert_eq!(stat.meta, meta);
    assert_eq!(stat.contacts_per_user, [2, 2, 100, 100]);
    assert!(stat.data_bytes > meta.value_bytes && stat.pages.leaf > 0);
}

/// The seal of one store is read, then another store replaces it: with equal records, so that the seal
/// fits, and with different ones.
#[test]
fn a_store_replaced_while_it_is_opened_is_the_one_that_is_open() {
    for text in ["old", "new"] {
        let directory = TempDir::new();
        let [target, aside, other] = ["s", "aside", "other"].map(|name| directory.join(name));
        for (path, text) in [(&target, "old"), (&other, text)] {
            let mut writer = StoreWriter::create(path, false).unwrap();
            writer.begin_history(b"").unwrap();
            writer.put(1, &value(1, 1, text)).unwrap();
            writer.finish().unwrap();
        }
        // A FIFO as seal: reading blocks until the test writes it.
        let pipe = target.join("seal.json");
        let seal = fs::read(&pipe).unwrap();
        fs::remove_file(&pipe).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| Store::open_for_updates(&target, 1 << 20));
            let mut writing = fs::File::create(&pipe).unwrap();
            fs::rename(&target, &aside).unwrap();
            fs::rename(&other, &target).unwrap();
            std::io::Write::write_all(&mut writing, &seal).unwrap();
            drop(writing);
            let store = opening.join().unwrap().unwrap();
            assert_eq!(get(&store, 1), Some(value(1, 1, text)));
            store.update().unwrap().commit().unwrap();
        });
        assert!(!has_updates(&aside), "{text}");
        // The next opening finds the acknowledged batch.
        let store = Store::open(&target).unwrap();
        assert_eq!(store.updates_meta().unwrap().batches, 1, "{text}");
    }
}

fn has_updates(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name());
    names.any(|name| name.to_string_lossy().starts_with("updates-"))
}

/// A `store fold` while the store is restored from a snapshot.
#[test]
fn a_fold_takes_the_place_of_no_other_store() {
    let directory = TempDir::new();
    let target = directory.join("s");
    build(&target, 10, "old");
    let store = Store::open(&target).unwrap();
    let mut folded = StoreWriter::in_place_of(&store).unwrap();
    folded.put(0, &value(0, 1, "folded")).unwrap();
    let meta = build(&target, 20, "new");
    let error = folded.finish().unwrap_err().to_string();
    assert!(error.contains("replaced by another while"), "{error}");
    assert_eq!(maintenance::verify(&target).unwrap(), meta);
    drop(store);
    let store = Store::open(&target).unwrap();
    let mut folded = StoreWriter::in_place_of(&store).unwrap();
    folded.put(0, &value(0, 1, "folded")).unwrap();
    folded.finish().unwrap();
    assert_eq!(Store::open(&target).unwrap().meta().users, 1);
    assert_eq!(directory.names(), ["s"]);
}
