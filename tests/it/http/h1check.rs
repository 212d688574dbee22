//! Runs all groups of the HTTP/1.1 checker `tests/oracle/h1check.py` against the binary.

use std::process::{Command, Stdio};

use crate::harness::Server;

/// Python 3.9 or newer is all the checker needs; the test is meaningless without it, so it fails.
#[test]
fn the_checker_finds_nothing() {
    let server = Server::with(&[
        "http.head_timeout_ms=2000",
        "http.body_timeout_ms=2000",
        "http.idle_timeout_ms=2000",
        "http.write_timeout_ms=2000",
        "drain.accept_ms=2000",
        "drain.quiet_ms=0",
        "drain.deadline_ms=20000",
    ]);
    let checker = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/h1check.py");
    let output = Command::new("python3")
        .arg(checker)
        .arg(server.address.to_string())
        .args(["--path", "/healthz", "--post-path", "/blockchain"])
        .args(["--strict", "--timeouts", "8", "--load", "--conns", "5000"])
        .args(["--fuzz", "2000", "--drain", "TERM"])
        .args(["--pid", &server.pid().to_string(), "--patience", "3"])
        .stdin(Stdio::null())
        .output()
        .expect("python3 is installed");
    let report = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{report}\n{errors}",
        output.status
    );
    let summary: Vec<&str> = report.lines().rev().take(12).collect();
    eprintln!(
        "{}",
        summary.into_iter().rev().collect::<Vec<_>>().join("\n")
    );
}
