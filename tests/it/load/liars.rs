//! Servers that answer wrongly, late or not at all: each fault under its own name.

use super::{
    HELLO, TempDir, ended_against,
    preflight::nobody,
    reported, reported_against,
    standin::{Reply, StandIn, answer},
};
use crate::harness::pace;
use serde_json::{Value, json};
use std::{fs, time::Duration};

/// The figures of a short run of a corpus against a stand-in that always does the same. Requests have the time that a
/// busy machine needs.
fn figures(corpus: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> (i32, Value) {
    figures_within("60s", corpus, reply)
}

fn figures_within(
    timeout: &str,
    corpus: &str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> (i32, Value) {
    let server = StandIn::always(reply);
    let flags = "--connections 2 --warmup 0 --duration 300ms --no-preflight --timeout";
    let (code, report) = reported_against(&server, corpus, &format!("{flags} {timeout}"));
    (code, report["endpoints"]["e"].clone())
}

fn plain(bytes: &str) -> impl Fn() -> Reply + Send + Sync + 'static {
    let bytes = bytes.to_owned();
    move || Reply::Bytes(bytes.clone())
}

/// All requests of a run are `wrong` for `reason`, and none for another.
fn all_wrong(figures: &Value, reason: &str) {
    let count = &figures["wrong"][reason];
    assert_eq!(count, &figures["requests"], "{reason}: {figures}");
    assert!(count.as_u64() > Some(0), "{figures}");
    assert_eq!(
        (&figures["correctness"], &figures["errors"]),
        (&json!(0.0), &json!(0.0))
    );
}

/// All requests of a run failed with `kind`, and none with another.
fn all_failed(figures: &Value, kind: &str) {
    let count = &figures["failed"][kind];
    assert_eq!(count, &figures["requests"], "{kind}: {figures}");
    assert!(count.as_u64() > Some(0), "{figures}");
    assert_eq!(
        (&figures["correctness"], &figures["errors"]),
        (&json!(0.0), &json!(100.0))
    );
}

#[test]
fn wrong_bodies_are_told_apart() {
    for (body, reason) in [("hellO", "body"), ("hello!", "length"), ("", "length")] {
        let (code, figures) = figures(HELLO, plain(&answer(200, body)));
        assert_eq!(code, 1);
        all_wrong(&figures, reason);
    }
    let token = r#"{"endpoint":"e","target":"/","expect":{"token":{"timestamp":1,"message":"m"}}}"#;
    let (_, wrong) = figures(token, plain(&answer(200, "TEAMID,000000000000\nsecret")));
    all_wrong(&wrong, "no token of 64 hex digits");
    let (_, wrong) = figures(token, plain(&answer(200, "SOMEBODY,000000000000\n00")));
    all_wrong(&wrong, "first line");
    // a matrix that decodes to nothing, and a decoder that gives it back
    let matrix = format!("TEAMID,000000000000\n{}", "0x0".repeat(14));
    let encode = r#"{"endpoint":"e","target":"/","expect":{"decodes_to":"m"}}"#;
    let (_, wrong) = figures(encode, plain(&answer(200, &matrix)));
    all_wrong(&wrong, "decode does not return the encoded message");
}

#[test]
fn failures_are_told_apart() {
    let (code, failed) = figures(HELLO, plain(&answer(500, "hello")));
    assert_eq!(code, 1);
    all_failed(&failed, "status");
    let short = answer(200, "hello").replace("hello", "hel");
    let (_, failed) = figures(HELLO, move || Reply::Close(short.clone()));
    all_failed(&failed, "closed");
    let (_, failed) = figures(HELLO, || Reply::Close(String::new()));
    all_failed(&failed, "closed");
    let (_, failed) = figures(HELLO, || Reply::Reset);
    all_failed(&failed, "reset");
    let (_, failed) = figures_within("2s", HELLO, || Reply::Silence);
    all_failed(&failed, "timeout");
    let long = answer(200, "hello").replace("Length: 5", "Length: 6");
    let (_, failed) = figures_within("2s", HELLO, plain(&long));
    all_failed(&failed, "timeout");
    let short = answer(200, "hello").replace("Length: 5", "Length: 4");
    let (_, failed) = figures(HELLO, plain(&short));
    all_failed(&failed, "malformed");
    let (_, failed) = figures(HELLO, plain("SSH-2.0-OpenSSH\r\n\r\n"));
    all_failed(&failed, "malformed");
}

#[test]
fn a_slow_answer_is_not_a_late_one() {
    let (code, figures) = figures(HELLO, || {
        pace(Duration::from_millis(60));
        Reply::Bytes(answer(200, "hello"))
    });
    assert_eq!(code, 0, "{figures}");
    assert!(
        figures["latency_us"]["p50"].as_f64().unwrap() >= 60e3,
        "{figures}"
    );
}

#[test]
fn other_framings_are_understood() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    let (code, chunked) = figures(HELLO, plain(chunked));
    assert_eq!(code, 0, "{chunked}");
    let closing = answer(200, "hello").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let (code, closing) = figures(HELLO, move || Reply::Close(closing.clone()));
    assert_eq!(code, 0, "{closing}");
    let (code, until_close) = figures(HELLO, || {
        Reply::Close("HTTP/1.1 200 OK\r\n\r\nhello".into())
    });
    assert_eq!(code, 0, "{until_close}");
}

