//! TCP has no message borders: the same bytes must get the same answers however they are cut.

use trident::http::Limits;

use crate::{
    harness::{Client, Response, Server},
    http::limits::{request_with_fields_of, request_with_line_of},
    in_process::{Echo, InProcess},
};

/// A small batch with every kind of framing.
const BATCH: &[u8] = b"\r\nGET /a?b=c HTTP/1.1\r\nHost: t\r\n\r\n\
    POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\nGET / HTTP/\
    POST /q HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
    0a;x=\"y;\\\"\" \t;z\r\n01234\r\n\r\n9\r\n1\r\n!\r\n000;last\r\nTrailer: 5\r\n\r\n\
    HEAD /h HTTP/1.1\r\nHost: t\r\n\r\n\
    GET http://t:1/abs?q HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n";

/// Requests that are refused at different places, each after one that is answered.
const REFUSED: &[&[u8]] = &[
    b"GET /a HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\nX: y\r\n z\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/3.1\r\nHost: t\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: t\r\n\r\nPOST /b HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: t\r\n\r\nPOST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: t\r\n\r\nPOST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n",
];

/// Status and body of every answer until the end; the answer to a request for `/h` has no body.
fn answers(client: &mut Client) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    let body_of = |response: Response| (response.status, response.text());
    while let Some(answer) = match answers.len() {
        3 => client.head_response(),
        _ => client.response(),
    } {
        answers.push(body_of(answer));
    }
    answers
}

/// Sends `pieces`, each after the one before was read, and returns all answers.
fn in_pieces<'p>(
    service: &InProcess<Echo>,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Vec<(u16, String)> {
    let mut client = service.connect();
    for piece in pieces {
        client.send(piece);
        client.await_read();
    }
    answers(&mut client)
}

fn whole(service: &InProcess<Echo>, bytes: &[u8]) -> Vec<(u16, String)> {
    in_pieces(service, [bytes].into_iter())
}

fn echo() -> InProcess<Echo> {
    InProcess::start(Echo, Limits::default())
}

#[test]
fn the_batch_in_one_piece() {
    let text = |body: &str| (200, body.to_owned());
    let expected = [
        text("Get|/a|b=c||"),
        text("Post|/p||GET / HTTP/|"),
        text("Post|/q||01234\r\n\r\n9!|"),
        text(""),
        text("Get|/abs|q||"),
    ];
    assert_eq!(whole(&echo(), BATCH), expected);
}

#[test]
fn the_batch_in_two_pieces_at_every_place() {
    let service = echo();
    let expected = whole(&service, BATCH);
    for at in 1..BATCH.len() {
        let (first, second) = BATCH.split_at(at);
        assert_eq!(
            in_pieces(&service, [first, second].into_iter()),
            expected,
            "cut at {at}"
        );
    }
}

#[test]
fn the_batch_in_pieces_of_every_length() {
    let service = echo();
    let expected = whole(&service, BATCH);
    for length in 1..64 {
        assert_eq!(
            in_pieces(&service, BATCH.chunks(length)),
            expected,
            "pieces of {length}"
        );
    }
}

#[test]
fn refusals_at_every_place() {
    let service = echo();
    for bytes in REFUSED {
        let expected = whole(&service, bytes);
        assert_eq!(expected.len(), 2, "{expected:?}");
        for at in 1..bytes.len() {
            let (first, second) = bytes.split_at(at);
            let got = in_pieces(&service, [first, second].into_iter());
            assert_eq!(
                got,
                expected,
                "{:?} cut at {at}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}

/// A head of exactly the allowed size may end a read at its last CR.
#[test]
fn a_head_at_its_limit_may_be_cut_anywhere() {
    let limits = Limits {
        request_line_bytes_max: 60,
        head_bytes_max: 40,
        ..Limits::default()
    };
    let service = InProcess::start(Echo, limits);
    for request in [request_with_line_of(60), request_with_fields_of(40)] {
        let closing = "GET / HTTP/1.0\r\n\r\n";
        let bytes = [request.as_bytes(), closing.as_bytes()].concat();
        for at in 1..bytes.len() {
            let (first, second) = bytes.split_at(at);
            let statuses: Vec<u16> = in_pieces(&service, [first, second].into_iter())
                .into_iter()
                .map(|(status, _)| status)
                .collect();
            assert_eq!(statuses, [200, 200], "{request:?} cut at {at}");
        }
    }
}

/// Bodies larger than one read, in pieces that never meet its borders.
#[test]
fn large_bodies_arrive_whole() {
    let service = echo();
    let body: Vec<u8> = (0..300_000u32)
        .map(|n| b'a' + (n.wrapping_mul(n) % 23) as u8)
        .collect();
    let mut coded = Vec::new();
    for (index, chunk) in body.chunks(4999).enumerate() {
        coded.extend_from_slice(format!("{:x};n={index}\r\n", chunk.len()).as_bytes());
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    let length = format!("Content-Length: {}", body.len());
    for (field, sent) in [
        (length.as_str(), &body),
        ("Transfer-Encoding: chunked", &coded),
    ] {
        let head =
            format!("POST /large HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{field}\r\n\r\n");
        let bytes = [head.as_bytes(), sent].concat();
        for length in [bytes.len(), 16 << 10, 16_381, 1_000] {
            let answers = in_pieces(&service, bytes.chunks(length));
            assert_eq!(answers.len(), 1);
            let (status, text) = &answers[0];
            assert_eq!(*status, 200);
            let expected = ["Post|/large||", std::str::from_utf8(&body).unwrap(), "|"].concat();
            assert!(
                *text == expected,
                "{field}, pieces of {length}: the body is not the same"
            );
        }
    }
}

/// The product itself, byte by byte.
#[test]
fn the_binary_takes_requests_byte_by_byte() {
    let server = Server::start(&[]);
    let batch = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\nPOST /blockchain HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /no HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let mut client = server.connect();
    for byte in batch {
        client.send(&[*byte]);
        client.await_read();
    }
    let statuses: Vec<u16> = answers(&mut client)
        .into_iter()
        .map(|(status, _)| status)
        .collect();
    assert_eq!(statuses, [200, 200, 404]);
}
