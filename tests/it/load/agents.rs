//! Several generators, one verdict: agents as separate processes.

use super::{
    HELLO, TempDir, ended, load, parsed,
    standin::{Reply, StandIn, answer},
    trident,
};
use crate::{
    cli::threads::{each_refused, without_thread},
    harness::{AUTH_KEY, Server, eventually, required},
    traced::has_failed,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::Ordering::Relaxed,
};

const SECRET: &str = "a secret of the tests";

/// `trident load --agent`, ended with this value.
struct Agent {
    child: Child,
    address: String,
    said: BufReader<ChildStdout>,
}

impl Agent {
    fn start(token: &str) -> Self {
        Self::spawn(load(&["--agent", "127.0.0.1:0", "--token-file", token]))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut agent = Self {
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
            address: String::new(),
        };
        let line = agent.line();
        agent.address = line.strip_prefix("agent on ").unwrap().into();
        agent
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Two agents and the flags that name them.
fn two(token: &str) -> (Agent, Agent, [String; 4]) {
    let (a, b) = (Agent::start(token), Agent::start(token));
    let list = format!("{},{}", a.address, b.address);
    let flags = ["--agents", &list, "--token-file", token].map(String::from);
    (a, b, flags)
}

#[test]
fn two_agents_make_one_report() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let (mut a, mut b, agents) = two(&token);
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    let hdr = directory.path("run.hlog");
    let mut run = load(&[
        "--target",
        &url,
        "-n",
        "3000",
        "--connections",
        "5",
        "--quiet",
    ]);
    run.args(&agents).args(["--json", "-", "--hdr", &hdr]);
    let (code, out, err) = ended(&mut run);
    assert_eq!(code, 0, "{out}{err}");
    let report = parsed(&out, &err);
    let total = &report["total"];
    assert_eq!(
        (&total["requests"], &total["correct"]),
        (&json!(3000), &json!(3000))
    );
    assert_eq!(report["setup"]["agents"].as_array().unwrap().len(), 2);
    assert_eq!(report["targets"][&url]["requests"], json!(3000));
    assert!(total["latency_us"]["max"].as_f64().unwrap() > 0.0, "{out}");
    let log = std::fs::read_to_string(&hdr).unwrap();
    assert!(log.contains("Tag=blockchain"), "{log}");
    for agent in [&mut a, &mut b] {
        let line = agent.line();
        assert!(
            line.starts_with("a run for 127.0.0.1:") && line.ends_with(" ended"),
            "{line}"
        );
    }
    // The agents take the next run, and together send exactly the given rate.
    let mut run = load(&[
        "--target",
        &url,
        "--rate",
        "401",
        "--duration",
        "2s",
        "--quiet",
    ]);
    run.args(&agents).args(["--warmup", "0", "--json", "-"]);
    let (code, out, err) = ended(&mut run);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(parsed(&out, &err)["total"]["requests"], json!(802));
}

#[test]
fn nobody_without_the_token_is_served() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let other = directory.file("other", "another secret of the tests");
    let (mut a, _b, agents) = two(&token);
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let corpus = directory.file("c.jsonl", HELLO);
    let run = |token: &str| {
        let base = [
            "--target",
            &server.url,
            "--corpus",
            &corpus,
            "-n",
            "20",
            "--quiet",
        ];
        ended(load(&base).args([&agents[0], &agents[1], "--token-file", token]))
    };
    let (code, out, err) = run(&other);
    assert_eq!((code, out.as_str()), (69, ""), "{err}");
    assert!(
        err.contains(&a.address) && err.contains("another token"),
        "{err}"
    );
    assert!(a.line().ends_with("no proof of the token"));
    assert_eq!(server.requests.load(Relaxed), 0);
    let (code, out, err) = run(&token);
    assert_eq!(code, 0, "{out}{err}");
}

