//! Answers: status line, fields and body appended to the connection's output.
//!
//! The head of the most frequent answer (200, plain text) is kept ready-made and copied whole. The body is
//! written directly after it, then Content-Length is filled in. The body moves by a byte or two only if the
//! length has more or fewer digits than the previous answer's.

use super::{
    clock,
    date::{self, IMF_FIXDATE_BYTES},
    request::Head,
    status::{Fault, Status},
};

/// `text/plain; charset=utf-8`, the type of every answer the protocols define.
pub const TEXT: &str = "text/plain; charset=utf-8";

const SERVER: &[u8] = b"Server: trident\r\nDate: ";
const TYPE: &[u8] = b"\r\nContent-Type: ";
const LENGTH: &[u8] = b"\r\nContent-Length: ";

/// End of the last field line and of the head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Ready-made parts of heads. One per worker.
pub struct Heads {
    unix_seconds: u64,
    date: [u8; IMF_FIXDATE_BYTES],
    /// The whole head of a 200 with plain text on a kept connection, Content-Length 0…0.
    ok_text: Vec<u8>,
    /// Digits of the Content-Length in `ok_text`: as many as in the last answer, the best guess.
    length_digits: usize,
}

impl Default for Heads {
    /// Heads with the current date.
    fn default() -> Self {
        let mut heads = Self {
            unix_seconds: u64::MAX,
            date: [0; IMF_FIXDATE_BYTES],
            ok_text: Vec::new(),
            length_digits: 3,
        };
        heads.refresh();
        heads
    }
}

impl Heads {
    /// Takes the date from the coarse clock; does work once a second.
    pub fn refresh(&mut self) {
        let now = clock::unix_seconds();
        if now != self.unix_seconds {
            self.unix_seconds = now;
            self.date = date::imf_fixdate(now);
            self.make_ok_text();
        }
    }

    fn make_ok_text(&mut self) {
        let mut head = std::mem::take(&mut self.ok_text);
        head.clear();
        self.append(Status::Ok, TEXT, &[], &mut head);
        head.extend_from_slice(&[b'0'; DIGITS_MAX][..self.length_digits]);
        head.extend_from_slice(HEAD_END);
        self.ok_text = head;
    }

    /// Appends a head up to and including `Content-Length: `.
    fn append(
        &self,
        status: Status,
        content_type: &str,
        fields: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(status.line());
        out.extend_from_slice(SERVER);
        out.extend_from_slice(&self.date);
        for (name, value) in fields {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(TYPE);
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(LENGTH);
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

    /// Sends 200 with the plain text that `write` appends. Returns what `write` returned.
    #[inline]
    pub fn text<R>(mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if !self.mode.keep_alive || self.mode.minor == 0 {
            return self.send(Status::Ok, TEXT, &[], write);
        }
        self.out.extend_from_slice(&self.heads.ok_text);
        let digits_end = self.out.len() - HEAD_END.len();
        let (digits, written) = self.body(digits_end, write);
        if digits != self.heads.length_digits {
            self.heads.length_digits = digits;
            self.heads.make_ok_text();
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
        self.heads.append(status, content_type, fields, self.out);
        self.out
            .extend_from_slice(&[b'0'; DIGITS_MAX][..self.heads.length_digits]);
        let digits_end = self.out.len();
        self.out.extend_from_slice(self.mode.connection());
        self.body(digits_end, write).1
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

    /// Lets `write` append the body and fills in Content-Length, whose digits end at `digits_end` so far.
    /// Returns the final number of digits, and what `write` returned.
    #[inline]
    fn body<R>(&mut self, digits_end: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> (usize, R) {
        let Self { out, heads, mode } = self;
        let digits_start = digits_end - heads.length_digits;
        let body_start = out.len();
        let written = write(out);
        let length = out.len() - body_start;
        let digits = if has_decimal_digits(length, heads.length_digits) {
            heads.length_digits // nearly always, and cheaper than a logarithm
        } else {
            decimal_digits(length)
        };
        if digits != heads.length_digits {
            let room = [b'0'; DIGITS_MAX];
            out.splice(digits_start..digits_end, room[..digits].iter().copied());
        }
        let mut rest = length;
        for digit in out[digits_start..digits_start + digits].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if mode.head_only {
            out.truncate(out.len() - length);
        }
        (digits, written)
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
        assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\nServer: trident\r\nDate: "));
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(text.ends_with("\r\nContent-Length: 1\r\n\r\n!"));
    }
}
