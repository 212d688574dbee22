//! Strings of the JSON grammar: found by [`Cursor::string`], decoded by [`RawString::pieces`].

use super::{Cursor, Syntax, scan::special_bytes};
use memchr::memchr;

/// The content of a string as a span of the text, without quotes; its syntax has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawString {
    start: u32,
    end: u32,
    /// Whether it has escapes; otherwise its bytes in the text are its value.
    pub(crate) escaped: bool,
}

impl RawString {
    /// Its bytes in `text`, escapes included.
    #[inline]
    pub(crate) fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Where in the text it starts.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.start as usize
    }

    /// Bytes in the text.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the string is `""`.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Its value, piece by piece.
    pub(crate) fn pieces<'t>(&self, text: &'t [u8]) -> Pieces<'t> {
        Pieces(self.of(text))
    }
}

impl Cursor<'_> {
    /// Reads a member's name and the colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<RawString, Syntax> {
        self.peek();
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Reads a string, whose opening quote must be the next byte.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<RawString, Syntax> {
        self.literal(b"\"")?;
        let start = self.position();
        let mut escaped = false;
        loop {
            self.skip_plain();
            match self.rest.first() {
                Some(b'"') => break,
                Some(b'\\') => self.skip_escape()?,
                _ => return Err(Syntax),
            }
            escaped = true;
        }
        let end = self.position();
        self.skip(1);
        Ok(RawString {
            start: start as u32,
            end: end as u32,
            escaped,
        })
    }

    /// Moves to the next quote, backslash or control byte, eight bytes at a time.
    #[inline]
    fn skip_plain(&mut self) {
        // A local, so that the loop keeps it in registers.
        let mut rest = self.rest;
        while let Some((chunk, tail)) = rest.split_first_chunk() {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            if special != 0 {
                let plain = special.trailing_zeros() as usize / 8;
                self.rest = rest.get(plain..).unwrap_or_default();
                return;
            }
            rest = tail;
        }
        while let Some((&byte, tail)) = rest.split_first() {
            if byte == b'"' || byte == b'\\' || byte < b' ' {
                break;
            }
            rest = tail;
        }
        self.rest = rest;
    }

    /// Reads an escape, whose backslash is the next byte.
    #[inline]
    fn skip_escape(&mut self) -> Result<(), Syntax> {
        let bytes = match self.rest {
            [
                _,
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                ..,
            ] => 2,
            [_, b'u', a, b, c, d, ..]
                if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                6
            }
            _ => return Err(Syntax),
        };
        self.skip(bytes);
        Ok(())
    }
}

/// A part of a string's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// Bytes without an escape, as sent.
    Plain(&'t [u8]),
    /// The character of an escape or of a pair of surrogate escapes.
    Char(char),
    /// An escaped half of a surrogate pair without the other half: legal JSON, but not a character.
    LoneSurrogate(u16),
}

/// The rest of a [`RawString`], whose syntax has been checked.
pub(crate) struct Pieces<'t>(&'t [u8]);

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'t>> {
        if self.0.is_empty() {
            return None;
        }
        let plain = memchr(b'\\', self.0).unwrap_or(self.0.len());
        if plain == 0 {
            return Some(self.escape());
        }
        let (plain, rest) = self.0.split_at(plain);
        self.0 = rest;
        Some(Piece::Plain(plain))
    }
}

impl Pieces<'_> {
    fn escape(&mut self) -> Piece<'static> {
        let kind = self.0.get(1).copied().unwrap_or_default();
        if kind == b'u' {
            return self.unicode_escape();
        }
        self.0 = self.0.get(2..).unwrap_or_default();
        Piece::Char(match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            quoted => char::from(quoted),
        })
    }

    /// `\uXXXX`, and a second one when both make one character.
    fn unicode_escape(&mut self) -> Piece<'static> {
        let unit = code_unit(self.0);
        self.0 = self.0.get(6..).unwrap_or_default();
        let low = self.0.starts_with(b"\\u").then(|| code_unit(self.0));
        let code = match (unit, low) {
            (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
                self.0 = self.0.get(6..).unwrap_or_default();
                0x1_0000 + (u32::from(unit - 0xd800) << 10) + u32::from(low - 0xdc00)
            }
            _ => u32::from(unit),
        };
        char::from_u32(code).map_or(Piece::LoneSurrogate(unit), Piece::Char)
    }
}

/// The code unit of the `\uXXXX` at the start of `escape`.
fn code_unit(escape: &[u8]) -> u16 {
    let digits = escape.get(2..6).unwrap_or_default();
    digits.iter().fold(0, |unit, &digit| {
        unit << 4 | (char::from(digit).to_digit(16).unwrap_or_default() as u16)
    })
}
