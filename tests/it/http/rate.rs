//! Slow transfers: those below the minimum rate end, those above it do not, and no deadline is early.

use std::{
    io::{ErrorKind, Read, Write},
    thread,
    time::{Duration, Instant},
};

use trident::http::Limits;

use crate::{
    harness::{Client, PATIENCE, Server, pace},
    in_process::{Echo, InProcess},
};

const RATE: usize = 4096;
const TIMEOUT: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits {
        bytes_per_second_min: RATE,
        body_timeout: TIMEOUT,
        write_timeout: TIMEOUT,
        linger_timeout: TIMEOUT,
        send_buffer_bytes: 4096,
        ..Limits::default()
    }
}

/// Sends `bytes` in pieces of `piece` until they are sent or the connection has ended; returns how many were.
fn send_slowly(client: &mut Client, bytes: &[u8], piece: usize) -> usize {
    let mut sent = 0;
    for part in bytes.chunks(piece) {
        if client.is_closed() || client.stream.write_all(part).is_err() {
            break;
        }
        sent += part.len();
        pace(Duration::from_millis(50));
    }
    sent
}

/// Four timeouts long, at four times the rate.
#[test]
fn an_upload_at_the_minimum_rate_outlives_its_timeout_and_a_slower_one_does_not() {
    let service = InProcess::start(Echo, limits());
    let piece = 4 * RATE / 20;
    let body = vec![b'x'; 4 * 20 * piece];
    for framing in ["Content-Length", "chunked"] {
        let (head, body) = match framing {
            "chunked" => {
                let chunk = format!("{:x}\r\n", body.len());
                let coded = [chunk.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
                ("Transfer-Encoding: chunked".to_owned(), coded)
            }
            _ => (format!("Content-Length: {}", body.len()), body.clone()),
        };
        let head = format!("POST / HTTP/1.1\r\nHost: t\r\n{head}\r\n\r\n");
        let mut steady = service.connect();
        let mut slow = service.connect();
        steady.send(head.as_bytes());
        slow.send(head.as_bytes());
        assert_eq!(send_slowly(&mut steady, &body, piece), body.len());
        assert_eq!(
            steady.response().expect("an answer").status,
            200,
            "{framing}"
        );
        let sent = send_slowly(&mut slow, &body, 6); // 128 bytes a second
        assert!(sent < body.len(), "{framing}");
        assert_eq!(slow.response().expect("an answer").status, 408, "{framing}");
    }
}

/// Reads `piece` bytes now and then until the end; whether all of `wanted` came.
fn read_slowly(client: &mut Client, wanted: usize, piece: usize) -> bool {
    let give_up = Instant::now() + PATIENCE;
    let mut buffer = vec![0; piece];
    let mut read = 0;
    while read < wanted {
        assert!(
            Instant::now() < give_up,
            "still being served after {read} bytes"
        );
        match client.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(n) => read += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
        pace(Duration::from_millis(50));
    }
    true
}

/// Its reads wake the server often, because both kernels have small buffers, but they are too small.
#[test]
fn a_reader_below_the_minimum_rate_is_reset_and_a_steady_one_gets_everything() {
    const BODY: usize = 300_000;
    let service = InProcess::start(Echo, limits());
    let asking = || {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket.connect(&service.address.into()).unwrap();
        let mut client = Client::over(socket.into());
        let head = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {BODY}\r\n\r\n");
        client.send(&[head.as_bytes(), &vec![b'x'; BODY]].concat());
        client
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let is_whole = read_slowly(&mut asking(), BODY, 6);
            assert!(!is_whole, "a reader of 128 bytes a second");
        });
        scope.spawn(|| assert!(read_slowly(&mut asking(), BODY, 8 * RATE / 20 * 4)));
    });
}

/// A client that goes on sending a refused body can read why, however long it sends, within the bound.
#[test]
fn a_refused_upload_is_not_cut_off_while_it_is_sent() {
    let service = InProcess::start(Echo, limits());
    let mut client = service.connect();
    let body = vec![b'x'; 4 * 4 * RATE];
    client.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 999999999\r\n\r\n");
    // The server has ended its side. Had it closed, the second piece after that would fail.
    for piece in body.chunks(4 * RATE / 20) {
        client.stream.write_all(piece).expect("it is still taken");
        pace(Duration::from_millis(50));
    }
    assert_eq!(client.response().expect("an answer").status, 413);
    assert_eq!(client.rest(), b"");
}

#[test]
fn no_deadline_is_early() {
    let server = Server::with(&["http.head_timeout_ms=700", "http.idle_timeout_ms=700"]);
    thread::scope(|scope| {
        for n in 0..16u64 {
            let server = &server;
            scope.spawn(move || {
                pace(Duration::from_millis(17 * n)); // anywhere between two ticks
                let mut client = server.connect();
                let begin = Instant::now();
                client.send(b"GET / HTTP/1.1\r\n");
                assert_eq!(client.response().expect("an answer").status, 408);
                let lasted = begin.elapsed();
                assert!(lasted >= Duration::from_millis(700), "{lasted:?}");
            });
        }
    });
}
