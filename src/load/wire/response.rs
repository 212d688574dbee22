//! Parses one response from received bytes: a pure function, strict where leniency could hide a fault.
//!
//! The worker calls it with all bytes received since the last whole response. `httparse` reads heads, not
//! the server's parser, whose faults would otherwise go unnoticed.

use std::borrow::Cow;

/// Most header fields of a response.
const FIELDS_MAX: usize = 64;
/// Longest head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Longest body; no response of the protocols is longer.
const BODY_BYTES_MAX: usize = 256 << 20;

/// A whole response.
#[derive(Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The body, without chunk framing.
    pub body: Cow<'a, [u8]>,
    /// Bytes of head, framing and body together.
    pub bytes: usize,
    /// Whether the server closes the connection after the response.
    pub closes: bool,
}

/// The received bytes are not an HTTP/1 response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(
    /// Which rule it breaks.
    pub &'static str,
);

/// How the body's end is found (RFC 9112 section 6.3).
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// The answer at the start of `bytes`; `None` while it is incomplete.
///
/// `ended` says that no bytes will follow, which ends a body without a length. Interim answers (1xx) are
/// skipped and counted in [`Response::bytes`].
///
/// # Errors
/// The bytes can never become an answer.
pub fn parse(bytes: &[u8], ended: bool) -> Result<Option<Response<'_>>, Malformed> {
    let mut start = 0;
    loop {
        let Some(head) = parse_head(&bytes[start..])? else {
            return Ok(None);
        };
        if (100..200).contains(&head.status) {
            start += head.bytes;
            continue;
        }
        let body = &bytes[start + head.bytes..];
        let framed = match head.framing {
            Framing::Length(length) if body.len() < length => None,
            Framing::Length(length) => Some((Cow::Borrowed(&body[..length]), length)),
            Framing::Chunked => dechunked(body)?.map(|(body, taken)| (Cow::Owned(body), taken)),
            Framing::UntilClose if ended => Some((Cow::Borrowed(body), body.len())),
            Framing::UntilClose => None,
        };
        return Ok(framed.map(|(body, taken)| Response {
            status: head.status,
            body,
            bytes: start + head.bytes + taken,
            closes: head.closes,
        }));
    }
}

struct Head {
    status: u16,
    bytes: usize,
    framing: Framing,
    closes: bool,
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => {
            return Err(Malformed("endless head"));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed("not an HTTP head")),
    };
    let status = head.code.unwrap_or(0);
    let (mut length, mut chunked) = (None, false);
    let mut closes = head.version == Some(0);
    for field in head.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = decimal(field.value).ok_or(Malformed("Content-Length is not a number"))?;
            if length.replace(value).is_some() {
                return Err(Malformed("two Content-Length fields"));
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed("unknown Transfer-Encoding"));
            }
            chunked = true;
        } else if field.name.eq_ignore_ascii_case("connection") {
            closes |= field.value.eq_ignore_ascii_case(b"close");
        }
    }
    let framing = match (length, chunked) {
        (Some(_), true) => {
            return Err(Malformed("both Content-Length and Transfer-Encoding"));
        }
        _ if status < 200 || status == 204 || status == 304 => Framing::Length(0),
        (Some(length), false) => Framing::Length(length),
        (None, true) => Framing::Chunked,
        (None, false) => Framing::UntilClose,
    };
    closes |= matches!(framing, Framing::UntilClose);
    Ok(Some(Head {
        status,
        bytes: head_bytes,
        framing,
        closes,
    }))
}

fn decimal(value: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(value).ok()?;
    let number = digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then_some(digits)?;
    number.parse().ok().filter(|n| *n <= BODY_BYTES_MAX)
}

/// The body without chunk framing, and the length of the coded body; `None` while it is incomplete.
fn dechunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let (line_bytes, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed("not a chunk size")),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > BODY_BYTES_MAX - body.len() {
            return Err(Malformed("chunk too large"));
        }
        let rest = &rest[line_bytes..];
        if size == 0 {
            return Ok(trailer_bytes(rest)?.map(|trailer| (body, at + line_bytes + trailer)));
        }
        let Some(chunk) = rest.get(..size + 2) else {
            return Ok(None);
        };
        let (data, end) = chunk.split_at(size);
        if end != b"\r\n" {
            return Err(Malformed("no line end after a chunk"));
        }
        body.extend_from_slice(data);
        at += line_bytes + size + 2;
    }
}

/// Bytes of the trailer section and the empty line after it.
fn trailer_bytes(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    match httparse::parse_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete((taken, _))) => Ok(Some(taken)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(Malformed("not a trailer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nA: b\r\n\r\n";

    #[test]
    fn whole_answers_are_found_at_every_split() {
        for whole in [PLAIN, CHUNKED] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end], false), Ok(None), "{end}");
            }
            let more = [whole, b"HTTP"].concat();
            let answer = parse(&more, false).unwrap().unwrap();
            assert_eq!(answer.body.as_ref(), b"hello");
            assert_eq!((answer.status, answer.bytes), (200, whole.len()));
            assert!(!answer.closes);
        }
    }

    #[test]
    fn the_end_of_the_connection_ends_a_body_without_length() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nhel";
        assert_eq!(parse(bytes, false), Ok(None));
        let answer = parse(bytes, true).unwrap().unwrap();
        assert_eq!(answer.body.as_ref(), b"hel");
        assert!(answer.closes);
        // but it does not complete a body with a length
        assert_eq!(parse(&PLAIN[..PLAIN.len() - 1], true), Ok(None));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let bytes = [b"HTTP/1.1 100 Continue\r\n\r\n", PLAIN].concat();
        let answer = parse(&bytes, false).unwrap().unwrap();
        assert_eq!((answer.status, answer.bytes), (200, bytes.len()));
    }

    #[test]
    fn closing_is_noticed() {
        for head in ["HTTP/1.1 200 OK\r\nconnection: Close", "HTTP/1.0 200 OK"] {
            let bytes = format!("{head}\r\nContent-Length: 0\r\n\r\n");
            assert!(parse(bytes.as_bytes(), false).unwrap().unwrap().closes);
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for head in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 2OO OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        ] {
            assert!(parse(head.as_bytes(), false).is_err(), "{head}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(
            parse(endless.as_bytes(), false),
            Err(Malformed("endless head"))
        );
    }
}
