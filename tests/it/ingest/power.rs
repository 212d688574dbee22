//! Power cuts at every step of a batch, of `store fold`, and of a store that takes another's name.
//!
//! Programs run under strace, which records what they did to their files. Then the power is cut before and after each
//! call: whatever a disk may have kept by then (`disk`) is a store that opens, verifies, and holds what was acknowledged.

mod disk;
mod trace;

use super::*;
use crate::harness::{eventually, required, without_settings};
use disk::{Disk, Event, Part, Tree, lay};
use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};
use trace::{Recording, traced};

const ON: &str = "twitter.ingest=admin";
const TRIDENT: &str = env!("CARGO_BIN_EXE_trident");

/// What a cut leaves of what was not durable.
#[derive(Clone, Copy, Debug)]
enum Survives {
    Nothing,
    Everything,
    Names,
    Bytes,
    Some(u64),
}

const SURVIVES: [Survives; 8] = [
    Survives::Nothing,
    Survives::Everything,
    Survives::Names,
    Survives::Bytes,
    Survives::Some(1),
    Survives::Some(2),
    Survives::Some(3),
    Survives::Some(4),
];

/// A state of the disk after a cut.
struct Cut {
    /// Events before it.
    at: usize,
    survives: Survives,
    /// Answers of 200 before it.
    told: usize,
    is_at_end: bool,
    tree: Tree,
}

/// Every state that a cut may leave, each once.
fn cuts(recording: &Recording) -> Vec<Cut> {
    let mut disk = recording.before.clone();
    let (mut told, mut cuts, mut seen) = (0, Vec::new(), BTreeSet::new());
    for at in 0..=recording.events.len() {
        let is_at_end = at == recording.events.len();
        for survives in SURVIVES {
            let tree = left(&disk, at, survives);
            let mut hasher = DefaultHasher::new();
            (told, is_at_end, &tree).hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                cuts.push(Cut {
                    at,
                    survives,
                    told,
                    is_at_end,
                    tree,
                });
            }
        }
        if let Some(event) = recording.events.get(at) {
            disk.apply(event);
            told += usize::from(matches!(event, Event::Told));
        }
    }
    cuts
}

fn left(disk: &Disk, at: usize, survives: Survives) -> Tree {
    let mut random = Random(at as u64);
    let mut tree = disk.tree(&mut |part| match survives {
        Survives::Nothing => false,
        Survives::Everything => true,
        Survives::Names => matches!(part, Part::Name),
        Survives::Bytes => matches!(part, Part::Sector),
        Survives::Some(seed) => {
            random.0 ^= seed << 40;
            random.below(2) == 0
        }
    });
    // Written through a map, whenever the kernel likes.
    for (path, content) in &mut tree {
        if let (true, Some(bytes)) = (path.ends_with("lock.mdb"), content) {
            bytes
                .iter_mut()
                .for_each(|byte| *byte = random.below(256) as u8);
        }
    }
    tree
}

/// Lays out every state and hands it to `check` with the directory it is in.
fn after_each_cut(recording: &Recording, mut check: impl FnMut(&Cut, &Path)) {
    let cuts = cuts(recording);
    eprintln!(
        "{} calls, {} states after a cut",
        recording.events.len(),
        cuts.len()
    );
    assert!(cuts.len() > recording.events.len() / 2);
    for cut in &cuts {
        let place = fresh_directory("power");
        lay(&cut.tree, &place);
        check(cut, &place);
    }
}

/// The content of a store after a cut.
fn content(cut: &Cut, store: &Path) -> Meta {
    maintenance::verify(store)
        .unwrap_or_else(|error| panic!("cut at {}, {:?} survives: {error}", cut.at, cut.survives))
}

/// Records what a command does to the files below `root`; it succeeds.
fn recorded(root: &Path, record: &Path, arguments: &[&str]) -> Recording {
    let before = Disk::of(root);
    let mut command = traced(TRIDENT, record);
    let command = without_settings(command.args(arguments));
    // Until strace ends too, which has the same standard error.
    let output = command.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    Recording::new(before, root, record)
}

/// A directory with nothing but a store, and what to do with it.
fn alone(split: &Split) -> PathBuf {
    let root = split.directory.join("root");
    fs::create_dir(&root).unwrap();
    fs::rename(&split.path, root.join("store")).unwrap();
    root
}

