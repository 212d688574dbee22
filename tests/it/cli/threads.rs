//! Threads that the system refuses, as under a limit of them, which root is not held to: strace lets the start of each
//! fail, one after the other.

use crate::{
    harness::{Server, required, without_settings},
    temp_dir::TempDir,
    traced::has_failed,
};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

/// More threads than any of these programs starts.
const THREADS_MAX: usize = 99;

/// `trident` whose `nth` start of a thread or process fails; so does that of each process that it starts. The process is
/// trident's own, strace another one.
pub fn without_thread(nth: usize, record: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "--seccomp-bpf", "-q", "-e", "signal=none"])
        .args(["-e", "trace=clone,clone3", "-e"])
        .arg(format!("inject=clone,clone3:error=EAGAIN:when={nth}"))
        .arg("-o")
        .arg(record)
        .arg(env!("CARGO_BIN_EXE_trident"))
        .args(arguments)
        .env("TRIDENT_CONFIG", "/dev/null")
        .stdin(Stdio::null());
    without_settings(&mut command);
    command
}

/// Lets `attempt` do without one thread after the other, until it has them all; returns how many there were. `attempt`
/// returns whether one was refused.
pub fn each_refused(mut attempt: impl FnMut(usize) -> bool) -> usize {
    let refused = (1..THREADS_MAX).take_while(|nth| attempt(*nth)).count();
    assert!(refused < THREADS_MAX - 1, "no end");
    refused
}

#[test]
fn a_thread_that_is_refused_ends_a_command_with_the_limit_to_raise() {
    if !required("strace", &["strace"]) {
        return;
    }
    let (own, server) = (TempDir::new(), Server::start(&[]));
    let tweets = own.file("tweets.json", "{}\n");
    let (store, record) = (own.path("store"), own.join("record"));
    let url = format!("http://{}", server.address);
    let load = "load -n 100 --workers 3 --connections 3";
    let commands = [
        &format!("etl --input {tweets} --output {store} --workers 3 --allow-empty --replace"),
        "gen tweets --lines 5000 --workers 3 --output /dev/null",
        &format!("{load} {url}"),
        // With a temporary server, which cannot do without a thread either.
        load,
    ];
    for command in commands {
        let arguments: Vec<_> = command.split(' ').collect();
        let refused = each_refused(|nth| {
            let output = without_thread(nth, &record, &arguments).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            let what = format!("{command}, thread {nth}: {text}");
            let was_refused = has_failed(&record);
            assert!(was_refused || output.status.success(), "{what}");
            assert!(!text.contains("panicked"), "{what}");
            // What only watches may be missing.
            let is_told = text.contains("raise the limit");
            let is_refusal = matches!(output.status.code(), Some(1 | 69)) && is_told;
            assert!(output.status.success() || is_refusal, "{what}");
            was_refused
        });
        assert!(refused >= 3, "{command}: {refused}");
    }
}

#[test]
fn a_thread_that_is_refused_ends_a_server_at_its_start() {
    if !required("strace", &["strace"]) {
        return;
    }
    let own = TempDir::new();
    let record = own.join("record");
    let serve = "serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 --workers 2 --set twitter.ingest=admin --log-level error";
    let arguments: Vec<_> = serve.split(' ').collect();
    let refused = each_refused(|nth| {
        let mut command = without_thread(nth, &record, &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let serves = lines.any(|line| line.unwrap().contains("serving http"));
        let was_refused = has_failed(&record);
        if serves {
            child.kill().unwrap();
        }
        let mut text = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        let code = child.wait().unwrap().code();
        let is_refusal = code == Some(1) && text.contains("raise the limit of threads");
        assert!(
            serves != was_refused && serves != is_refusal && !text.contains("panicked"),
            "thread {nth}: {text}"
        );
        was_refused
    });
    // Two workers, the timer beside them, and what signals, ingests, watches, samples, reloads and accepts.
    assert_eq!(refused, 9);
}
