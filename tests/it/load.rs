//! `trident load` through real sockets: against the real server, and against servers that lie.

mod agents;
mod amount;
mod compare;
mod exits;
mod find;
mod hdr;
mod liars;
mod lists;
mod preflight;
mod reports;
mod run;
mod standin;

use crate::harness::without_settings;
use serde_json::Value;
use standin::StandIn;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A directory of its own for one test, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("load-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A file with `text` in it.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `trident` with `arguments`, without variables of this process.
fn trident(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    without_settings(&mut command)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// `trident load` with `arguments`.
fn load(arguments: &[&str]) -> Command {
    trident(&[&["load"], arguments].concat())
}

/// Exit code, standard output and standard error.
fn ended(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Exit code and JSON report of a run.
fn reported(arguments: &[&str]) -> (i32, Value) {
    let (code, out, err) = ended(&mut load(
        &[arguments, &["--quiet", "--json", "-"]].concat(),
    ));
    (code, parsed(&out, &err))
}

/// A run against `server` with the corpus `entries` and `flags`, which blanks separate: exit code, standard output and
/// standard error.
fn ended_against(server: &StandIn, entries: &str, flags: &str) -> (i32, String, String) {
    let place = Place::new();
    let corpus = place.file("c.jsonl", entries);
    let arguments = ["--target", &server.url, "--corpus", &corpus];
    ended(load(&arguments).args(flags.split_whitespace()))
}

/// The exit code and the JSON report of such a run.
fn reported_against(server: &StandIn, entries: &str, flags: &str) -> (i32, Value) {
    let (code, out, err) = ended_against(server, entries, &format!("{flags} --quiet --json -"));
    (code, parsed(&out, &err))
}

fn parsed(out: &str, err: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

/// A corpus of one GET entry of the endpoint `e`, answered with `hello`.
const HELLO: &str = r#"{"endpoint":"e","target":"/hello","expect":{"body":"hello"}}"#;
