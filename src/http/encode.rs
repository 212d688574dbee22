//! Answers: status line, fields and body appended to the connection's output.
//!
//! The heads of the most frequent answers (200, plain text) are kept ready-made and copied whole. The body is
//! written directly after it, then Content-Length is filled in. The body moves by a byte or two only if the
//! length has more or fewer digits than the previous answer's.
//!
//! A head has what its readers need and no more: 103 bytes before most bodies. `Server` told a client nothing
//! that it may act on and an attacker where to look; a charset says nothing about an ASCII text
//! (`docs/protocol/http.md`).

use super::{
    clock,
    date::{self, IMF_FIXDATE_BYTES},
    request::Head,
    status::{Fault, Status},
};

/// The type of a text that may hold any character.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// The type of a text that is always ASCII, whatever default charset its reader assumes.
pub const ASCII_TEXT: &str = "text/plain";

const DATE: &[u8] = b"Date: ";
const TYPE: &[u8] = b"\r\nContent-Type: ";
const LENGTH: &[u8] = b"\r\nContent-Length: ";

/// End of the last field line and of the head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Most digits of a body's length for which a head is ready-made. Answers of alternating lengths then build no head.
const READY_DIGITS_MAX: usize = 6;

/// Ready-made parts of heads. One per worker.
pub struct Heads {
    unix_seconds: u64,
    date: [u8; IMF_FIXDATE_BYTES],
    ready: [Ready; 3],
}

/// Which ready-made head.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Ascii,
    AsciiByAccept,
}

/// The field of an answer that another `Accept` might have changed (RFC 9110 §12.5.5).
pub const BY_ACCEPT: (&str, &str) = ("Vary", "Accept");

/// The whole head of a 200 on a kept connection.
struct Ready {
    content_type: &'static str,
    fields: &'static [(&'static str, &'static str)],
    /// With Content-Length 0, 00 and so on.
    heads: [Vec<u8>; READY_DIGITS_MAX],
    /// Digits of that Content-Length: those of the last answer, the best guess.
    length_digits: usize,
}

impl Ready {
    const fn new(
        content_type: &'static str,
        fields: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            content_type,
            fields,
            heads: [const { Vec::new() }; READY_DIGITS_MAX],
            length_digits: 3,
        }
    }

    fn make(&mut self, date: &[u8; IMF_FIXDATE_BYTES]) {
        for (head, digits) in self.heads.iter_mut().zip(1..) {
            head.clear();
            append(Status::Ok, self.content_type, self.fields, date, head);
            head.extend_from_slice(&[b'0'; READY_DIGITS_MAX][..digits]);
            head.extend_from_slice(HEAD_END);
        }
    }

    /// The head for the guessed number of digits.
    #[inline]
    fn head(&self) -> &[u8] {
        &self.heads[self.length_digits - 1]
    }
}

impl Default for Heads {
    /// Heads with the current date.
    fn default() -> Self {
        let mut heads = Self {
            unix_seconds: u64::MAX,
            date: [0; IMF_FIXDATE_BYTES],
            ready: [
                Ready::new(TEXT, &[]),
                Ready::new(ASCII_TEXT, &[]),
                Ready::new(ASCII_TEXT, &[BY_ACCEPT]),
            ],
        };
        heads.refresh();
        heads
    }
}

impl Heads {
    /// Takes the date from the coarse clock; does work once a second.
    #[inline]
    pub fn refresh(&mut self) {
        let now = clock::unix_seconds();
        if now != self.unix_seconds {
            self.make(now);
        }
    }

    /// From now on the head has `digits` digits of Content-Length, if there is one ready.
    #[inline]
    fn guess(&mut self, kind: Kind, digits: usize) {
        if digits <= READY_DIGITS_MAX {
            self.ready[kind as usize].length_digits = digits;
        }
    }

    #[inline(never)]
    fn make(&mut self, unix_seconds: u64) {
        self.unix_seconds = unix_seconds;
        self.date = date::imf_fixdate(unix_seconds);
        self.ready.iter_mut().for_each(|head| head.make(&self.date));
    }
}

/// Appends a head up to and including `Content-Length: `.
fn append(
    status: Status,
    content_type: &str,
    fields: &[(&str, &str)],
    date: &[u8; IMF_FIXDATE_BYTES],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(status.line());
    out.extend_from_slice(DATE);
    out.extend_from_slice(date);
    append_fields(fields, out);
    out.extend_from_slice(TYPE);
    out.extend_from_slice(content_type.as_bytes());
    out.extend_from_slice(LENGTH);
}

