//! Input made to hurt: bombs, endless searches, depth, size. The answer is the specified one, memory
//! stays where it was, and others are served meanwhile.

use std::{
    io::Write,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use trident::{
    app::route::ENDPOINTS,
    http::{Handled, Limits, Reply, Request, Service},
    metrics::Counter,
};

use super::chain;
use crate::{
    harness::{Client, GET, PATIENCE, Server},
    in_process::InProcess,
};

const INVALID: &str = "TEAMID,000000000000\nINVALID";

/// Resident memory once every worker has its buffers: it makes them with its first request.
fn resident_bytes_in_use(server: &Server) -> u64 {
    // A connection's descriptor decides its worker: several at once reach them all.
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(GET).status, 200);
    }
    server.resident_bytes()
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends `cc` as a body and, if it fits, in the query; both answers must be INVALID.
fn expect_invalid(server: &Server, what: &str, cc: &[u8]) {
    let by_body = server.ask(&post(cc));
    assert_eq!(
        (by_body.status, by_body.text().as_str()),
        (200, INVALID),
        "{what}"
    );
    if cc.len() < 60_000 && cc.iter().all(u8::is_ascii_graphic) {
        let target = [b"GET /blockchain?cc=", cc, b" HTTP/1.1\r\nHost: t\r\n\r\n"].concat();
        let by_query = server.ask(&target);
        assert_eq!(
            (by_query.status, by_query.text().as_str()),
            (200, INVALID),
            "{what}, query"
        );
    }
}

/// `cc` of a stream that inflates to `bytes` zeros.
fn bomb(bytes: usize) -> String {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..bytes >> 20 {
        encoder.write_all(&zeros).unwrap();
    }
    base64_simd::URL_SAFE.encode_to_string(encoder.finish().unwrap())
}

/// A request of no blocks and no transactions.
fn empty_request(new_target: &str) -> String {
    chain::pack(&format!(
        r#"{{"chain":[],"new_target":"{new_target}","new_tx":[]}}"#
    ))
}

