//! Strings of the JSON grammar: the part of [`Cursor`] that knows quotes and escapes.
//!
//! A string without escapes is left where it stands. One with escapes is copied to the side buffer, a
//! surrogate pair as the character it makes; half a pair has no UTF-8 form and marks the text.

use super::{
    json::{Cursor, Syntax},
    scan::special_bytes,
    text::Text,
};

impl Cursor<'_> {
    /// Reads a member's name and the colon.
    pub fn key(&mut self, side: &mut Vec<u8>) -> Result<Text, Syntax> {
        self.peek();
        let key = self.string(side)?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Reads a string, whose opening quote must be the next byte.
    #[inline]
    pub fn string(&mut self, side: &mut Vec<u8>) -> Result<Text, Syntax> {
        self.literal(b"\"")?;
        let start = self.position();
        self.skip_plain();
        match self.rest.first() {
            Some(b'"') => {
                let text = Text::new(start, self.position() - start);
                self.skip(1);
                Ok(text)
            }
            Some(b'\\') => self.string_with_escapes(start, side),
            _ => Err(Syntax),
        }
    }

    /// Moves to the next quote, backslash or control byte, eight bytes at a time.
    #[inline]
    fn skip_plain(&mut self) {
        while let Some(chunk) = self.rest.first_chunk() {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            if special != 0 {
                self.skip(special.trailing_zeros() as usize / 8);
                return;
            }
            self.skip(8);
        }
        while let Some((&byte, rest)) = self.rest.split_first() {
            if byte == b'"' || byte == b'\\' || byte < b' ' {
                return;
            }
            self.rest = rest;
        }
    }

    /// Reads the rest of a string whose content began at `start`, from its first backslash on.
    #[cold]
    fn string_with_escapes(&mut self, start: usize, side: &mut Vec<u8>) -> Result<Text, Syntax> {
        let text_start = side.len();
        let mut run_start = start;
        let mut lone_surrogate = false;
        loop {
            side.extend_from_slice(
                self.text
                    .get(run_start..self.position())
                    .unwrap_or_default(),
            );
            match self.rest.first() {
                Some(b'"') => break,
                Some(b'\\') => lone_surrogate |= self.escape(side)?,
                _ => return Err(Syntax),
            }
            run_start = self.position();
            self.skip_plain();
        }
        self.skip(1);
        let text = Text::at_end_of(side, text_start);
        Ok(if lone_surrogate {
            text.marked_lone_surrogate()
        } else {
            text
        })
    }

    /// Reads one escape and appends what it stands for; true if that is half a surrogate pair.
    fn escape(&mut self, side: &mut Vec<u8>) -> Result<bool, Syntax> {
        let byte = *self.rest.get(1).ok_or(Syntax)?;
        self.skip(2);
        side.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(side),
            _ => return Err(Syntax),
        });
        Ok(false)
    }

    /// Reads the digits of `\uXXXX`, and a second escape when both make one character.
    fn unicode_escape(&mut self, side: &mut Vec<u8>) -> Result<bool, Syntax> {
        let unit = self.hex4()?;
        let mut code = unit;
        if (0xd800..0xdc00).contains(&unit) && self.rest.starts_with(b"\\u") {
            let after_unit = self.rest;
            self.skip(2);
            match self.hex4()? {
                low @ 0xdc00..0xe000 => code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                _ => self.rest = after_unit,
            }
        }
        match char::from_u32(code) {
            Some(character) => {
                let mut bytes = [0; 4];
                side.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                Ok(false)
            }
            None => {
                // The three bytes UTF-8 would use if it allowed this: keys stay distinguishable.
                side.extend_from_slice(&[
                    0xed,
                    0x80 | (code >> 6 & 0x3f) as u8,
                    0x80 | (code & 0x3f) as u8,
                ]);
                Ok(true)
            }
        }
    }

    fn hex4(&mut self) -> Result<u32, Syntax> {
        let digits = self.rest.first_chunk::<4>().ok_or(Syntax)?;
        let mut code = 0;
        for &digit in digits {
            code = code << 4 | char::from(digit).to_digit(16).ok_or(Syntax)?;
        }
        self.skip(4);
        Ok(code)
    }

    /// Reads a string and forgets it.
    pub fn skip_string(&mut self) -> Result<(), Syntax> {
        self.literal(b"\"")?;
        loop {
            self.skip_plain();
            match self.rest {
                [b'"', ..] => {
                    self.skip(1);
                    return Ok(());
                }
                [b'\\', b'u', ..] => {
                    self.skip(2);
                    self.hex4()?;
                }
                [
                    b'\\',
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    ..,
                ] => self.skip(2),
                _ => return Err(Syntax),
            }
        }
    }
}
