//! `trident gen`: the independent oracle agrees with what it calls valid, and the same flags give the same bytes.

use crate::temp_dir::TempDir;
use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// Reads targets, prints for each `INVALID` or what kind of answer the oracle gives.
const JUDGE: &str = r#"
import sys, urllib.parse
sys.dont_write_bytecode = True
import protocol_oracle as oracle
for line in sys.stdin:
    path, query = line.rstrip("\n").split("?", 1)
    pairs = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=True))
    if path == "/blockchain":
        print(oracle.reason(query.removeprefix("cc=")) and "INVALID" or "chain")
    elif "data" not in pairs:
        print("INVALID")
    else:
        answer = oracle.qrcode(pairs["type"], pairs["data"], pairs.get("timestamp"), lambda *_: "token")
        result = answer.split("\n", 1)[1]
        print(result if result in ("INVALID", "token") else "matrix")
"#;

fn made(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_trident"))
        .arg("gen")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && err.is_empty(),
        "{arguments:?}: {err}"
    );
    output.stdout
}

fn verdicts(targets: &[u8]) -> Vec<String> {
    let mut python = Command::new("python3")
        .args(["-c", JUDGE])
        .env(
            "PYTHONPATH",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle"),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(targets).unwrap());
        python.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn blockchain_requests_are_what_they_are_said_to_be() {
    let valid = verdicts(&made(&["blockchain", "--count", "400", "--seed", "9"]));
    assert_eq!(valid, vec!["chain"; 400]);
    let mixed = verdicts(&made(&[
        "blockchain",
        "--count",
        "600",
        "--invalid",
        "0.25",
    ]));
    for (index, verdict) in mixed.iter().enumerate() {
        let expected = if index % 4 == 3 { "INVALID" } else { "chain" };
        assert_eq!(verdict, expected, "{index}");
    }
    assert_eq!(mixed.len(), 600);
    let invalid = verdicts(&made(&[
        "blockchain",
        "--count",
        "300",
        "--invalid",
        "1",
        "--seed",
        "5",
    ]));
    assert_eq!(invalid, vec!["INVALID"; 300]);
}

#[test]
fn qrcode_requests_are_what_they_are_said_to_be() {
    let valid = verdicts(&made(&["qrcode", "--count", "300", "--seed", "9"]));
    let count = |kind: &str| valid.iter().filter(|verdict| *verdict == kind).count();
    assert_eq!(count("matrix") + count("token"), 300);
    assert!(count("matrix") > 100 && count("token") > 100);
    let invalid = verdicts(&made(&["qrcode", "--count", "200", "--invalid", "1"]));
    assert_eq!(invalid, vec!["INVALID"; 200]);
    let mixed = verdicts(&made(&["qrcode", "--count", "100", "--invalid", "0.333"]));
    assert_eq!(
        mixed.iter().filter(|verdict| *verdict == "INVALID").count(),
        33
    );
}

#[test]
fn the_same_flags_give_the_same_bytes() {
    for what in ["tweets", "queries", "blockchain", "qrcode"] {
        let number = if what == "tweets" {
            "--lines"
        } else {
            "--count"
        };
        let one = made(&[what, number, "1500", "--workers", "1"]);
        assert!(
            one == made(&[what, number, "1500", "--workers", "3"]),
            "{what}"
        );
        assert_eq!(
            one.iter().filter(|&&byte| byte == b'\n').count(),
            1500,
            "{what}"
        );
        assert!(
            one != made(&[what, number, "1500", "--seed", "2"]),
            "{what}"
        );
    }
}

#[test]
fn files_named_gz_are_gzip_and_hold_the_same() {
    let directory = TempDir::new();
    let (file, popular) = (
        directory.join("tweets.jsonl.gz"),
        directory.join("popular.txt"),
    );
    let tweets = ["tweets", "--lines", "2500", "--seed", "4", "--valid", "0.5"];
    let to = [
        "--output",
        file.to_str().unwrap(),
        "--popular",
        popular.to_str().unwrap(),
    ];
    assert!(made(&[&tweets[..], &to].concat()).is_empty());
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&file).unwrap())
        .read_to_end(&mut text)
        .unwrap();
    assert!(text == made(&tweets));
    assert!(fs::read_to_string(&popular).unwrap().lines().count() > 30);
}
