//! Request heads out of bytes: a pure function, strict by RFC 9112.
//!
//! Why not `httparse`: it accepts a bare LF as a line end and leaves framing, Host and targets to its
//! caller, so every field would be read twice; on a 2,000-byte target this scanner needs a third of its
//! instructions. `httparse` is the oracle of the tests and of the fuzz target.
//!
//! The caller keeps the bytes and calls again with more when the answer is [`Parsed::Partial`]; a fault is
//! reported as soon as the bytes that prove it have arrived.
//!
//! `host` has the grammar of Host and of a target's authority.

mod host;

use host::is_host;

use super::{
    limits::Limits,
    request::{Framing, Head, Method},
    scan,
    status::Fault,
};

/// Empty lines ignored before a request line (RFC 9112 §2.2 asks for at least one).
const LEADING_EMPTY_LINES_MAX: usize = 4;

/// Outcome of [`head`].
#[derive(Clone, Copy, Debug)]
pub enum Parsed<'b> {
    /// A whole head.
    Complete(Head<'b>),
    /// No fault so far, but the head has not ended.
    Partial,
}

/// Parses the head at the start of `bytes`.
pub fn head<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Parsed<'b>, Fault> {
    head_with(bytes, limits, &mut Memo::default())
}

/// Like [`head`], but remembers the last header section: a client's requests differ in their targets and
/// hardly ever in their fields, so parsing a section is usually one comparison.
pub fn head_with<'b>(
    bytes: &'b [u8],
    limits: &Limits,
    memo: &mut Memo,
) -> Result<Parsed<'b>, Fault> {
    let mut head = Head::default();
    let has_ended = head_into(&mut head, bytes, limits, memo)?;
    Ok(if has_ended {
        Parsed::Complete(head)
    } else {
        Parsed::Partial
    })
}

/// As [`head_with`], into a head in place. False: the head has not ended.
// Called from one place on the hot path: inlined there, the head is not copied (-10 % of the instructions of a
// pipelined request).
#[inline(always)]
pub fn head_into<'b>(
    head: &mut Head<'b>,
    bytes: &'b [u8],
    limits: &Limits,
    memo: &mut Memo,
) -> Result<bool, Fault> {
    let start = match bytes.first() {
        Some(first) if *first > b'\r' => 0, // nearly always
        _ => match skip_empty_lines(bytes)? {
            Some(start) => start,
            None => return Ok(false),
        },
    };
    let line_bytes = match request_line(head, &bytes[start..], limits) {
        Ok(line) => line,
        Err(Stop::Partial) => return Ok(false),
        Err(Stop::Fault(fault)) => return Err(fault),
    };
    let fields_start = start + line_bytes;
    let fields = &bytes[fields_start..];
    let section = match memo.recall(fields, head.minor) {
        Some(section) => section,
        None => match memo.parse(fields, head.minor, limits) {
            Ok(section) => section,
            Err(Stop::Partial) => return Ok(false),
            Err(Stop::Fault(fault)) => return Err(fault),
        },
    };
    head.fields = &fields[..section.bytes - 2];
    head.keep_alive = section.keep_alive;
    head.expects_continue = section.expects_continue;
    head.framing = section.framing;
    head.bytes = fields_start + section.bytes;
    Ok(true)
}

/// Why parsing stopped before the end of the head.
enum Stop {
    Partial,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Start of the request line, or `None` if only empty lines have arrived so far.
#[cold]
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let mut at = 0;
    loop {
        match &bytes[at..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if at < 2 * LEADING_EMPTY_LINES_MAX => at += 2,
            [b'\r' | b'\n', ..] => return Err(Fault::BadPreface),
            _ => return Ok(Some(at)),
        }
    }
}

/// Whether the request at the start of `bytes` is HEAD, even if its head is refused: the answer then has no
/// body (RFC 9110 §9.3.2).
#[cold]
pub fn is_head(bytes: &[u8]) -> bool {
    let line_start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'));
    line_start.is_some_and(|start| bytes[start..].starts_with(b"HEAD "))
}

