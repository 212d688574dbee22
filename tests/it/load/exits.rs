//! The exit codes and the URL scheme that docs/load.md names, each one tried.

use super::{
    HELLO, TempDir, ended, ended_against, load,
    preflight::nobody,
    standin::{Reply, StandIn, answer},
};
use std::{fs, path::Path};

/// What docs/load.md says about each exit code: the code and its text.
fn documented() -> Vec<(i32, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/load.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("## Exit codes").nth(1).unwrap();
    let paragraph = section
        .trim()
        .split("\n\n")
        .next()
        .unwrap()
        .replace('\n', " ");
    let code = |part: &str| {
        let (code, text) = part.trim().split_once(' ').unwrap();
        (code.parse().unwrap(), text.to_owned())
    };
    paragraph.split('·').map(code).collect()
}

#[test]
fn every_documented_exit_code_is_given() {
    let directory = TempDir::new();
    let right = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let wrong = StandIn::always(|| Reply::Bytes(answer(200, "hallo")));
    let corpus = directory.file("c.jsonl", "{}");
    let down = nobody();
    let against = |server: &StandIn, flags: &str| ended_against(server, HELLO, flags).0;
    let alone = |arguments: &[&str]| ended(&mut load(arguments)).0;
    let cases = [
        (0, "passed", against(&right, "-n 5")),
        (1, "unmet requirement", against(&wrong, "-n 5")),
        (
            1,
            "unmet requirement",
            against(&right, "-n 5 --require rps<1"),
        ),
        (
            1,
            "cannot be written",
            against(&right, "-n 5 --html /nonexistent/x"),
        ),
        (64, "wrong flags", alone(&["--rate", "-1"])),
        (64, "wrong flags", alone(&["-d", "0"])),
        (64, "wrong flags", alone(&["localhost:80:99"])),
        (
            64,
            "wrong flags",
            alone(&["--urls", &corpus, "--json", &corpus]),
        ),
        (64, "scenario", alone(&["--scenario", "/nonexistent/x"])),
        (64, "corpus", alone(&["--corpus", &corpus])),
        (69, "resolved", alone(&["http://name.invalid"])),
        (69, "does not answer", alone(&[&down])),
    ];
    let documented = documented();
    assert_eq!(
        documented.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
        [0, 1, 64, 69]
    );
    for (code, why, ended_with) in cases {
        assert_eq!(ended_with, code, "{why}");
        let (_, text) = documented.iter().find(|(known, _)| *known == code).unwrap();
        assert!(text.contains(why), "{code}: {text:?} does not say {why:?}");
    }
}

#[test]
fn only_http_is_spoken() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/load.md");
    let manual = fs::read_to_string(manual).unwrap();
    assert!(
        manual.contains("`http://` only") && !manual.contains("https://"),
        "{manual}"
    );
    for url in [
        "https://localhost",
        "https://localhost/path",
        "ftp://localhost",
    ] {
        let (code, _, err) = ended(&mut load(&[url]));
        assert_eq!(code, 64, "{url}: {err}");
        assert!(err.contains("TLS is not spoken"), "{url}: {err}");
    }
}
