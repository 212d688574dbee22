//! Figures from tallies, and their text, pages and charts.

use crate::load::{
    format::{duration_text, error_text, percent_text},
    plan::stage::{Load, Ramp, Stage},
    report::{
        figures::{Frame, Report, Setup},
        html, requirement, text,
    },
    tally::{
        collect::{Collector, Row},
        counts::{Failure, Outcome, Tally},
    },
};
use std::{collections::BTreeMap, time::Duration};

fn stage(name: &str, users: f64, measured: bool) -> Stage {
    Stage {
        name: name.into(),
        duration: Duration::from_secs(10),
        load: Load::Users {
            count: Ramp::steady(users),
            think: (Duration::ZERO, Duration::ZERO),
        },
        weights: vec![1.0, 1.0],
        measured,
        requests: None,
    }
}

fn setup() -> Setup {
    Setup {
        version: "0",
        started: "2026-01-02T03:04:05Z".into(),
        host: "h, Linux 6, 2 processor(s)".into(),
        command: "trident load --mix 'a'".into(),
        scenario: Some("<x>".into()),
        targets: vec!["http://t1".into(), "http://t2".into()],
        endpoints: vec!["a".into(), "b".into()],
        corpus_entries: 2,
        checked: true,
        workers: 1,
        pipeline: 1,
        timeout_s: 1.0,
        agents: Vec::new(),
        interrupted: false,
        ended_early: None,
    }
}

/// `correct` right answers of `ms` milliseconds.
fn tally(correct: u64, ms: u64) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..correct {
        tally.record(Outcome::Correct, Duration::from_millis(ms));
    }
    tally
}

/// A report of `stages`, each with its tallies of a at t1, a at t2, b at t1, b at t2.
fn report(stages: &[Stage], tallies: Vec<[Tally; 4]>, requirements: &str) -> Report {
    let mut collected = Collector::new(stages, 2, 2);
    collected.by_stage = tallies.into_iter().map(Vec::from).collect();
    let requirements = match requirements {
        "" => Vec::new(),
        text => requirement::parse("--require", text).unwrap(),
    };
    let frame = Frame {
        setup: setup(),
        stages,
        elapsed: Duration::from_secs(1000),
        goals: vec![20.0, 10.0],
        requirements,
    };
    Report::new(frame, &collected)
}

#[test]
fn figures_add_up() {
    let mut wrong = tally(50, 2);
    for _ in 0..50 {
        wrong.record(Outcome::Wrong("body"), Duration::from_millis(2));
    }
    wrong.record(Outcome::Failed(Failure::Reset), Duration::ZERO);
    let stages = [stage("warm", 1.0, false), stage("load", 1.0, true)];
    let warm = [tally(999, 1), tally(0, 0), tally(0, 0), tally(0, 0)];
    let load = [tally(100, 1), tally(300, 3), wrong, tally(0, 0)];
    let report = report(&stages, vec![warm, load], "");
    let (a, b) = (&report.endpoints["a"], &report.endpoints["b"]);
    assert_eq!((a.requests, a.correct, a.rps), (400, 400, 40.0));
    assert_eq!((a.correctness, a.errors, a.score), (100.0, 0.0, 100.0));
    assert_eq!((b.requests, b.correctness), (101, 50.0));
    assert!((b.errors - 100.0 / 101.0).abs() < 1e-9);
    // 5 right ones a second of 10, and 50 of 101 requests answered rightly
    assert_eq!(b.score, 24.752);
    assert_eq!(report.total.score, 62.376);
    assert_eq!(b.wrong, BTreeMap::from([("body", 50)]));
    assert_eq!(b.failed, BTreeMap::from([("reset", 1)]));
    let (t1, t2) = (&report.targets["http://t1"], &report.targets["http://t2"]);
    assert_eq!((t1.requests, t2.requests), (201, 300));
    let ms = |us: f64| (us / 1e3).round();
    assert_eq!((ms(a.latency_us.p50), ms(a.latency_us.max)), (3.0, 3.0));
    let counted: u64 = report.histogram.iter().map(|bar| bar.count).sum();
    assert_eq!(counted, 500, "all but the reset");
    assert!(!report.passed);
    let unmet: Vec<&str> = report
        .requirements
        .iter()
        .filter(|j| !j.met)
        .map(|j| j.requirement.as_str())
        .collect();
    assert_eq!(unmet, ["b.correctness>=100", "b.errors<=0"]);
}

#[test]
fn a_given_condition_takes_the_place_of_the_usual_one() {
    let stages = [stage("load", 1.0, true)];
    let mut half = tally(1, 1);
    half.record(Outcome::Wrong("body"), Duration::ZERO);
    let cells = [half, tally(0, 0), tally(1, 1), tally(0, 0)];
    let passed = |text| report(&stages, vec![cells.clone()], text).passed;
    assert!(!passed(""));
    assert!(passed("a.correctness>=50"));
    assert!(passed("correctness>=60"));
    assert!(!passed("b.correctness>=50"));
    assert!(!passed("a.correctness>=50,a.p99<1us"));
}

