//! A parsed request, borrowed from the connection's bytes.

use super::scan;

/// Request methods this server tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 9110 §9.3.1.
    Get,
    /// RFC 9110 §9.3.2; handled as GET, the body is left out.
    Head,
    /// RFC 9110 §9.3.3.
    Post,
    /// RFC 9110 §9.3.4.
    Put,
    /// RFC 9110 §9.3.5.
    Delete,
    /// CONNECT, OPTIONS, TRACE or PATCH: known, allowed nowhere.
    Other,
    /// Any other token: not implemented.
    Unknown,
}

impl Method {
    /// The method of a token; methods are case-sensitive.
    pub fn of(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" | b"OPTIONS" | b"TRACE" | b"PATCH" => Self::Other,
            _ => Self::Unknown,
        }
    }
}

/// How the body of a request is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body, or exactly this many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
}

/// A request head: request line and header section.
#[derive(Clone, Copy, Debug)]
pub struct Head<'b> {
    /// The method.
    pub method: Method,
    /// Authority of a target in absolute or authority form, which counts instead of Host (RFC 9112 §3.2.2); else
    /// empty.
    pub authority: &'b [u8],
    /// Path of the target, never empty; `*` for the asterisk form, empty for the authority form.
    pub path: &'b [u8],
    /// Query of the target without its `?`; empty if there is none.
    pub query: &'b [u8],
    /// The field lines with their CRLFs, without the empty line; every line is well-formed.
    pub fields: &'b [u8],
    /// Minor version: 0 or 1; a higher one counts as 1 (RFC 9110 §2.5).
    pub minor: u8,
    /// Whether the client wants the connection kept (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether `Expect: 100-continue` was sent by an HTTP/1.1 client.
    pub expects_continue: bool,
    /// How the body is delimited.
    pub framing: Framing,
    /// Bytes of the head, the empty line included.
    pub bytes: usize,
}

impl Default for Head<'_> {
    /// A head to be filled in.
    fn default() -> Self {
        Self {
            method: Method::Unknown,
            authority: &[],
            path: &[],
            query: &[],
            fields: &[],
            minor: 1,
            keep_alive: false,
            expects_continue: false,
            framing: Framing::Length(0),
            bytes: 0,
        }
    }
}

/// A complete request, as a [`Service`](super::Service) gets it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'b> {
    /// The head. By reference: copying its ninety bytes cost a tenth of a request's instructions in `http`.
    pub head: &'b Head<'b>,
    /// The body after removal of the transfer coding.
    pub body: &'b [u8],
}

impl<'b> Request<'b> {
    /// The value of the first field called `name` (lower case), without surrounding whitespace.
    pub fn field(&self, name: &[u8]) -> Option<&'b [u8]> {
        self.values(name).next()
    }

    /// The host and port that the request is meant for.
    pub fn host(&self) -> &'b [u8] {
        match self.head.authority {
            [] => self.field(b"host").unwrap_or_default(),
            authority => authority,
        }
    }

    /// The values of all fields called `name`: a list may be spread over several (RFC 9110 §5.3).
    pub fn values<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        fields(self.head.fields)
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Name and trimmed value of every field line of a parsed header section.
pub fn fields(section: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    section.split(|&b| b == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let value = line[colon + 1..]
            .strip_suffix(b"\r")
            .unwrap_or(&line[colon + 1..]);
        Some((&line[..colon], scan::trim_ows(value)))
    })
}

/// A GET request as the parser gives it to a handler, for tests of what handlers ask of one.
#[cfg(test)]
pub fn parse_request<T>(target: &str, fields: &str, ask: impl FnOnce(&Request<'_>) -> T) -> T {
    use super::{Limits, parse};
    let bytes = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
    let Ok(parse::Parsed::Complete(head)) = parse::head(bytes.as_bytes(), &Limits::default())
    else {
        panic!("{bytes}");
    };
    ask(&Request {
        head: &head,
        body: &[],
    })
}
