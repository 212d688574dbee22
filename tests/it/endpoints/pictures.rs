//! Pictures of `/qrcode` and caches: what may be cached, when it is asked for again, what `Accept` decided.

use crate::harness::{Response, Server};

const PICTURES: [&str; 3] = ["svg", "png", "text"];

fn ask(server: &Server, method: &str, target: &str, fields: &str) -> Response {
    let mut client = server.connect();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
    client.send(request.as_bytes());
    let answer = match method {
        "HEAD" => client.head_response(),
        _ => client.response(),
    };
    assert!(client.is_in_sync(), "{request}");
    answer.unwrap()
}

#[test]
fn a_picture_may_be_kept_and_is_not_sent_twice() {
    let server = Server::start(&[]);
    let mut tags = Vec::new();
    for format in PICTURES {
        let target = format!("/qrcode?type=encode&data=hello&format={format}");
        let whole = ask(&server, "GET", &target, "");
        let tag = whole.field("etag").unwrap().to_owned();
        assert!(
            tag.starts_with('"') && tag.ends_with('"') && tag.len() > 8,
            "{tag}"
        );
        let kept = whole.field("cache-control").unwrap();
        assert_eq!(kept, "public, max-age=31536000, immutable");
        for (condition, status) in [
            (format!("If-None-Match: {tag}"), 304),
            (format!("If-None-Match: W/{tag}"), 304),
            (format!("If-None-Match: \"x,\", {tag}"), 304),
            (format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}"), 304),
            ("If-None-Match: *".into(), 304),
            ("If-None-Match: \"x\"".into(), 200),
            (format!("If-None-Match: {}", tag.trim_matches('"')), 200),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = ask(&server, method, &target, &format!("{condition}\r\n"));
                assert_eq!(answer.status, status, "{method} {condition}");
                assert_eq!(answer.field("etag"), Some(&*tag), "{condition}");
                assert_eq!(answer.field("cache-control"), Some(kept), "{condition}");
                let length = answer.field("content-length");
                let expected = (status == 200).then(|| whole.body.len().to_string());
                assert_eq!(length, expected.as_deref(), "{method} {condition}");
            }
        }
        tags.push(tag);
    }
    let other = "/qrcode?type=encode&data=hellp&format=svg";
    tags.push(ask(&server, "GET", other, "").field("etag").unwrap().into());
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), PICTURES.len() + 1, "{tags:?}");
}

/// A cache must not give a picture to a client that wants the protocol's answer, nor a refusal of one to the other.
#[test]
fn answers_that_accept_decided_say_so_and_no_others() {
    let server = Server::start(&[]);
    let long = "a".repeat(3000);
    let png = "Accept: image/png\r\n";
    for (target, fields, status, varies) in [
        ("/qrcode?type=encode&data=hello", "", 200, true),
        ("/qrcode?type=encode&data=hello", png, 200, true),
        (&*format!("/qrcode?type=encode&data={long}"), "", 200, true), // INVALID
        (&*format!("/qrcode?type=encode&data={long}"), png, 413, true),
        (
            &*format!("/qrcode?type=encode&data={long}&format=png"),
            png,
            413,
            false,
        ),
        ("/qrcode?type=encode&data=hello&format=png", "", 200, false),
        ("/qrcode?type=encode&data=hello&format=svg", png, 200, false),
        (
            "/qrcode?type=encode&data=hello&format=jpeg",
            png,
            200,
            false,
        ),
        ("/qrcode?type=encode", png, 200, false),
        ("/qrcode?type=decode&data=0x1", png, 200, false),
        ("/qrcode", png, 200, false),
        ("/blockchain?cc=x", png, 200, false),
        ("/healthz", png, 200, false),
        ("/nothing", png, 404, false),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&server, method, target, fields);
            assert_eq!(answer.status, status, "{method} {target} {fields}");
            let expected = varies.then_some("Accept");
            assert_eq!(answer.field("vary"), expected, "{method} {target} {fields}");
        }
    }
    let tag = ask(&server, "GET", "/qrcode?type=encode&data=hello", png);
    let condition = format!("{png}If-None-Match: {}\r\n", tag.field("etag").unwrap());
    let kept = ask(&server, "GET", "/qrcode?type=encode&data=hello", &condition);
    assert_eq!((kept.status, kept.field("vary")), (304, Some("Accept")));
}
