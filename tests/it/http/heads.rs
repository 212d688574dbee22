//! What every answer says about itself, and in how many bytes (docs/protocol/http.md).

use trident::app::route::{ENDPOINTS, Example};

use crate::harness::{Client, Server};

/// Bytes of the head before a text of 100 to 999 ASCII characters.
const HEAD_BYTES: usize = 103;

const CHARSET: &str = "; charset=utf-8";
const VARY: &str = "Vary: Accept\r\n";

/// Head and body of the answer on a kept connection.
fn exchanged(server: &Server, target: &str) -> (String, Vec<u8>) {
    let mut client: Client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
    client.finish();
    let answer = client.rest();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head") + 4);
    (String::from_utf8(head.to_vec()).unwrap(), body.to_vec())
}

#[test]
fn a_typical_answer_of_each_endpoint_has_a_short_head() {
    let server = Server::start(&[]);
    let mut seen = 0;
    for endpoint in ENDPOINTS {
        for form in endpoint.requests {
            let (Example::Get(target) | Example::FirstStep(target)) = form.example else {
                continue;
            };
            if target.contains("format=") {
                continue; // a picture
            }
            let (head, body) = exchanged(&server, target);
            let mut bytes = HEAD_BYTES - 3 + body.len().to_string().len();
            if head.contains(CHARSET) {
                bytes += CHARSET.len();
            }
            if head.contains(VARY) {
                bytes += VARY.len();
            }
            assert_eq!(head.len(), bytes, "{target}\n{head}");
            assert!(
                body.is_ascii() || head.contains(CHARSET),
                "{target}\n{head}"
            );
            assert!(!head.to_lowercase().contains("\nserver:"), "{head}");
            assert_eq!(
                head.contains(CHARSET),
                endpoint.path == "/twitter",
                "{head}"
            );
            assert_eq!(
                head.contains(VARY),
                target.contains("type=encode"),
                "{head}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}

#[test]
fn a_message_and_a_name_that_need_a_charset_have_one() {
    let server = Server::start(&["--team", "\u{c9}quipe"]);
    for target in [
        "/blockchain?cc=x",
        "/qrcode?type=encode&data=a",
        "/qrcode?type=x",
    ] {
        let (head, body) = exchanged(&server, target);
        assert!(
            !body.is_ascii() && head.contains(CHARSET),
            "{target}\n{head}"
        );
        assert_eq!(head.contains(VARY), target.contains("encode"), "{head}");
    }
}
