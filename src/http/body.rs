//! Chunked transfer coding (RFC 9112 §7.1) as an incremental decoder.
//!
//! One state per place in the grammar, so a body may arrive in any pieces and nothing is looked at
//! twice. Extensions are checked against their grammar and dropped, trailers likewise: no endpoint
//! uses them (RFC 9110 §6.5.1 lets a recipient discard them).

use super::{limits::Limits, scan, status::Fault};

/// Where in the coding the next byte stands.
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
        Self { state: State::SizeStart, remaining: 0, overhead_bytes: 0 }
    }
}

impl Chunked {
    /// Decodes as much of `bytes` as there is, appending data to `body`. Returns how many bytes
    /// belong to the body's coding and whether it has ended.
    pub fn feed(&mut self, bytes: &[u8], body: &mut Vec<u8>, limits: &Limits) -> Result<(usize, bool), Fault> {
        let mut at = 0;
        while self.state != State::Done {
            if self.state == State::Data {
                let rest = &bytes[at..];
                let n = rest.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                body.extend_from_slice(&rest[..n]);
                at += n;
                self.remaining -= n as u64;
                if self.remaining > 0 {
                    return Ok((at, false));
                }
                self.state = State::DataCr;
            }
            let Some(&b) = bytes.get(at) else { return Ok((at, false)) };
            at += 1;
            self.step(b, body.len(), limits)?;
        }
        Ok((at, true))
    }

    /// Moves on by one byte outside chunk data.
    fn step(&mut self, b: u8, body_bytes: usize, limits: &Limits) -> Result<(), Fault> {
        use State::*;
        let next = match (self.state, b) {
            (SizeStart | Size, _) if b.is_ascii_hexdigit() => return self.size_digit(b, body_bytes, limits),
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
        if self.state == State::SizeStart {
            self.remaining = 0;
        }
        self.state = State::Size;
        // Leading zeros are digits too: the line's length is bounded like any other overhead.
        if self.remaining == 0 {
            self.count_overhead(limits)?;
        }
        // Past the limit the size only has to stay past it, so it cannot overflow.
        self.remaining = self.remaining.saturating_mul(16).saturating_add(u64::from(digit));
        let body_bytes = body_bytes as u64;
        if self.remaining.saturating_add(body_bytes) > limits.body_bytes_max as u64 {
            return Err(Fault::BodyTooLarge);
        }
        Ok(())
    }

    /// Extensions and trailers: bytes that carry nothing, hence counted.
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
            (ExtensionValue | ExtensionQuotedEnd | ExtensionValueSpace, _) if space => ExtensionValueSpace,
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
        match self.overhead_bytes > limits.chunk_overhead_bytes_max {
            true => Err(Fault::ChunkOverhead),
            false => Ok(()),
        }
    }
}