#[test]
fn no_batch_is_lost_or_halved_by_a_power_cut() {
    if !required("strace", &["strace"]) {
        return;
    }
    let split = split(lines_with_deletions(241, 240, 20), 241, 4, true);
    let (root, record) = (alone(&split), split.directory.join("record"));
    let before = Disk::of(&root);
    let mut command = traced(TRIDENT, &record);
    without_settings(&mut command)
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args([
            "--set",
            ON,
            "--set",
            "drain.accept_ms=0",
            "--set",
            "drain.quiet_ms=0",
        ])
        .arg("--twitter-store")
        .arg(root.join("store"));
    let mut server = Server::spawn(command);
    for batch in &split.batches {
        counts(&admin(&server).ask(&post(batch, "")));
    }
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    // Strace ends after the program.
    let end = [&*server.pid().to_string(), "+++"];
    let has_ended = || {
        let record = fs::read_to_string(&record).unwrap();
        let mut lines = record.lines();
        lines.any(|line| line.split_whitespace().take(2).eq(end))
    };
    assert!(eventually(has_ended));
    let recording = Recording::new(before, &root, &record);
    let told = recording
        .events
        .iter()
        .filter(|event| matches!(event, Event::Told));
    assert_eq!(told.count(), split.batches.len());
    let mut is_first_of = BTreeSet::new();
    after_each_cut(&recording, |cut, place| {
        let store = place.join("store");
        let found = content(cut, &store);
        let batches = split.expected.iter().position(|meta| *meta == found);
        let batches = batches.unwrap_or_else(|| panic!("cut at {}: a mixture", cut.at));
        let allowed = cut.told..=cut.told + 1;
        // Batches that change nothing look like the one before.
        let is_allowed = allowed
            .clone()
            .any(|n| split.expected.get(n) == Some(&found));
        assert!(
            is_allowed,
            "cut at {}: {batches} instead of {allowed:?}",
            cut.at
        );
        // It takes batches again, the lost one and those that are there.
        if is_first_of.insert((cut.told, batches)) {
            let server = serve(&store, &[ON]);
            for batch in &split.batches {
                counts(&admin(&server).ask(&post(batch, "")));
            }
            drop(server);
            assert_eq!(verify(&store), *split.expected.last().unwrap());
        }
    });
}

#[test]
fn a_power_cut_in_fold_leaves_the_content() {
    if !required("strace", &["strace"]) {
        return;
    }
    let split = split(lines_with_deletions(242, 240, 20), 242, 2, false);
    let root = alone(&split);
    let store = root.join("store");
    let server = serve(&store, &[ON]);
    for batch in &split.batches {
        counts(&admin(&server).ask(&post(batch, "")));
    }
    drop(server);
    let arguments = ["store", "fold", store.to_str().unwrap()];
    let recording = recorded(&root, &split.directory.join("record"), &arguments);
    let mut forms = BTreeSet::new();
    after_each_cut(&recording, |cut, place| {
        let store = place.join("store");
        assert_eq!(content(cut, &store), split.expected[0], "cut at {}", cut.at);
        let is_folded = maintenance::stat(&store).unwrap().updates.is_none();
        assert!(is_folded || !cut.is_at_end, "told, and not durable");
        forms.insert(is_folded);
        // What the cut left beside it is no obstacle, and goes away.
        if !is_folded {
            maintenance::fold(&store).unwrap();
            assert_eq!(content(cut, &store), split.expected[0]);
            assert_eq!(fs::read_dir(place).unwrap().count(), 1, "something is left");
        }
    });
    assert_eq!(forms.len(), 2, "never before or never after the exchange");
}

/// By `etl` and by `restore`; and where there was no store, in a directory that there was not either.
#[test]
fn a_power_cut_leaves_the_old_store_or_the_new() {
    if !required("strace", &["strace"]) {
        return;
    }
    let (directory, lines) = (fresh_directory("power"), lines(243, 240, 20));
    let (root, whole) = (directory.join("root"), directory.join("whole"));
    let old = build(&directory, &root.join("store"), &lines[..100], true);
    let new = build(&directory, &whole, &lines, true);
    maintenance::snapshot(&whole, &root.join("snapshot")).unwrap();
    let argument = |path: PathBuf| path.into_os_string().into_string().unwrap();
    let [input, excluded, work] =
        ["input.jsonl", "excluded.txt", "work"].map(|name| argument(directory.join(name)));
    for (target, is_old) in [("store", true), ("new/below/store", false)] {
        let path = argument(root.join(target));
        let snapshot = argument(root.join("snapshot"));
        let restore = ["store", "restore", &snapshot, &path, "--replace"];
        let etl = [
            "etl",
            "--input",
            &input,
            "--exclude",
            &excluded,
            "--keep-history",
            "--work-dir",
            &work,
            "--output",
            &path,
            "--replace",
        ];
        for arguments in [&restore[..], &etl[..]] {
            let recording = recorded(&root, &directory.join("record"), arguments);
            let mut found = BTreeSet::new();
            after_each_cut(&recording, |cut, place| {
                let path = place.join(target);
                let is_new = if is_old || path.exists() {
                    let meta = content(cut, &path);
                    assert!(
                        meta == new || is_old && meta == old,
                        "cut at {}: a mixture",
                        cut.at
                    );
                    meta == new
                } else {
                    false
                };
                found.insert(is_new);
                assert!(is_new || !cut.is_at_end, "told, and not durable");
                if cut.at % 8 == 0 {
                    let restored = maintenance::restore(&place.join("snapshot"), &path, true);
                    assert_eq!(restored.unwrap(), new);
                    let left = fs::read_dir(path.parent().unwrap()).unwrap();
                    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
                    assert!(
                        left.into_iter().all(|name| !name.starts_with('.')),
                        "{}",
                        cut.at
                    );
                }
            });
            assert_eq!(found.len(), 2, "never before or never after the change");
            // As it was.
            let _ = fs::remove_dir_all(root.join("new"));
            build(&directory, &root.join("store"), &lines[..100], true);
            fs::write(&input, lines.concat()).unwrap();
        }
    }
}
