//! Time: slow senders, slow readers, and clients that do nothing at all.
//!
//! Deadlines of the servers here are short, and no test asks how long something took. Connections that must end are
//! awaited. Connections that must live are used after a witness has ended: a connection that was begun later and is
//! ended by the same deadline.

use std::{
    io::{ErrorKind, Write},
    thread,
    time::{Duration, Instant},
};

use trident::{
    http::{Handled, Limits, Reply, Request, Service},
    metrics::Counter,
};

use crate::{
    far_end::visit_all_workers,
    harness::{Client, GET, PATIENCE, Server, eventually, pace},
    in_process::{Echo, InProcess},
    serve::notify::endless_search,
};

const HALF_A_HEAD: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: t\r\nX: ";
const HALF_A_BODY: &[u8] =
    b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nxxx";
const HALF_A_CHUNK: &[u8] =
    b"POST /blockchain HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nxxx";

/// A server where one deadline is short and all others are long.
fn impatient(deadline: &str) -> Server {
    let all = ["head", "body", "idle", "write"];
    assert!(all.contains(&deadline));
    let settings = all.map(|name| {
        let ms = if name == deadline { 2_000 } else { 120_000 };
        format!("http.{name}_timeout_ms={ms}")
    });
    Server::with(&settings.each_ref().map(String::as_str))
}

/// Reads until the server ends the connection. Returns the last status, if there was an answer.
fn last_status(client: &mut Client) -> Option<u16> {
    let mut last = None;
    while let Some(answer) = client.response() {
        assert_eq!(answer.closes(), answer.status != 200);
        last = Some(answer.status);
    }
    last
}

/// Sends a byte now and then until the server ends the connection; returns the bytes sent.
fn drip(client: &mut Client, byte: u8) -> usize {
    let give_up = Instant::now() + PATIENCE;
    let mut sent = 0;
    client.stream.set_nonblocking(true).unwrap();
    while let Err(error) = client.stream.peek(&mut [0]) {
        assert_eq!(
            error.kind(),
            ErrorKind::WouldBlock,
            "reset without an answer"
        );
        assert!(Instant::now() < give_up, "still open after {sent} bytes");
        let _ = client.stream.write(&[byte]);
        sent += 1;
        pace(Duration::from_millis(50));
    }
    client.stream.set_nonblocking(false).unwrap();
    sent
}

/// Sends each of `all` on a connection of its own.
fn all_end_with_408(server: &Server, all: &[&[u8]]) {
    let clients = all.iter().map(|begun| (sending(server, begun), begun));
    for (mut client, begun) in clients.collect::<Vec<_>>() {
        let begun = String::from_utf8_lossy(begun);
        assert_eq!(last_status(&mut client), Some(408), "{begun:?}");
    }
}

/// A new connection with `bytes` on their way.
fn sending(server: &Server, bytes: &[u8]) -> Client {
    let mut client = server.connect();
    client.send(bytes);
    client
}

/// Of a process that is stopped, or a machine that is paused: the clock jumps, and the client could do nothing.
#[test]
fn time_in_which_the_server_did_not_run_counts_for_nobody() {
    let server = impatient("head");
    let mut client = server.connect();
    client.send(HALF_A_HEAD);
    assert!(eventually(|| server.connections_open() == 2));
    server.signal("STOP");
    pace(Duration::from_secs(6));
    server.signal("CONT");
    assert_eq!(server.ask(GET).status, 200, "it runs again");
    client.send(b"y\r\n\r\n");
    assert_eq!(client.response().map(|answer| answer.status), Some(200));
}

#[test]
fn half_a_head_is_answered_408() {
    let server = impatient("head");
    all_end_with_408(
        &server,
        &[b"G", b"\r\n", HALF_A_HEAD, &[GET, HALF_A_HEAD].concat()],
    );
    assert_eq!(
        server.metric("trident_connections_expired_total{phase=\"head\"}"),
        4
    );
}

/// The deadline is that of the whole head, not of the next byte.
#[test]
fn a_dripping_head_is_answered_408() {
    let server = impatient("head");
    let mut client = server.connect();
    client.send(HALF_A_HEAD);
    drip(&mut client, b'x');
    assert_eq!(last_status(&mut client), Some(408));
}

