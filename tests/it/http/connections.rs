//! Many connections, and a few that take all they can: memory, limits, fairness.

use std::{
    io::{Read, Write},
    net::Shutdown,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use crate::harness::{Client, GET, Server, eventually, raise_descriptor_limit, unless_skipped};

/// Most resident bytes of a connection that was used and is idle now, its coroutine included.
const IDLE_CONNECTION_BYTES_MAX: u64 = 8704;

/// One request for every endpoint whose scratch could stay with the connection.
const USES: [&[u8]; 4] = [
    GET,
    b"GET /qrcode?type=encode&data=hello HTTP/1.1\r\nHost: t\r\nUser-Agent: test\r\n\r\n",
    b"GET /qrcode?type=encode&data=hello&format=png HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\neJwDAAAAAAE",
];

fn use_once(client: &mut Client, index: usize) {
    let request = USES[index % USES.len()];
    let request = if request.starts_with(b"POST") {
        &request[..request.len() - 2]
    } else {
        request
    };
    assert_eq!(client.ask(request).status, 200);
}

/// Whether this process may open `connections`, besides those of its other tests.
///
/// # Panics
/// It may not: fewer connections would show less.
fn have_room_for(connections: u64) -> bool {
    const OTHER_TESTS: u64 = 5000;
    let (limit, needed) = (raise_descriptor_limit(), connections + OTHER_TESTS);
    let obstacle = format!("{limit} descriptors are allowed, {needed} needed (ulimit -Hn)");
    unless_skipped("descriptors", (limit < needed).then_some(obstacle))
}

#[test]
fn ten_thousand_idle_connections() {
    const CONNECTIONS: usize = 10_000;
    if !have_room_for(CONNECTIONS as u64) {
        return;
    }
    // No deadline may end one connection while, on a busy machine, the others are being opened.
    let timeouts = ["head", "idle"].map(|name| format!("http.{name}_timeout_ms=3600000"));
    let room = format!("http.connections_max={}", CONNECTIONS + 100);
    let server = Server::with(&[&room, &timeouts[0], &timeouts[1]]);
    // A connection's descriptor decides its worker: several at once warm them all.
    let mut first: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for index in 0..100 {
        first.iter_mut().for_each(|client| use_once(client, index));
    }
    drop(first);
    assert!(eventually(|| server.connections_open() <= 1));
    let before = server.resident_bytes();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        use_once(client, index);
    }
    let each = server.resident_bytes().saturating_sub(before) / CONNECTIONS as u64;
    eprintln!("{each} resident bytes for each of {CONNECTIONS} idle connections");
    assert!(each <= IDLE_CONNECTION_BYTES_MAX, "{each} bytes each");
    for (index, client) in clients.iter_mut().enumerate() {
        use_once(client, index + 1);
    }
    drop(clients);
    assert!(
        eventually(|| server.connections_open() <= 1),
        "connections leak"
    );
}

/// The budget bounds the memory held, not the bytes sent: buffers keep room for more.
#[test]
fn the_budget_bounds_resident_memory() {
    const CONNECTIONS: usize = 1000;
    const BUDGET: u64 = 256 << 20;
    let sent = [
        &b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n"[..],
        &vec![b'x'; 530_000],
    ];
    let sent = sent.concat();
    let timeouts = ["head", "body", "idle"].map(|name| format!("http.{name}_timeout_ms=3600000"));
    let budget = format!("http.buffered_bytes_max={BUDGET}");
    let server = Server::with(&[&budget, &timeouts[0], &timeouts[1], &timeouts[2]]);
    assert_eq!(server.ask(GET).status, 200);
    let before = server.resident_bytes();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&sent);
    }
    clients.iter().for_each(Client::await_read);
    let held = server.metric("trident_buffered_bytes");
    assert!(
        held > BUDGET * 9 / 10,
        "{held} bytes: the budget was not used"
    );
    let grown = server.resident_bytes().saturating_sub(before);
    let allowed = BUDGET / 4 * 5 + CONNECTIONS as u64 * IDLE_CONNECTION_BYTES_MAX;
    eprintln!("{grown} bytes resident for {held} of {BUDGET}, allowed {allowed}");
    assert!(grown <= allowed, "{grown} bytes for a budget of {BUDGET}");
}