/// Parses the request line at the start of `bytes`. Returns its length, CRLF included.
#[inline(always)] // as `head_into`, its only caller
fn request_line<'b>(head: &mut Head<'b>, bytes: &'b [u8], limits: &Limits) -> Result<usize, Stop> {
    // A partial line is a fault once it is longer than a whole line may be; the CR does not count.
    let partial = || {
        let line = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if line.len() > limits.request_line_bytes_max {
            Stop::Fault(Fault::LineTooLong)
        } else {
            Stop::Partial
        }
    };
    let (method, start) = if bytes.starts_with(b"GET ") {
        (Method::Get, 4) // nearly always; recognised by one comparison
    } else {
        match method(bytes) {
            Err(Stop::Partial) => return Err(partial()),
            other => other?,
        }
    };
    let path_end = start + scan::path_end(&bytes[start..]);
    let (query_start, target_end) = match bytes.get(path_end) {
        Some(b'?') => (
            path_end + 1,
            path_end + scan::target_end(&bytes[path_end..]),
        ),
        _ => (path_end, path_end),
    };
    match bytes.get(target_end) {
        None => return Err(partial()),
        Some(b' ') if target_end > start => {}
        Some(_) => return Err(Fault::BadTarget.into()),
    }
    let after_target = &bytes[target_end + 1..];
    let minor = if after_target.starts_with(VERSION) {
        1 // nearly always
    } else {
        match version(after_target) {
            Err(Stop::Partial) => return Err(partial()),
            other => other?,
        }
    };
    let line_bytes = target_end + 1 + VERSION.len();
    if line_bytes - 2 > limits.request_line_bytes_max {
        return Err(Fault::LineTooLong.into());
    }
    let target = match bytes[start] {
        b'/' if method != Method::Other || !bytes.starts_with(b"CONNECT ") => Target {
            authority: &[],
            path: &bytes[start..path_end],
            query: &bytes[query_start..target_end],
        },
        _ => other_form(&bytes[..start - 1], &bytes[start..target_end])?,
    };
    head.method = method;
    head.authority = target.authority;
    head.path = target.path;
    head.query = target.query;
    head.minor = minor;
    Ok(line_bytes)
}

/// The method at the start of `bytes`, and where the target begins.
#[inline(never)]
fn method(bytes: &[u8]) -> Result<(Method, usize), Stop> {
    let end = scan::token_end(bytes);
    match bytes.get(end) {
        None => Err(Stop::Partial),
        Some(b' ') if end > 0 => Ok((Method::of(&bytes[..end]), end + 1)),
        Some(_) => Err(Fault::BadMethod.into()),
    }
}

/// What follows the target of nearly every request.
const VERSION: &[u8; 10] = b"HTTP/1.1\r\n";

/// Minor version of `HTTP/1.x` CRLF at the start of `bytes`.
#[cold]
fn version(bytes: &[u8]) -> Result<u8, Stop> {
    let mut unsupported = false;
    let mut minor = 1;
    for (index, &want) in VERSION.iter().enumerate() {
        let Some(&b) = bytes.get(index) else {
            return Err(Stop::Partial);
        };
        match index {
            5 if b.is_ascii_digit() => unsupported = b != b'1',
            7 if b.is_ascii_digit() => minor = u8::from(b != b'0'),
            _ if b == want => {}
            _ => return Err(Fault::BadVersion.into()),
        }
    }
    if unsupported {
        return Err(Fault::UnsupportedVersion.into());
    }
    Ok(minor)
}

/// A target's parts; those that it does not have are empty.
struct Target<'b> {
    authority: &'b [u8],
    path: &'b [u8],
    query: &'b [u8],
}

/// A target in absolute, asterisk or authority form (RFC 9112 §3.2).
#[cold]
fn other_form<'b>(method: &[u8], target: &'b [u8]) -> Result<Target<'b>, Fault> {
    let whole = |authority, path| Target {
        authority,
        path,
        query: &[],
    };
    // Authority form belongs to CONNECT, which has no other.
    if method == b"CONNECT" {
        return match target {
            [] | [b':', ..] => Err(Fault::BadTarget),
            _ if is_host(target) => Ok(whole(target, &[])),
            _ => Err(Fault::BadTarget),
        };
    }
    if target == b"*"
        && matches!(
            Method::of(method),
            Method::Put | Method::Delete | Method::Other
        )
    {
        return Ok(whole(&[], target));
    }
    let (authority, origin) = absolute(target).ok_or(Fault::BadTarget)?;
    let (path, query) = match memchr::memchr(b'?', origin) {
        Some(at) => (&origin[..at], &origin[at + 1..]),
        None => (origin, &b""[..]),
    };
    Ok(Target {
        authority,
        path: if path.is_empty() { b"/" } else { path },
        query,
    })
}

