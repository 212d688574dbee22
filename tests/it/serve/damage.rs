//! Damage under a mapped store: the process ends with a message, at once, and no request hangs.

use crate::{
    etl::sets::{Directory, fresh_directory},
    harness::{Client, Server, unless_skipped, without_settings},
};
use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use trident::{
    etl::{self, Options, progress::Silent, sink::store::StoreSink},
    synth::{self, Dataset},
};

/// A store with history and the updates of one batch.
fn store_with_updates() -> (Directory, PathBuf) {
    let directory = fresh_directory("damage");
    let (input, path) = (directory.join("input.jsonl"), directory.join("store"));
    let dataset = Dataset::new(synth::Options {
        seed: 7,
        users: 60,
        tags: 60,
        excluded: 0,
        valid_per_mille: 900,
    });
    let mut lines = Vec::new();
    for index in 0..2000 {
        dataset.write_line(index, &mut lines);
        lines.push(b'\n');
    }
    let half = lines.iter().skip(lines.len() / 2).position(|b| *b == b'\n');
    let half = lines.len() / 2 + half.unwrap() + 1;
    fs::write(&input, &lines[..half]).unwrap();
    let options = Options {
        history: true,
        memory_bytes: 32 << 20,
        workers: 1,
        partitions: Some(2),
        ..Options::new(vec![input], directory.join("work"))
    };
    let mut sink = StoreSink::create(&path, true).unwrap();
    etl::run(&options, &mut sink, &Silent).unwrap();
    let server = serve(
        &path,
        &["twitter.ingest=admin", "http.body_bytes_max=16000000"],
    );
    let length = lines.len() - half;
    let head =
        format!("POST /twitter/tweets HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
    let answer =
        Client::connect(server.admin.unwrap()).ask(&[head.as_bytes(), &lines[half..]].concat());
    assert_eq!(answer.status, 200, "{}", answer.text());
    (directory, path)
}

fn serve(path: &Path, settings: &[&str]) -> Server {
    let mut command = Server::command();
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--twitter-store",
        ])
        .arg(path);
    for setting in settings {
        command.args(["--set", setting]);
    }
    Server::spawn(command)
}

fn cut(file: &Path, bytes: u64) {
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(bytes)
        .unwrap();
}

fn updates_of(store: &Path) -> PathBuf {
    let entries = fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_updates = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("updates-")
    };
    entries.into_iter().find(is_updates).unwrap()
}

/// A file that is cut while it is served: SIGBUS, a line that names the file, and the end of the connection.
#[test]
fn a_server_whose_store_is_cut_ends_with_a_message() {
    for (is_updates, bytes) in [(false, 8192), (false, 0), (true, 8192)] {
        let (_directory, path) = store_with_updates();
        let mut server = serve(&path, &[]);
        let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
        let folder = if is_updates {
            updates_of(&path)
        } else {
            path.clone()
        };
        let file = folder.join("data.mdb");
        cut(&file, bytes);
        for (user, client) in clients.iter_mut().enumerate() {
            let user = user + 1;
            let query = format!(
                "GET /twitter?user_id={user}&type=both&phrase=a&hashtag=b HTTP/1.1\r\nHost: t\r\n\r\n"
            );
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                client.send(query.as_bytes())
            }));
        }
        let status = server.wait();
        assert_eq!(
            status.signal(),
            Some(libc::SIGBUS),
            "{file:?}: {status}: {}",
            server.log()
        );
        server.logged("a fault while reading");
        let log = server.log();
        let line = log
            .lines()
            .find(|line| line.contains("a fault while reading"));
        let line = line.unwrap_or_else(|| panic!("{log}"));
        assert!(
            line.contains("data.mdb") && line.contains("trident store verify"),
            "{line}"
        );
        assert!(!log.contains("stack backtrace"), "{log}");
    }
}

/// A fault outside of a mapped file is logged too, and ends with the signal's default action.
#[test]
fn a_server_with_a_fault_in_memory_ends_with_a_message() {
    let mut server = Server::start(&[]);
    server.signal("SEGV");
    let status = server.wait();
    server.logged("trident: a fault while reading");
    let log = server.log();
    assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}: {log}");
    assert_eq!(
        log.matches("trident: a fault while reading").count(),
        1,
        "{log}"
    );
    assert!(!log.contains("stack backtrace"), "{log}");
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A file has only so many bytes, of so many pages fewer than it has.
    Cut(u64),
    CutByPages(u64),
    CutToHalf,
    Missing,
    /// Missing, and nothing can be written: LMDB makes a lock file with holes, and maps it.
    MissingOnFullDisk,
}

/// What the commands make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    /// Refused where something is missing that the command reads; the file's end may be free pages.
    RefusedOrRead,
    Succeeds,
}

use Damage::{Cut, CutByPages, CutToHalf, Missing, MissingOnFullDisk};
use Outcome::{Refused, RefusedOrRead, Succeeds};

