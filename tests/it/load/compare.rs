//! Two saved reports side by side.

use super::{
    HELLO, TempDir, ended, ended_against, load,
    standin::{Reply, StandIn, answer},
};
use crate::harness::pace;
use std::fs;
use std::time::Duration;

/// The report of a run at `rate` requests per second.
fn saved(directory: &TempDir, name: &str, rate: u32, ms: u64) -> String {
    let server = StandIn::always(move || {
        pace(Duration::from_millis(ms));
        Reply::Bytes(answer(200, "hello"))
    });
    let json = directory.path(name);
    let flags = format!("--rate {rate} -d 5s --warmup 0 --quiet --json {json}");
    let (code, out, err) = ended_against(&server, HELLO, &flags);
    assert_eq!(code, 0, "{out}{err}");
    json
}

#[test]
fn differences_beyond_the_spread_are_said() {
    let directory = TempDir::new();
    let (slow, fast) = (
        saved(&directory, "a", 100, 20),
        saved(&directory, "b", 200, 0),
    );
    let html = directory.path("c.html");
    let (code, out, err) = ended(&mut load(&["compare", &slow, &fast, "--html", &html]));
    assert_eq!(code, 0, "{err}");
    let line = |start: &str| out.lines().find(|line| line.starts_with(start)).unwrap();
    for start in ["all requests/s", "e requests/s"] {
        let words: Vec<&str> = line(start).split_whitespace().collect();
        assert_eq!(words[2..4], ["100", "200"], "{out}");
        assert!(
            words[4].starts_with("2.0") || words[4].starts_with("1.9"),
            "{out}"
        );
        assert!(line(start).contains("differs: beyond"), "{out}");
    }
    assert!(
        line("A  20").contains("trident ") && out.contains("--rate 100"),
        "{out}"
    );
    let page = fs::read_to_string(html).unwrap();
    assert!(
        page.contains("differs: beyond") && page.ends_with("</html>\n"),
        "{page}"
    );
    // a run does not differ from itself
    let (code, out, _) = ended(&mut load(&["compare", &slow, &slow]));
    assert_eq!(code, 0);
    assert!(
        out.contains("within ±") && !out.contains("differs"),
        "{out}"
    );
}

#[test]
fn what_is_no_report_is_named() {
    let directory = TempDir::new();
    let other = directory.file("x.json", "{}");
    let (code, _, err) = ended(&mut load(&["compare", &other, &other]));
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("x.json: not a report of trident load --json"),
        "{err}"
    );
    let (code, _, err) = ended(&mut load(&["compare", "/nonexistent/a", &other]));
    assert_eq!(code, 64, "{err}");
}
