//! System calls that fail: in a batch, in a reload, in a build, and in the commands that make one store of another.
//!
//! strace lets the n-th call of a kind fail, for each n until there are no more. Whatever fails, the store is the one
//! before or the one after, what was told is so, and the next try succeeds.

use super::*;
use crate::{
    harness::{READY, eventually, required, without_settings},
    traced::{Attached, has_failed, may_attach, threads},
};
use std::{
    fmt,
    fs::File,
    os::unix::process::ExitStatusExt,
    process::{Command, Output},
};

const ON: &str = "twitter.ingest=admin";
const TRIDENT: &str = env!("CARGO_BIN_EXE_trident");

/// Calls that read and write files, the kinds that a disk or a full system lets fail, and how.
const FAILURES: [(&str, &str); 14] = [
    ("openat", "EMFILE"),
    ("read", "EIO"),
    ("pread64", "EIO"),
    ("statx", "EIO"),
    ("getdents64", "EIO"),
    ("mmap", "ENOMEM"),
    ("fcntl", "ENOLCK"),
    ("mkdir", "ENOSPC"),
    ("pwrite64", "ENOSPC"),
    ("writev", "EIO"),
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("rename,renameat2", "EIO"),
    ("unlinkat", "EACCES"),
];

/// More calls of a kind than any of these programs makes.
const CALLS_MAX: usize = 500;

/// A user of whom somebody asks.
const ASK: &[u8] =
    b"GET /twitter?user_id=3&type=both&phrase=a&hashtag=b HTTP/1.1\r\nHost: t\r\n\r\n";

/// A call that fails.
#[derive(Clone, Copy)]
struct Failure {
    kind: &'static str,
    error: &'static str,
    nth: usize,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} fails with {}", self.kind, self.nth, self.error)
    }
}

/// strace that lets it fail, with a record of such calls. Maps are those of the files in `place`: memory is the
/// allocator's matter, and a process without any ends.
fn strace(failure: Failure, place: &Path, record: &Path) -> Command {
    let Failure { kind, error, nth } = failure;
    let mut command = Command::new("strace");
    if kind == "mmap" {
        for file in files(place) {
            command.arg("-P").arg(file);
        }
    }
    command
        .args(["-q", "-e", "signal=none", "-e"])
        .arg(format!("trace={kind}"))
        .args(["-e", &format!("inject={kind}:error={error}:when={nth}")])
        .arg("-o")
        .arg(record);
    command
}

fn files(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Runs `attempt` for each call of each kind; it returns whether the call was there and failed. Returns how many were.
fn every_failure(mut attempt: impl FnMut(Failure) -> bool) -> usize {
    let mut failed = 0;
    for (kind, error) in FAILURES {
        let there = (1..CALLS_MAX).take_while(|nth| {
            let nth = *nth;
            attempt(Failure { kind, error, nth })
        });
        let count = there.count();
        assert!(count < CALLS_MAX - 1, "{kind} has no end");
        failed += count;
    }
    eprintln!("{failed} calls failed, one at a time");
    failed
}

/// Copies the files of a store, which has no links.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn whatever_fails_in_a_batch_it_is_stored_as_told() {
    if !may_attach() {
        return;
    }
    let split = split(lines_with_deletions(251, 240, 20), 251, 2, true);
    let [before, between, after] = &split.expected[..] else {
        panic!("two batches")
    };
    let [first, second] = &split.batches[..] else {
        panic!("two batches")
    };
    let record = split.directory.join("record");
    // The first makes what takes updates, the second finds it.
    for (earlier, batch, old, new) in [
        (None, first, before, between),
        (Some(first), second, between, after),
    ] {
        let failed = every_failure(|failure| {
            let place = fresh_directory("failures");
            let store = place.join("store");
            copy(&split.path, &store);
            let server = serve(&store, &[ON]);
            if let Some(earlier) = earlier {
                counts(&admin(&server).ask(&post(earlier, "")));
            }
            let attached = Attached::to(
                &threads(server.pid(), |name| name == "ingest"),
                strace(failure, &place, &record),
            );
            let answer = admin(&server).ask(&post(batch, ""));
            drop(attached);
            let what = format!("{failure}: {} {}", answer.status, answer.text());
            assert!([200, 500, 503].contains(&answer.status), "{what}");
            let found = verify(&store);
            assert!(
                found == *new || answer.status != 200 && found == *old,
                "{what}"
            );
            // Users are looked up as before.
            assert_eq!(server.ask(ASK).status, 200, "{what}");
            let again = admin(&server).ask(&post(batch, ""));
            assert_eq!(again.status, 200, "{what}, then {}", again.text());
            drop(server);
            assert_eq!(verify(&store), *new, "{what}");
            has_failed(&record)
        });
        assert!(failed > 5, "{failed}");
    }
}