/// `updates` is the directory of them.
const DAMAGES: [(&str, Damage, Outcome); 29] = [
    ("data.mdb", Cut(0), Refused),
    ("data.mdb", Cut(1), Refused),
    ("data.mdb", Cut(4096), Refused),
    ("data.mdb", Cut(8192), Refused),
    ("data.mdb", CutToHalf, Refused),
    ("data.mdb", CutByPages(1), Refused),
    ("data.mdb", Missing, Refused),
    ("history.mdb", Cut(0), Refused),
    ("history.mdb", Cut(4096), Refused),
    ("history.mdb", Cut(8192), Refused),
    ("history.mdb", CutToHalf, Refused),
    ("history.mdb", CutByPages(1), Refused),
    ("history.mdb", Missing, Refused),
    ("seal.json", Cut(0), Refused),
    ("seal.json", Cut(40), Refused),
    ("seal.json", Missing, Refused),
    ("updates/data.mdb", Cut(0), Refused),
    ("updates/data.mdb", Cut(1), Refused),
    ("updates/data.mdb", Cut(4096), Refused),
    ("updates/data.mdb", Cut(5000), Refused),
    ("updates/data.mdb", Cut(8192), Refused),
    ("updates/data.mdb", Cut(12_288), Refused),
    ("updates/data.mdb", CutToHalf, Refused),
    ("updates/data.mdb", CutByPages(2), RefusedOrRead),
    ("updates/data.mdb", CutByPages(1), RefusedOrRead),
    ("updates/data.mdb", Missing, Refused),
    ("updates/lock.mdb", Cut(0), Succeeds),
    ("updates/lock.mdb", Missing, Succeeds),
    ("updates/lock.mdb", MissingOnFullDisk, Refused),
];

/// A command ends with an exit code, and where it is not 0 with a message that names the file and what to do.
#[test]
fn commands_end_well_on_damaged_stores() {
    let root = rustix::process::geteuid().is_root();
    let obstacle = (!root).then(|| "a file system can be mounted by root only".to_owned());
    let mounts = unless_skipped("root", obstacle);
    let (directory, whole) = store_with_updates();
    let place = directory.join("damaged");
    for (name, damage, outcome) in DAMAGES {
        if matches!(damage, MissingOnFullDisk) && !mounts {
            continue;
        }
        for command in ["verify", "stat", "dump", "fold"] {
            let _ = fs::remove_dir_all(&place);
            copy(&whole, &place);
            let file = match name.strip_prefix("updates/") {
                Some(name) => updates_of(&place).join(name),
                None => place.join(name),
            };
            harm(&file, damage);
            let output = run(command, &place, matches!(damage, MissingOnFullDisk));
            let said = String::from_utf8_lossy(&output.stderr);
            let case = format!("{command} {name} {damage:?}: {} {said}", output.status);
            match (output.status.code(), outcome) {
                (Some(0), Succeeds | RefusedOrRead) => {}
                (Some(1 | 69), Refused | RefusedOrRead) => {
                    assert!(said.starts_with("trident: "), "{case}");
                    assert_eq!(said.lines().count(), 1, "{case}");
                    let names = name.rsplit('/').next().unwrap();
                    assert!(said.contains(names), "the file: {case}");
                    let remedies = [
                        "`trident store verify`",
                        "build it again",
                        "trident etl",
                        "free some space",
                    ];
                    let tells = remedies.iter().any(|remedy| said.contains(remedy));
                    assert!(tells, "what to do: {case}");
                }
                _ => panic!("{case}"),
            }
        }
    }
}

fn harm(file: &Path, damage: Damage) {
    let bytes = fs::metadata(file).unwrap().len();
    let pages = bytes / 4096;
    match damage {
        Cut(length) => cut(file, length),
        CutByPages(fewer) => cut(file, (pages - fewer) * 4096),
        CutToHalf => cut(file, pages / 2 * 4096),
        Missing | MissingOnFullDisk => fs::remove_file(file).unwrap(),
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// `trident store`; on a full disk in a mount namespace of its own.
fn run(command: &str, store: &Path, on_full_disk: bool) -> Output {
    let trident = env!("CARGO_BIN_EXE_trident");
    if !on_full_disk {
        let mut run = Command::new(trident);
        run.args(["store", command]).arg(store);
        return without_settings(&mut run).output().unwrap();
    }
    let script = r#"set -e
        mount -t tmpfs -o size=64m none /mnt
        cp -r "$1" /mnt/store
        cat /dev/zero >/mnt/rest 2>/dev/null || true
        exec "$2" store "$3" /mnt/store"#;
    let mut run = Command::new("unshare");
    run.args(["--mount", "sh", "-c", script, "sh"]).arg(store);
    without_settings(run.args([trident, command]))
        .output()
        .unwrap()
}