#[test]
fn what_is_too_much_is_invalid_and_memory_stays() {
    // One worker: which of two has had the largest request before is a matter of chance.
    let server = Server::start(&["--workers", "1"]);
    assert_ne!(
        server.ask(&post(empty_request("1").as_bytes())).text(),
        INVALID
    );
    let before = resident_bytes_in_use(&server);
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    let in_chain = |inner: &str| format!(r#"{{"chain":{inner},"new_target":"1","new_tx":[]}}"#);
    let texts = [
        ("deep arrays", in_chain(&deep("[", "]", 100_000))),
        ("deep objects", in_chain(&deep("{\"a\":", "}", 40_000))),
        ("deep, never closed", "[".repeat(200_000)),
        (
            "deep in an ignored key",
            format!("{{\"x\":{}}}", deep("[", "]", 100_000)),
        ),
        (
            "100,000 numbers",
            in_chain(&format!("[{}0]", "0,".repeat(99_999))),
        ),
        (
            "1,000,000 numbers",
            in_chain(&format!("[{}0]", "0,".repeat(999_999))),
        ),
        (
            "80,000 empty blocks",
            in_chain(&format!("[{}{{}}]", "{},".repeat(79_999))),
        ),
        (
            "100,000 keys",
            format!("{{{}\"a\":0}}", "\"a\":0,".repeat(30_000)),
        ),
        (
            "long string",
            in_chain(&format!("\"{}\"", "x".repeat(200_000))),
        ),
        ("long number", in_chain(&"9".repeat(200_000))),
        ("whitespace", " \t\r\n".repeat(60_000)),
    ];
    let send_all = || {
        for (what, text) in &texts {
            expect_invalid(&server, what, chain::pack(text).as_bytes());
        }
        for megabytes in [1, 40, 700] {
            expect_invalid(&server, "bomb", bomb(megabytes << 20).as_bytes());
        }
        expect_invalid(&server, "1 MiB of A", &vec![b'A'; 1 << 20]);
        expect_invalid(&server, "1 MiB of bytes", &vec![0xff; 1 << 20]);
        server.resident_bytes()
    };
    // The allocator keeps freed pages of the worker: a fraction of what one bomb would take.
    let once = send_all();
    assert!(once - before < 64 << 20, "{} bytes kept", once - before);
    // A leak grows every time; the allocator's handling of its pages varies.
    let mut last = once;
    let grown = [(); 4].map(|()| {
        let after = send_all();
        after.saturating_sub(std::mem::replace(&mut last, after))
    });
    assert!(
        last.saturating_sub(before) < 64 << 20,
        "{grown:?} bytes more"
    );
    assert!(
        grown.iter().min() < Some(&(1 << 20)),
        "{grown:?} bytes more"
    );
    assert_eq!(server.metric("trident_handler_panics_total"), 0);
}

#[test]
fn texts_that_are_not_json_are_invalid() {
    let server = Server::start(&[]);
    let valid = r#"{"chain":[],"new_target":"1","new_tx":[]}"#;
    assert_ne!(
        server.ask(&post(chain::pack(valid).as_bytes())).text(),
        INVALID
    );
    for number in [
        "NaN",
        "Infinity",
        "-Infinity",
        "-",
        "+1",
        "01",
        ".5",
        "1.",
        "1e",
        "0x10",
        "1_0",
        "--1",
    ] {
        let text = format!(r#"{{"chain":[],"new_target":"1","new_tx":[],"x":{number}}}"#);
        expect_invalid(&server, number, chain::pack(&text).as_bytes());
    }
    let broken = [
        "",
        "{}",
        "[]",
        "null",
        "{\"chain\":[]",
        "{'chain':[]}",
        "\u{feff}{}",
        "{}{}",
        "{,}",
        "[,]",
    ];
    for text in broken {
        expect_invalid(&server, text, chain::pack(text).as_bytes());
    }
    for text in [
        format!("{valid} x"),
        format!("{valid},"),
        valid.replace("[]}", "[],}"),
        valid.replace('1', "\n"),
    ] {
        expect_invalid(&server, &text, chain::pack(&text).as_bytes());
    }
    for bytes in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe4\xb8",
        b"\x80",
    ] {
        let mut text = br#"{"chain":[],"new_target":"1","new_tx":[],"x":""#.to_vec();
        text.extend_from_slice(bytes);
        text.extend_from_slice(b"\"}");
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        let cc = base64_simd::URL_SAFE.encode_to_string(encoder.finish().unwrap());
        expect_invalid(&server, "invalid UTF-8", cc.as_bytes());
    }
    let last_counts = r#"{"chain":1,"new_tx":{},"chain":[],"new_target":"1","new_tx":[]}"#;
    assert_ne!(
        server
            .ask(&post(chain::pack(last_counts).as_bytes()))
            .text(),
        INVALID
    );
}

#[test]
fn urls_of_ten_megabytes_are_refused() {
    let server = Server::start(&[]);
    let before = resident_bytes_in_use(&server);
    let endpoints = ENDPOINTS
        .iter()
        .map(|endpoint| format!("{}?data=", endpoint.path));
    for start in endpoints.chain(["/", "", "http://"].map(str::to_owned)) {
        let mut client = server.connect();
        client.send(format!("GET {start}").as_bytes());
        client.send(&vec![b'A'; 10 << 20]);
        let answer = client.response().expect("a refusal");
        assert!(
            [400, 414].contains(&answer.status) && answer.closes(),
            "{start}: {answer:?}"
        );
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes kept");
}

#[test]
fn garbage_for_the_other_endpoints() {
    let server = Server::start(&[]);
    let long = "%41".repeat(20_000);
    for query in [
        "",
        "?",
        "?%",
        "?&&&",
        "?type",
        "?type=decode&data=%",
        "?type=encode",
        "?=&==&type==&data",
        "?type=decode",
    ] {
        let answer =
            server.ask(format!("GET /qrcode{query} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, INVALID),
            "{query}"
        );
    }
    for (format, status) in [
        ("", 200),
        ("&format=png", 413),
        ("&format=svg", 413),
        ("&format=text", 413),
    ] {
        let request =
            format!("GET /qrcode?type=encode{format}&data={long} HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(server.ask(request.as_bytes()).status, status, "{format}");
    }
    let bodies = [
        b"\xff\xfe".to_vec(),
        b"[".repeat(500_000),
        b"{\"timestamp\":".repeat(50_000),
        format!("{{\"timestamp\":{}}}", "9".repeat(500_000)).into_bytes(),
        vec![b' '; 1 << 20],
        vec![0; 1 << 20],
    ];
    for body in &bodies {
        for path in ["/rest_auth", "/rest_verify"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let answer = server.ask(&[head.as_bytes(), body].concat());
            assert_eq!(answer.status, 400, "{path}: {:?}", answer.text());
            assert!(
                answer.text().starts_with("{\"message\":"),
                "{path}: {:?}",
                answer.text()
            );
        }
    }
    assert_eq!(server.metric("trident_handler_panics_total"), 0);
}

/// Searches that cannot succeed are not begun; searches that take too long are abandoned.
#[test]
fn targets_that_cannot_be_met_are_invalid() {
    let server = Server::start(&[]);
    for target in [
        "",
        "0",
        "00",
        "00000000",
        "000000001",
        "00000000ffffffff",
        "00000001",
        "!",
    ] {
        expect_invalid(&server, target, empty_request(target).as_bytes());
    }
    for target in ["1", "01", "f", "g", "~", "ffffffff0"] {
        let answer = server.ask(&post(empty_request(target).as_bytes()));
        let chain = chain::unpack(answer.text().split_once('\n').unwrap().1.as_bytes()).unwrap();
        chain::check(&chain).unwrap();
    }
}

/// Takes the worker's processor for a while, as the longest search does.
struct Slow;

const EACH: Duration = Duration::from_millis(2);

impl Service for Slow {
    type Worker = ();

    fn worker(&self) {}

    fn call(&self, _: &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let begin = Instant::now();
        while request.head.path == b"/slow" && begin.elapsed() < EACH {}
        reply.text(|out| out.push(b'x'));
        Counter::OtherValid.into()
    }
}

/// Requests that take long must not add up to a turn: however many come in one packet, others are
/// served after a few of them.
#[test]
fn a_batch_of_slow_requests_does_not_hold_up_others() {
    const SLOW_PER_ANSWER_MAX: usize = 40;
    const OTHERS: usize = 4;
    let service = InProcess::start(Slow, Limits::default());
    let slow_answers = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // One on each worker; whatever the assignment, other clients share a worker with one of them.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = service.connect();
                while !done.load(Relaxed) {
                    client.send(&b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n".repeat(400));
                    for _ in 0..400 {
                        client.response().expect("an answer");
                        slow_answers.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        let mut others: Vec<Client> = (0..OTHERS).map(|_| service.connect()).collect();
        let give_up = Instant::now() + PATIENCE;
        while slow_answers.load(Relaxed) == 0 && Instant::now() < give_up {
            thread::yield_now();
        }
        let before = slow_answers.load(Relaxed);
        let mut answered = 0;
        for _ in 0..10 {
            for other in &mut others {
                assert_eq!(other.ask(GET).status, 200);
                answered += 1;
            }
        }
        let slow = slow_answers.load(Relaxed) - before;
        done.store(true, Relaxed);
        eprintln!("{slow} slow answers while {answered} others were given");
        assert!(
            slow <= answered * SLOW_PER_ANSWER_MAX,
            "{slow} for {answered}"
        );
    });
}
