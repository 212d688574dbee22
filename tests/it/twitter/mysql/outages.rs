//! The database goes down, hangs, is slow, comes back.

use super::*;
use crate::harness::{READY, pace};
use std::{
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64},
    thread,
    time::{Duration, Instant},
};

/// Far above the configured deadline, far below a client's patience: an answer that takes longer missed the deadline.
const HUNG: Duration = Duration::from_secs(15);

fn timed_ask(client: &mut Client, query: &str) -> Response {
    let start = Instant::now();
    let response = ask(client, query);
    assert!(start.elapsed() < HUNG, "{query}: {:?}", start.elapsed());
    response
}

/// Killed and started again three times under load: users in the cache are served throughout, others get 503, nobody
/// gets a wrong answer, and service resumes by itself.
#[test]
fn a_database_that_crashes_is_survived() {
    let Some((_place, mut database)) = filled(2000, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &["twitter.mysql_deadline_ms=1000"]);
    let mut client = server.connect();
    for user in 1..=100 {
        assert_eq!(ask(&mut client, &about(user)).status, 200);
    }
    let is_over = AtomicBool::new(false);
    let new = AtomicU64::new(1 << 40);
    thread::scope(|scope| {
        for start in 0..3u64 {
            let (server, is_over, new) = (&server, &is_over, &new);
            scope.spawn(move || {
                let (mut client, mut user) = (server.connect(), start * 500);
                while !is_over.load(Relaxed) {
                    user = user % 2000 + 1;
                    // Users that nobody has asked for keep the database busy.
                    for user in [user, new.fetch_add(1, Relaxed)] {
                        let got = timed_ask(&mut client, &about(user));
                        if got.status == 200 {
                            let want = match user {
                                ..=2000 => answer(user, "first"),
                                _ => format!("{TEAM_LINE}INVALID"),
                            };
                            assert_eq!(got.text(), want);
                        } else {
                            assert!(user > 100, "{user} is in the cache");
                            assert_refused(&got);
                            pace(Duration::from_millis(1)); // leaves the processor to MariaDB
                        }
                    }
                }
            });
        }
        for _ in 0..3 {
            let before = new.load(Relaxed);
            assert!(eventually(|| new.load(Relaxed) > before + 100));
            database.crash();
            let mut probe = server.connect();
            for _ in 0..5 {
                let user = new.fetch_add(1, Relaxed);
                assert_refused(&timed_ask(&mut probe, &about(user)));
            }
            assert_eq!(ask(&mut probe, &about(50)).text(), answer(50, "first"));
            assert_eq!(
                server.ask(READY).status,
                200,
                "others must go on being served"
            );
            assert_eq!(server.metric("trident_database_up"), 0);
            database.restart();
            let mut is_back = || {
                let user = new.fetch_add(1, Relaxed);
                timed_ask(&mut probe, &about(user)).status == 200
            };
            assert!(eventually(&mut is_back));
        }
        is_over.store(true, Relaxed);
    });
    let mut client = server.connect();
    for user in 1..=2000 {
        assert_eq!(ask(&mut client, &about(user)).text(), answer(user, "first"));
    }
    server.logged("database of /twitter is down");
    server.logged("database of /twitter is there");
}