#[test]
fn without_a_preflight_nobody_there_is_a_failure_to_connect() {
    let url = nobody();
    for how in [&["--connections", "2"][..], &["--rate", "50"]] {
        let arguments = [
            "--target",
            &url,
            "--warmup",
            "0",
            "--duration",
            "300ms",
            "--no-preflight",
        ];
        let (code, report) = reported(&[&arguments, how].concat());
        let total = &report["total"];
        assert_eq!(code, 1);
        assert_eq!(total["failed"]["connect"], total["requests"], "{total}");
        assert_eq!(total["errors"], json!(100.0));
        // a request without an answer has no latency, meets no condition on latency and scores nothing
        assert_eq!(
            (&total["latency_us"]["max"], &total["score"]),
            (&json!(0.0), &json!(0.0))
        );
    }
}

#[test]
fn failing_pairs_are_kept() {
    let directory = TempDir::new();
    let record = directory.path("failed.jsonl");
    // every second answer is wrong
    let server = StandIn::start(|number| match number % 2 {
        0 => Reply::Bytes(answer(200, "hello")),
        _ => Reply::Bytes(answer(200, "olleh")),
    });
    let (code, _, err) = ended_against(
        &server,
        HELLO,
        &format!("--connections 1 --warmup 0 --duration 200ms --record {record}"),
    );
    assert_eq!(code, 1, "{err}");
    let text = fs::read_to_string(record).unwrap();
    assert!(text.lines().count() <= 1_000);
    let pair: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let host = server.url.trim_start_matches("http://");
    assert_eq!(
        pair,
        json!({
            "endpoint": "e",
            "entry": 0,
            "url": server.url,
            "request": format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            "reason": "body",
            "expected": {"status": 200, "body": "hello"},
            "got": {"status": 200, "body": "olleh"},
        })
    );
}

/// Requests of a report that took longer than 400 ms.
fn late(report: &Value) -> u64 {
    let bars = report["histogram"].as_array().unwrap().iter();
    let late = bars.filter(|bar| bar["up_to_us"].as_f64().unwrap() > 400e3);
    late.map(|bar| bar["count"].as_u64().unwrap()).sum()
}

/// A server that stalls for a second delays every request that was due in that second. A closed loop
/// sees one slow answer; at a fixed rate all of them must show.
#[test]
fn a_stall_is_charged_for_every_request_that_was_due() {
    let run = |how: &str| {
        let server = StandIn::start(|number| {
            if number == 50 {
                pace(Duration::from_secs(1));
            }
            Reply::Bytes(answer(200, "hello"))
        });
        let common = "--connections 1 --warmup 0 --duration 2s";
        let (code, report) = reported_against(&server, HELLO, &format!("{common} {how}"));
        assert_eq!(code, 0, "{report}");
        report
    };
    let (open, closed) = (run("--rate 100"), run(""));
    assert_eq!(open["total"]["requests"], json!(200));
    // due 0.0 to 0.6 s into the stall, hence 1.0 to 0.4 s late
    assert!(late(&open) >= 50, "{open}");
    assert!(late(&closed) * 10 <= late(&open), "{closed}");
    assert!(late(&closed) >= 1, "{closed}");
}

/// A request that was due and could not be sent within the timeout is a failure, not an omission.
#[test]
fn requests_that_were_never_sent_count() {
    let server = StandIn::start(|number| match number {
        0..20 => Reply::Bytes(answer(200, "hello")),
        _ => Reply::Silence,
    });
    let (code, report) = reported_against(
        &server,
        HELLO,
        "--connections 1 --warmup 0 --duration 5s --timeout 1500ms --rate 20 --no-preflight",
    );
    let total = &report["total"];
    assert_eq!(code, 1);
    assert_eq!(total["requests"], json!(100), "{total}");
    assert_eq!(total["correct"], json!(20), "{total}");
    let failed = |kind: &str| total["failed"][kind].as_u64().unwrap_or(0);
    assert!(failed("timeout") >= 1 && failed("unsent") >= 40, "{total}");
}

/// A request due just before the end waits for a connection like any other; it is not a failure.
#[test]
fn what_waits_at_the_end_of_a_stage_is_sent() {
    let server = StandIn::always(|| {
        pace(Duration::from_millis(60));
        Reply::Bytes(answer(200, "hello"))
    });
    let (code, report) = reported_against(
        &server,
        HELLO,
        "--connections 1 --warmup 0 --duration 500ms --rate 20", // every 50 ms: each waits 10 ms longer
    );
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["total"]["correct"], json!(10), "{report}");
}

/// A thread without a connection would send nothing of its share.
#[test]
fn there_are_no_more_threads_than_connections() {
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let (code, report) = reported_against(
        &server,
        HELLO,
        "--connections 1 --workers 4 --warmup 0 --duration 200ms --rate 100",
    );
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["setup"]["workers"], json!(1));
    assert_eq!(report["total"]["correct"], json!(20), "{report}");
}
