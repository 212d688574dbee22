//! Tables of the grammar, limits at their boundaries, `httparse` as the oracle.

use super::*;

fn parse(text: &str) -> Result<Parsed<'_>, Fault> {
    head(text.as_bytes(), &Limits::default())
}

fn complete(text: &str) -> Head<'_> {
    match parse(text) {
        Ok(Parsed::Complete(head)) => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn fault(text: &str) -> Fault {
    match parse(text) {
        Err(fault) => fault,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn with_field(field: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n")
}

#[test]
fn a_head_is_taken_apart() {
    let text = "GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: h:80\r\nAccept:  text/html \r\n\r\nrest";
    let head = complete(text);
    assert_eq!(head.method, Method::Get);
    assert_eq!((head.path, head.query), (&b"/a/b"[..], &b"x=1&y=2"[..]));
    assert_eq!(head.bytes, text.len() - "rest".len());
    assert_eq!(head.fields, b"Host: h:80\r\nAccept:  text/html \r\n");
    assert!(head.keep_alive && head.minor == 1 && head.framing == Framing::Length(0));
    let fields: Vec<_> = crate::http::request::fields(head.fields).collect();
    assert_eq!(
        fields,
        [(&b"Host"[..], &b"h:80"[..]), (b"Accept", b"text/html")]
    );
}

#[test]
fn every_target_form() {
    let of = |line: &'static str| {
        let text: &'static str = format!("{line}\r\nHost: h\r\n\r\n").leak();
        parse(text).map(|parsed| match parsed {
            Parsed::Complete(head) => (head.path, head.query),
            Parsed::Partial => panic!("{line}"),
        })
    };
    assert_eq!(of("GET / HTTP/1.1"), Ok((&b"/"[..], &b""[..])));
    assert_eq!(of("GET /? HTTP/1.1"), Ok((&b"/"[..], &b""[..])));
    assert_eq!(of("GET /a?b?c HTTP/1.1"), Ok((&b"/a"[..], &b"b?c"[..])));
    assert_eq!(of("GET http://h HTTP/1.1"), Ok((&b"/"[..], &b""[..])));
    assert_eq!(
        of("GET HTTP://h:1/a?q HTTP/1.1"),
        Ok((&b"/a"[..], &b"q"[..]))
    );
    assert_eq!(of("GET http://h?q HTTP/1.1"), Ok((&b"/"[..], &b"q"[..])));
    assert_eq!(of("OPTIONS * HTTP/1.1"), Ok((&b"*"[..], &b""[..])));
    assert_eq!(of("CONNECT h:1 HTTP/1.1"), Ok((&b""[..], &b""[..])));
    for bad in [
        "GET *",
        "GET h:1",
        "GET http:///a",
        "GET http://u@h/",
        "GET ftp://h/",
        "GET ?a",
        "GET /a#b",
        "CONNECT /",
        "CONNECT :80",
        "CONNECT u@h:1",
    ] {
        assert_eq!(
            of(format!("{bad} HTTP/1.1").leak()),
            Err(Fault::BadTarget),
            "{bad}"
        );
    }
}

#[test]
fn a_fault_is_seen_at_its_byte_and_not_before() {
    let cases = [
        ("G@", Fault::BadMethod),
        (" ", Fault::BadMethod),
        ("GET  ", Fault::BadTarget),
        ("GET /a\r", Fault::BadTarget),
        ("GET /a\x01", Fault::BadTarget),
        ("GET / HTTQ", Fault::BadVersion),
        ("GET / HTTP/1.1 ", Fault::BadVersion),
        ("GET / HTTP/1.1\n", Fault::BadVersion),
        ("GET / HTTP/1.1\r\n ", Fault::BadFieldLine),
        ("GET / HTTP/1.1\r\nA ", Fault::BadFieldLine),
        ("GET / HTTP/1.1\r\n:", Fault::BadFieldLine),
        ("GET / HTTP/1.1\r\nA\r", Fault::BadFieldLine),
        ("GET / HTTP/1.1\r\nA: b\n", Fault::BadFieldLine),
        ("GET / HTTP/1.1\r\nA: b\0", Fault::BadFieldLine),
        ("GET / HTTP/1.1\r\nA: b\rc", Fault::BadFieldLine),
        (
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n",
            Fault::BadContentLength,
        ),
        ("\n", Fault::BadPreface),
        ("\r\r", Fault::BadPreface),
        ("\r\n\r\n\r\n\r\n\r\n", Fault::BadPreface),
    ];
    for (text, want) in cases {
        assert_eq!(fault(text), want, "{text:?}");
        for end in 0..text.len() {
            assert!(
                matches!(parse(&text[..end]), Ok(Parsed::Partial)),
                "{:?}",
                &text[..end]
            );
        }
    }
}

#[test]
fn versions() {
    let minor = |version: &str| {
        parse(format!("GET / {version}\r\nHost: h\r\n\r\n").leak()).map(|parsed| match parsed {
            Parsed::Complete(head) => head.minor,
            Parsed::Partial => u8::MAX,
        })
    };
    assert_eq!(minor("HTTP/1.0"), Ok(0));
    assert_eq!(minor("HTTP/1.1"), Ok(1));
    assert_eq!(minor("HTTP/1.9"), Ok(1));
    assert_eq!(minor("HTTP/2.0"), Err(Fault::UnsupportedVersion));
    assert_eq!(minor("HTTP/0.9"), Err(Fault::UnsupportedVersion));
    for bad in [
        "http/1.1",
        "HTTP/1.10",
        "HTTP/11",
        "HTTP/1,1",
        "HTTP/1.x",
        "HTTP/1.1x",
    ] {
        assert_eq!(minor(bad), Err(Fault::BadVersion), "{bad}");
    }
}

#[test]
fn framing_is_exact_or_refused() {
    let framing = |field: &str| {
        parse(with_field(field).leak()).map(|parsed| match parsed {
            Parsed::Complete(head) => head.framing,
            Parsed::Partial => panic!("{field}"),
        })
    };
    assert_eq!(framing("Content-Length: 12"), Ok(Framing::Length(12)));
    assert_eq!(framing("content-length:\t0012 "), Ok(Framing::Length(12)));
    assert_eq!(
        framing("Content-Length: 18446744073709551615"),
        Ok(Framing::Length(u64::MAX))
    );
    for bad in [
        "",
        "+1",
        "-1",
        "1,1",
        "1 1",
        "0x1",
        "1.0",
        "18446744073709551616",
        "184467440737095516150",
        "1\r\nContent-Length: 1",
    ] {
        assert_eq!(
            framing(&format!("Content-Length: {bad}")),
            Err(Fault::BadContentLength),
            "{bad:?}"
        );
    }
    assert_eq!(framing("Transfer-Encoding: chunked"), Ok(Framing::Chunked));
    assert_eq!(
        framing("Transfer-Encoding: , CHUNKED ,"),
        Ok(Framing::Chunked)
    );
    assert_eq!(
        framing("Transfer-Encoding: gzip, chunked"),
        Err(Fault::UnknownTransferCoding)
    );
    let malformed = [
        "",
        "gzip",
        "identity",
        "chunked, chunked",
        "chunked, gzip",
        "chunked;q=1",
        "x-chunked",
        "gzip, x",
    ];
    for bad in malformed {
        assert_eq!(
            framing(&format!("Transfer-Encoding: {bad}")),
            Err(Fault::BadTransferEncoding),
            "{bad:?}"
        );
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked";
    assert_eq!(framing(twice), Err(Fault::BadTransferEncoding));
    let both = [
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nContent-Length: 0",
    ];
    for fields in both {
        assert_eq!(framing(fields), Err(Fault::AmbiguousLength));
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(fault(old), Fault::BadTransferEncoding);
}

#[test]
fn hosts() {
    for good in [
        "",
        "h",
        "h:80",
        "h:",
        "a.b-c_d~!$&'()*+,;=",
        "%41x",
        "[::1]",
        "[::1]:80",
        "127.0.0.1:1",
    ] {
        complete(format!("GET / HTTP/1.1\r\nHost: {good}\r\n\r\n").leak());
    }
    for bad in [
        "a b", "a/b", "u@a", "a:8x", "[::1", "[]", "[::1]x", "a#b", "%zz", "%4z", "%4", "\u{e9}",
        "a:1:2",
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n");
        assert_eq!(fault(&text), Fault::BadHost, "{bad:?}");
    }
    assert_eq!(fault("GET / HTTP/1.1\r\n\r\n"), Fault::MissingHost);
    assert_eq!(fault(&with_field("hOST: h")), Fault::RepeatedHost);
    complete("GET / HTTP/1.0\r\n\r\n");
}

#[test]
fn persistence() {
    let kept = |version: &str, field: &str| {
        complete(format!("GET / HTTP/{version}\r\nHost: h\r\n{field}\r\n\r\n").leak()).keep_alive
    };
    assert!(
        kept("1.1", "A: b")
            && kept("1.1", "Connection: keep-alive")
            && kept("1.1", "Connection: closed")
    );
    assert!(
        !kept("1.1", "Connection: ,, CLOSE ,") && !kept("1.1", "Connection: keep-alive, close")
    );
    assert!(!kept("1.1", "Connection: keep-alive\r\nConnection: close"));
    assert!(!kept("1.0", "A: b") && kept("1.0", "Connection: Keep-Alive"));
    assert!(!kept("1.0", "Connection: keep-alive, close"));
}

#[test]
fn expectations() {
    let expects = |version: &str, field: &str| {
        let text = format!("POST / HTTP/{version}\r\nHost: h\r\n{field}\r\n\r\n");
        parse(text.leak()).map(|parsed| match parsed {
            Parsed::Complete(head) => head.expects_continue,
            Parsed::Partial => panic!("{field}"),
        })
    };
    assert_eq!(expects("1.1", "Expect: 100-Continue"), Ok(true));
    assert_eq!(expects("1.1", "Accept: 100-continue"), Ok(false));
    let unknown = Err(Fault::UnknownExpectation);
    assert_eq!(expects("1.1", "Expect: 100-continue, x"), unknown);
    // HTTP/1.0 knows no expectations.
    assert_eq!(expects("1.0", "Expect: 100-continue"), Ok(false));
    assert_eq!(expects("1.0", "Expect: x"), Ok(false));
}

#[test]
fn names_as_long_as_those_that_matter() {
    for name in [
        "Date",
        "Accept",
        "User-Agent",
        "Accept-Charset",
        "X-Content-Length1",
    ] {
        let head = complete(with_field(&format!("{name}: close, chunked")).leak());
        assert!(head.keep_alive && head.framing == Framing::Length(0));
    }
}

#[test]
fn limits_hold_at_their_boundary_whole_or_in_pieces() {
    let limits = Limits {
        request_line_bytes_max: 20,
        head_bytes_max: 30,
        header_count_max: 2,
        ..Limits::default()
    };
    let of = |text: &str| match head(text.as_bytes(), &limits) {
        Ok(Parsed::Complete(_)) => None,
        Ok(Parsed::Partial) => panic!("{text:?}"),
        Err(fault) => Some(fault),
    };
    assert_eq!(of("GET /123456 HTTP/1.1\r\nHost: h\r\n\r\n"), None);
    assert_eq!(
        of("GET /1234567 HTTP/1.1\r\nHost: h\r\n\r\n"),
        Some(Fault::LineTooLong)
    );
    assert_eq!(
        of(&format!("GET /{}", "x".repeat(16))),
        Some(Fault::LineTooLong)
    );
    assert_eq!(of(&"A".repeat(21)), Some(Fault::LineTooLong));
    let fields = |n| format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "x".repeat(n));
    for whole in [
        "GET /123456 HTTP/1.1\r\nHost: h\r\n\r\n",
        &(fields(16) + "\r\n\r\n"),
    ] {
        for cut in 0..whole.len() {
            let part = head(&whole.as_bytes()[..cut], &limits);
            assert!(
                matches!(part, Ok(Parsed::Partial)),
                "{whole:?} cut at {cut}"
            );
        }
    }
    assert_eq!(of(&(fields(16) + "\r\n\r\n")), None);
    assert_eq!(of(&(fields(17) + "\r\n\r\n")), Some(Fault::HeadTooLarge));
    assert_eq!(of(&fields(30)), Some(Fault::HeadTooLarge));
    assert_eq!(
        of("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB:\r\n\r\n"),
        Some(Fault::TooManyFields)
    );
}

#[test]
fn a_remembered_section_changes_nothing() {
    let mut memo = Memo::default();
    let long = format!("Host: h\r\nA: {}\r\n\r\n", "b".repeat(MEMO_BYTES_MAX));
    let sections = [
        "Host: h\r\n\r\n",
        "Host: h\r\n\r\n",
        &long,
        &long,
        "Host: h\r\nA: b\r\n\r\n",
        "Host: h\r\n\r\n",
        "Host: h\r\n\r",
        "Host: h\r\nContent-Length: 5\r\n\r\n",
        "Host: h\r\nContent-Length: 5\r\n\r\n",
        "Host: h\r\n",
        "\r\n",
        "Host: h\r\n\r\nHost: h\r\n\r\n",
        "Host: a b\r\n\r\n",
        "Host: a b\r\n\r\n",
        "Host: h\r\nHost: h\r\n\r\n",
    ];
    for version in ["1.1", "1.0"] {
        for section in sections {
            let text = format!("GET / HTTP/{version}\r\n{section}");
            let remembered = format!(
                "{:?}",
                head_with(text.as_bytes(), &Limits::default(), &mut memo)
            );
            assert_eq!(remembered, format!("{:?}", parse(&text)), "{text:?}");
        }
    }
}

/// This parser refuses whatever `httparse` refuses, and both agree on what they accept.
#[test]
fn nothing_is_accepted_that_httparse_refuses() {
    use proptest::prelude::*;
    let pieces = prop::sample::select(vec![
        "GET",
        "POST",
        " ",
        "/",
        "/a?b=c",
        "HTTP/1.1",
        "HTTP/1.0",
        "\r\n",
        "\n",
        "\r",
        "Host",
        ":",
        "h",
        "A: b",
        "\t",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "\0",
        "\u{e9}",
        "Connection: close",
        "Expect",
    ]);
    let valid = Just("GET /x?y HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n".to_owned());
    let loose = prop::collection::vec(pieces, 0..14).prop_map(|p| p.concat());
    let cut = (valid, loose.clone(), 0usize..40).prop_map(|(valid, loose, at)| {
        let at = at.min(valid.len());
        format!("{}{}{}", &valid[..at], loose, &valid[at..])
    });
    proptest!(|(text in prop_oneof![loose, cut])| {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Request::new(&mut fields);
        let outcome = theirs.parse(text.as_bytes());
        if let Ok(Parsed::Complete(ours)) = parse(&text) {
            prop_assert_eq!(outcome, Ok(httparse::Status::Complete(ours.bytes)));
            prop_assert_eq!(theirs.version, Some(ours.minor));
            let theirs: Vec<_> = theirs.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect();
            let ours: Vec<_> = crate::http::request::fields(ours.fields).collect();
            prop_assert_eq!(theirs, ours);
        }
    });
}