/// LMDB gives up a store whose metadata it cannot write. If the store cannot be opened again either, another instance
/// should be asked: the fault is one of this machine.
#[test]
fn an_instance_whose_store_cannot_be_opened_again_is_not_ready_until_it_can() {
    if !may_attach() {
        return;
    }
    let split = split(lines_with_deletions(254, 240, 20), 254, 2, true);
    let [first, second] = &split.batches[..] else {
        panic!("two batches")
    };
    let record = split.directory.join("record");
    let server = serve(&split.path, &[ON]);
    counts(&admin(&server).ask(&post(first, "")));
    let state = || {
        let answer = admin(&server).ask(b"GET /admin/state HTTP/1.1\r\nHost: t\r\n\r\n");
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    assert_eq!(server.metric("trident_store_open"), 1);
    assert!(state()["not_ready"].is_null());
    for nth in 1.. {
        let mut strace = Command::new("strace");
        strace
            .args([
                "-q",
                "-e",
                "signal=none",
                "-e",
                "trace=pwrite64,openat",
                "-e",
            ])
            .arg(format!("inject=pwrite64:error=EIO:when={nth}"))
            // The batch itself opens one file.
            .args(["-e", "inject=openat:error=EMFILE:when=2+", "-o"])
            .arg(&record);
        let attached = Attached::to(&threads(server.pid(), |name| name == "ingest"), strace);
        let answer = admin(&server).ask(&post(second, ""));
        assert_eq!(answer.status, 500, "write {nth}: {}", answer.text());
        let ready = server.ask(READY);
        if ready.status == 200 {
            continue; // it was not the metadata that could not be written
        }
        let why = "the store of /twitter could not be opened again; see the log";
        assert_eq!(ready.status, 503);
        assert_eq!(ready.text(), format!("not ready: {why}\n"));
        assert_eq!(state()["not_ready"], why);
        assert_eq!(server.metric("trident_store_open"), 0);
        assert_eq!(server.ask(ASK).status, 503);
        let alive = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";
        assert_eq!(server.ask(alive).status, 200);
        // Nobody sends anything, since a balancer would not.
        drop(attached);
        assert!(eventually(|| server.ask(READY).status == 200));
        break;
    }
    assert_eq!(server.ask(ASK).status, 200);
    assert_eq!(server.metric("trident_store_open"), 1);
    assert!(state()["not_ready"].is_null());
    counts(&admin(&server).ask(&post(second, "")));
    drop(server);
    assert_eq!(&verify(&split.path), split.expected.last().unwrap());
}

#[test]
fn whatever_fails_in_a_reload_one_of_the_two_stores_serves() {
    if !may_attach() {
        return;
    }
    let split = split(lines(253, 240, 20), 253, 1, true);
    let (whole, record) = (
        split.directory.join("other"),
        split.directory.join("record"),
    );
    let reload = b"POST /admin/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    let failed = every_failure(|failure| {
        // Of waking each other, which is no file.
        if failure.kind == "read" {
            return false;
        }
        let place = fresh_directory("failures");
        let (store, new) = (place.join("store"), place.join("new"));
        copy(&split.path, &store);
        copy(&whole, &new);
        let server = serve(&store, &[ON]);
        fs::rename(&store, place.join("old")).unwrap();
        fs::rename(&new, &store).unwrap();
        // The thread that reloads is not there yet: what any of them begins is followed.
        let mut strace = strace(failure, &store, &record);
        strace.arg("-f");
        let attached = Attached::to(&threads(server.pid(), |_| true), strace);
        let answer = admin(&server).ask(reload);
        drop(attached);
        let what = format!("{failure}: {} {}", answer.status, answer.text());
        assert_eq!(server.ask(ASK).status, 200, "{what}");
        let again = admin(&server).ask(reload);
        let was_replaced = [&answer, &again].map(|answer| answer.text().starts_with("replaced"));
        assert_eq!(again.status, 200, "{what}, then {}", again.text());
        assert_ne!(
            was_replaced[0],
            was_replaced[1],
            "{what}, then {}",
            again.text()
        );
        has_failed(&record)
    });
    assert!(failed > 20, "{failed}");
}

/// Whether a command has done its work: never a panic, and a reason if not.
fn is_done(output: &Output, what: &str) -> bool {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!err.contains("panicked"), "{what}: {err}");
    assert_eq!(output.status.signal(), None, "{what}: {err}");
    assert!(
        output.status.success() || !err.is_empty(),
        "{what}: no word"
    );
    output.status.success()
}

/// A command of `trident store`, in a directory with `store`, which has updates, and `old`.
struct Step {
    arguments: &'static [&'static str],
    /// The directory that it writes.
    writes: Option<&'static str>,
}

const STEPS: [Step; 4] = [
    Step {
        arguments: &["verify", "store"],
        writes: None,
    },
    Step {
        arguments: &["fold", "store"],
        writes: Some("store"),
    },
    Step {
        arguments: &["snapshot", "store", "made"],
        writes: Some("made"),
    },
    Step {
        arguments: &["restore", "store", "old", "--replace"],
        writes: Some("old"),
    },
];

