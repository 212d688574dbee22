//! `/qrcode`: encodes a message into an encrypted matrix, or finds and decodes one
//! (docs/protocol/qrcode.md).
//!
//! ```text
//! encode: query::parse → percent-decode → matrix (tables) → hex_text
//! decode: query::parse → hex_text → XOR key stream → locate → matrix (read, re-encode, compare)
//! picture: query::parse → percent-decode → render (a standard code: SVG, PNG, terminal)
//! ```
//!
//! A *matrix* is a code of 21x21 or 25x25 cells; the *grid* is the 32x32 cells that a decode request carries, with a
//! matrix somewhere in it.
//!
//! Query bytes in, answer bytes out; it does not know HTTP. It returns a decoded [`Message`] instead of the
//! token: with an external authority the caller must wait for the token, and this code never waits.
//!
//! `layout` says which cell holds what, `key_stream` how cells are encrypted, `reject` and `explain` why a request is
//! INVALID.

mod explain;
mod hex_text;
mod key_stream;
mod layout;
mod locate;
mod matrix;
mod query;
mod reject;
pub(crate) mod render;

pub use query::{Format, Query, parse};
pub use reject::Reject;

use std::borrow::Cow;

use crate::codec::query::{Plus, percent_decode};
use layout::Symbol;
use matrix::{Tables, WORDS_V1, WORDS_V2};

/// Longest message of the protocol's matrix.
pub const MESSAGE_BYTES_MAX: usize = Symbol::V2.bytes_max();

/// The endpoint: immutable tables, shared by all workers.
pub struct QrCode {
    key: [u32; hex_text::GRID_WORDS],
    v1: Tables<WORDS_V1>,
    v2: Tables<WORDS_V2>,
}

/// Per-worker scratch, borrowed for one call at a time.
#[derive(Default)]
pub struct Scratch {
    /// A value without its percent-encoding.
    value: Vec<u8>,
}

impl Default for QrCode {
    fn default() -> Self {
        Self::new()
    }
}

impl QrCode {
    /// Builds the tables: 81 KB, a tenth of a millisecond.
    pub fn new() -> Self {
        let key = key_stream::words();
        Self {
            v1: Tables::new(Symbol::V1, &key),
            v2: Tables::new(Symbol::V2, &key),
            key,
        }
    }

    /// Scratch for one worker.
    pub fn scratch(&self) -> Scratch {
        Scratch::default()
    }

    /// Appends the encrypted matrix of a message to `out`. `data_raw` is the message with its
    /// percent-encoding, any bytes, [`MESSAGE_BYTES_MAX`] at most.
    pub fn encode(
        &self,
        scratch: &mut Scratch,
        data_raw: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        // Decoding takes three bytes for one at most. Keeps long texts off the decoder.
        if data_raw.len() > 3 * MESSAGE_BYTES_MAX {
            return Err(Reject::TooLong);
        }
        let message = scratch.decoded(data_raw);
        if let Some(image) = self.v1.image(message) {
            hex_text::write(&image, out);
        } else {
            hex_text::write(&self.v2.image(message).ok_or(Reject::TooLong)?, out);
        }
        Ok(())
    }

    /// Finds the message in a grid. `data_raw` is the grid's 32 words with their percent-encoding,
    /// if they have any.
    ///
    /// A square counts as a code only if encoding its message gives the same bits.
    pub fn decode(&self, scratch: &mut Scratch, data_raw: &[u8]) -> Result<Message, Reject> {
        let mut grid = hex_text::parse(scratch.decoded(data_raw)).ok_or(Reject::Words)?;
        for (row, key) in grid.iter_mut().zip(&self.key) {
            *row ^= key;
        }
        let accept = |symbol, rows: &locate::Rows| match symbol {
            Symbol::V1 => Self::verified(&self.v1, rows),
            Symbol::V2 => Self::verified(&self.v2, rows),
        };
        locate::find(&grid, accept).ok_or(Reject::NoCode)
    }

    /// Appends a picture of a standard code of a text to `out`. `data_raw` is the text with its
    /// percent-encoding, any bytes, `render::TEXT_BYTES_MAX` at most.
    pub fn render(
        &self,
        scratch: &mut Scratch,
        format: Format,
        data_raw: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        if data_raw.len() > 3 * render::TEXT_BYTES_MAX {
            return Err(Reject::TooLong);
        }
        let code = render::Code::new(scratch.decoded(data_raw))?;
        match format {
            Format::Svg => code.svg(out),
            Format::Png => code.png(out),
            Format::Text => code.text(out),
        }
        Ok(())
    }

    /// The message in upright, clear `rows`, if encoding it gives these rows.
    fn verified<const WORDS: usize>(
        tables: &Tables<WORDS>,
        rows: &locate::Rows,
    ) -> Option<Message> {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let message = tables.read(rows, &mut buffer)?;
        let same = tables.encrypt(rows) == tables.image(message)?;
        same.then(|| Message::new(message))
    }
}

impl Scratch {
    /// `raw` without its percent-encoding, `+` a space.
    fn decoded<'a>(&'a mut self, raw: &'a [u8]) -> &'a [u8] {
        if memchr::memchr2(b'%', b'+', raw).is_none() {
            return raw;
        }
        self.value.clear();
        percent_decode(raw, Plus::Space, &mut self.value);
        &self.value
    }
}

/// A decoded message: text, UTF-8.
///
/// A matrix can contain any bytes, but a message is also sent in JSON and must give the same token
/// everywhere, so bytes that are not UTF-8 become U+FFFD as in the reference decoder.
#[derive(Clone, Copy)]
pub struct Message {
    text: [u8; Self::BYTES_MAX],
    length: u8,
}

impl Message {
    /// Longest text: every byte became U+FFFD, which has three.
    const BYTES_MAX: usize = 3 * MESSAGE_BYTES_MAX;

    /// The text of `bytes`, of which there are [`MESSAGE_BYTES_MAX`] at most.
    fn new(bytes: &[u8]) -> Self {
        let bytes = match std::str::from_utf8(bytes) {
            Ok(_) => Cow::Borrowed(bytes),
            Err(_) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes()),
        };
        let mut text = [0; Self::BYTES_MAX];
        let length = bytes.len().min(text.len());
        text[..length].copy_from_slice(&bytes[..length]);
        Self {
            text,
            length: length as u8,
        }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), f)
    }
}

#[cfg(test)]
mod tests;