/// Authority of an absolute-form target, and what follows it. `https` is what a proxy that ends TLS may forward: the
/// scheme changes no answer.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let (given, rest) = target.split_at_checked(scheme.len())?;
        given.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    let end = rest
        .iter()
        .position(|&b| b == b'/' || b == b'?')
        .unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    // A URI without a host is invalid (RFC 9110 §4.2.1), one with user information is refused
    // (§4.2.4); `@` is in no host.
    let is_valid = !matches!(authority, [] | [b':', ..]) && is_host(authority);
    is_valid.then_some((authority, origin))
}

/// What a valid header section means for a request of a given minor version.
#[derive(Clone, Copy)]
struct Meaning {
    /// The empty line included.
    bytes: usize,
    keep_alive: bool,
    expects_continue: bool,
    framing: Framing,
}

/// The last header section that a worker parsed, and its meaning. Valid for one set of limits.
#[derive(Default)]
pub struct Memo {
    /// The field lines and the empty line.
    bytes: Vec<u8>,
    /// The minor version of its request, and its meaning; `None` before the first section.
    meaning: Option<(u8, Meaning)>,
}

/// Longer sections are parsed every time.
const MEMO_BYTES_MAX: usize = 2048;

impl Memo {
    /// The meaning of the section at the start of `bytes` if it equals the last one: equal bytes have equal
    /// meaning.
    #[inline]
    fn recall(&self, bytes: &[u8], minor: u8) -> Option<Meaning> {
        self.meaning
            .filter(|(with, _)| *with == minor && bytes.starts_with(&self.bytes))
            .map(|(_, meaning)| meaning)
    }

    /// Parses the section at the start of `bytes` and remembers it.
    #[inline(never)]
    fn parse(&mut self, bytes: &[u8], minor: u8, limits: &Limits) -> Result<Meaning, Stop> {
        let meaning = field_section(bytes, limits)?.meaning(minor)?;
        if meaning.bytes <= MEMO_BYTES_MAX {
            self.bytes.clear();
            self.bytes.extend_from_slice(&bytes[..meaning.bytes]);
            self.meaning = Some((minor, meaning));
        }
        Ok(meaning)
    }
}

/// The fields of a header section that matter to framing and to the connection.
#[derive(Clone, Copy, Default)]
struct Section {
    /// The empty line included.
    bytes: usize,
    hosts: u32,
    host_valid: bool,
    content_length: Option<u64>,
    transfer_encoding: Option<Coding>,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    unknown_expectation: bool,
}

/// The transfer coding of a request: `chunked`, the only one implemented, or why it is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    Unknown,
    Malformed,
}

fn field_section(bytes: &[u8], limits: &Limits) -> Result<Section, Stop> {
    let mut section = Section::default();
    let mut at = 0;
    let mut count = 0;
    let too_large = |at: usize| at > limits.head_bytes_max;
    let partial = || {
        if too_large(bytes.len()) {
            Stop::Fault(Fault::HeadTooLarge)
        } else {
            Stop::Partial
        }
    };
    loop {
        match &bytes[at..] {
            [b'\r', b'\n', ..] => break,
            // The lines so far are within the limit; the final CRLF does not count.
            [] | [b'\r'] => return Err(Stop::Partial),
            _ => {}
        }
        let colon = at + scan::token_end(&bytes[at..]);
        match bytes.get(colon) {
            None => return Err(partial()),
            Some(b':') if colon > at => {}
            Some(_) => return Err(Fault::BadFieldLine.into()),
        }
        let end = colon + 1 + scan::field_value_end(&bytes[colon + 1..]);
        match &bytes[end..] {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Err(partial()),
            _ => return Err(Fault::BadFieldLine.into()),
        }
        count += 1;
        if count > limits.header_count_max {
            return Err(Fault::TooManyFields.into());
        }
        if too_large(end + 2) {
            return Err(Fault::HeadTooLarge.into());
        }
        section.note(&bytes[at..colon], &bytes[colon + 1..end])?;
        at = end + 2;
    }
    section.bytes = at + 2;
    Ok(section)
}

