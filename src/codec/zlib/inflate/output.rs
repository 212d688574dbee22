//! The growing text of a stream, within the inflater's bound.

use super::InflateError;

/// Bytes that one turn of the loop may write past the text's end: three literals, the longest match, and
/// the overshoot of copies in steps of 32 bytes.
pub const TURN_BYTES_MAX: usize = 3 + 258 + 32;

/// Bytes of text that a new inflater has room for.
const TEXT_BYTES_INITIAL: usize = 8 << 10;

/// Bytes that each of the two buffers may keep from one stream to the next; larger ones are
/// replaced by new ones.
pub const BYTES_RETAINED: usize = 64 << 10;

/// The text made so far.
pub struct Output {
    /// The text, then room.
    pub text: Vec<u8>,
    pub len: usize,
    pub bytes_max: usize,
}

impl Output {
    pub fn new(bytes_max: usize) -> Self {
        let initial = bytes_max.min(TEXT_BYTES_INITIAL) + TURN_BYTES_MAX;
        Self {
            text: vec![0; initial],
            len: 0,
            bytes_max,
        }
    }

    /// Begins a new text and frees the memory of a long one.
    pub fn restart(&mut self) {
        if self.text.len() > BYTES_RETAINED {
            *self = Self::new(self.bytes_max);
        }
        self.len = 0;
    }

    pub fn text(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or(&[])
    }

    /// Makes room for `more` bytes and one turn, within the bound.
    pub fn make_room(&mut self, more: usize) -> Result<(), InflateError> {
        if self.len + more <= self.text.len() {
            return Ok(());
        }
        let most = self.bytes_max + TURN_BYTES_MAX;
        if self.len + more > most {
            return Err(InflateError::TooLarge);
        }
        let larger = (self.text.len() * 4).max(self.len + more).min(most);
        self.text.reserve_exact(larger - self.text.len());
        self.text.resize(larger, 0);
        Ok(())
    }
}

#[cfg(test)]
impl Output {
    pub fn capacity(&self) -> usize {
        self.text.capacity()
    }
}
