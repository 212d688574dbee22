//! The HdrHistogram log of `--hdr`, read back by the crate's own reader.

use super::{
    HELLO, TempDir, ended_against,
    standin::{Reply, StandIn, answer},
};
use crate::harness::pace;
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use serde_json::Value;
use std::{fs, time::Duration};

#[test]
fn the_log_holds_every_measured_latency() {
    let directory = TempDir::new();
    let (log, json) = (directory.path("l.hlog"), directory.path("r.json"));
    let entries = format!("{HELLO}\n{}", HELLO.replace("\"e\"", "\"f, g\""));
    let server = StandIn::start(|number| {
        pace(Duration::from_millis(number % 4));
        Reply::Bytes(answer(200, "hello"))
    });
    let flags = format!("-d 1500ms --warmup 300ms -c 4 --quiet --hdr {log} --json {json}");
    let (code, out, err) = ended_against(&server, &entries, &flags);
    assert_eq!(code, 0, "{out}{err}");
    let report: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let log = fs::read(log).unwrap();
    let mut all: Histogram<u64> = Histogram::new_with_bounds(1_000, 600_000_000_000, 3).unwrap();
    let (mut starts, mut tags) = (Vec::new(), Vec::new());
    for entry in IntervalLogIterator::new(&log) {
        match entry.unwrap() {
            LogEntry::Interval(interval) => {
                let bytes = base64_simd::STANDARD.decode_to_vec(interval.encoded_histogram());
                let one: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut &bytes.unwrap()[..])
                    .unwrap();
                let max_ms = one.max() as f64 / 1e6;
                assert!((interval.max() - max_ms).abs() < 0.001, "{max_ms}");
                tags.push(interval.tag().unwrap().as_str().to_owned());
                starts.push((interval.start_timestamp(), interval.duration()));
                all.add(&one).unwrap();
            }
            LogEntry::StartTime(time) => assert!(time > Duration::from_secs(1_700_000_000)),
            LogEntry::BaseTime(_) => panic!("no base time"),
        }
    }
    assert_eq!(report["total"]["requests"], all.len());
    let ms = |name: &str| report["total"]["latency_us"][name].as_f64().unwrap() / 1e3;
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99999", 0.99999)] {
        let logged = all.value_at_quantile(quantile) as f64 / 1e6;
        assert!((logged - ms(name)).abs() < 0.001, "{name}: {logged}");
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags, ["e", "f__g"]);
    let second = Duration::from_secs(1);
    assert!(starts.iter().all(|(_, length)| *length == second));
    assert!(starts.iter().any(|(start, _)| *start == second));
}

#[test]
fn a_log_that_cannot_be_written_does_not_cost_the_figures() {
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let (code, out, err) = ended_against(&server, HELLO, "-n 500 --quiet --hdr /dev/full");
    assert_eq!(code, 1, "{err}");
    assert!(
        out.contains("p99") && err.contains("/dev/full"),
        "{out}{err}"
    );
}
