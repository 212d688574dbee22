//! Spans: positions of pieces of the request's text.
//!
//! `request` and `transaction` store positions instead of borrowed slices, so that their arrays can be
//! reused for the next request. A [`Span`] is resolved with the two buffers that it may point into.

/// The position of a string's content or a number's digits, in the JSON text or in the buffer of unescaped strings, which
/// holds text that the JSON does not contain verbatim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

/// Bit of `start`: in the buffer of unescaped strings. Both buffers are shorter than 2^31 bytes.
const UNESCAPED: u32 = 1 << 31;
/// Bit of `len`: holds a surrogate without its other half.
const LONE_SURROGATE: u32 = 1 << 31;
/// Longest JSON text a [`Span`] can point into.
pub const JSON_BYTES_MAX: usize = (1 << 31) - 1;

impl Span {
    /// `len` bytes of the JSON text from `start`.
    #[inline]
    pub fn new(start: usize, len: usize) -> Self {
        Self {
            start: start as u32 & !UNESCAPED,
            len: len as u32 & !LONE_SURROGATE,
        }
    }

    /// The bytes of `unescaped` from `start` to its end.
    pub fn at_end_of(unescaped: &[u8], start: usize) -> Self {
        let text = Self::new(start, unescaped.len() - start);
        Self {
            start: text.start | UNESCAPED,
            len: text.len,
        }
    }

    /// The same place, marked as not being Unicode text.
    pub fn marked_lone_surrogate(self) -> Self {
        Self {
            len: self.len | LONE_SURROGATE,
            ..self
        }
    }

    /// The bytes, given the two buffers.
    #[inline]
    pub fn of<'a>(self, json: &'a [u8], unescaped: &'a [u8]) -> &'a [u8] {
        let buffer = if self.start & UNESCAPED == 0 {
            json
        } else {
            unescaped
        };
        let start = (self.start & !UNESCAPED) as usize;
        buffer.get(start..start + self.len()).unwrap_or_default()
    }

    /// Bytes from the start of this text to the end of its buffer.
    #[inline]
    pub fn of_and_after<'a>(self, json: &'a [u8], unescaped: &'a [u8]) -> &'a [u8] {
        let buffer = if self.start & UNESCAPED == 0 {
            json
        } else {
            unescaped
        };
        buffer
            .get((self.start & !UNESCAPED) as usize..)
            .unwrap_or_default()
    }

    /// Length in bytes.
    #[inline]
    pub fn len(self) -> usize {
        (self.len & !LONE_SURROGATE) as usize
    }

    /// Whether there is no content.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the string is Unicode text. A string with a lone surrogate has no UTF-8 form and no hash.
    #[inline]
    pub fn is_unicode(self) -> bool {
        self.len & LONE_SURROGATE == 0
    }
}
