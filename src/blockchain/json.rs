//! A cursor over JSON text (RFC 8259): the words of the grammar, without a tree.
//!
//! `request` asks it for exactly the values the schema expects; whatever is ignored goes through
//! [`Cursor::skip_value`], which checks syntax with a bit per open container instead of recursion. The
//! caller has checked the text for UTF-8. Strings stay where they are; only those with escapes are copied,
//! into a buffer of the caller. Left out: floating-point values (no member is one) and everything the
//! schema knows.

use super::{scan::leading_digits, text::Text};

/// Most containers open at once inside an ignored value.
///
/// The reference gives up near 990, where its interpreter's recursion ends; genuine requests nest 5 deep.
pub const DEPTH_MAX: usize = 1024;

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax;

/// What a number is to a schema that knows only integers from 0 to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// An integer in range and its digits, which carry no sign and no leading zero.
    Integer(u64, Text),
    /// An integer below zero.
    Negative,
    /// An integer of 2^63 or more, or anything with a fraction or an exponent.
    Other,
}

/// The unread rest of a JSON text.
pub struct Cursor<'t> {
    /// The whole text.
    pub(super) text: &'t [u8],
    /// Its end that is not read yet.
    pub(super) rest: &'t [u8],
}

impl<'t> Cursor<'t> {
    /// At the start of `text`.
    pub fn new(text: &'t [u8]) -> Self {
        Self { text, rest: text }
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Moves past `bytes` bytes.
    #[inline]
    pub fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The next eight bytes, the first one lowest; 0 if there are fewer.
    #[inline]
    pub fn word(&self) -> u64 {
        self.rest
            .first_chunk()
            .map_or(0, |chunk| u64::from_le_bytes(*chunk))
    }

    /// Skips whitespace and looks at the next byte; 0, which starts nothing in JSON, at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        match self.rest.first() {
            Some(&byte) if byte > b' ' => byte,
            _ => self.peek_after_whitespace(),
        }
    }

    #[cold]
    fn peek_after_whitespace(&mut self) -> u8 {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        self.rest.first().copied().unwrap_or(0)
    }

    /// Reads `byte`, after whitespace if need be.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), Syntax> {
        if self.peek() != byte {
            return Err(Syntax);
        }
        self.skip(1);
        Ok(())
    }

    /// Reads the opening bracket `open`; true if a member or element follows, else reads `close` too.
    #[inline]
    pub fn open(&mut self, open: u8, close: u8) -> Result<bool, Syntax> {
        self.expect(open)?;
        let more = self.peek() != close;
        if !more {
            self.skip(1);
        }
        Ok(more)
    }

    /// Reads a comma (true) or the closing bracket `close` (false).
    #[inline]
    pub fn more(&mut self, close: u8) -> Result<bool, Syntax> {
        let byte = self.peek();
        if byte != b',' && byte != close {
            return Err(Syntax);
        }
        self.skip(1);
        Ok(byte == b',')
    }

    /// Reads nothing but whitespace up to the end.
    pub fn end(&mut self) -> Result<(), Syntax> {
        self.peek();
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Syntax)
        }
    }

    /// Reads `word`.
    #[inline]
    pub fn literal(&mut self, word: &[u8]) -> Result<(), Syntax> {
        self.rest = self.rest.strip_prefix(word).ok_or(Syntax)?;
        Ok(())
    }

    /// Reads a number.
    #[inline]
    pub fn number(&mut self) -> Result<Number, Syntax> {
        let (value, count) = leading_digits(self.rest);
        let follower = self.rest.get(count).copied().unwrap_or(0);
        let leading_zero = count > 1 && self.rest.first() == Some(&b'0');
        if count == 0 || leading_zero || matches!(follower, b'0'..=b'9' | b'.' | b'e' | b'E') {
            return self.number_in_full();
        }
        let digits = Text::new(self.position(), count);
        self.skip(count);
        Ok(if count <= 19 && value < 1 << 63 {
            Number::Integer(value, digits)
        } else {
            Number::Other
        })
    }

    /// Reads a number of any form the grammar has.
    #[cold]
    fn number_in_full(&mut self) -> Result<Number, Syntax> {
        let negative = self.literal(b"-").is_ok();
        let start = self.position();
        let zero = self.literal(b"0").is_ok();
        if !zero && self.skip_digits() == 0 {
            return Err(Syntax);
        }
        let mut integer = true;
        if self.literal(b".").is_ok() {
            integer = false;
            if self.skip_digits() == 0 {
                return Err(Syntax);
            }
        }
        if self.literal(b"e").is_ok() || self.literal(b"E").is_ok() {
            integer = false;
            if self.literal(b"+").is_err() {
                let _ = self.literal(b"-");
            }
            if self.skip_digits() == 0 {
                return Err(Syntax);
            }
        }
        Ok(match (integer, negative, zero) {
            (false, ..) | (true, false, false) => Number::Other,
            (true, _, true) => Number::Integer(0, Text::new(start, 1)),
            (true, true, false) => Number::Negative,
        })
    }

    fn skip_digits(&mut self) -> usize {
        let count = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.skip(count);
        count
    }

    /// Reads a value of any type and forgets it.
    pub fn skip_value(&mut self) -> Result<(), Syntax> {
        let mut open = OpenContainers::default();
        loop {
            match self.peek() {
                b'{' => {
                    if self.open(b'{', b'}')? {
                        open.push(b'}')?;
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    if self.open(b'[', b']')? {
                        open.push(b']')?;
                        continue;
                    }
                }
                b'"' => self.skip_string()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => {
                    self.number_in_full()?;
                }
            }
            loop {
                let Some(close) = open.innermost() else {
                    return Ok(());
                };
                if self.more(close)? {
                    if close == b'}' {
                        self.skip_key()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Syntax> {
        self.peek();
        self.skip_string()?;
        self.expect(b':')
    }
}

/// The brackets that must still close, one bit each: 1 for an object.
#[derive(Default)]
struct OpenContainers {
    objects: [u64; DEPTH_MAX / 64],
    depth: usize,
}

impl OpenContainers {
    fn push(&mut self, close: u8) -> Result<(), Syntax> {
        let word = self.objects.get_mut(self.depth / 64).ok_or(Syntax)?;
        let bit = 1 << (self.depth % 64);
        *word = if close == b'}' {
            *word | bit
        } else {
            *word & !bit
        };
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&self) -> Option<u8> {
        let index = self.depth.checked_sub(1)?;
        let word = self.objects.get(index / 64)?;
        Some(if word >> (index % 64) & 1 == 1 {
            b'}'
        } else {
            b']'
        })
    }
}
