//! Every bound of the HTTP loop at its exact place: the largest input that passes, and one more.

use crate::{
    harness::{GET, Server, eventually},
    http::table::check,
};

/// `http.request_line_bytes_max` of [`small`].
const LINE_MAX: usize = 300;

/// `http.head_bytes_max` of [`small`].
const FIELDS_MAX: usize = 280;

/// A server with small bounds, so that a test can reach each.
fn small() -> Server {
    Server::with(&[
        &format!("http.request_line_bytes_max={LINE_MAX}"),
        &format!("http.head_bytes_max={FIELDS_MAX}"),
        "http.header_count_max=5",
        "http.body_bytes_max=50",
        "http.chunk_overhead_bytes_max=40",
    ])
}

fn expect(server: &Server, what: &str, bytes: &[u8], expected: &str) {
    if let Err(fault) = check(server.connect(), bytes, expected) {
        panic!(
            "{what}: expected {expected}: {fault}\n{}",
            String::from_utf8_lossy(bytes)
        );
    }
}

/// A request whose line has `line_bytes` bytes, its CRLF not counted.
pub fn request_with_line_of(line_bytes: usize) -> String {
    let padding = "x".repeat(line_bytes - "GET /healthz? HTTP/1.1".len());
    format!("GET /healthz?{padding} HTTP/1.1\r\nHost: t\r\n\r\n")
}

/// A request whose field lines, CRLFs included, have `section_bytes` bytes.
pub fn request_with_fields_of(section_bytes: usize) -> String {
    let padding = "x".repeat(section_bytes - "Host: t\r\nX:\r\n".len());
    format!("GET /healthz HTTP/1.1\r\nHost: t\r\nX:{padding}\r\n\r\n")
}

#[test]
fn request_line_bytes_max() {
    let server = small();
    expect(
        &server,
        "longest",
        request_with_line_of(LINE_MAX).as_bytes(),
        "200 open",
    );
    expect(
        &server,
        "one more",
        request_with_line_of(LINE_MAX + 1).as_bytes(),
        "414 closed",
    );
    expect(&server, "no end", &[b'A'; LINE_MAX + 2], "414 closed");
    expect(
        &server,
        "target without end",
        &[&b"GET /"[..], &[b'a'; LINE_MAX]].concat(),
        "414 closed",
    );
    let absolute = "GET http://t/healthz HTTP/1.1\r\nHost: t\r\n\r\n"
        .replace("healthz", &"x".repeat(LINE_MAX));
    expect(&server, "absolute form", absolute.as_bytes(), "414 closed");
    let empty_lines = format!("\r\n\r\n{}", request_with_line_of(LINE_MAX));
    expect(
        &server,
        "empty lines do not count",
        empty_lines.as_bytes(),
        "200 open",
    );
    expect(
        &server,
        "every request on its own",
        &request_with_line_of(LINE_MAX).repeat(2).into_bytes(),
        "200 200 open",
    );
}

#[test]
fn empty_lines_before_a_request_are_bounded() {
    let server = small();
    let after = |count: usize| ["\r\n".repeat(count).as_bytes(), GET].concat();
    expect(&server, "some", &after(2), "200 open");
    expect(&server, "hundreds", &after(300), "400 closed");
}

#[test]
fn head_bytes_max() {
    let server = small();
    expect(
        &server,
        "largest",
        request_with_fields_of(FIELDS_MAX).as_bytes(),
        "200 open",
    );
    expect(
        &server,
        "one more",
        request_with_fields_of(FIELDS_MAX + 1).as_bytes(),
        "431 closed",
    );
    let endless_value = format!("GET /healthz HTTP/1.1\r\nX:{}", "x".repeat(FIELDS_MAX));
    expect(
        &server,
        "value without end",
        endless_value.as_bytes(),
        "431 closed",
    );
    let endless_name = format!("GET /healthz HTTP/1.1\r\n{}", "x".repeat(FIELDS_MAX + 2));
    expect(
        &server,
        "name without end",
        endless_name.as_bytes(),
        "431 closed",
    );
}

#[test]
fn header_count_max() {
    let server = small();
    let with_fields = |count: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nHost: t\r\n{}\r\n",
            "X:y\r\n".repeat(count - 1)
        )
    };
    expect(&server, "most", with_fields(5).as_bytes(), "200 open");
    expect(&server, "one more", with_fields(6).as_bytes(), "431 closed");
}

/// A POST with a chunked body of chunks of the given sizes.
fn chunked(sizes: &[usize]) -> Vec<u8> {
    let mut request =
        "POST /blockchain HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for size in sizes {
        request += &format!("{size:x}\r\n{}\r\n", "x".repeat(*size));
    }
    request += "0\r\n\r\n";
    request.into_bytes()
}

