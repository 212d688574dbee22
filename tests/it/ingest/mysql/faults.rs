//! Instances that are killed, locks, deadlocks, connections that are lost at the worst moment.

use super::*;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// Kills at random points until all batches are in; after each kill the database holds the batches accepted so far, or
/// one more, whose answer was lost.
#[test]
fn no_accepted_batch_is_lost_with_its_instance() {
    let split = split(lines(321, 500, 40), 321, 12, true);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    let (mut random, mut accepted) = (Random(321), 0);
    while accepted < split.batches.len() {
        let server = serve_from(&database.url(), &[ON]);
        accepted += send_until_killed(&server, &mut random, &split.batches[accepted..]);
        drop(server);
        let found = checksums(&database);
        let is_of = |n: usize| {
            split
                .expected
                .get(n)
                .is_some_and(|meta| checksums_of(meta) == found)
        };
        assert!(
            is_of(accepted) || is_of(accepted + 1),
            "{accepted} accepted"
        );
        // A batch that is stored although its answer was lost is not sent again.
        if !is_of(accepted) {
            accepted += 1;
        }
    }
}

/// Makes the server refuse the next `times` updates of the number.
fn refuse(database: &Database, code: u16, times: u32) {
    database.root(&format!(
        "CREATE OR REPLACE TABLE trident.faults (n INT) ENGINE=MyISAM; \
         INSERT INTO trident.faults VALUES ({times}); \
         DROP TRIGGER IF EXISTS trident.fault"
    ));
    database.root(&format!(
        "DELIMITER //\nCREATE TRIGGER trident.fault BEFORE UPDATE ON trident.trident_batch FOR EACH ROW \
         IF (SELECT n FROM trident.faults) > 0 THEN UPDATE trident.faults SET n = n - 1; \
         SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {code}; END IF//"
    ));
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let split = split(lines(322, 300, 30), 322, 6, true);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &[ON]);
    for (n, code) in [1213, 1205, 1047, 1290, 1180].into_iter().enumerate() {
        refuse(&database, code, 3);
        let counts = counts(&admin(&server).ask(&post(&split.batches[n], "")));
        assert_eq!(counts["batch"], n as u64 + 1, "{code}");
        assert_eq!(database.number("SELECT n FROM trident.faults"), 0);
        assert_eq!(
            checksums(&database),
            checksums_of(&split.expected[n + 1]),
            "{code}"
        );
    }
    let impatient = serve_from(&database.url(), &[ON, "twitter.mysql_write_ms=500"]);
    for (code, status) in [(1213, 503), (1064, 500)] {
        refuse(&database, code, 1_000_000);
        let answer = admin(&impatient).ask(&post(&split.batches[5], ""));
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.field("retry-after").is_some(), status == 503);
        // The lock of a finished batch is free; an open connection would keep it for 30 seconds.
        database.root("SELECT number FROM trident.trident_batch FOR UPDATE WAIT 10");
        assert_eq!(checksums(&database), checksums_of(&split.expected[5]));
    }
    refuse(&database, 1213, 0);
    counts(&admin(&impatient).ask(&post(&split.batches[5], "")));
    assert_eq!(checksums(&database), checksums_of(&split.expected[6]));
}

const WAITING: &str = "SELECT COUNT(*) FROM information_schema.processlist \
                       WHERE user = 'trident' AND info LIKE '%FOR UPDATE'";

/// While another client has the lock, the batch waits; if its connection is killed meanwhile, it begins again.
#[test]
fn a_batch_waits_for_its_turn() {
    let split = split(lines(323, 200, 30), 323, 1, false);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &[ON, "twitter.mysql_write_ms=60000"]);
    let holder = database.holding("SELECT number FROM trident.trident_batch FOR UPDATE");
    let mut client = admin(&server);
    client.send(&post(&split.batches[0], ""));
    assert!(eventually(|| database.number(WAITING) == 1));
    let id = database.number(&WAITING.replace("COUNT(*)", "MAX(id)"));
    database.root(&format!("KILL {id}"));
    let begins_again =
        || database.number(&WAITING.replace("COUNT(*)", "COALESCE(MAX(id), 0)")) > id;
    assert!(eventually(begins_again));
    assert!(!client.has_unread());
    drop(holder);
    assert_eq!(counts(&client.response().unwrap())["batch"], 1);
    assert_eq!(checksums(&database), checksums_of(&split.expected[0]));
}