#[test]
fn half_a_body_is_answered_408() {
    let server = impatient("body");
    all_end_with_408(
        &server,
        &[HALF_A_BODY, HALF_A_CHUNK, &[GET, HALF_A_BODY].concat()],
    );
    assert_eq!(
        server.metric("trident_connections_expired_total{phase=\"body\"}"),
        3
    );
}

#[test]
fn a_dripping_body_is_answered_408() {
    let server = impatient("body");
    for begun in [HALF_A_BODY, HALF_A_CHUNK] {
        let mut client = server.connect();
        client.send(begun);
        assert!(drip(&mut client, b'x') < 997, "the whole body was taken");
        assert_eq!(last_status(&mut client), Some(408));
    }
}

/// The deadline is that of one request: the next one has its own, even if it came in the same read.
#[test]
fn every_body_has_its_own_deadline() {
    let server = impatient("body");
    let mut client = server.connect();
    let head = "POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n";
    client.send(format!("{head}01234").as_bytes());
    client.await_read();
    let witness = sending(&server, HALF_A_BODY);
    let mut is_over = false;
    while !is_over {
        is_over = witness.is_closed();
        pace(Duration::from_millis(50));
        client.send(format!("56789{head}01234").as_bytes());
        let answer = client.response().expect("its own deadline");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let server = impatient("idle");
    let mut used = server.connect();
    assert_eq!(used.ask(GET).status, 200);
    assert_eq!(used.rest(), b"");
    let mut unused = impatient("head").connect();
    assert_eq!(unused.rest(), b"");
}

/// A request that crosses with the end of its idle connection is answered, not dropped.
#[test]
fn a_request_that_meets_the_end_of_its_connection_is_answered() {
    let service = InProcess::start(Echo, Limits::default());
    for round in 0..500 {
        let mut client = service.connect();
        assert!(!client.ask(GET).closes());
        client.send(GET);
        service.server.end_idle();
        let answer = client
            .response()
            .unwrap_or_else(|| panic!("dropped in round {round}"));
        assert_eq!(answer.status, 200);
        if answer.closes() {
            assert_eq!(client.rest(), b"");
        }
    }
    assert!(eventually(|| service.server.connections_open() == 0));
}

/// The same with only a part of the request: nothing to answer and nothing to wait for.
#[test]
fn part_of_a_request_does_not_keep_an_idle_connection() {
    let service = InProcess::start(Echo, Limits::default());
    for _ in 0..200 {
        let mut client = service.connect();
        client.ask(GET);
        client.send(&GET[..10]);
        service.server.end_idle();
        client.finish();
        client.rest();
    }
    assert!(eventually(|| service.server.connections_open() == 0));
    assert_eq!(service.server.buffered_bytes(), 0);
}

#[test]
fn a_connection_in_use_outlives_the_idle_deadline() {
    let server = impatient("idle");
    let mut client = server.connect();
    assert_eq!(client.ask(GET).status, 200);
    let mut witness = server.connect();
    assert_eq!(witness.ask(GET).status, 200);
    let mut is_over = false;
    while !is_over {
        is_over = witness.is_closed();
        pace(Duration::from_millis(50));
        assert_eq!(client.ask(GET).status, 200);
    }
}

/// Requests with a body, slow but in time, are not measured by the head's deadline.
#[test]
fn a_slow_body_outlives_the_head_deadline() {
    let server = impatient("head");
    let mut client = server.connect();
    client.send(HALF_A_BODY);
    client.await_read();
    let witness = sending(&server, HALF_A_HEAD);
    let mut left = 997; // of the body
    while !witness.is_closed() {
        client.send(b"x");
        left -= 1;
        pace(Duration::from_millis(50));
    }
    client.send(&vec![b'x'; left]);
    assert_eq!(client.response().expect("an answer").status, 200);
}

/// Pipelines requests without reading until the server takes no more; returns the bytes taken.
fn fill(client: &mut Client) -> usize {
    let batch = GET.repeat(1000);
    let mut taken = 0;
    let mut refused = 0; // with a turn of every worker between
    client.stream.set_nonblocking(true).unwrap();
    while refused < 3 {
        match client.stream.write(&batch[taken % batch.len()..]) {
            Ok(n) => {
                taken += n;
                refused = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                visit_all_workers(client.stream.peer_addr().unwrap());
            }
            Err(_) => break,
        }
        assert!(taken < 256 << 20, "the server takes everything");
    }
    client.stream.set_nonblocking(false).unwrap();
    taken
}

#[test]
fn clients_that_do_not_read_are_held_back_and_dropped() {
    const CLIENTS: usize = 8;
    let server = impatient("write");
    assert_eq!(server.ask(GET).status, 200);
    let before = server.resident_bytes();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        let taken = fill(client);
        // Bytes in the kernel's buffers on both sides are not the server's.
        assert!(
            taken < 64 << 20,
            "{taken} bytes taken from a client that does not read"
        );
    }
    let grown = server.resident_bytes().saturating_sub(before);
    // The write buffer of 256 KiB, the answers of one batch, one read of requests.
    let allowed = (CLIENTS + 2) as u64 * (1 << 20);
    assert!(
        grown <= allowed,
        "{grown} bytes for {CLIENTS} clients that do not read"
    );
    let dropped = || server.metric("trident_connections_expired_total{phase=\"write\"}");
    assert!(
        eventually(|| dropped() == CLIENTS as u64),
        "{} dropped",
        dropped()
    );
    for client in &mut clients {
        client.rest(); // ends: by reset, behind what the kernel had already
    }
    assert_eq!(server.ask(GET).status, 200);
}

