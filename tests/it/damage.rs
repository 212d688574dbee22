//! Damage under a mapped store: the process ends with a message, at once, and no request hangs.

use crate::{
    etl::sets::{Directory, fresh_directory},
    harness::{Client, Server, unless_skipped, without_settings},
};
use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
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
        let file = match is_updates {
            false => path.join("data.mdb"),
            true => updates_of(&path).join("data.mdb"),
        };
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

/// A fault elsewhere than in a mapped file has its line too, and the signal's default action.
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

/// On a full disk, without LMDB's lock file, whose pages cannot be had then: an exit code and a message.
#[test]
fn commands_end_well_on_a_full_disk() {
    let root = rustix::process::geteuid().is_root();
    let obstacle = (!root).then(|| "a file system can be mounted by root only".to_owned());
    if !unless_skipped("root", obstacle) {
        return;
    }
    let (_directory, path) = store_with_updates();
    let script = r#"set -e
        mount -t tmpfs -o size=64m none /mnt
        cp -r "$1" /mnt/store
        rm -f /mnt/store/lock.mdb /mnt/store/updates-*/lock.mdb
        cat /dev/zero >/mnt/rest 2>/dev/null || true
        exec "$2" store "$3" /mnt/store"#;
    for command in ["verify", "stat", "dump", "fold"] {
        let mut run = Command::new("unshare");
        run.args(["--mount", "sh", "-c", script, "sh"]);
        run.arg(&path);
        run.args([env!("CARGO_BIN_EXE_trident"), command]);
        let output = without_settings(&mut run).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(
            matches!(code, Some(1 | 69)),
            "{command}: {} {said}",
            output.status
        );
        assert!(
            said.starts_with("trident: ") && said.contains("space"),
            "{command}: {said}"
        );
    }
}

/// Updates of any length: a command ends with an exit code and a message.
#[test]
fn commands_end_well_on_updates_that_were_cut() {
    let (_directory, path) = store_with_updates();
    let data = updates_of(&path).join("data.mdb");
    let whole = fs::read(&data).unwrap();
    let pages = whole.len() as u64 / 4096;
    assert!(pages > 20, "{pages}");
    let mut refused = 0;
    for length in [
        0,
        1,
        4096,
        5000,
        8192,
        12_288,
        pages / 2 * 4096,
        (pages - 2) * 4096,
        pages * 4096 - 1,
    ] {
        for command in ["verify", "stat", "dump", "fold"] {
            fs::write(&data, &whole).unwrap();
            cut(&data, length);
            let mut run = Command::new(env!("CARGO_BIN_EXE_trident"));
            run.args(["store", command]).arg(&path);
            let output = without_settings(&mut run).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            if code == Some(0) && command == "verify" {
                // The end of the file was free: nothing is missing.
                assert!(length >= (pages - 2) * 4096, "{length}");
                break;
            }
            if code == Some(0) && command != "fold" {
                continue; // what it reads was there
            }
            refused += 1;
            assert!(
                matches!(code, Some(1 | 69)),
                "{command} {length}: {:?} {said}",
                output.status
            );
            assert!(said.starts_with("trident: "), "{command} {length}: {said}");
        }
    }
    assert!(refused > 20, "only {refused} refused");
}