/// Appends field lines, each behind the CRLF of the one before.
fn append_fields(fields: &[(&str, &str)], out: &mut Vec<u8>) {
    for (name, value) in fields {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
    }
}

/// What an answer says about the connection, and whether its body is sent.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// The body is left out (HEAD).
    pub head_only: bool,
    /// The connection stays open after this answer.
    pub keep_alive: bool,
    /// The request's minor version; an answer to HTTP/1.0 must say that the connection is kept (RFC 9112
    /// §9.3).
    pub minor: u8,
}

impl Mode {
    /// The mode for a request; `keep_alive` is the server's decision.
    pub fn of(head: &Head<'_>, keep_alive: bool) -> Self {
        Self {
            head_only: head.method == super::Method::Head,
            keep_alive,
            minor: head.minor,
        }
    }

    const fn connection(self) -> &'static [u8] {
        match (self.keep_alive, self.minor) {
            (false, _) => b"\r\nConnection: close\r\n\r\n",
            (true, 0) => b"\r\nConnection: keep-alive\r\n\r\n",
            (true, _) => HEAD_END,
        }
    }
}

/// The one answer to a request. Dropping it unsent makes the server answer 500.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    heads: &'a mut Heads,
    mode: Mode,
}

impl<'a> Reply<'a> {
    /// A reply that will be appended to `out`.
    pub fn new(out: &'a mut Vec<u8>, heads: &'a mut Heads, mode: Mode) -> Self {
        Self { out, heads, mode }
    }

    /// 200 with a text that `write` appends, which may hold any character; what `write` returned.
    #[inline]
    pub fn text<R>(self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.ready(Kind::Text, write)
    }

    /// As [`text`](Self::text), for what is always ASCII.
    #[inline]
    pub fn ascii<R>(self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.ready(Kind::Ascii, write)
    }

    /// As [`ascii`](Self::ascii), for an answer that another `Accept` might have changed.
    #[inline]
    pub fn ascii_by_accept<R>(self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.ready(Kind::AsciiByAccept, write)
    }

    #[inline(always)]
    fn ready<R>(mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let guess = &self.heads.ready[kind as usize];
        let guessed = guess.length_digits;
        let digits_end = if self.mode.keep_alive && self.mode.minor != 0 {
            self.out.extend_from_slice(guess.head());
            self.out.len() - HEAD_END.len()
        } else {
            let (content_type, fields) = (guess.content_type, guess.fields);
            self.head(Status::Ok, content_type, fields, guessed)
        };
        let body_start = self.out.len();
        let written = write(self.out);
        let digits = self.fill_in(digits_end, guessed, body_start);
        if digits != guessed {
            self.heads.guess(kind, digits);
        }
        written
    }