/// What the proxy does with COMMIT.
const PASS: u32 = 0;
/// It arrives, and its answer does not.
const LOSE_ANSWER: u32 = 1;
/// It does not arrive.
const LOSE_COMMIT: u32 = 2;
/// As [`LOSE_ANSWER`], and nobody can connect from then on.
const LOSE_ALL: u32 = 3;
const GONE: u32 = 4;
/// It arrives, and its answer does not; the sender's connection stays, and it waits.
const HOLD_ANSWER: u32 = 5;
/// It does not arrive; the sender's connection stays, and it waits.
const HOLD_COMMIT: u32 = 6;
/// The next COMMIT, to which one of these two applies, has been seen.
const HELD: u32 = 7;

/// A proxy that does this to the next COMMIT.
fn proxy(database: SocketAddr) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mode = Arc::new(AtomicU32::new(PASS));
    let shared = Arc::clone(&mode);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(database)) else {
                continue;
            };
            if shared.load(Relaxed) == GONE {
                continue;
            }
            let mode = Arc::clone(&shared);
            thread::spawn(move || {
                let (back, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let held = Arc::clone(&mode);
                let passes = move |_: &[u8]| eventually(|| held.load(Relaxed) != HELD);
                thread::spawn(move || pump(&back, &to_client, passes));
                pump(&client, &server, |bytes| {
                    let commits = bytes.windows(6).any(|text| text == b"COMMIT");
                    !commits || harm(&client, &server, bytes, &mode)
                });
            });
        }
    });
    (address, mode)
}

/// Does to a COMMIT what `mode` says; whether it passes.
fn harm(mut client: &TcpStream, mut server: &TcpStream, bytes: &[u8], mode: &AtomicU32) -> bool {
    let harm = mode.load(Relaxed);
    let holds = [HOLD_ANSWER, HOLD_COMMIT].contains(&harm);
    let next = match harm {
        LOSE_ALL => GONE,
        _ if holds => HELD,
        _ => PASS,
    };
    mode.store(next, Relaxed);
    if harm == PASS {
        return true;
    }
    if !holds {
        let _ = client.shutdown(Shutdown::Both);
    }
    if [LOSE_ANSWER, LOSE_ALL, HOLD_ANSWER].contains(&harm) {
        let _ = server.write_all(bytes);
    }
    if holds {
        // The database hears of an end when the client is gone, and not before.
        let _ = client.read(&mut [0]);
    }
    false
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 || !passes(&bytes[..count]) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Only this direction, so that bytes already written arrive.
    let _ = to.shutdown(Shutdown::Write);
}

/// The connection is lost in COMMIT: the answer is still the batch's own, and the batch is stored once.
#[test]
fn a_lost_commit_is_settled() {
    let split = split(lines(324, 200, 30), 324, 5, true);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    let (address, mode) = proxy(database.address());
    let url = database.url_through(address);
    let server = serve_from(&url, &[ON]);
    for (n, harm) in [LOSE_ANSWER, LOSE_COMMIT, LOSE_ANSWER]
        .into_iter()
        .enumerate()
    {
        mode.store(harm, Relaxed);
        let counts = counts(&admin(&server).ask(&post(&split.batches[n], "")));
        assert_eq!(counts["batch"], n as u64 + 1, "{harm}: {counts}");
        assert!(
            counts["tweets_new"].as_u64().unwrap() > 0,
            "{harm}: {counts}"
        );
        assert_eq!(mode.load(Relaxed), PASS);
        assert_eq!(
            checksums(&database),
            checksums_of(&split.expected[n + 1]),
            "{harm}"
        );
    }
    // The outcome is unknown: the answer is not 200, and sending the batch again does no harm.
    let impatient = serve_from(&url, &[ON, "twitter.mysql_write_ms=1000"]);
    mode.store(LOSE_ALL, Relaxed);
    let answer = admin(&impatient).ask(&post(&split.batches[3], ""));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer
            .text()
            .contains("it may have been taken; send it again"),
        "{}",
        answer.text()
    );
    mode.store(PASS, Relaxed);
    assert_eq!(checksums(&database), checksums_of(&split.expected[4]));
    let again = counts(&admin(&server).ask(&post(&split.batches[3], "")));
    assert_eq!(
        (&again["batch"], &again["tweets_new"]),
        (&0.into(), &0.into())
    );
    counts(&admin(&impatient).ask(&post(&split.batches[4], "")));
    assert_eq!(checksums(&database), checksums_of(&split.expected[5]));
}

