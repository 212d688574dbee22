//! Deflating to zlib streams at one of ten levels.

use super::{
    inflate::{Inflated, Inflater},
    onepass::{self, Encoder},
};
use libdeflater::{CompressionLvl, Compressor};

/// Most bytes in a stored block (RFC 1951 §3.2.4).
const STORED_BYTES_MAX: usize = 65_535;

/// Writes zlib streams at one level: 0 stored … 9 smallest.
pub struct Deflater {
    method: Method,
}

enum Method {
    /// Level 0: the text as it is.
    Stored,
    /// Level 1, the default: our own encoder. On answers of the real shape it takes a fraction of the library's
    /// time and makes 1 % more bytes than the library's smallest level, fewer than its level 2. Our own stays because
    /// bytes cost more than cycles: docs/sizing.md has both prices.
    OnePass(Box<Encoder>),
    /// Levels 2 to 9.
    Library(Compressor),
}

impl Deflater {
    /// A deflater of the given level, 0 to 9; higher values count as 9.
    pub fn new(level: u8) -> Self {
        let method = match level {
            0 => Method::Stored,
            1 => Method::OnePass(Box::new(Encoder::new())),
            _ => {
                let level = CompressionLvl::new(i32::from(level.min(9))).unwrap_or_default();
                Method::Library(Compressor::new(level))
            }
        };
        Self { method }
    }

    /// Appends `text` as one zlib stream to `out`.
    pub fn deflate(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.deflate_with(text, None, out);
    }

    /// [`Self::deflate`] for an answer that may begin like its request, which `inflater` inflated last. At level 1
    /// the matches of that beginning are taken from the request's stream, not searched again.
    pub fn deflate_answer(&mut self, text: &[u8], inflater: &Inflater, out: &mut Vec<u8>) {
        self.deflate_with(text, inflater.last(), out);
    }

    fn deflate_with(&mut self, text: &[u8], request: Option<Inflated>, out: &mut Vec<u8>) {
        let start = out.len();
        match &mut self.method {
            Method::OnePass(encoder) if text.len() <= onepass::TEXT_BYTES_MAX => {
                out.extend_from_slice(&[0x78, 0x01]);
                encoder.encode(text, request, out);
                if out.len() - start - 2 > stored_bytes(text.len()) {
                    out.truncate(start + 2);
                    put_stored(text, out);
                }
                out.extend_from_slice(&libdeflater::adler32(text).to_be_bytes());
            }
            Method::Library(encoder) => {
                out.resize(start + encoder.zlib_compress_bound(text.len()), 0);
                let room = out.get_mut(start..).unwrap_or(&mut []);
                let used = encoder.zlib_compress(text, room).unwrap_or(0);
                out.truncate(start + used);
            }
            Method::Stored | Method::OnePass(_) => {
                out.extend_from_slice(&[0x78, 0x01]);
                put_stored(text, out);
                out.extend_from_slice(&libdeflater::adler32(text).to_be_bytes());
            }
        }
    }
}

/// Bytes that [`put_stored`] writes for a text of `text_bytes`.
fn stored_bytes(text_bytes: usize) -> usize {
    text_bytes + 5 * text_bytes.div_ceil(STORED_BYTES_MAX).max(1)
}

/// Appends `text` as stored blocks, the last one marked so.
fn put_stored(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(stored_bytes(text.len()) + 4);
    let mut rest = text;
    loop {
        let (block, after) = rest.split_at(rest.len().min(STORED_BYTES_MAX));
        let len = block.len() as u16;
        out.push(u8::from(after.is_empty()));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
        if after.is_empty() {
            return;
        }
        rest = after;
    }
}