/// Reading slowly is not the same as not reading.
#[test]
fn slow_readers_get_everything() {
    let server = impatient("write");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| read_slowly(&server));
        }
    });
}

fn read_slowly(server: &Server) {
    let mut client = server.connect();
    // With a large buffer the kernel lets the server write only once in a long while.
    socket2::SockRef::from(&client.stream)
        .set_recv_buffer_size(64 << 10)
        .unwrap();
    let asked = fill(&mut client) / GET.len();
    let mut witness = server.connect(); // does not read at all
    fill(&mut witness);
    let mut answers = 0;
    while !witness.is_closed() {
        for _ in 0..(asked - answers).div_ceil(40) {
            let answer = client.response().expect("an answer");
            assert_eq!(answer.status, 200);
            answers += 1;
        }
        pace(Duration::from_millis(100));
    }
    client.finish();
    while client.response().is_some() {
        answers += 1;
    }
    assert_eq!(answers, asked);
}

/// Answers `/large` with a large body, everything else with a small one.
struct Large;

const LARGE_BYTES: usize = 32 << 20;

impl Service for Large {
    type Worker = ();

    fn worker(&self) {}

    fn call(&self, _: &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let large = request.head.path == b"/large";
        let body_bytes = if large { LARGE_BYTES } else { 1 };
        reply.text(|out| out.resize(out.len() + body_bytes, b'x'));
        Counter::OtherValid.into()
    }
}

const GET_LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n";

/// The event that announces a request may come while the connection waits for room to write, and
/// further requests may be waiting in its buffer then.
#[test]
fn a_request_that_comes_while_answers_wait_for_room_is_not_forgotten() {
    let limits = Limits {
        pipelined_batch_max: 1,
        ..Limits::default()
    };
    let service = InProcess::start(Large, limits);
    let mut client = service.connect();
    for round in 0..5 {
        client.send(&[GET_LARGE, GET].concat());
        assert!(
            eventually(|| service.server.buffered_bytes() > 0),
            "no answer is waiting"
        );
        client.send(GET);
        let lengths = [(); 3].map(|()| client.response().expect("an answer").body.len());
        assert_eq!(lengths, [LARGE_BYTES, 1, 1], "round {round}");
    }
}

/// Once everything is written the client owes nothing, so the idle deadline counts.
#[test]
fn the_write_deadline_ends_with_the_last_byte() {
    let limits = Limits {
        write_timeout: Duration::from_secs(2),
        ..Limits::default()
    };
    let service = InProcess::start(Large, limits);
    let mut client = service.connect();
    for _ in 0..2 {
        client.send(GET_LARGE);
        assert!(
            eventually(|| service.server.buffered_bytes() > 0),
            "no answer is waiting"
        );
        let answer = client.response().expect("an answer");
        assert_eq!(answer.body.len(), LARGE_BYTES);
        let mut witness = service.connect();
        witness.send(GET_LARGE);
        witness.await_closed();
    }
}

