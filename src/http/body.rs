//! Chunked transfer coding (RFC 9112 §7.1) as an incremental decoder.
//!
//! One state per place in the grammar, so a body may arrive in any pieces and no byte is read twice.
//! Extensions are checked against their grammar and dropped, trailers likewise: no endpoint uses them (RFC
//! 9110 §6.5.1 lets a recipient discard them).

use super::{buffer::append, limits::Limits, scan, status::Fault};

/// The place in the grammar of the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// First digit of a chunk size.
    SizeStart,
    /// Further digits, an extension or the line end.
    Size,
    /// Whitespace between the size and an extension's semicolon.
    SizeSpace,
    /// Before an extension's name.
    ExtensionStart,
    /// In an extension's name.
    ExtensionName,
    /// Whitespace after the name.
    ExtensionNameSpace,
    /// After the `=`.
    ExtensionValueStart,
    /// In a token value.
    ExtensionValue,
    /// In a quoted value.
    ExtensionQuoted,
    /// After a backslash in a quoted value.
    ExtensionEscape,
    /// After the closing quote.
    ExtensionQuotedEnd,
    /// Whitespace after a value.
    ExtensionValueSpace,
    /// The LF of a chunk size line.
    SizeLf,
    /// Chunk data; `remaining` bytes to come.
    Data,
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// Start of a trailer line, or the CR of the last line.
    TrailerStart,
    /// In a trailer's name.
    TrailerName,
    /// In a trailer's value.
    TrailerValue,
    /// The LF of a trailer line.
    TrailerLf,
    /// The LF of the last line.
    EndLf,
    /// The body has ended.
    Done,
}

/// Decoder of one chunked body.
#[derive(Clone, Copy, Debug)]
pub struct Chunked {
    state: State,
    /// Data bytes of the chunk still to come; the size while its digits are read.
    remaining: u64,
    /// Extension and trailer bytes so far.
    overhead_bytes: usize,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::SizeStart,
            remaining: 0,
            overhead_bytes: 0,
        }
    }
}