/// Memory for a large body is given back, even if a further request has begun after it.
#[test]
fn connections_do_not_keep_the_room_of_large_bodies() {
    const CONNECTIONS: u64 = 200;
    const BODY_BYTES: usize = 1 << 20;
    /// Memory that the allocator may not have given back yet.
    const ALLOCATOR_SLACK_BYTES: u64 = 32 << 20;
    let server = Server::with(&["http.head_timeout_ms=60000", "http.body_timeout_ms=60000"]);
    let body = vec![b'x'; BODY_BYTES];
    let length = format!("Content-Length: {BODY_BYTES}\r\n\r\n").into_bytes();
    let coded = [
        format!("Transfer-Encoding: chunked\r\n\r\n{BODY_BYTES:x}\r\n").as_bytes(),
        &body,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let head = b"POST /blockchain HTTP/1.1\r\nHost: t\r\n";
    let with_length = [head, &length[..], &body].concat();
    let chunked = [head, &coded[..]].concat();
    let begun = [head, &coded[..60]].concat();
    for request in [&with_length, &chunked] {
        assert_eq!(server.ask(request).status, 200);
    }
    let before = server.resident_bytes();
    let clients: Vec<Client> = (0..CONNECTIONS)
        .flat_map(|_| {
            let mut by_length = server.connect();
            by_length.send(&[&with_length[..], b"G"].concat());
            assert_eq!(by_length.response().expect("an answer").status, 200);
            assert_eq!(server.ask(&chunked).status, 200); // leaves a worker with a large buffer
            let mut by_chunks = server.connect();
            by_chunks.send(&begun);
            [by_length, by_chunks]
        })
        .collect();
    assert!(eventually(
        || server.connections_open() == 2 * CONNECTIONS + 1
    ));
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(
        grown < (CONNECTIONS << 16) + ALLOCATOR_SLACK_BYTES,
        "{grown} bytes for {CONNECTIONS} pairs of connections"
    );
    drop(clients);
}

#[test]
fn connections_over_the_limit_get_503_until_others_end() {
    const LIMIT: usize = 20;
    let server = Server::with(&[&format!("http.connections_max={LIMIT}")]);
    let mut clients: Vec<Client> = (0..LIMIT).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(GET).status, 200);
    }
    for _ in 0..200 {
        let mut refused = server.connect();
        refused.send(GET);
        let answer = refused.response().expect("a refusal, not just the end");
        assert_eq!((answer.status, answer.closes()), (503, true));
        assert_eq!(refused.rest(), b"");
    }
    for client in &mut clients {
        assert_eq!(client.ask(GET).status, 200, "who was there stays served");
    }
    clients.truncate(LIMIT / 2);
    let admitted = |_: usize| {
        eventually(|| {
            let mut client = server.connect();
            client.send(GET);
            client.response().is_some_and(|answer| answer.status == 200)
        })
    };
    assert!(
        (0..100).all(admitted),
        "no connection although others have ended"
    );
    assert_eq!(
        server.metric("trident_connections_refused_total").min(200),
        200
    );
}