#[test]
fn whatever_fails_in_a_command_the_store_is_the_old_or_the_new() {
    if !required("strace", &["strace"]) {
        return;
    }
    let split = split(lines_with_deletions(252, 240, 20), 252, 1, true);
    let [old, new] = &split.expected[..] else {
        panic!("one batch")
    };
    let updated = split.directory.join("updated");
    let record = split.directory.join("record");
    copy(&split.path, &updated);
    let server = serve(&updated, &[ON]);
    counts(&admin(&server).ask(&post(&split.batches[0], "")));
    drop(server);
    for Step { arguments, writes } in STEPS {
        let failed = every_failure(|failure| {
            let what = format!("{arguments:?}, {failure}");
            let place = fresh_directory("failures");
            copy(&updated, &place.join("store"));
            copy(&split.path, &place.join("old"));
            let run = |mut command: Command| {
                command.args(["store"]).args(arguments);
                without_settings(&mut command)
                    .current_dir(&*place)
                    .output()
                    .unwrap()
            };
            let mut command = strace(failure, &place, &record);
            // The other calls do not stop for it, which is most of the time.
            command.args(["-f", "--seccomp-bpf"]).arg(TRIDENT);
            let was_done = is_done(&run(command), &what);
            // A store, or nothing yet; and what the command has said it has done is done.
            for (name, before) in [("store", Some(new)), ("old", Some(old)), ("made", None)] {
                let path = place.join(name);
                let found = path.exists().then(|| verify(&path));
                let is_written = writes == Some(name);
                let is_before = found.as_ref() == before && !(is_written && was_done);
                assert!(
                    is_before || is_written && found.as_ref() == Some(new),
                    "{what}: {name}"
                );
            }
            let folded = || {
                maintenance::stat(&place.join("store"))
                    .unwrap()
                    .updates
                    .is_none()
            };
            assert!(arguments[0] != "fold" || !was_done || folded(), "{what}");
            // Once more, and nothing fails: it is done, and nothing of the first try is left.
            let _ = fs::remove_dir_all(place.join("made"));
            let again = run(Command::new(TRIDENT));
            assert!(
                is_done(&again, &what),
                "{what}: {}",
                String::from_utf8_lossy(&again.stderr)
            );
            assert_eq!(
                verify(&place.join(writes.unwrap_or("store"))),
                *new,
                "{what}"
            );
            let names = fs::read_dir(&*place)
                .unwrap()
                .map(|entry| entry.unwrap().file_name());
            let left: Vec<_> = names
                .filter(|name| name.to_string_lossy().starts_with('.'))
                .collect();
            assert!(left.is_empty(), "{what}: {left:?}");
            has_failed(&record)
        });
        assert!(failed > 50, "{failed}");
    }
}

#[test]
fn a_build_that_fails_leaves_nothing_or_says_what() {
    if !required("strace", &["strace"]) {
        return;
    }
    let own = fresh_directory("build-failures");
    let (pairs, record) = (own.join("2"), own.join("record"));
    fs::write(own.join("tweets"), lines(255, 240, 20).concat()).unwrap();
    let stages = [
        ("tweets", &["map"][..], "0"),
        ("0", &["reduce", "--sort"], "1"),
        ("1", &["reduce", "--sort"], "2"),
    ];
    for (input, arguments, output) in stages {
        let mut stage = Command::new(TRIDENT);
        stage.arg("etl").args(arguments);
        stage.stdin(File::open(own.join(input)).unwrap());
        stage.stdout(File::create(own.join(output)).unwrap());
        assert!(is_done(
            &without_settings(&mut stage).output().unwrap(),
            input
        ));
    }
    // Whether the store is made, what is left beside it, and what the command says of that.
    let build = |mut strace: Command| {
        let place = fresh_directory("failures");
        let store = place.join("store");
        strace.args([
            "-f",
            "--seccomp-bpf",
            TRIDENT,
            "etl",
            "build",
            "--sort",
            "--output",
        ]);
        strace.arg(&store).stdin(File::open(&pairs).unwrap());
        let output = without_settings(&mut strace).output().unwrap();
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        let is_made = is_done(&output, "build");
        // If the last sync fails, it is there, perhaps not for good.
        assert!(!is_made || store.exists(), "{said}");
        if store.exists() {
            assert!(verify(&store).users > 0);
        }
        let left = fs::read_dir(&*place)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let left: Vec<_> = left.filter(|path| *path != store).collect();
        (left, said)
    };
    let failed = every_failure(|failure| {
        // The maps of a store that is not there yet cannot be told from the allocator's.
        if failure.kind == "mmap" {
            return false;
        }
        let (left, said) = build(strace(failure, &own, &record));
        assert!(left.is_empty(), "{failure}: {left:?}: {said}");
        has_failed(&record)
    });
    assert!(failed > 20, "{failed}");
    // What cannot be removed either, as in a directory that may no longer be written.
    let mut strace = Command::new("strace");
    strace
        .args(["-q", "-e", "signal=none", "-e", "trace=rename,unlinkat"])
        .args(["-e", "inject=rename,unlinkat:error=EACCES", "-o"])
        .arg(&record);
    let (left, said) = build(strace);
    let [left] = &left[..] else {
        panic!("one directory: {left:?}")
    };
    let named = format!("{} stays behind: cannot remove it", left.display());
    assert!(said.contains(&named), "{said}");
}