/// Requests come from files that only the coordinator has, and so do the bodies that are sent and expected; failing
/// pairs come back.
#[test]
fn lists_and_logs_are_sent_and_failures_are_recorded() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let (_a, _b, agents) = two(&token);
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello\u{e9}")));
    directory.file("right", "hello\u{e9}");
    directory.file("wrong", "hello");
    let lines = format!(
        "{}/right body_file=right\nPUT /wrong send=right body_file=wrong\n",
        server.url
    );
    let list = directory.file("list", &lines);
    let record = directory.path("pairs");
    let mut run = load(&["--urls", &list, "-n", "200", "-c", "4", "--quiet"]);
    run.args(&agents).args(["--json", "-", "--record", &record]);
    let (code, out, err) = ended(&mut run);
    assert_eq!(code, 1, "{out}{err}");
    let figures = &parsed(&out, &err)["endpoints"];
    assert_eq!(figures["/right"]["requests"], figures["/right"]["correct"]);
    assert_eq!(figures["/wrong"]["correct"], json!(0), "{out}");
    let pairs = fs::read_to_string(&record).unwrap();
    let pairs: Vec<Value> = pairs
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json!(pairs.len()), figures["/wrong"]["requests"]);
    let sent = pairs[0]["request"].as_str().unwrap();
    assert!(sent.starts_with("PUT /wrong ") && sent.ends_with("\r\n\r\nhello\u{e9}"));
    // A log is sent once, shared by both.
    let log = directory.file("log", &LOG_LINE.repeat(7));
    let mut run = load(&[&server.url, "--replay", &log, "-c", "4", "--quiet"]);
    let (code, out, err) = ended(run.args(&agents).args(["--json", "-"]));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(parsed(&out, &err)["total"]["requests"], json!(7));
}

const LOG_LINE: &str = "10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /one HTTP/1.1\" 200 12\n";

#[test]
fn the_highest_rate_is_found_with_agents() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let (_a, _b, agents) = two(&token);
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let corpus = directory.file("c.jsonl", HELLO);
    let mut run = load(&["--target", &server.url, "--corpus", &corpus, "--quiet"]);
    run.args(["--find", "p99<1us", "-d", "100ms", "-c", "4", "--json", "-"]);
    let (code, out, err) = ended(run.args(&agents));
    let report = parsed(&out, &err);
    // No rate meets that, so the search makes all its tries.
    assert_eq!(code, 1, "{out}{err}");
    assert!(report["found"]["rate"].is_null(), "{out}");
    assert!(
        report["found"]["tries"].as_array().unwrap().len() > 2,
        "{out}"
    );
}

/// The key stays with the coordinator: agents get the expected tokens.
#[test]
fn tokens_are_checked_with_the_coordinators_key() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let (_a, _b, agents) = two(&token);
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    let other = "12".repeat(32);
    for (key, code) in [(AUTH_KEY, 0), (&*other, 1)] {
        let key = directory.file("key", key);
        let mut run = load(&["--target", &url, "-n", "500", "-c", "4", "--quiet"]);
        run.args(["--mix", "qrcode=1", "--auth-key-file", &key]);
        let (ended, out, err) = ended(run.args(&agents));
        assert_eq!(ended, code, "{out}{err}");
    }
}

/// A run that does not end by itself.
fn long_run(server: &StandIn, corpus: &str) -> Command {
    let target = ["--target", &server.url, "--corpus", corpus];
    let mut run = load(&target);
    run.args(["--quiet", "--duration", "1h"]);
    run
}

/// Part of a run is not taken for the whole.
#[test]
fn a_lost_agent_ends_the_run() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let (mut a, mut b, agents) = two(&token);
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let corpus = directory.file("c.jsonl", HELLO);
    let mut run = long_run(&server, &corpus);
    run.args(&agents)
        .args(["--connections", "2", "--warmup", "0"]);
    let run = run
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // One request of each agent only asks whether the server is there.
    assert!(eventually(|| server.requests.load(Relaxed) > 10));
    b.kill();
    let output = run.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{err}");
    assert!(err.contains(&b.address), "{err}");
    assert!(output.stdout.is_empty(), "half a run has a report");
    // The other one was told to stop, and is ready again.
    assert!(a.line().starts_with("a run for"));
}

