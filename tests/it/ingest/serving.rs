//! Queries, reloads and other programs while tweets come in.

use super::*;
use crate::harness::{eventually, pace};
use std::{
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

const ON: &str = "twitter.ingest=admin";

/// Sets the flag however the test ends, so that nobody waits for ever for a failed test.
struct Ending<'d>(&'d AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Queries for every user of a store, of each type.
fn queries(path: &Path) -> Vec<Vec<u8>> {
    let mut dump = Vec::new();
    maintenance::dump(path, &mut dump).unwrap();
    let users = String::from_utf8(dump).unwrap();
    let users = users.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["user_id"].as_u64().unwrap()
    });
    let kinds = ["reply", "retweet", "both"];
    users
        .flat_map(|user| kinds.map(|kind| (user, kind)))
        .map(|(user, kind)| {
            let query = format!("user_id={user}&type={kind}&phrase=a&hashtag=cloud");
            format!("GET /twitter?{query} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes()
        })
        .collect()
}

fn answers(server: &Server, queries: &[Vec<u8>]) -> Vec<String> {
    let mut client = server.connect();
    queries
        .iter()
        .map(|query| client.ask(query).text())
        .collect()
}

/// Batches through the socket, plain and gzip, while clients query without a pause and a dump runs: no query fails, and
/// in the end each is answered as from a store of the whole.
#[test]
fn queries_go_on_and_end_up_equal() {
    for seed in [101, 102, 103] {
        let split = split(lines(seed, 700, 50), seed, 12, false);
        let whole = split.directory.join("other");
        let queries = queries(&whole);
        let server = serve(&split.path, &[ON]);
        let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for start in [0, queries.len() / 2] {
                let (server, queries, done, asked) = (&server, &queries, &done, &asked);
                scope.spawn(move || {
                    let mut client = server.connect();
                    for query in queries.iter().cycle().skip(start) {
                        let answer = client.ask(query);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        asked.fetch_add(1, Relaxed);
                        if done.load(Relaxed) {
                            break;
                        }
                    }
                });
            }
            let _ending = Ending(&done);
            let mut client = admin(&server);
            for (n, batch) in split.batches.iter().enumerate() {
                let request = match n % 2 {
                    0 => post(batch, ""),
                    _ => post(&gzip(batch), GZIP),
                };
                counts(&client.ask(&request));
                if n % 4 == 0 {
                    verify(&split.path);
                }
            }
        });
        assert!(asked.load(Relaxed) > split.batches.len());
        assert_eq!(verify(&split.path), split.expected[0], "seed {seed}");
        assert_eq!(
            server.metric("trident_store_lookups_total{result=\"corrupt\"}"),
            0
        );
        assert_eq!(
            server.metric("trident_store_lookups_total{result=\"failed\"}"),
            0
        );
        let other = serve(&whole, &[]);
        assert!(
            answers(&server, &queries) == answers(&other, &queries),
            "seed {seed}"
        );
        // A server that takes no tweets reads the updates all the same.
        let reader = serve(&split.path, &[]);
        assert!(
            answers(&reader, &queries) == answers(&other, &queries),
            "seed {seed}"
        );
    }
}

/// Reloads while batches come in: an accepted batch is in the store it was accepted for, and the store that replaces it
/// continues from its own content.
#[test]
fn stores_are_replaced_while_tweets_come_in() {
    let split = split(lines(9, 600, 40), 9, 20, true);
    let server = serve(&split.path, &[ON]);
    let mut client = admin(&server);
    let reload = b"POST /admin/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    let at = |name: &str| split.directory.join(name);
    let mut taken = 0;
    for (n, batch) in split.batches.iter().enumerate() {
        counts(&client.ask(&post(batch, "")));
        taken += 1;
        if n % 4 == 1 {
            // What an operator does to keep updates small.
            let snapshot = at(&format!("snapshot{n}"));
            maintenance::snapshot(&split.path, &snapshot).unwrap();
            maintenance::restore(&snapshot, &split.path, true).unwrap();
            // Not yet reloaded: the open store no longer has the name.
            let late = client.ask(&post(&split.batches[n + 1], ""));
            assert_eq!((late.status, late.field("retry-after")), (503, Some("1")));
            assert!(late.text().contains("reload"), "{}", late.text());
            if n % 8 == 1 {
                server.signal("HUP");
                let reloaded = || client.ask(&post(b"", "")).status == 200;
                assert!(eventually(reloaded));
            } else {
                let answer = client.ask(reload);
                assert!(answer.text().starts_with("replaced"), "{}", answer.text());
            }
        }
        assert_eq!(verify(&split.path), split.expected[taken]);
    }
    // An older store takes its place: the batches may be sent again.
    let restored = at("snapshot1");
    maintenance::restore(&restored, &split.path, true).unwrap();
    assert!(client.ask(reload).text().starts_with("replaced"));
    for batch in &split.batches[2..] {
        counts(&client.ask(&post(batch, "")));
    }
    assert_eq!(verify(&split.path), split.expected[split.batches.len()]);
}

