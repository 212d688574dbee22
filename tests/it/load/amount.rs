//! The amount that is sent: a number of requests, connections with a lifetime, and runs that end because they cannot
//! pass.

use super::{
    HELLO, ended, ended_against, load, reported_against,
    standin::{Reply, StandIn, answer},
};
use crate::harness::pace;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

fn honest() -> StandIn {
    StandIn::always(|| Reply::Bytes(answer(200, "hello")))
}

/// Requests of the run, without the one before it.
fn sent(server: &StandIn) -> u64 {
    server.requests.load(Relaxed) - 1
}

#[test]
fn a_number_of_requests_is_that_number() {
    for flags in [
        "-n 1",
        "-n 250 -c 3",
        "-n 250 -c 300",
        "-n 1001 -c 7 --pipeline 5 --workers 3",
        "-n 100 --rate 1000",
        "-n 101 --rate 5000 --workers 2",
    ] {
        let server = honest();
        let (code, report) = reported_against(&server, HELLO, flags);
        assert_eq!(code, 0, "{flags}: {report}");
        let number: u64 = flags.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(report["total"]["requests"], number, "{flags}");
        assert_eq!(sent(&server), number, "{flags}");
    }
}

#[test]
fn failed_requests_count_among_them() {
    let server = StandIn::start(|number| match number % 10 {
        9 => Reply::Reset,
        _ => Reply::Bytes(answer(200, "hello")),
    });
    let (code, report) = reported_against(&server, HELLO, "-n 200 -c 2");
    assert_eq!((code, &report["total"]["requests"]), (1, &200.into()));
    assert_eq!(report["total"]["failed"]["reset"], 20, "{report}");
}

#[test]
fn what_comes_first_ends_the_run() {
    let server = honest();
    let flags = "-n 1000000000 --duration 300ms -c 2";
    let (code, report) = reported_against(&server, HELLO, flags);
    assert_eq!((code, &report["measured_s"]), (0, &0.3.into()), "{report}");
    let flags = "-n 30 --warmup 200ms -c 2";
    let (code, report) = reported_against(&server, HELLO, flags);
    // answers that were on their way when the warm-up ended count, too
    let counted = report["total"]["requests"].as_u64().unwrap();
    assert!(code == 0 && (30..=32).contains(&counted), "{report}");
    assert_eq!(report["stages"][0]["measured"], false);
}

#[test]
fn a_connection_carries_as_many_requests_as_it_may() {
    for (flags, connections) in [
        ("-n 100 -c 1 --connection-requests 1", 100),
        ("-n 100 -c 1 --connection-requests 7", 15),
        ("-n 120 -c 1 --connection-requests 12 --pipeline 4", 10),
        ("-n 100 -c 1 --connection-requests 5 --rate 2000", 20),
        (
            "-n 100 -c 1 --connection-requests 5 --rate 2000 --pipeline 3",
            20,
        ),
    ] {
        let server = honest();
        let (code, report) = reported_against(&server, HELLO, flags);
        assert_eq!(code, 0, "{flags}: {report}");
        assert_eq!(report["total"]["requests"], report["total"]["correct"]);
        // one more for the request before the run
        let opened = server.connections.load(Relaxed) - 1;
        assert_eq!(opened, connections, "{flags}");
    }
}

#[test]
fn a_connection_lives_as_long_as_it_may() {
    let server = honest();
    let flags = "-n 40 --rate 100 -c 1 --connection-time 100ms";
    let (code, report) = reported_against(&server, HELLO, flags);
    assert_eq!(code, 0, "{report}");
    // 0.4 s of life; a busy machine may open fewer, but never more
    let opened = server.connections.load(Relaxed) - 1;
    assert!((2..=4).contains(&opened), "{opened}");
}

#[test]
fn a_run_that_cannot_pass_any_more_ends() {
    let slow = || {
        pace(Duration::from_millis(20));
        Reply::Bytes(answer(200, "hello"))
    };
    for flags in [
        "--require max<1ms",
        "--require e.errors<1%,p99<1ms --rate 5 -n 20",
        "--require mean<1ms -n 100",
        "--require rps>=1000000 -c 1",
    ] {
        let server = StandIn::always(slow);
        let flags = format!("{flags} --duration 1h --warmup 0 --quiet");
        let (code, out, err) = ended_against(&server, HELLO, &flags);
        assert_eq!(code, 1, "{flags}: {out}{err}");
        assert!(out.contains("ended early: "), "{flags}: {out}");
        assert!(out.contains("could no longer hold after"), "{out}");
        assert!(out.contains("not met: "), "{out}");
    }
    // Default conditions do not end a run early.
    let server = StandIn::always(|| Reply::Bytes(answer(200, "hallo")));
    let (code, out, _) = ended_against(&server, HELLO, "--duration 1200ms --quiet");
    assert_eq!(code, 1, "{out}");
    assert!(!out.contains("ended early"), "{out}");
}

#[test]
fn a_url_alone_is_enough() {
    let server = crate::harness::Server::start(&[]);
    let address = server.address.to_string();
    for url in [address.clone(), format!("http://{address}/")] {
        let (code, out, err) = ended(load(&[&url]).args(["-n", "300", "--quiet"]));
        assert_eq!(code, 0, "{url}: {out}{err}");
        assert!(
            out.contains("blockchain") && out.contains("p99.999"),
            "{out}"
        );
    }
}
