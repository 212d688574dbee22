//! The position in a JSON text: white space, punctuation and literals.

/// The text is not JSON, or it nests deeper than the caller allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax;

/// The unread rest of a JSON text. After [`Syntax`] it must not be used again.
pub struct Cursor<'t> {
    pub(super) text: &'t [u8],
    /// The end of `text` that is not read yet.
    pub(super) rest: &'t [u8],
    /// Most containers that may be open at once inside a value that is skipped.
    pub(super) depth_max: usize,
}

impl<'t> Cursor<'t> {
    /// A cursor at the start of `text`, which must be shorter than 4 GiB because
    /// [`RawString`](super::RawString) is 32-bit. Values may nest to any depth.
    pub fn new(text: &'t [u8]) -> Self {
        Self::with_depth_max(text, usize::MAX)
    }

    /// Like [`new`](Self::new), but values must not nest deeper than `depth_max` containers.
    pub(crate) fn with_depth_max(text: &'t [u8], depth_max: usize) -> Self {
        debug_assert!(u32::try_from(text.len()).is_ok());
        Self {
            text,
            rest: text,
            depth_max,
        }
    }

    /// The whole text.
    #[inline]
    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// Bytes read so far.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// The part of the text that is not read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'t [u8] {
        self.rest
    }

    /// Moves past `bytes` bytes.
    #[inline]
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The next eight bytes, the first one lowest; 0 if there are fewer.
    #[inline]
    pub(crate) fn word(&self) -> u64 {
        self.rest
            .first_chunk()
            .map_or(0, |chunk| u64::from_le_bytes(*chunk))
    }

    /// Skips white space and returns the next byte without consuming it; at the end 0, which starts no JSON
    /// token.
    #[inline]
    pub(crate) fn peek(&mut self) -> u8 {
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

    /// Reads `byte`, after optional white space.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Syntax> {
        if self.peek() != byte {
            return Err(Syntax);
        }
        self.skip(1);
        Ok(())
    }

    /// Reads the opening bracket `open`; true if a member or element follows, else reads `close` too.
    #[inline]
    pub(crate) fn open(&mut self, open: u8, close: u8) -> Result<bool, Syntax> {
        self.expect(open)?;
        let more = self.peek() != close;
        if !more {
            self.skip(1);
        }
        Ok(more)
    }

    /// Reads a comma (true) or the closing bracket `close` (false).
    #[inline]
    pub(crate) fn more(&mut self, close: u8) -> Result<bool, Syntax> {
        let byte = self.peek();
        if byte != b',' && byte != close {
            return Err(Syntax);
        }
        self.skip(1);
        Ok(byte == b',')
    }

    /// Reads white space up to the end; anything else is an error.
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
    pub(crate) fn literal<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), Syntax> {
        // By chunk, because strip_prefix calls memcmp unless it is inlined.
        match self.rest.split_first_chunk() {
            Some((first, rest)) if first == word => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(Syntax),
        }
    }
}