#[test]
fn an_agent_whose_coordinator_is_gone_stops() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let mut agent = Agent::start(&token);
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hello")));
    let corpus = directory.file("c.jsonl", HELLO);
    let mut run = long_run(&server, &corpus);
    run.args([
        "--agents",
        &agent.address,
        "--token-file",
        &token,
        "--connections",
        "1",
    ]);
    let mut run = run.stderr(Stdio::null()).spawn().unwrap();
    assert!(eventually(|| server.requests.load(Relaxed) > 10));
    run.kill().unwrap();
    run.wait().unwrap();
    let line = agent.line();
    assert!(line.contains("127.0.0.1:"), "{line}");
}

#[test]
fn what_agents_cannot_do_is_said_before_anything_is_sent() {
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let short = directory.file("short", "secret");
    let agent = Agent::start(&token);
    let target = [
        "--target",
        "127.0.0.1:9",
        "--agents",
        &agent.address,
        "--token-file",
    ];
    let wrong: [(&[&str], i32, &str); 5] = [
        (
            &["--agents", "127.0.0.1:9", "--target", "127.0.0.1:9"],
            64,
            "--token-file",
        ),
        (
            &["--agents", "127.0.0.1:9", "--token-file", &token],
            64,
            "--target",
        ),
        (&[&target[..], &[&short]].concat(), 64, "16 bytes"),
        (
            &["--agent", "127.0.0.1:0", "--token-file", &token, "-n", "5"],
            64,
            "--requests",
        ),
        // Each agent asks the target itself.
        (&[&target[..], &[&token]].concat(), 69, "start the server"),
    ];
    for (arguments, code, hint) in wrong {
        let (ended, out, err) = ended(&mut load(arguments));
        assert_eq!((ended, out.as_str()), (code, ""), "{arguments:?}: {err}");
        assert!(err.contains(hint), "{arguments:?}: {err}");
    }
    let (code, _, err) = ended(&mut trident(&["load", "--agent", "127.0.0.1:0"]));
    assert_eq!(code, 64, "{err}");
}

#[test]
fn a_thread_that_is_refused_ends_a_run_and_no_agent() {
    if !required("strace", &["strace"]) {
        return;
    }
    let directory = TempDir::new();
    let token = directory.file("token", SECRET);
    let record = directory.join("record");
    let server = Server::start(&[]);
    let target = format!("http://{}", server.address);
    let run = |agents: &str, mut command: Command| {
        let load = "--quiet -n 60 --workers 2 --connections 4";
        command.args(load.split(' '));
        command.args([
            "--target",
            &target,
            "--agents",
            agents,
            "--token-file",
            &token,
        ]);
        ended(&mut command)
    };
    // Of an agent: it says why, and takes the next run.
    let refused = each_refused(|nth| {
        let agent = ["load", "--agent", "127.0.0.1:0", "--token-file", &token];
        let mut agent = Agent::spawn(without_thread(nth, &record, &agent));
        let (code, _, err) = run(&agent.address, load(&[]));
        let line = agent.line();
        if !has_failed(&record) {
            assert_eq!(code, 0, "{err}");
            return false;
        }
        for text in [&err, &line] {
            assert!(
                code == 69 && text.contains("raise the limit of threads"),
                "{text}"
            );
        }
        let (code, _, err) = run(&agent.address, load(&[]));
        assert_eq!(code, 0, "thread {nth}, next run: {err}");
        true
    });
    assert_eq!(
        refused, 3,
        "two workers, and what listens to the coordinator"
    );
    // Of the coordinator: nothing is sent.
    let (_a, _b, agents) = two(&token);
    let refused = each_refused(|nth| {
        let sent = server
            .metrics()
            .sum("trident_requests_total{endpoint=\"blockchain\"");
        let (code, _, err) = run(
            &agents[1],
            without_thread(nth, &record, &["load", "--no-preflight"]),
        );
        let was_refused = has_failed(&record);
        let is_refusal = code == 1 && err.contains("raise the limit of threads");
        assert!(
            was_refused == is_refusal && (was_refused || code == 0),
            "thread {nth}: {err}"
        );
        assert!(
            !was_refused
                || server
                    .metrics()
                    .sum("trident_requests_total{endpoint=\"blockchain\"")
                    == sent
        );
        was_refused
    });
    assert_eq!(refused, 3, "one for each agent, and what stops them");
}
