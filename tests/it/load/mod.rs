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
mod terminal;

use crate::{
    command::{ended, trident},
    temp_dir::TempDir,
};
use serde_json::Value;
use standin::StandIn;
use std::process::Command;

/// `trident load` with `arguments`.
fn load(arguments: &[&str]) -> Command {
    trident(&[&["load"], arguments].concat())
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
    let directory = TempDir::new();
    let corpus = directory.file("c.jsonl", entries);
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