impl Chunked {
    /// Decodes `bytes` and appends the data to `body`. Returns how many bytes belong to the coded body and
    /// whether the body has ended.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(usize, bool), Fault> {
        let mut at = 0;
        while self.state != State::Done {
            if self.state == State::Data {
                let rest = &bytes[at..];
                let n = rest
                    .len()
                    .min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                append(body, &rest[..n], limits.body_bytes_max);
                at += n;
                self.remaining -= n as u64;
                if self.remaining > 0 {
                    return Ok((at, false));
                }
                self.state = State::DataCr;
            }
            let Some(&b) = bytes.get(at) else {
                return Ok((at, false));
            };
            at += 1;
            self.step(b, body.len(), limits)?;
        }
        Ok((at, true))
    }

    /// Consumes one byte outside chunk data.
    fn step(&mut self, b: u8, body_bytes: usize, limits: &Limits) -> Result<(), Fault> {
        use State::*;
        let next = match (self.state, b) {
            (SizeStart | Size, _) if b.is_ascii_hexdigit() => {
                return self.size_digit(b, body_bytes, limits);
            }
            (Size, b'\r') => SizeLf,
            (SizeLf, b'\n') if self.remaining == 0 => TrailerStart,
            (SizeLf, b'\n') => Data,
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => SizeStart,
            (TrailerStart, b'\r') => EndLf,
            (EndLf, b'\n') => Done,
            (_, _) => return self.overhead(b, limits),
        };
        self.state = next;
        Ok(())
    }

    fn size_digit(&mut self, b: u8, body_bytes: usize, limits: &Limits) -> Result<(), Fault> {
        let digit = (b as char).to_digit(16).unwrap_or(0);
        let is_first = std::mem::replace(&mut self.state, State::Size) == State::SizeStart;
        if is_first {
            self.remaining = 0;
        }
        // A digit after a zero makes it a leading zero, which counts as overhead so that the line's length
        // is bounded. The single zero of the last chunk does not count.
        if !is_first && self.remaining == 0 {
            self.count_overhead(limits)?;
        }
        // Past the limit the size saturates, so it cannot overflow.
        self.remaining = self
            .remaining
            .saturating_mul(16)
            .saturating_add(u64::from(digit));
        let body_bytes = body_bytes as u64;
        if self.remaining.saturating_add(body_bytes) > limits.body_bytes_max as u64 {
            return Err(Fault::BodyTooLarge);
        }
        Ok(())
    }

    /// Counts bytes of extensions and trailers, which carry no data.
    fn overhead(&mut self, b: u8, limits: &Limits) -> Result<(), Fault> {
        use State::*;
        let token = scan::is_token(b);
        let space = b == b' ' || b == b'\t';
        self.state = match (self.state, b) {
            (Size | SizeSpace | ExtensionName | ExtensionNameSpace, b';') => ExtensionStart,
            (ExtensionValue | ExtensionQuotedEnd | ExtensionValueSpace, b';') => ExtensionStart,
            (Size | SizeSpace, _) if space => SizeSpace,
            (ExtensionStart, _) if space => ExtensionStart,
            (ExtensionStart | ExtensionName, _) if token => ExtensionName,
            (ExtensionName | ExtensionNameSpace, b'=') => ExtensionValueStart,
            (ExtensionName | ExtensionNameSpace, _) if space => ExtensionNameSpace,
            (ExtensionValueStart, _) if space => ExtensionValueStart,
            (ExtensionValueStart, b'"') => ExtensionQuoted,
            (ExtensionValueStart | ExtensionValue, _) if token => ExtensionValue,
            (ExtensionQuoted, b'"') => ExtensionQuotedEnd,
            (ExtensionQuoted, b'\\') => ExtensionEscape,
            (ExtensionQuoted | ExtensionEscape, _) if scan::is_field_value(b) => ExtensionQuoted,
            (ExtensionValue | ExtensionQuotedEnd | ExtensionValueSpace, _) if space => {
                ExtensionValueSpace
            }
            (ExtensionName | ExtensionValue | ExtensionQuotedEnd, b'\r') => SizeLf,
            (TrailerStart | TrailerName, _) if token => TrailerName,
            (TrailerName, b':') => TrailerValue,
            (TrailerValue, b'\r') => TrailerLf,
            (TrailerValue, _) if scan::is_field_value(b) => TrailerValue,
            (TrailerLf, b'\n') => TrailerStart,
            _ => return Err(Fault::BadChunk),
        };
        self.count_overhead(limits)
    }

    fn count_overhead(&mut self, limits: &Limits) -> Result<(), Fault> {
        self.overhead_bytes += 1;
        if self.overhead_bytes > limits.chunk_overhead_bytes_max {
            Err(Fault::ChunkOverhead)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            body_bytes_max: 100,
            chunk_overhead_bytes_max: 40,
            ..Limits::default()
        }
    }

    /// Body and coded length of `coded`, fed in pieces of `piece` bytes.
    fn decode(coded: &[u8], piece: usize) -> Result<Option<(Vec<u8>, usize)>, Fault> {
        let (mut decoder, mut body, mut used) = (Chunked::default(), Vec::new(), 0);
        for piece in coded.chunks(piece) {
            let (n, done) = decoder.feed(piece, &mut body, &limits())?;
            used += n;
            if done {
                return Ok(Some((body, used)));
            }
        }
        Ok(None)
    }

    #[test]
    fn bodies_decode_alike_in_any_pieces() {
        let cases: &[(&str, &str)] = &[
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("000a\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n", "0123456789!"),
            ("5;a\r\nhello\r\n0;b=c;d=\"e;\\\"\"\r\n\r\n", "hello"),
            ("5 ; a = b ; c\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", "hello"),
            ("5;q=\"a b\t\\\"\"\r\nhello\r\n0\r\n\r\n", "hello"),
        ];
        for (coded, want) in cases {
            for piece in 1..=coded.len() {
                let with_rest = format!("{coded}GET");
                let decoded = decode(with_rest.as_bytes(), piece);
                assert_eq!(
                    decoded,
                    Ok(Some((want.as_bytes().to_vec(), coded.len()))),
                    "{coded:?}"
                );
            }
        }
    }

    #[test]
    fn broken_codings_are_refused_at_once() {
        let cases = [
            "\r\n",
            " 5\r\n",
            "-1\r\n",
            "+5\r\n",
            "0x5\r\n",
            "g\r\n",
            "5\n",
            "5\r5",
            "5 \r\n",
            "5;\r\n",
            "5;=a\r\n",
            "5;a=\r\n",
            "5;a b\r\n",
            "5;a=\"b\"c\r\n",
            "5;a=\"\x01",
            "5;a=\"\\\x01",
            "5\r\nhelloX",
            "5\r\nhello\rX",
            "5\r\nhello\n",
            "0\r\nX y: 1",
            "0\r\n: v",
            "0\r\nX: a\nY",
            "0\r\n X: a",
            "0\r\n\rX",
            "0\r\n\n",
            "5;a=\x01",
            ";a\r\n",
        ];
        for coded in cases {
            assert_eq!(
                decode(coded.as_bytes(), coded.len()),
                Err(Fault::BadChunk),
                "{coded:?}"
            );
            assert_eq!(
                decode(coded.as_bytes(), 1),
                Err(Fault::BadChunk),
                "{coded:?}"
            );
        }
    }

    #[test]
    fn sizes_are_bounded_before_the_data_comes() {
        assert_eq!(decode(b"64\r\n", 1), Ok(None));
        assert_eq!(decode(b"65\r\n", 1), Err(Fault::BodyTooLarge));
        assert_eq!(decode(b"ffffffffffffffffffff", 1), Err(Fault::BodyTooLarge));
        let two = format!("60\r\n{}\r\n5\r\n", "x".repeat(0x60));
        assert_eq!(decode(two.as_bytes(), 7), Err(Fault::BodyTooLarge));
    }

    #[test]
    fn what_carries_nothing_is_bounded() {
        let extension = format!("1;{}", "a".repeat(50));
        let trailer = format!("0\r\nX: {}", "a".repeat(50));
        let zeros = "0".repeat(50);
        for coded in [extension, trailer, zeros] {
            assert_eq!(
                decode(coded.as_bytes(), 3),
                Err(Fault::ChunkOverhead),
                "{coded}"
            );
        }
    }
}
