//! Runs against the real server.

use super::{TempDir, ended, load, reported};
use crate::harness::{AUTH_KEY, Server, eventually};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Every endpoint of a run was asked, and all its answers were right.
fn all_right(report: &Value) {
    for name in ["blockchain", "qrcode", "twitter"] {
        let figures = &report["endpoints"][name];
        assert!(figures["requests"].as_u64() > Some(20), "{name}: {figures}");
        assert_eq!(figures["correct"], figures["requests"], "{name}: {figures}");
        assert_eq!(figures["correctness"], json!(100.0), "{name}");
        assert_eq!(figures["errors"], json!(0.0), "{name}");
    }
    assert_eq!(report["passed"], json!(true));
}

#[test]
fn the_server_answers_everything_rightly() {
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    for how in [
        &[][..],
        &["--pipeline", "8"],
        &["--rate", "400"],
        &["--workers", "2"],
    ] {
        let arguments = [
            "--target",
            &url,
            "--duration",
            "1s",
            "--warmup",
            "0",
            "--json",
            "-",
            "--quiet",
        ];
        let mut command = load(&[&arguments, how].concat());
        let (code, out, err) = ended(command.env("TRIDENT_AUTH_KEY", AUTH_KEY));
        assert_eq!(code, 0, "{how:?}: {out}{err}");
        all_right(&serde_json::from_str(&out).unwrap());
    }
}

#[test]
fn another_key_gives_other_tokens() {
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    let directory = TempDir::new();
    let key = directory.file("key", &"00".repeat(32));
    let arguments = [
        "--target",
        &url,
        "--duration",
        "500ms",
        "--warmup",
        "0",
        "--mix",
        "qrcode",
    ];
    let (code, report) = reported(&[&arguments[..], &["--auth-key-file", &key]].concat());
    assert_eq!(code, 1);
    let figures = &report["endpoints"]["qrcode"];
    let correctness = figures["correctness"].as_f64().unwrap();
    assert!((40.0..80.0).contains(&correctness), "{figures}");
    // without a key only the form of tokens is checked
    let (code, report) = reported(&arguments);
    assert_eq!(code, 0, "{report}");
    assert!(report["endpoints"].get("twitter").is_none());
}

/// Whether a server with `word` among its arguments is running.
fn runs(word: &str) -> bool {
    server_with(word).is_some()
}

/// The directory in /proc of the server with `word` among its arguments.
fn server_with(word: &str) -> Option<PathBuf> {
    let mut all = fs::read_dir("/proc").unwrap().flatten();
    let found = all.find(|entry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = arguments.split(|byte| *byte == 0);
        words
            .next()
            .is_some_and(|program| program.ends_with(b"trident"))
            && words.next() == Some(b"serve")
            && words.any(|argument| argument == word.as_bytes())
    });
    found.map(|entry| entry.path())
}

/// Sockets of the process whose directory in /proc this is.
fn sockets(process: &Path) -> usize {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten();
    let targets = descriptors
        .flatten()
        .map(|entry| fs::read_link(entry.path()));
    let is_socket = |target: &PathBuf| target.to_string_lossy().starts_with("socket:");
    targets.flatten().filter(is_socket).count()
}

#[test]
fn without_a_target_a_server_comes_and_goes() {
    let team = format!("T{}", std::process::id());
    let (code, report) = reported(&["--duration", "600ms", "--warmup", "100ms", "--team", &team]);
    assert_eq!(code, 0, "{report}");
    all_right(&report);
    assert_eq!(report["setup"]["targets"], json!(["temporary server"]));
    assert!(!runs(&team));
}

#[test]
fn an_interruption_ends_the_run_and_the_server() {
    for signal in ["INT", "HUP", "QUIT"] {
        interrupted_by(signal);
    }
}

fn interrupted_by(signal: &str) {
    let team = format!("{signal}{}", std::process::id());
    const CONNECTIONS: usize = 50;
    let connections = CONNECTIONS.to_string();
    let run = load(&[
        "--duration",
        "600s",
        "--connections",
        &connections,
        "--team",
        &team,
    ]);
    // Ignored signals are inherited, and these tests may run under nohup.
    let mut child = Command::new("env")
        .arg(format!("--default-signal={signal}"))
        .arg(run.get_program())
        .args(run.get_args())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Only the connections of the run count, not the one of the preflight.
    let has_begun = || server_with(&team).is_some_and(|process| sockets(&process) > CONNECTIONS);
    assert!(eventually(has_begun));
    let killed = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let status = child.wait().unwrap();
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .collect();
    assert_eq!(status.code(), Some(1), "{signal}");
    assert!(lines.iter().any(|line| line == "interrupted"), "{lines:?}");
    assert!(eventually(|| !runs(&team)));
}

#[test]
fn a_run_that_cannot_begin_leaves_no_server() {
    let team = format!("E{}", std::process::id());
    let (code, _, err) = ended(&mut load(&["--team", &team, "--record", "/nonexistent/r"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("/nonexistent/r: "), "{err}");
    assert!(!runs(&team));
}

#[test]
fn mistakes_end_with_64_and_say_where() {
    let directory = TempDir::new();
    let corpus = directory.file(
        "c.jsonl",
        "{\"endpoint\":\"e\",\"target\":\"x\",\"expect\":{}}\n",
    );
    let scenario = directory.file("s.toml", "name = 'x'\n[[stage]]\nduration_s = 1\n");
    for (arguments, hint) in [
        (
            &["--require", "qrcode.p99<5"][..],
            "position 13: expected one of the units",
        ),
        (&["--require", "e.rps>1"], "no endpoint \"e\""),
        (&["--mix", "x=1"], "no endpoint \"x\""),
        (&["--goal", "x"], "expected requests a second"),
        (
            &["--corpus", &corpus],
            "c.jsonl:1: target must start with /",
        ),
        (
            &["--scenario", &scenario],
            "s.toml: stage 1: give either users or rate",
        ),
        (&["--duration", "1x"], "30s"),
        (&["--corpus", "/nonexistent/c"], "/nonexistent/c: "),
        (&["--scenario", "/nonexistent/s"], "/nonexistent/s: "),
        (&["--scenario", &scenario, "--rate", "1"], "--rate"),
    ] {
        let (code, out, err) = ended(&mut load(arguments));
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}: {err}");
        assert!(err.contains(hint), "{arguments:?}: {err}");
    }
    let (code, _, err) = ended(&mut load(&["--target", "https://localhost"]));
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("TLS is not spoken"), "{err}");
    let (code, _, err) = ended(load(&[]).env("TRIDENT_AUTH_KEY", "s3cret"));
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("64 hex digits") && !err.contains("s3cret"),
        "{err}"
    );
}

#[test]
fn the_built_in_corpus_is_what_the_oracles_say() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/make-corpus");
    let output = Command::new("python3")
        .arg("-B")
        .arg(script)
        .arg("--check")
        .output();
    let output = output.expect("python3 is needed to run the oracle");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
