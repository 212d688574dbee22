//! Requirements, scenarios, several targets, and the forms of the report.

use super::{
    HELLO, TempDir, ended_against, reported_against,
    standin::{Reply, StandIn, answer},
};
use serde_json::{Value, json};
use std::{fs, sync::atomic::Ordering::Relaxed};

fn honest() -> StandIn {
    StandIn::always(|| Reply::Bytes(answer(200, "hello")))
}

#[test]
fn requirements_decide_the_exit_code() {
    let server = StandIn::start(|number| match number % 4 {
        3 => Reply::Bytes(answer(200, "hallo")),
        _ => Reply::Bytes(answer(200, "hello")),
    });
    for (conditions, passes) in [
        ("", false),
        ("--require e.correctness>=70,e.correctness<80", true),
        ("--require correctness>=70 --require p99.9<60s", true),
        ("--require correctness>=70 --require p50<1us", false),
        ("--require rps>0", false),
    ] {
        let flags = format!("--connections 2 --warmup 0 --duration 200ms {conditions}");
        let (code, out, _) = ended_against(&server, HELLO, &flags);
        assert_eq!(code, i32::from(!passes), "{conditions}: {out}");
        assert_eq!(out.ends_with("passed\n"), passes, "{out}");
        assert_eq!(out.contains("not met: "), !passes, "{out}");
        assert!(out.contains("wrong: body"), "{out}");
    }
}

#[test]
fn several_targets_share_the_load_and_are_told_apart() {
    let (good, bad) = (
        honest(),
        StandIn::always(|| Reply::Bytes(answer(200, "hallo"))),
    );
    let more = format!(
        "--target {} --connections 4 --warmup 0 --duration 300ms --rate 200 --no-preflight",
        bad.url
    );
    let (code, report) = reported_against(&good, HELLO, &more);
    assert_eq!(code, 1);
    assert_eq!(
        report["targets"][&good.url]["correctness"],
        json!(100.0),
        "{report}"
    );
    assert_eq!(
        report["targets"][&bad.url]["correctness"],
        json!(0.0),
        "{report}"
    );
    let [good, bad] = [good, bad].map(|server| server.requests.load(Relaxed));
    assert_eq!(good + bad, 60);
    assert!(good.abs_diff(bad) <= 10, "{good} {bad}");
}

#[test]
fn a_scenario_goes_through_its_stages_and_finds_the_turn() {
    let directory = TempDir::new();
    let scenario = directory.file(
        "s.toml",
        "name = 'two steps'\nthink_ms = [5, 15]\n\
         [[stage]]\nname = 'start'\nduration_s = 0.3\nusers = 2\nwarmup = true\n\
         [[stage]]\nname = 'few'\nduration_s = 0.6\nusers = 2\n\
         [[stage]]\nname = 'more'\nduration_s = 0.6\nusers = 10\nramp = true\n\
         [[stage]]\nname = 'even'\nduration_s = 0.5\nrate = 100\n",
    );
    // answers a few hundred requests, then refuses
    let server = StandIn::start(|number| match number {
        0..150 => Reply::Bytes(answer(200, "hello")),
        _ => Reply::Bytes(answer(503, "")),
    });
    let html = directory.path("r.html");
    let (code, report) = reported_against(
        &server,
        HELLO,
        &format!("--scenario {scenario} --html {html}"),
    );
    assert_eq!(code, 1);
    let stages = report["stages"].as_array().unwrap();
    let names: Vec<&str> = stages
        .iter()
        .map(|stage| stage["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["start", "few", "more", "even"]);
    assert_eq!(stages[2]["load"], json!("2 to 10 users"));
    assert_eq!(report["measured_s"], json!(1.7));
    let requests = |at: usize| stages[at]["total"]["requests"].as_u64().unwrap();
    // users who think for 10 ms on average ask at most 100 times a second each
    assert!(requests(1) > 10 && requests(1) < 250, "{}", requests(1));
    assert!(requests(3).abs_diff(50) <= 12, "{}", requests(3));
    let turning: Vec<usize> = (0..4)
        .filter(|at| !stages[*at]["turns"].is_null())
        .collect();
    let failing = stages
        .iter()
        .position(|stage| stage["total"]["errors"].as_f64() > Some(1.0))
        .unwrap();
    assert_eq!(turning.len(), 1, "{report}");
    assert!(turning[0] <= failing, "{report}");
    let page = fs::read_to_string(html).unwrap();
    assert!(
        page.contains("Turning point: ") && page.contains("<h1>two steps</h1>"),
        "{page}"
    );
}

/// The fields that docs/load.md promises.
#[test]
fn the_json_has_its_fields() {
    let directory = TempDir::new();
    let server = honest();
    let (html, json_path) = (directory.path("r.html"), directory.path("r.json"));
    let (code, out, err) = ended_against(
        &server,
        HELLO,
        &format!(
            "--warmup 200ms --duration 1500ms --connections 2 --json {json_path} --html {html} --goal e=1"
        ),
    );
    assert_eq!(code, 0, "{out}{err}");
    let report: Value = serde_json::from_str(&fs::read_to_string(json_path).unwrap()).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&report),
        [
            "endpoints",
            "histogram",
            "late_p99_us",
            "measured_s",
            "passed",
            "requirements",
            "schema",
            "setup",
            "stages",
            "targets",
            "timeline",
            "total"
        ]
    );
    let summary = [
        "bytes_per_s",
        "correct",
        "correct_rps",
        "correctness",
        "errors",
        "failed",
        "goal_rps",
        "latency_us",
        "requests",
        "rps",
        "score",
        "wrong",
    ];
    assert_eq!(keys(&report["total"]), summary);
    assert_eq!(keys(&report["endpoints"]["e"]), summary);
    assert_eq!(
        keys(&report["total"]["latency_us"]),
        [
            "max", "mean", "p50", "p90", "p99", "p999", "p9999", "p99999"
        ]
    );
    assert_eq!(
        keys(&report["timeline"][0]),
        [
            "errors", "max_us", "p50_us", "p99_us", "rps", "second", "stage", "wrong"
        ]
    );
    assert_eq!(
        (&report["schema"], &report["total"]["score"]),
        (&json!(1), &json!(100.0))
    );
    assert_eq!(report["timeline"].as_array().unwrap().len(), 2);
    assert_eq!(report["stages"][0]["measured"], json!(false));
    let page = fs::read_to_string(html).unwrap();
    for external in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(external), "{external}");
    }
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark"));
    assert!(
        out.contains("endpoint") && out.contains("p99.9") && out.contains("100.00 %"),
        "{out}"
    );
}

#[test]
fn without_a_terminal_lines_are_plain() {
    let server = honest();
    let (code, out, err) = ended_against(
        &server,
        HELLO,
        "--warmup 0 --duration 300ms --connections 1",
    );
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        !out.contains('\x1b') && !err.contains('\x1b') && !err.contains('\r'),
        "{err}"
    );
}

#[test]
fn a_file_that_cannot_be_written_does_not_cost_the_figures() {
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hallo")));
    let file = "/dev/full";
    for flag in ["--html", "--json", "--record"] {
        let flags = format!("--warmup 0 --duration 200ms --quiet {flag} {file}");
        let (code, out, err) = ended_against(&server, HELLO, &flags);
        assert_eq!(code, 1, "{flag}: {err}");
        assert!(out.contains("p99"), "{flag}: {out}");
        assert!(err.contains(file), "{flag}: {err}");
    }
}