/// After a refusal the peer's further bytes are dropped, but not for ever.
#[test]
fn lingering_is_bounded() {
    let limits = Limits {
        linger_bytes_max: 100_000,
        linger_timeout: Duration::from_millis(600),
        ..Limits::default()
    };
    let service = InProcess::start(Echo, limits);
    let refused = || {
        let mut client = service.connect();
        client.send(b"\0");
        assert_eq!(last_status(&mut client), Some(400));
        client
    };
    let mut by_time = refused();
    let mut by_bytes = refused();
    let closed = |client: &mut Client, piece: &[u8]| {
        let give_up = Instant::now() + PATIENCE;
        while client.stream.write_all(piece).is_ok() {
            assert!(Instant::now() < give_up, "still taking bytes");
            pace(Duration::from_millis(5));
        }
    };
    closed(&mut by_bytes, &vec![0; 50_000]);
    closed(&mut by_time, b"x");
    assert!(eventually(|| service.server.connections_open() == 0));
}

/// The answer is not lost to the bytes that follow it.
#[test]
fn a_refusal_survives_what_the_client_is_still_sending() {
    let service = InProcess::start(Echo, Limits::default());
    for _ in 0..20 {
        let mut client = service.connect();
        let request = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1500000\r\n\r\n";
        client.send(&[request.as_slice(), &vec![b'x'; 1_500_000]].concat());
        assert_eq!(last_status(&mut client), Some(413));
    }
}

#[test]
fn half_closed_clients_get_their_answers() {
    let server = Server::start(&[]);
    let asked: [(&[u8], &[u16]); 5] = [
        (GET, &[200]),
        (&GET.repeat(3), &[200, 200, 200]),
        (b"", &[]),
        (HALF_A_HEAD, &[]),
        (&[GET, HALF_A_BODY].concat(), &[200]),
    ];
    for (bytes, expected) in asked {
        for together in [true, false] {
            let mut client = server.connect();
            client.send(bytes);
            if !together {
                client.await_read();
            }
            client.finish();
            let mut statuses = Vec::new();
            while let Some(answer) = client.response() {
                statuses.push(answer.status);
            }
            let complete = statuses.iter().filter(|status| **status == 200).count();
            assert_eq!(
                complete,
                expected.len(),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
    assert!(eventually(|| server.connections_open() == 1));
}

/// `100 Continue` is sent if the client waits for it, and only then.
#[test]
fn continue_is_sent_to_who_waits_for_it() {
    let server = Server::start(&[]);
    for (framing, body) in [
        ("Content-Length: 3", "abc"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ] {
        let mut client = server.connect();
        let head = format!(
            "POST /blockchain HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"
        );
        for _ in 0..2 {
            client.send(GET);
            client.send(head.as_bytes());
            assert_eq!(client.response().expect("the first answer").status, 200);
            let interim = client.response().expect("an interim answer");
            assert_eq!((interim.status, interim.fields.len()), (100, 0));
            client.send(&body.as_bytes()[..2]);
            assert!(client.is_left_waiting(), "100 is sent once");
            client.send(&body.as_bytes()[2..]);
            assert_eq!(client.response().expect("the answer").status, 200);
        }
    }
}

/// The first request of a connection came in time and waits for its worker: it is answered.
#[test]
fn a_first_request_that_waited_for_its_worker_is_answered() {
    const HEAD_MS: u64 = 1000;
    // Enough tries to hold the only worker for longer than a head may take, on any machine.
    for tries in (24..32).map(|log| 1u64 << log) {
        let server = Server::with(&[
            "workers=1",
            &format!("http.head_timeout_ms={HEAD_MS}"),
            &format!("blockchain.mining_tries_max={tries}"),
        ]);
        let mut others: Vec<Client> = (0..4).map(|_| server.connect()).collect();
        visit_all_workers(server.address); // they are accepted
        let mut blocking = sending(&server, &endless_search());
        blocking.await_read();
        let begin = Instant::now();
        others.extend((0..4).map(|_| server.connect()));
        for client in &mut others {
            client.send(GET);
        }
        assert_eq!(blocking.response().expect("an answer").status, 200);
        let held = begin.elapsed();
        for client in &mut others {
            assert_eq!(client.response().expect("an answer").status, 200);
        }
        if held > Duration::from_millis(3 * HEAD_MS) {
            return;
        }
    }
    panic!("no search is long enough");
}