/// What an operator does to keep updates small, while batches come in without a pause: a refused batch is sent again,
/// and in the end all are stored.
#[test]
fn a_store_is_folded_while_tweets_come_in() {
    let split = split(lines(12, 900, 60), 12, 60, false);
    let server = serve(&split.path, &[ON]);
    let (done, folds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let folded = Command::new(env!("CARGO_BIN_EXE_trident"))
                    .args(["store", "fold"])
                    .arg(&split.path)
                    .output()
                    .unwrap();
                let error = String::from_utf8_lossy(&folded.stderr);
                assert!(folded.status.success(), "{error}");
                folds.fetch_add(1, Relaxed);
                server.signal("HUP");
            }
        });
        let _ending = Ending(&done);
        let mut client = admin(&server);
        let mut refused = 0;
        for (n, batch) in split.batches.iter().enumerate() {
            assert!(eventually(|| folds.load(Relaxed) >= n / 15));
            while client.ask(&post(batch, "")).status == 503 {
                refused += 1;
                pace(std::time::Duration::from_millis(1));
            }
        }
        refused
    });
    assert!(
        refused > 0,
        "none of {} folds was noticed",
        folds.load(Relaxed)
    );
    assert_eq!(verify(&split.path), split.expected[0]);
    maintenance::fold(&split.path).unwrap();
    assert_eq!(maintenance::stat(&split.path).unwrap().updates, None);
    assert_eq!(verify(&split.path), split.expected[0]);
}

/// Two servers with one store: both take tweets, and each answers with the tweets that the other took.
#[test]
fn two_servers_share_a_store() {
    let split = split(lines(10, 500, 40), 10, 10, false);
    let queries = queries(&split.directory.join("other"));
    let servers = [serve(&split.path, &[ON]), serve(&split.path, &[ON])];
    thread::scope(|scope| {
        for (n, server) in servers.iter().enumerate() {
            let batches = split.batches.iter().skip(n).step_by(2);
            scope.spawn(move || {
                let mut client = admin(server);
                for batch in batches {
                    counts(&client.ask(&post(batch, "")));
                }
            });
        }
    });
    assert_eq!(verify(&split.path), split.expected[0]);
    assert!(answers(&servers[0], &queries) == answers(&servers[1], &queries));
}

/// A server started before the first update sees it after a reload, and `trident store` reports updates.
#[test]
fn updates_that_others_begin_are_seen_after_a_reload() {
    let split = split(lines(11, 300, 30), 11, 1, false);
    let queries = queries(&split.directory.join("other"));
    let reader = serve(&split.path, &[]);
    let writer = serve(&split.path, &[ON]);
    counts(&admin(&writer).ask(&post(&split.batches[0], "")));
    let reload = b"POST /admin/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    let answer = admin(&reader).ask(reload);
    assert!(
        answer.text().starts_with("replaced") && answer.text().contains("updates=1"),
        "{}",
        answer.text()
    );
    assert!(answers(&reader, &queries) == answers(&writer, &queries));
    let stat = Command::new(env!("CARGO_BIN_EXE_trident"))
        .args(["store", "stat"])
        .arg(&split.path)
        .output()
        .unwrap();
    let stat = String::from_utf8(stat.stdout).unwrap();
    assert!(stat.contains("batches 1; with them: users "), "{stat}");
}