impl Section {
    /// Stores a field if it is one of the five that matter here.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        // Names are compared by length first, which rules out most fields.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                self.host_valid = is_host(scan::trim_ows(value));
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.note_expect(value),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in scan::list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(scan::trim_ows(value))?;
                if self.content_length.replace(length).is_some() {
                    return Err(Fault::BadContentLength);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let repeated = self.transfer_encoding.is_some();
                self.transfer_encoding = Some(if repeated {
                    Coding::Malformed
                } else {
                    coding(value)
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn note_expect(&mut self, value: &[u8]) {
        for member in scan::list(value) {
            if member.eq_ignore_ascii_case(b"100-continue") {
                self.expects_continue = true;
            } else {
                self.unknown_expectation = true;
            }
        }
    }

    /// The meaning of the whole section, or its fault.
    fn meaning(&self, minor: u8) -> Result<Meaning, Fault> {
        let framing = self.framing(minor)?;
        self.check_host(minor)?;
        if self.unknown_expectation && minor >= 1 {
            return Err(Fault::UnknownExpectation);
        }
        Ok(Meaning {
            bytes: self.bytes,
            keep_alive: !self.close && (minor >= 1 || self.keep_alive),
            expects_continue: self.expects_continue && minor >= 1,
            framing,
        })
    }

    /// The body's framing by RFC 9112 §6.3; anything ambiguous is refused.
    fn framing(&self, minor: u8) -> Result<Framing, Fault> {
        match (self.transfer_encoding, self.content_length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
            (Some(_), Some(_)) => Err(Fault::AmbiguousLength),
            // An HTTP/1.0 peer cannot know chunked: the framing is faulty (§6.1).
            (Some(_), None) if minor == 0 => Err(Fault::BadTransferEncoding),
            (Some(Coding::Chunked), None) => Ok(Framing::Chunked),
            (Some(Coding::Unknown), None) => Err(Fault::UnknownTransferCoding),
            (Some(Coding::Malformed), None) => Err(Fault::BadTransferEncoding),
        }
    }

    fn check_host(&self, minor: u8) -> Result<(), Fault> {
        match self.hosts {
            0 if minor >= 1 => Err(Fault::MissingHost),
            0 => Ok(()),
            1 if self.host_valid => Ok(()),
            1 => Err(Fault::BadHost),
            _ => Err(Fault::RepeatedHost),
        }
    }
}

/// `1*DIGIT` below 2^64; lists, signs and everything else are refused (RFC 9110 §8.6 allows it).
fn content_length(value: &[u8]) -> Result<u64, Fault> {
    if value.is_empty() {
        return Err(Fault::BadContentLength);
    }
    value.iter().try_fold(0u64, |length, &b| {
        let digit = b.wrapping_sub(b'0');
        (digit <= 9)
            .then(|| length.checked_mul(10)?.checked_add(u64::from(digit)))
            .flatten()
            .ok_or(Fault::BadContentLength)
    })
}

/// The transfer coding of one Transfer-Encoding value.
fn coding(value: &[u8]) -> Coding {
    let mut codings = scan::list(value);
    let (first, second) = (codings.next(), codings.next());
    let chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match (first, second) {
        (Some(only), None) if chunked(only) => Coding::Chunked,
        // Chunked must come last and only once (§6.1); codings before it are valid but not implemented.
        (Some(first), Some(second)) if !chunked(first) => {
            let last = codings.last().unwrap_or(second);
            if chunked(last) {
                Coding::Unknown
            } else {
                Coding::Malformed
            }
        }
        _ => Coding::Malformed,
    }
}

#[cfg(test)]
mod tests;