/// An instance is killed between COMMIT and its answer. Nobody was told anything; the batch is in or it is not, as far as
/// COMMIT came, and sent again through another instance it is in once.
#[test]
fn an_instance_may_be_killed_in_commit() {
    let split = split(lines(326, 200, 30), 326, 6, true);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    let (address, mode) = proxy(database.address());
    let url = database.url_through(address);
    let mut number = 0;
    for (n, batch) in split.batches.iter().enumerate() {
        let [before, after] = [n, n + 1].map(|n| checksums_of(&split.expected[n]));
        // One that changes nothing has no COMMIT.
        if before == after {
            continue;
        }
        let arrives = number % 2 == 0;
        let mut server = serve_from(&url, &[ON]);
        mode.store(if arrives { HOLD_ANSWER } else { HOLD_COMMIT }, Relaxed);
        let mut client = admin(&server);
        client.send(&post(batch, ""));
        let is_held = eventually(|| mode.load(Relaxed) == HELD);
        assert!(is_held, "{n}: {}", server.log());
        assert!(!client.has_unread());
        server.signal("KILL");
        assert!(client.response().is_none());
        server.wait();
        mode.store(PASS, Relaxed);
        let expected = if arrives { after } else { before };
        assert_eq!(checksums(&database), expected, "batch {n}");
        number += 1;
        let other = serve_from(&database.url(), &[ON]);
        let counts = counts(&admin(&other).ask(&post(batch, "")));
        assert_eq!(
            counts["batch"],
            if arrives { 0 } else { number },
            "{counts}"
        );
        assert_eq!(checksums(&database), after);
        assert_eq!(batches_in(&database), number);
    }
    assert!(number >= 4, "only {number} were tried");
}

/// The database dies between COMMIT and its answer, and comes back. The instance finds out, and answers what is true.
#[test]
fn a_database_may_be_killed_in_commit() {
    let split = split(lines(328, 200, 30), 328, 4, true);
    let durable = ["--innodb-flush-log-at-trx-commit=1"];
    let Some(mut database) = loaded(&split, &durable) else {
        return;
    };
    let (address, mode) = proxy(database.address());
    let url = database.url_through(address);
    let server = serve_from(&url, &[ON, "twitter.mysql_write_ms=60000"]);
    for (n, batch) in split.batches.iter().enumerate() {
        mode.store([HOLD_COMMIT, HOLD_ANSWER][n % 2], Relaxed);
        let mut client = admin(&server);
        client.send(&post(batch, ""));
        assert!(eventually(|| mode.load(Relaxed) == HELD), "{n}");
        database.crash();
        mode.store(PASS, Relaxed);
        database.restart();
        let counts = counts(&client.response().unwrap());
        assert_eq!(counts["batch"], n as u64 + 1, "{counts}");
        assert_eq!(checksums(&database), checksums_of(&split.expected[n + 1]));
    }
}

/// The database ends as in a power cut and comes back: batches meanwhile are taken when it is there again.
#[test]
fn a_database_that_crashes_keeps_what_was_accepted() {
    let split = split(lines(325, 300, 30), 325, 4, true);
    let durable = ["--innodb-flush-log-at-trx-commit=1"];
    let Some(mut database) = loaded(&split, &durable) else {
        return;
    };
    let server = serve_from(&database.url(), &[ON, "twitter.mysql_write_ms=60000"]);
    for (n, batch) in split.batches.iter().enumerate() {
        database.crash();
        let mut client = admin(&server);
        client.send(&post(batch, ""));
        database.restart();
        assert_eq!(counts(&client.response().unwrap())["batch"], n as u64 + 1);
        database.crash();
        database.restart();
        assert_eq!(checksums(&database), checksums_of(&split.expected[n + 1]));
    }
}
