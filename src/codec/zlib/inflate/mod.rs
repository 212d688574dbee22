//! Inflating whole zlib streams (RFC 1950) into a bounded buffer.
//!
//! Called once per request on a stream of some 400 bytes, where a library spends as much time on building
//! the codes as on decoding; this inflater takes a quarter less time than libdeflate on such streams, and is
//! plain Rust. On streams of 20 KiB and more libdeflate is faster; genuine requests have less than one.
//!
//! It accepts what zlib accepts, for instance any window size in the header, and distance codes of one
//! symbol or none. It refuses preset dictionaries and does not stream.
//!
//! `header` reads a block's codes, `prefix` lays them out for reading, `block` decodes with them, from `bits` to
//! `output`; `copies` keeps the matches for the encoder, `error` says what was wrong.

mod bits;
mod block;
mod copies;
mod error;
mod header;
mod output;
mod prefix;

pub use copies::{Copied, Inflated};
pub use error::InflateError;

use bits::Bits;
use copies::Copies;
use header::BlockCodes;
use output::{BYTES_RETAINED, Output};

/// Bytes of stream that a new inflater has room for.
const STREAM_BYTES_INITIAL: usize = 4 << 10;

/// Inflates whole zlib streams into a buffer it owns.
///
/// It starts with 30 KiB. After a long stream it holds a copy of the stream and the text, which is bounded;
/// the next stream frees buffers above 64 KiB.
pub struct Inflater {
    /// The codes of dynamic blocks.
    codes: BlockCodes,
    /// The fixed codes, built when a block first uses them.
    fixed: BlockCodes,
    /// The stream and some zeros, so that eight bytes can be read anywhere in it.
    stream: Vec<u8>,
    output: Output,
    copies: Copies,
    /// The last stream was inflated to its end, and says that its encoder searched well.
    searched: bool,
    #[cfg(target_arch = "x86_64")]
    avx2: bool,
}

impl Inflater {
    /// An inflater that refuses texts of more than `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            codes: BlockCodes::new(),
            fixed: BlockCodes::new(),
            stream: Vec::with_capacity(STREAM_BYTES_INITIAL),
            output: Output::new(bytes_max),
            copies: Copies::new(),
            searched: false,
            #[cfg(target_arch = "x86_64")]
            avx2: is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt"),
        }
    }

    /// The text of the stream at the start of `stream`; bytes after its end are ignored.
    pub fn inflate(&mut self, stream: &[u8]) -> Result<&[u8], InflateError> {
        self.searched = false;
        let [method, flags, deflated @ ..] = stream else {
            return Err(InflateError::Malformed);
        };
        if !is_header(*method, *flags) {
            return Err(InflateError::Malformed);
        }
        self.load(deflated);
        self.output.restart();
        self.copies.clear();
        let used = self.inflate_blocks()?;
        let text = self.output.text();
        let sum = deflated.get(used..).and_then(|rest| rest.first_chunk());
        if sum != Some(&libdeflater::adler32(text).to_be_bytes()) {
            return Err(InflateError::Malformed);
        }
        // zlib's default level or a higher one (RFC 1950 §2.2, FLEVEL).
        self.searched = flags >> 6 >= 2;
        Ok(text)
    }

    /// The text last inflated, if its stream had few matches and they are worth using again.
    pub(super) fn last(&self) -> Option<Inflated<'_>> {
        let copies = self.copies.all().filter(|_| self.searched)?;
        Some(Inflated {
            text: self.output.text(),
            copies,
        })
    }

    fn load(&mut self, deflated: &[u8]) {
        if self.stream.capacity() > BYTES_RETAINED {
            self.stream = Vec::with_capacity(STREAM_BYTES_INITIAL);
        }
        self.stream.clear();
        self.stream.reserve(deflated.len() + Bits::PADDING_BYTES);
        self.stream.extend_from_slice(deflated);
        self.stream.extend_from_slice(&[0; Bits::PADDING_BYTES]);
    }

    fn inflate_blocks(&mut self) -> Result<usize, InflateError> {
        #[cfg(target_arch = "x86_64")]
        if self.avx2 {
            let Self {
                codes,
                fixed,
                stream,
                output,
                copies,
                ..
            } = self;
            #[allow(unsafe_code)] // an eighth of inflating
            // SAFETY: `new` checked that the CPU has the features of the function.
            return unsafe { block::inflate_blocks_avx2(stream, [codes, fixed], output, copies) };
        }
        let codes = [&mut self.codes, &mut self.fixed];
        block::inflate_blocks(&self.stream, codes, &mut self.output, &mut self.copies)
    }
}

/// Whether these two bytes announce a deflate stream without a preset dictionary (RFC 1950 §2.2).
fn is_header(method: u8, flags: u8) -> bool {
    let deflate = method & 15 == 8 && method >> 4 <= 7;
    let dictionary = flags & 0x20 != 0;
    deflate && !dictionary && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

#[cfg(test)]
mod tests;