#[test]
fn body_bytes_max() {
    let server = small();
    let with_length = |n: usize| {
        let head = format!("POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; n]].concat()
    };
    expect(&server, "longest", &with_length(50), "200 open");
    expect(&server, "one more", &with_length(51), "413 closed");
    expect(&server, "longest chunk", &chunked(&[50]), "200 open");
    expect(
        &server,
        "one more in a chunk",
        &chunked(&[51]),
        "413 closed",
    );
    expect(
        &server,
        "longest in chunks",
        &chunked(&[20, 20, 10]),
        "200 open",
    );
    expect(
        &server,
        "one more in chunks",
        &chunked(&[20, 20, 11]),
        "413 closed",
    );
    expect(
        &server,
        "every body on its own",
        &with_length(50).repeat(3),
        "200 200 200 open",
    );
}

#[test]
fn chunks_of_one_byte_are_no_overhead() {
    let server = small();
    expect(&server, "50 chunks", &chunked(&[1; 50]), "200 open");
}

/// A coded body whose overhead has a given number of bytes.
type Form = fn(usize) -> String;

/// The largest `n` that passes is found by trying. The bound counts bytes that carry no data, so the largest `n` may be
/// below the setting by the line's own framing at most.
#[test]
fn chunk_overhead_bytes_max() {
    let server = small();
    let head = "POST /blockchain HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let forms: [(&str, Form); 4] = [
        ("extension", |n| {
            format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(n - 1))
        }),
        ("extensions", |n| {
            format!(
                "1{}\r\nx\r\n0\r\n\r\n",
                ";abcdefghi".repeat(n).split_at(n).0
            )
        }),
        ("trailer", |n| {
            format!("1\r\nx\r\n0\r\nX:{}\r\n\r\n", "a".repeat(n - 4))
        }),
        ("leading zeros", |n| {
            format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(n))
        }),
    ];
    for (what, body) in forms {
        let passes = |n: usize| {
            let request = format!("{head}{}", body(n));
            check(server.connect(), request.as_bytes(), "200 open").is_ok()
        };
        let longest = (5..60)
            .filter(|n| n % 10 != 1 || what != "extensions")
            .take_while(|n| passes(*n))
            .last();
        assert!(
            (36..=40).contains(&longest.unwrap_or(0)),
            "{what}: {longest:?}"
        );
        expect(
            &server,
            what,
            format!("{head}{}", body(longest.unwrap_or(0) + 2)).as_bytes(),
            "400 closed",
        );
        expect(
            &server,
            what,
            format!("{head}{}", body(100)).as_bytes(),
            "400 closed",
        );
    }
    let zeros = format!("{head}{}", "0".repeat(100));
    expect(&server, "zeros without end", zeros.as_bytes(), "400 closed");
}

/// Zero forbids bytes that carry no data, but not chunked bodies: the last chunk's zero does not count as overhead.
#[test]
fn no_chunk_overhead_at_all() {
    let server = Server::with(&["http.chunk_overhead_bytes_max=0"]);
    expect(&server, "plain chunks", &chunked(&[3, 16, 1]), "200 open");
    let head = "POST /blockchain HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (what, body) in [
        ("leading zero", "03\r\nabc\r\n0\r\n\r\n"),
        ("two zeros at the end", "3\r\nabc\r\n00\r\n\r\n"),
        ("extension", "3;a\r\nabc\r\n0\r\n\r\n"),
    ] {
        expect(
            &server,
            what,
            format!("{head}{body}").as_bytes(),
            "400 closed",
        );
    }
}

#[test]
fn requests_per_connection_max() {
    let server = Server::with(&["http.requests_per_connection_max=3"]);
    expect(&server, "one batch", &GET.repeat(5), "200 200 200 closed");
    let mut client = server.connect();
    let closes = [
        client.ask(GET).closes(),
        client.ask(GET).closes(),
        client.ask(GET).closes(),
    ];
    assert_eq!(closes, [false, false, true]);
    assert_eq!(client.response(), None);
}

#[test]
fn batches_and_write_buffers_of_any_size_answer_everything() {
    for (batch, buffer) in [(1, 4096), (3, 1 << 18), (256, 4096)] {
        let server = Server::with(&[
            &format!("http.pipelined_batch_max={batch}"),
            &format!("http.write_buffer_bytes_max={buffer}"),
        ]);
        expect(
            &server,
            "batch",
            &GET.repeat(100),
            &format!("{} open", ["200"; 100].join(" ")),
        );
        let then_bad = [&GET.repeat(77)[..], b"\0"].concat();
        expect(
            &server,
            "then bad",
            &then_bad,
            &format!("{} 400 closed", ["200"; 77].join(" ")),
        );
    }
}

/// Incomplete requests of all connections share one budget.
#[test]
fn buffered_bytes_max() {
    let server = Server::with(&["http.buffered_bytes_max=1048576"]);
    let begun = |bytes: usize| {
        let mut client = server.connect();
        client.send(b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
        client.send(&vec![b'x'; bytes]);
        client
    };
    let mut first = begun(600_000);
    assert!(first.is_left_waiting());
    let mut second = begun(600_000);
    let refused = second.response().expect("an answer");
    assert_eq!(
        (refused.status, refused.closes()),
        (503, true),
        "{refused:?}"
    );
    // By the server, because the client has neither closed nor sent more.
    assert_eq!(second.rest(), b"", "nothing after the refusal, and the end");
    first.send(&vec![b'x'; 400_000]);
    assert_eq!(first.response().expect("an answer").status, 200);
    // A client may have its answer before the server has given the room back.
    assert!(eventually(|| server.metric("trident_buffered_bytes") == 0));
    let mut third = begun(600_000);
    third.send(&vec![b'x'; 400_000]);
    assert_eq!(
        third.response().expect("the budget is free again").status,
        200
    );
}