/// A server that accepts and says nothing is worse than none: only the deadline helps.
#[test]
fn a_database_that_hangs_costs_the_deadline_and_the_queue_is_bounded() {
    let Some((_place, database)) = filled(50, &[]) else {
        return;
    };
    let settings = [
        "twitter.mysql_deadline_ms=5000",
        "twitter.mysql_queue_max=3",
    ];
    let server = connected_to(&database.url(), &settings);
    let mut warm = server.connect();
    assert_eq!(ask(&mut warm, &about(1)).status, 200);
    database.signal("STOP");
    let mut waiting: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for (client, user) in waiting.iter_mut().zip(10..) {
        client.send(&get(&about(user)));
    }
    assert!(eventually(|| server.metric("trident_database_waiting") == 3));
    let full = ask(&mut server.connect(), &about(20));
    assert_refused(&full);
    assert!(full.text().contains("too many lookups wait"), "{full:?}");
    assert_eq!(ask(&mut warm, &about(1)).text(), answer(1, "first"));
    for client in &mut waiting {
        assert_refused(&client.response().unwrap());
    }
    let reasons = ["busy", "deadline"].map(|reason| {
        server.metric(&format!(
            "trident_store_refused_total{{reason=\"{reason}\"}}"
        ))
    });
    assert_eq!(reasons, [1, 3]);
    database.signal("CONT");
    let mut client = server.connect();
    assert!(eventually(|| ask(&mut client, &about(30)).status == 200));
    assert_eq!(ask(&mut client, &about(10)).text(), answer(10, "first"));
}

/// A connection that the server has closed is replaced without anybody noticing.
#[test]
fn connections_that_the_server_closes_are_replaced() {
    let Some((_place, database)) = filled(50, &["--wait-timeout=1"]) else {
        return;
    };
    let server = serve_from(&database.url(), &["twitter.mysql_deadline_ms=10000"]);
    let mut client = server.connect();
    for round in 0..3 {
        for user in round * 10 + 1..=round * 10 + 10 {
            assert_eq!(ask(&mut client, &about(user)).text(), answer(user, "first"));
        }
        let gone = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'trident' AND time > 0";
        assert!(eventually(|| database.number(gone) == 0));
    }
    assert_eq!(server.metric("trident_store_refused_total"), 0);
}

/// Not ready before the first connection. A later outage makes it unready only if the setting says so.
#[test]
fn readiness_waits_for_the_first_connection() {
    let Some((_place, mut database)) = filled(5, &[]) else {
        return;
    };
    database.crash();
    let settings = ["twitter.mysql_connect_timeout_ms=1000"];
    let patient = serve_from(&database.url(), &settings);
    let strict = serve_from(
        &database.url(),
        &[settings[0], "twitter.mysql_outage_unready=true"],
    );
    for server in [&patient, &strict] {
        let unready = server.ask(READY);
        assert_eq!(unready.status, 503);
        assert!(unready.text().contains("database"), "{unready:?}");
        assert_refused(&ask(&mut server.connect(), &about(1)));
        let qrcode = b"GET /qrcode?type=encode&data=a HTTP/1.1\r\nHost: t\r\n\r\n";
        assert_eq!(server.ask(qrcode).status, 200, "everything else is served");
    }
    database.restart();
    for server in [&patient, &strict] {
        assert!(eventually(|| server.ask(READY).status == 200));
        let mut client = server.connect();
        assert!(eventually(
            || ask(&mut client, &about(1)).text() == answer(1, "first")
        ));
    }
    database.crash();
    for (server, status) in [(&patient, 200), (&strict, 503)] {
        assert_refused(&timed_ask(&mut server.connect(), &about(2)));
        assert_eq!(server.ask(READY).status, status);
    }
    database.restart();
    assert!(eventually(|| strict.ask(READY).status == 200));
}

/// Waiting lookups are answered before the process ends.
#[test]
fn a_stop_waits_for_lookups_under_way() {
    let Some((_place, database)) = filled(5, &[]) else {
        return;
    };
    let settings = [
        "drain.accept_ms=0",
        "drain.quiet_ms=0",
        "drain.deadline_ms=600000",
        "twitter.mysql_deadline_ms=60000",
    ];
    let mut server = connected_to(&database.url(), &settings);
    database.signal("STOP");
    let mut client = server.connect();
    client.send(&get(&about(2)));
    assert!(eventually(|| server.metric("trident_database_waiting") == 1));
    server.signal("TERM");
    let refuses = || TcpStream::connect(server.address).is_err();
    assert!(eventually(refuses), "accepting goes on");
    database.signal("CONT");
    let got = client.response().unwrap();
    assert!(got.closes() && got.text() == answer(2, "first"), "{got:?}");
    assert!(server.wait().success());
}