#[test]
fn the_first_stage_that_turns_is_named() {
    let quick = |count| [tally(count, 1), tally(0, 0), tally(0, 0), tally(0, 0)];
    let failing = || {
        let mut tally = tally(10, 1);
        tally.record(Outcome::Failed(Failure::Timeout), Duration::from_millis(1));
        [
            tally,
            super::tests::tally(0, 0),
            super::tests::tally(0, 0),
            super::tests::tally(0, 0),
        ]
    };
    let stages = [
        stage("s1", 10.0, true),
        stage("s2", 20.0, true),
        stage("s3", 40.0, true),
    ];
    let turn = |cells| {
        let report = report(&stages, cells, "");
        let found = report.stages.iter().find(|stage| stage.turns.is_some());
        found.map(|stage| (stage.name.clone(), stage.turns.clone().unwrap()))
    };
    assert_eq!(turn(vec![quick(100), quick(200), quick(400)]), None);
    let (name, why) = turn(vec![quick(100), quick(110), quick(400)]).unwrap();
    assert_eq!(
        (name.as_str(), why.as_str()),
        (
            "s2",
            "2.0 times the load of the previous stage brings 1.10 times its throughput"
        )
    );
    let mut slow = quick(400);
    slow[1] = tally(20, 7);
    let (name, why) = turn(vec![quick(100), quick(200), slow]).unwrap();
    assert_eq!(name, "s3");
    assert!(why.starts_with("p99 is 7.0"), "{why}");
    let (name, why) = turn(vec![failing(), quick(200), quick(400)]).unwrap();
    assert_eq!(
        (name.as_str(), why.as_str()),
        ("s1", "9.09 % of its requests fail")
    );
}

#[test]
fn the_page_is_whole_and_its_text_is_escaped() {
    let stages = [stage("<b>", 1.0, true), stage("two", 2.0, true)];
    let cells = || [tally(100, 1), tally(300, 3), tally(5, 2), tally(0, 0)];
    let page = html::render(&report(&stages, vec![cells(), cells()], ""));
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<svg").count(), 3);
    for present in [
        "2026-01-02T03:04:05Z",
        "h, Linux 6",
        "--mix &#39;a&#39;",
        "trident 0,",
    ] {
        assert!(page.contains(present), "{present}");
    }
    for absent in [
        "<b>", "<x>", "src=", "href=", "@import", "url(", "NaN", "inf",
    ] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn nothing_measured_is_a_failure_and_no_fault() {
    let stages = [stage("load", 1.0, true)];
    let none = || [tally(0, 0), tally(0, 0), tally(0, 0), tally(0, 0)];
    let report = report(&stages, vec![none()], "rps>=0");
    assert!(!report.passed);
    assert!(text::render(&report).contains("nothing was measured"));
    assert!(!html::render(&report).contains("NaN"));
}

#[test]
fn what_is_not_all_does_not_read_as_all() {
    assert_eq!(percent_text(99.9999), "99.99 %");
    assert_eq!(percent_text(100.0), "100.00 %");
    assert_eq!(error_text(0.0001), "0.01 %");
    assert_eq!(error_text(0.0), "0.00 %");
    let texts = [999.0, 1_500.0, 150_000.0, 2_000_000.0].map(duration_text);
    assert_eq!(texts, ["999 µs", "1.50 ms", "150 ms", "2.00 s"]);
}

#[test]
fn failures_have_no_latency_and_no_score() {
    let stages = [stage("load", 1.0, true)];
    let mut failed = tally(0, 0);
    for _ in 0..100 {
        failed.record(Outcome::Failed(Failure::Connect), Duration::ZERO);
        failed.record(Outcome::Failed(Failure::Timeout), Duration::from_secs(9));
    }
    let cells = [failed, tally(0, 0), tally(0, 0), tally(0, 0)];
    let report = report(
        &stages,
        vec![cells],
        "a.p99<1s,a.max>=0s,errors<=100,correctness>=0",
    );
    assert_eq!((report.total.requests, report.total.score), (200, 0.0));
    let met: Vec<bool> = report
        .requirements
        .iter()
        .map(|judgement| judgement.met)
        .collect();
    assert_eq!(
        met,
        [false, false, true, true],
        "no latency meets no condition"
    );
    let page = html::render(&report);
    assert!(text::render(&report).contains(" – ") && !page.contains("<td>0 µs"));
}

/// Texts of a page between `before` and `after`.
fn between<'a>(page: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let rest = page.split(before).skip(1);
    rest.filter_map(|rest| rest.split(after).next()).collect()
}

/// Labels are round numbers and lie within the picture, 6.5 units to a character at most.
#[test]
fn labels_are_round_and_not_cut() {
    let stages = [stage("load", 1.0, true)];
    let cells = [
        tally(28_342, 1),
        tally(9_999, 3_000),
        tally(5, 2),
        tally(0, 0),
    ];
    let mut report = report(&stages, vec![cells], "a.p99<9s,a.rps>1");
    report.timeline = (0..95)
        .map(|second| Row {
            second,
            stage: 0,
            rps: vec![28_342.7, 123_456_789.0],
            wrong: 0,
            errors: 0,
            p50_us: 14_171.3,
            p99_us: 1_234_567.8,
            max_us: 2e6,
        })
        .collect();
    let page = html::render(&report);
    let labels = between(&page, "<text x='", "</text>");
    assert!(labels.len() > 30, "{labels:?}");
    for label in labels {
        let (x, rest) = label.split_once('\'').unwrap();
        let (x, text) = (x.parse::<f64>().unwrap(), rest.split_once('>').unwrap().1);
        let width = text.chars().count() as f64 * 6.5;
        let (left, right) = if rest.contains("'end'") {
            (x - width, x)
        } else {
            (x - width / 2.0, x + width / 2.0)
        };
        assert!(
            left >= 0.0 && right <= 920.0,
            "{text} from {left} to {right}"
        );
        let digits = text
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>();
        let significant = digits.trim_matches('0').len();
        assert!(significant <= 2, "{text} is not round");
    }
    let measured = between(&page, "<td>", "</td>");
    assert!(
        measured.iter().any(|text| text.ends_with(" s")),
        "{measured:?}"
    );
    let raw = |text: &&str| text.split_once('.').is_some_and(|(_, rest)| rest.len() > 6);
    assert!(!measured.iter().any(raw), "{measured:?}");
}
