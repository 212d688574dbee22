//! zlib streams (RFC 1950): a bounded inflater and a deflater, both made once per worker.

use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

/// Why a stream was not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// Not a complete zlib stream, or its checksum is wrong.
    Malformed,
    /// Inflates to more than the bound.
    TooLarge,
}

/// Inflates whole zlib streams into a buffer it owns.
pub struct Inflater {
    decoder: Decompressor,
    text: Vec<u8>,
    bytes_max: usize,
}

impl Inflater {
    /// An inflater that refuses texts of more than `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            decoder: Decompressor::new(),
            text: vec![0; bytes_max.min(8 << 10)],
            bytes_max,
        }
    }

    /// The text of the stream at the start of `stream`; bytes after its end are ignored.
    pub fn inflate(&mut self, stream: &[u8]) -> Result<&[u8], InflateError> {
        loop {
            match self.decoder.zlib_decompress(stream, &mut self.text) {
                Ok(n) => return Ok(&self.text[..n]),
                Err(DecompressionError::BadData) => return Err(InflateError::Malformed),
                Err(DecompressionError::InsufficientSpace) => {
                    if self.text.len() >= self.bytes_max {
                        return Err(InflateError::TooLarge);
                    }
                    let larger = (self.text.len() * 4).min(self.bytes_max);
                    self.text.resize(larger, 0);
                }
            }
        }
    }
}

/// Writes zlib streams at one level: 0 stored … 9 smallest.
pub struct Deflater {
    encoder: Compressor,
}

impl Deflater {
    /// A deflater of the given level, 0 to 9; higher values count as 9.
    pub fn new(level: u8) -> Self {
        let level = CompressionLvl::new(i32::from(level.min(9))).unwrap_or_default();
        Self {
            encoder: Compressor::new(level),
        }
    }

    /// Appends `text` as one zlib stream to `out`.
    pub fn deflate(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.encoder.zlib_compress_bound(text.len()), 0);
        let n = self
            .encoder
            .zlib_compress(text, &mut out[start..])
            .unwrap_or(0);
        out.truncate(start + n);
    }
}
