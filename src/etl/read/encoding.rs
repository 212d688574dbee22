//! Text that is not UTF-8 with line feeds: UTF-16, and lines that end with a carriage return.

use crate::etl::read::budget::LayerError;
use encoding_rs::{CoderResult, Decoder, Encoding};
use std::{
    io::{self, Read},
    ops::Range,
};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// UTF-16 as UTF-8. Halves of surrogate pairs become U+FFFD.
pub(super) struct Utf16<R> {
    inner: R,
    decoder: Decoder,
    input: Vec<u8>,
    /// The part of `input` that is not decoded.
    pending: Range<usize>,
    output: Vec<u8>,
    /// The part of `output` that is not read.
    ready: Range<usize>,
    read: u64,
    ended: bool,
    done: bool,
}

impl<R: Read> Utf16<R> {
    /// For a text whose byte order mark has been read.
    pub(super) fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_without_bom_handling(),
            input: vec![0; CHUNK_BYTES],
            pending: 0..0,
            output: vec![0; CHUNK_BYTES],
            ready: 0..0,
            read: 0,
            ended: false,
            done: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        let read = self.inner.read(&mut self.input)?;
        self.pending = 0..read;
        self.read += read as u64;
        self.ended = read == 0;
        if self.ended && !self.read.is_multiple_of(2) {
            let what = "is truncated: it has an odd number of bytes";
            return Err(LayerError::new("UTF-16 text", what, self.read).into());
        }
        Ok(())
    }

    fn decode(&mut self) -> io::Result<()> {
        if self.pending.is_empty() && !self.ended {
            self.refill()?;
        }
        let input = &self.input[self.pending.clone()];
        let decoded = self
            .decoder
            .decode_to_utf8(input, &mut self.output, self.ended);
        let (result, used, written, _) = decoded;
        self.pending.start += used;
        self.ready = 0..written;
        self.done = self.ended && result == CoderResult::InputEmpty;
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.done {
            self.decode()?;
        }
        let read = (&self.output[self.ready.clone()]).read(out)?;
        self.ready.start += read;
        Ok(read)
    }
}

/// Line feeds instead of carriage returns; a line feed after a carriage return is left out.
pub(super) struct CrToLf<R> {
    inner: R,
    after_cr: bool,
}

impl<R: Read> CrToLf<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            after_cr: false,
        }
    }
}

impl<R: Read> Read for CrToLf<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.inner.read(out)?;
            let mut kept = 0;
            for at in 0..read {
                let byte = out[at];
                let is_rest_of_crlf = self.after_cr && byte == b'\n';
                self.after_cr = byte == b'\r';
                if !is_rest_of_crlf {
                    out[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
            }
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{UTF_16BE, UTF_16LE};

    /// Returns its bytes in pieces of one length.
    struct Pieces<'b>(&'b [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(out.len());
            self.0.read(&mut out[..length])
        }
    }

    #[test]
    fn utf16_is_read_in_any_pieces() {
        let text = "{\"text\":\"a\u{e9}\u{4e00}\u{1F600}\"}\n".repeat(50);
        for (encoding, big) in [(UTF_16LE, false), (UTF_16BE, true)] {
            let bytes: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect();
            for piece in [1, 2, 3, 7, 100_000] {
                let mut decoded = Vec::new();
                let mut reader = Utf16::new(Pieces(&bytes, piece), encoding);
                reader.read_to_end(&mut decoded).unwrap();
                assert!(decoded == text.as_bytes(), "{piece}");
                let odd = Pieces(&bytes[..bytes.len() - 1], piece);
                let error = Utf16::new(odd, encoding)
                    .read_to_end(&mut decoded)
                    .unwrap_err();
                assert!(error.to_string().contains("odd number"), "{error}");
            }
        }
        let halves = [0x3D, 0xD8, b'x', 0, 0x00, 0xDC];
        let mut decoded = String::new();
        Utf16::new(&halves[..], UTF_16LE)
            .read_to_string(&mut decoded)
            .unwrap();
        assert_eq!(decoded, "\u{FFFD}x\u{FFFD}");
    }

    #[test]
    fn carriage_returns_end_lines() {
        for piece in [1, 2, 3, 100] {
            let mut text = String::new();
            let input = Pieces(b"a\rb\r\nc\r\r\nd\ne", piece);
            CrToLf::new(input).read_to_string(&mut text).unwrap();
            assert_eq!(text, "a\nb\nc\n\nd\ne", "{piece}");
        }
    }
}