    /// Sends any status, type and further fields, with the body that `write` appends.
    ///
    /// Field names and values come from the program, never from a peer: they are not escaped.
    pub fn send<R>(
        mut self,
        status: Status,
        content_type: &str,
        fields: &[(&str, &str)],
        write: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> R {
        let guessed = self.heads.ready[Kind::Text as usize].length_digits;
        let digits_end = self.head(status, content_type, fields, guessed);
        let body_start = self.out.len();
        let written = write(self.out);
        self.fill_in(digits_end, guessed, body_start);
        written
    }

    /// Appends a head with room for `digits` digits of Content-Length. Returns where they end.
    #[inline(never)]
    fn head(
        &mut self,
        status: Status,
        content_type: &str,
        fields: &[(&str, &str)],
        digits: usize,
    ) -> usize {
        append(status, content_type, fields, &self.heads.date, self.out);
        self.out.extend_from_slice(&[b'0'; DIGITS_MAX][..digits]);
        let digits_end = self.out.len();
        self.out.extend_from_slice(self.mode.connection());
        digits_end
    }

    /// 304: the client's copy is still right. `fields` are those that 200 would have (RFC 9110 §15.4.5).
    pub fn not_modified(self, fields: &[(&str, &str)]) {
        self.out.extend_from_slice(Status::NotModified.line());
        self.out.extend_from_slice(DATE);
        self.out.extend_from_slice(&self.heads.date);
        append_fields(fields, self.out);
        self.out.extend_from_slice(self.mode.connection());
    }

    /// Sends one line of plain text.
    #[cold]
    pub fn line(self, status: Status, text: &str) {
        self.send(status, TEXT, &[], |out| {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        });
    }

    /// Sends the answer to a fault.
    #[cold]
    pub fn fault(self, fault: Fault) {
        self.line(fault.status(), fault.text());
    }

    /// Fills in the Content-Length of the body from `body_start` on; its `guessed` digits end at `digits_end`. Returns
    /// the number of digits it took.
    #[inline]
    fn fill_in(&mut self, digits_end: usize, guessed: usize, body_start: usize) -> usize {
        let length = self.out.len() - body_start;
        let digits = if has_decimal_digits(length, guessed) {
            guessed // nearly always, and cheaper than a logarithm
        } else {
            self.make_room(digits_end, guessed, length)
        };
        let start = digits_end - guessed;
        let mut rest = length;
        for digit in self.out[start..start + digits].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if self.mode.head_only {
            self.out.truncate(self.out.len() - length);
        }
        digits
    }

    /// Makes room for as many digits as `length` has, where the head has `guessed`.
    #[inline(never)]
    fn make_room(&mut self, digits_end: usize, guessed: usize, length: usize) -> usize {
        let digits = decimal_digits(length);
        let old_end = self.out.len();
        if digits > guessed {
            self.out.resize(old_end + digits - guessed, 0);
        }
        self.out
            .copy_within(digits_end..old_end, digits_end + digits - guessed);
        self.out.truncate(old_end + digits - guessed);
        digits
    }
}

/// Digits of the largest length: `usize::MAX` has twenty.
const DIGITS_MAX: usize = 20;

fn decimal_digits(value: usize) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Whether [`decimal_digits`] would return `digits`; false also beyond the table.
fn has_decimal_digits(value: usize, digits: usize) -> bool {
    const POWERS: [usize; 10] = [
        0,
        10,
        100,
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
        1_000_000_000,
    ];
    matches!(POWERS.get(digits - 1..=digits), Some([low, high]) if (*low..*high).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(heads: &mut Heads, mode: Mode, body: usize) -> String {
        let mut out = b"before".to_vec();
        Reply::new(&mut out, heads, mode).text(|out| out.resize(out.len() + body, b'x'));
        String::from_utf8(out).unwrap()
    }

    const KEPT: Mode = Mode {
        head_only: false,
        keep_alive: true,
        minor: 1,
    };

    #[test]
    fn the_guess_of_digits_agrees_with_the_logarithm() {
        for value in (0..1100)
            .chain((0..63).flat_map(|bit| [(1 << bit) - 1, 1 << bit, 10usize.pow(bit / 4)]))
        {
            for digits in 1..=DIGITS_MAX {
                let guess = has_decimal_digits(value, digits);
                assert!(
                    !guess || decimal_digits(value) == digits,
                    "{value} {digits}"
                );
                assert!(
                    guess || digits > 9 || decimal_digits(value) != digits,
                    "{value} {digits}"
                );
            }
        }
    }

    #[test]
    fn lengths_of_any_digit_count_follow_each_other() {
        let mut heads = Heads::default();
        for body in [0, 9, 10, 1234, 5, 99_999, 100, 0, 1_000_000] {
            let text = answer(&mut heads, KEPT, body);
            let (head, rest) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("beforeHTTP/1.1 200 OK\r\n"), "{head}");
            assert!(
                head.ends_with(&format!("\r\nContent-Length: {body}")),
                "{head}"
            );
            assert_eq!(rest, "x".repeat(body));
        }
    }

    #[test]
    fn head_answers_keep_the_length_and_drop_the_body() {
        let text = answer(
            &mut Heads::default(),
            Mode {
                head_only: true,
                ..KEPT
            },
            77,
        );
        assert!(text.ends_with("\r\nContent-Length: 77\r\n\r\n"), "{text}");
    }

    #[test]
    fn the_connection_field_says_what_happens() {
        let close = answer(
            &mut Heads::default(),
            Mode {
                keep_alive: false,
                ..KEPT
            },
            1,
        );
        assert!(close.contains("\r\nConnection: close\r\n\r\nx"));
        let kept_10 = answer(&mut Heads::default(), Mode { minor: 0, ..KEPT }, 1);
        assert!(kept_10.contains("\r\nConnection: keep-alive\r\n\r\nx"));
        assert!(!answer(&mut Heads::default(), KEPT, 1).contains("Connection"));
    }

    #[test]
    fn further_fields_come_before_the_length() {
        let mut out = Vec::new();
        Reply::new(&mut out, &mut Heads::default(), KEPT).send(
            Status::MethodNotAllowed,
            TEXT,
            &[("Allow", "GET, HEAD")],
            |out| out.push(b'!'),
        );
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\nDate: "));
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(text.ends_with("\r\nContent-Length: 1\r\n\r\n!"));
    }
}
