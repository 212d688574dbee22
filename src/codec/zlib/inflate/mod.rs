//! Inflating whole zlib streams (RFC 1950) into a bounded buffer.
//!
//! Called once per request on a stream of some 400 bytes, where set-up costs as much as decoding.
//! Accepts what zlib accepts: among others, any window size in the header, and distance codes with
//! one symbol or none. Preset dictionaries are refused.

mod block;
mod header;
mod prefix;

use block::{Bits, Output};
use header::BlockCodes;

/// Why a stream was not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// Not a complete zlib stream, or its checksum is wrong.
    Malformed,
    /// Inflates to more than the bound.
    TooLarge,
}

/// Bytes that a new inflater can make without growing.
const TEXT_BYTES_INITIAL: usize = 8 << 10;

/// Bytes that each buffer may hold on to between streams; larger ones are dropped.
const BYTES_RETAINED: usize = 64 << 10;

/// Inflates whole zlib streams into a buffer it owns.
///
/// Holds 25 KiB to begin with. A stream of more than 64 KiB, or one that inflates to more, makes it
/// hold a copy of the stream and a text of up to the bound, until the next stream.
pub struct Inflater {
    codes: BlockCodes,
    /// The stream and some zeros, so that eight bytes can be read anywhere.
    stream: Vec<u8>,
    output: Output,
}

impl Inflater {
    /// An inflater that refuses texts of more than `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            codes: BlockCodes::new(),
            stream: Vec::new(),
            output: Output::new(bytes_max),
        }
    }

    /// The text of the stream at the start of `stream`; bytes after its end are ignored.
    pub fn inflate(&mut self, stream: &[u8]) -> Result<&[u8], InflateError> {
        let [method, flags, deflated @ ..] = stream else {
            return Err(InflateError::Malformed);
        };
        let (method, flags) = (u16::from(*method), u16::from(*flags));
        let deflate = method & 15 == 8 && method >> 4 <= 7;
        let dictionary = flags & 0x20 != 0;
        if !deflate || dictionary || (method << 8 | flags) % 31 != 0 {
            return Err(InflateError::Malformed);
        }
        if self.stream.capacity() > BYTES_RETAINED {
            self.stream = Vec::new();
        }
        self.stream.clear();
        self.stream
            .reserve_exact(deflated.len() + Bits::PADDING_BYTES);
        self.stream.extend_from_slice(deflated);
        self.stream.extend_from_slice(&[0; Bits::PADDING_BYTES]);
        self.output.restart();
        let used = block::inflate_blocks(&self.stream, &mut self.codes, &mut self.output)?;
        let text = self.output.text();
        let sum = deflated
            .get(used..)
            .and_then(|rest| rest.first_chunk::<4>());
        if sum.map(|sum| u32::from_be_bytes(*sum)) != Some(libdeflater::adler32(text)) {
            return Err(InflateError::Malformed);
        }
        Ok(text)
    }
}
