//! Deflate in one pass with a prepared prefix code: zlib level 1.
//!
//! Called by [`super::Deflater`]; makes one raw deflate block of a whole text. For a 1,000-byte text,
//! library encoders spend most of their time around the coding: they clear tables, count symbols and build
//! prefix codes. This encoder has three steps:
//!
//! 1. [`matcher`] finds back-references. It looks only where a word starts, which in JSON is where
//!    repeats start (`"recv":10978…`). Where an answer begins like its request, it takes those that the inflater saw.
//! 2. The literals and matches are written with a [`code::Code`] made at compile time, sixteen
//!    literals at a time where the CPU can ([`x86`]), else singly ([`portable`]).
//! 3. If a byte is outside the alphabet of the JSON code, the text is encoded again with the fixed code of
//!    RFC 1951, which has all bytes.
//!
//! Left out: hash chains, codes fitted to the text, matches farther than 4 KiB or longer than 98 bytes. Beginning
//! an answer with the bits of its request and going on in their codes was tried: a quarter fewer instructions, 3 %
//! more bytes. Binary data and prose become larger than with a library's level 1; the caller falls back to
//! stored blocks when the output would grow.
//!
//! `emit` writes the bits, `json_bits` is the JSON code, `rows` its form for vector registers; `neon` is the match
//! search on arm64.

mod code;
mod emit;
mod json_bits;
mod matcher;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod rows;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use matcher::TEXT_BYTES_MAX;

use super::inflate::Inflated;
use code::{Code, FIXED, JSON};
use matcher::Matcher;

#[cfg(target_arch = "aarch64")]
type Native = neon::Neon;
#[cfg(not(target_arch = "aarch64"))]
type Native = portable::Portable;

/// Texts of fewer bytes get the fixed code: the JSON code's header costs more than it saves.
const JSON_TEXT_BYTES_MIN: usize = 140;

/// A worker's encoder. Holds about 140 KiB of tables and arrays, of which a text of 1 KiB touches
/// 30 KiB, and the text last encoded if it has no more than 64 KiB.
pub struct Encoder {
    matcher: Matcher,
    #[cfg(target_arch = "x86_64")]
    wide: Option<x86::Wide>,
}

impl Encoder {
    /// An encoder for this CPU.
    pub fn new() -> Self {
        Self {
            matcher: Matcher::new(),
            #[cfg(target_arch = "x86_64")]
            wide: x86::Wide::detect(),
        }
    }

    /// Appends `text`, at most [`TEXT_BYTES_MAX`] bytes, as one last deflate block to `out`. Where it begins like
    /// `request`, the matches of that are used.
    pub fn encode(&mut self, text: &[u8], request: Option<Inflated>, out: &mut Vec<u8>) {
        self.matcher.load(text);
        if let Some(request) = request {
            self.matcher.adopt(&request);
        }
        let start = out.len();
        out.resize(start + emit::block_bytes_max(text.len()), 0);
        let room = out.get_mut(start..).unwrap_or(&mut []);
        let fitted = if text.len() >= JSON_TEXT_BYTES_MIN {
            self.block(&JSON, room)
        } else {
            None
        };
        let used = fitted.or_else(|| self.block(&FIXED, room)).unwrap_or(0);
        out.truncate(start + used);
    }

    /// Codes the loaded text with `code` into `room`. Returns the bytes used, or `None` if a byte
    /// of the text is not in the code's alphabet.
    fn block(&mut self, code: &Code, room: &mut [u8]) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = &mut self.wide {
            return wide.block(&mut self.matcher, code, room);
        }
        portable::block::<Native>(&mut self.matcher, code, room)
    }
}

#[cfg(test)]
mod tests;