/// Descriptors run out long before the limit of connections.
#[test]
fn accepting_goes_on_after_descriptors_ran_out() {
    let server = Server::with_few_descriptors("off");
    for round in 0..3 {
        let mut clients: Vec<Client> = (0..120)
            .map(|_| {
                let mut client = server.connect();
                client.send(GET);
                client
            })
            .collect();
        let statuses: Vec<Option<u16>> = clients
            .iter_mut()
            .map(|client| client.response().map(|answer| answer.status))
            .collect();
        let served: Vec<&mut Client> = clients
            .iter_mut()
            .zip(&statuses)
            .filter(|(_, status)| **status == Some(200))
            .map(|(client, _)| client)
            .collect();
        assert!(
            (20..64).contains(&served.len()),
            "round {round}: {statuses:?}"
        );
        for client in served {
            assert_eq!(client.ask(GET).status, 200, "who was there stays served");
        }
        let refused = statuses
            .iter()
            .all(|status| matches!(status, Some(200 | 503) | None));
        assert!(refused, "round {round}: {statuses:?}");
        drop(clients);
        let answered = || {
            let mut client = server.connect();
            client.send(GET);
            client.response().is_some_and(|answer| answer.status == 200)
        };
        assert!(
            eventually(answered),
            "round {round}: not accepting any more"
        );
    }
}

/// Every refusal for want of descriptors counts once, and nothing else does.
#[test]
fn refusals_for_want_of_descriptors_are_counted() {
    let server = Server::with_few_descriptors("127.0.0.1:0");
    let mut admin = Client::connect(server.admin.unwrap()); // while there is room
    let mut counted = move || {
        let answer = admin.ask(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
        crate::harness::Metrics(answer.text())
            .sum("trident_accept_errors_total{reason=\"descriptors\"}")
    };
    assert_eq!(counted(), 0);
    let mut served = Vec::new();
    let is_refused = |client: &mut Client| {
        client.send(GET);
        client.response().is_none_or(|answer| answer.status == 503)
    };
    let mut refused = 0;
    for _ in 0..100 {
        let mut client = server.connect();
        if is_refused(&mut client) {
            refused += 1;
        } else {
            served.push(client);
        }
    }
    assert!(refused > 0 && served.len() > 20, "{refused} refused");
    assert_eq!(counted(), refused);
}

/// One client that pipelines without end must not keep others of the same worker waiting: while
/// another is served once, the flooder gets at most the answers of a few turns.
#[test]
fn a_flooder_does_not_starve_others() {
    const FLOOD_ANSWERS_PER_ANSWER_MAX: usize = 3000;
    const OTHERS_ANSWERS: usize = 2000;
    let server = Server::start(&["--workers", "1"]);
    let flood_bytes = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let answer_bytes = {
        let mut client = server.connect();
        client.ask(GET);
        client.send(GET);
        client.send(b"GET / HTTP/1.0\r\n\r\n");
        let both = client.rest();
        both.windows(9)
            .skip(1)
            .position(|window| window == b"HTTP/1.1 ")
            .unwrap()
            + 1
    };
    let answered = thread::scope(|scope| {
        let flooder = server.connect().stream;
        let mut writer = flooder.try_clone().unwrap();
        scope.spawn(move || {
            let batch = GET.repeat(2000);
            while writer.write_all(&batch).is_ok() {}
        });
        let (mut reader, flood_bytes, done) = (flooder.try_clone().unwrap(), &flood_bytes, &done);
        scope.spawn(move || {
            let mut answers = vec![0; 1 << 20];
            while !done.load(Relaxed) {
                match reader.read(&mut answers) {
                    Ok(n) if n > 0 => flood_bytes.fetch_add(n, Relaxed),
                    _ => break,
                };
            }
        });
        assert!(eventually(
            || flood_bytes.load(Relaxed) > 10_000 * answer_bytes
        ));
        let mut other = server.connect();
        let before = flood_bytes.load(Relaxed);
        for _ in 0..OTHERS_ANSWERS {
            assert_eq!(other.ask(GET).status, 200);
        }
        let answered = (flood_bytes.load(Relaxed) - before) / answer_bytes;
        done.store(true, Relaxed);
        let _ = flooder.shutdown(Shutdown::Both);
        answered
    });
    let each = answered / OTHERS_ANSWERS;
    eprintln!("{each} answers to the flooder for each to the other connection");
    assert!(each <= FLOOD_ANSWERS_PER_ANSWER_MAX, "{each}");
    assert!(answered > 0, "the flooder was not served at all");
}
