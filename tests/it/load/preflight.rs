//! Mistakes found before a run: targets that are down, another team, files that cannot be written.

use super::{
    HELLO, TempDir, ended, ended_against, load,
    standin::{Reply, StandIn, answer},
    trident,
};
use crate::harness::Server;
use std::{fs, net::TcpListener, sync::atomic::Ordering::Relaxed};

/// A run of an hour, which nobody waits for.
const LONG: &str = "--duration 1h --warmup 0 --timeout 60s";

/// An address where nobody listens.
pub fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", free.local_addr().unwrap())
}

#[test]
fn a_target_that_is_down_is_an_error() {
    let (code, out, err) = ended(load(&["--target", &nobody()]).args(LONG.split(' ')));
    assert_eq!((code, out.as_str()), (69, ""), "{err}");
    assert!(
        err.contains("start the server, or correct --target"),
        "{err}"
    );
}

#[test]
fn a_target_that_does_not_answer_is_an_error() {
    type Answer = fn() -> Reply;
    let replies: [(Answer, &str); 5] = [
        (|| Reply::Silence, "no answer within a second"),
        (
            || Reply::Bytes(answer(200, "hello").replace("Length: 5", "Length: 6")),
            "no answer within a second",
        ),
        (|| Reply::Reset, "no answer: "),
        (
            || Reply::Close("HTTP/1.1 200 OK\r\n".into()),
            "closes the connection",
        ),
        (
            || Reply::Bytes("SSH-2.0-OpenSSH\r\n\r\n".into()),
            "not an HTTP head",
        ),
    ];
    for (reply, hint) in replies {
        let server = StandIn::always(reply);
        let (code, out, err) = ended_against(&server, HELLO, LONG);
        assert_eq!((code, out.as_str()), (69, ""), "{hint}: {err}");
        assert!(
            err.contains(hint) && err.contains(&server.url),
            "{hint}: {err}"
        );
        assert_eq!(server.requests.load(Relaxed), 1, "{hint}");
    }
}

/// Every target is asked, not only the first.
#[test]
fn one_target_of_several_is_down() {
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let down = nobody();
    let (code, _, err) = ended_against(&server, HELLO, &format!("--target {down} {LONG}"));
    assert_eq!(code, 69, "{err}");
    assert!(err.contains(&down), "{err}");
}

#[test]
fn another_team_is_said() {
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    let team = ["--target", &url, "--team", "Others"];
    let (code, out, err) = ended(load(&team).args(LONG.split(' ')));
    assert_eq!((code, out.as_str()), (64, ""), "{err}");
    for part in [
        "\"TEAMID,000000000000\"",
        "\"Others,000000000000\"",
        "--team",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    // An endpoint of the corpus that the mix leaves out is not asked.
    let token = r#"{"endpoint":"t","target":"/","expect":{"result":"x"}}"#;
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let flags = "--mix e --duration 100ms --warmup 0";
    let (code, out, err) = ended_against(&server, &format!("{token}\n{HELLO}"), flags);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn report_files_are_opened_before_the_run_and_kept_until_the_report() {
    let directory = TempDir::new();
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let nowhere = directory.path("none/file");
    for flag in ["--html", "--json", "--record"] {
        let (code, out, err) = ended_against(&server, HELLO, &format!("{LONG} {flag} {nowhere}"));
        assert_eq!((code, out.as_str()), (1, ""), "{flag}: {err}");
        assert!(err.contains(&nowhere), "{flag}: {err}");
        assert_eq!(server.requests.load(Relaxed), 0, "{flag}");
    }
    let old = directory.file("r.html", &"old ".repeat(100_000));
    let (code, _, err) =
        ended(load(&["--target", &nobody(), "--html", &old]).args(LONG.split(' ')));
    assert_eq!(code, 69, "{err}");
    assert_eq!(fs::read_to_string(&old).unwrap().len(), 400_000);
    let flags = format!("--duration 100ms --warmup 0 --html {old}");
    let (code, _, err) = ended_against(&server, HELLO, &flags);
    assert_eq!(code, 0, "{err}");
    let page = fs::read_to_string(&old).unwrap();
    assert!(
        page.ends_with("</html>\n") && !page.contains("old old"),
        "{}",
        page.len()
    );
}

#[test]
fn another_store_is_said() {
    let line = |target: &str, result: &str| {
        format!(
            "{{\"endpoint\":\"twitter\",\"target\":\"{target}\",\"expect\":{{\"result\":\"{result}\"}}}}\n"
        )
    };
    let invalid = line("/twitter?user_id=x&type=both&phrase=a&hashtag=b", "INVALID");
    let other = line(
        "/twitter?user_id=1&type=both&phrase=a&hashtag=b",
        "7\\tname",
    );
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    let directory = TempDir::new();
    let corpus = directory.file("other.jsonl", &format!("{invalid}{other}"));
    let run = ["--target", &url, "--corpus", &corpus];
    let (code, out, err) = ended(load(&run).args(LONG.split(' ')));
    assert_eq!((code, out.as_str()), (64, ""), "{err}");
    for part in ["another store", "make-corpus", "--no-preflight"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(
        !err.contains("gen corpus"),
        "that is another corpus' store: {err}"
    );
    // an answer that every store gives proves nothing
    let corpus = directory.file("same.jsonl", &invalid);
    let run = ["--target", &url, "--corpus", &corpus, "-n", "5", "--quiet"];
    let (code, out, err) = ended(&mut load(&run));
    assert_eq!(code, 0, "{out}{err}");
}

/// A server of other tweets is recognised as such, and the command that the message names makes the run pass.
#[test]
fn the_store_of_the_built_in_corpus_is_made_by_a_command() {
    let directory = TempDir::new();
    let at = |name: &str| directory.join(name).display().to_string();
    let (tweets, other, own) = (at("tweets.jsonl"), at("other"), at("own"));
    let made = |arguments: &[&str]| {
        let (code, out, err) = ended(&mut trident(arguments));
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    };
    made(&[
        "gen", "tweets", "--lines", "2000", "--seed", "7", "--output", &tweets,
    ]);
    made(&["etl", "--input", &tweets, "--output", &other]);
    let run = |store: &str| {
        let server = Server::start(&["--twitter-store", store]);
        let url = format!("http://{}", server.address);
        ended(load(&["--target", &url, "-n", "600", "--quiet"]).args(["--connections", "2"]))
    };
    let (code, out, err) = run(&other);
    assert_eq!((code, out.as_str()), (64, ""), "{err}");
    assert!(err.contains("trident gen corpus --store"), "{err}");
    made(&["gen", "corpus", "--store", &own]);
    let (code, out, err) = run(&own);
    assert_eq!(code, 0, "{out}{err}");
    // an existing store is not overwritten unless asked
    let (code, _, err) = ended(&mut trident(&["gen", "corpus", "--store", &own]));
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("--replace"), "{err}");
    made(&["gen", "corpus", "--store", &own, "--replace"]);
}

#[test]
fn the_built_in_corpus_is_written_as_it_is_used() {
    let directory = TempDir::new();
    let file = directory.join("corpus.jsonl.gz").display().to_string();
    let (code, _, err) = ended(&mut trident(&["gen", "corpus", "--output", &file]));
    assert_eq!(code, 0, "{err}");
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    let run = ["--target", &url, "--corpus", &file, "-n", "600", "--quiet"];
    let (code, out, err) = ended(&mut load(&run));
    assert_eq!(code, 0, "{out}{err}");
    let (code, _, err) = ended(&mut trident(&["gen", "corpus"]));
    assert_eq!(code, 64, "{err}");
}
