//! One layer of an input: its bytes as they are, or decompressed if they begin like a known format.

use crate::etl::read::{
    blocks::retry,
    budget::{Budget, LayerError},
    names::compression_of_name,
};
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use liblzma::{
    bufread::XzDecoder,
    stream::{CONCATENATED, Stream},
};
use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

pub(super) type Raw<R> = Counted<BufReader<R>>;

/// Most memory for decoding one xz file. `xz -9` asks for 65 MiB; a header may ask for 4 GiB.
const XZ_MEMORY_BYTES: u64 = 128 << 20;
/// Largest zstd window, as a power of two: the window of `zstd --ultra` without `--long=28` and up.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A layer, which explains its errors.
pub(super) struct Input<R: Read> {
    decoder: Decoder<R>,
    budget: Arc<Budget>,
}

enum Decoder<R: Read> {
    Plain(Raw<R>),
    /// `None` after the last member.
    Gzip(Option<Box<GzDecoder<Raw<R>>>>, u64),
    /// Any number of streams or frames behind each other.
    Bzip2(Box<MultiBzDecoder<Raw<R>>>),
    /// As above.
    Zstd(Box<zstd::Decoder<'static, Raw<R>>>),
    /// As above.
    Xz(Box<XzDecoder<Raw<R>>>),
}

impl<R: Read> Input<R> {
    /// Looks at the first bytes of `raw`.
    pub(super) fn new(mut raw: Raw<R>, budget: Arc<Budget>) -> io::Result<Self> {
        let compression = compression_of(raw.fill_buf()?);
        let decoder = match compression {
            Some("gzip") => Decoder::Gzip(Some(Box::new(GzDecoder::new(raw))), 0),
            Some("bzip2") => Decoder::Bzip2(Box::new(MultiBzDecoder::new(raw))),
            Some("zstd") => {
                let mut decoder = zstd::Decoder::with_buffer(raw)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Decoder::Zstd(Box::new(decoder))
            }
            Some("xz") => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
                Decoder::Xz(Box::new(XzDecoder::new_stream(raw, stream)))
            }
            _ => Decoder::Plain(raw),
        };
        Ok(Self { decoder, budget })
    }

    /// The name of its compression.
    pub(super) fn compression(&self) -> Option<&'static str> {
        match self.decoder {
            Decoder::Plain(_) => None,
            Decoder::Gzip(..) => Some("gzip"),
            Decoder::Bzip2(_) => Some("bzip2"),
            Decoder::Zstd(_) => Some("zstd"),
            Decoder::Xz(_) => Some("xz"),
        }
    }

    /// Bytes taken from below so far.
    pub(super) fn consumed(&self) -> u64 {
        match &self.decoder {
            Decoder::Plain(raw) => raw.consumed,
            Decoder::Gzip(decoder, total) => {
                decoder.as_ref().map_or(*total, |d| d.get_ref().consumed)
            }
            Decoder::Bzip2(decoder) => decoder.get_ref().consumed,
            Decoder::Zstd(decoder) => decoder.get_ref().consumed,
            Decoder::Xz(decoder) => decoder.get_ref().consumed,
        }
    }
}

impl<R: Read> Read for Input<R> {
    /// The next bytes of text; 0 at the end.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.decoder {
            Decoder::Plain(raw) => return raw.read(out),
            Decoder::Gzip(decoder, total) => read_gzip(decoder, total, out),
            Decoder::Bzip2(decoder) => retry(|| decoder.read(out)),
            Decoder::Zstd(decoder) => retry(|| decoder.read(out)),
            Decoder::Xz(decoder) => retry(|| decoder.read(out)),
        };
        let read = read.map_err(|error| {
            let format = self.compression().unwrap_or_default();
            LayerError::of(error, &format!("{format} stream"), self.consumed())
        })?;
        self.budget.make(read)?;
        Ok(read)
    }
}

/// The compression of data that begin with `start`.
pub(super) fn compression_of(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x1F, 0x8B, ..] => Some("gzip"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some("bzip2"),
        // A frame, or a skippable frame: pzstd writes one first.
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some("zstd"),
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        _ => None,
    }
}

/// Fails if the file or member `name` is named like a compressed one but `start`, its beginning, is not compressed. JSON is read,
/// whatever its name.
pub(super) fn check_name(name: &Path, start: &[u8]) -> io::Result<()> {
    let (None, Some(format)) = (compression_of(start), compression_of_name(name)) else {
        return Ok(());
    };
    // Browsers and proxies decompress files and leave them their names.
    if start.trim_ascii_start().starts_with(b"{") || start.trim_ascii_start().starts_with(b"[") {
        return Ok(());
    }
    // A compressed file is never empty: gzip makes 20 bytes even of empty input.
    let what = if start.is_empty() {
        "is truncated".to_owned()
    } else {
        format!("is damaged: no {format} header, or only its name says {format}")
    };
    Err(LayerError::new(format!("{format} stream"), what, 0).into())
}

fn read_gzip<R: Read>(
    decoder: &mut Option<Box<GzDecoder<Raw<R>>>>,
    total: &mut u64,
    out: &mut [u8],
) -> io::Result<usize> {
    // Reading into an empty buffer returns nothing, but that is not the end.
    while let Some(open) = decoder.as_mut().filter(|_| !out.is_empty()) {
        let read = retry(|| open.read(out))?;
        if read > 0 {
            return Ok(read);
        }
        // The end of a member. Others may follow; zeros after the last one are padding.
        let mut raw = match decoder.take() {
            Some(ended) => ended.into_inner(),
            None => break,
        };
        skip_zeros(&mut raw)?;
        *total = raw.consumed;
        if !raw.fill_buf()?.is_empty() {
            *decoder = Some(Box::new(GzDecoder::new(raw)));
        }
    }
    Ok(0)
}

fn skip_zeros<R: Read>(raw: &mut Raw<R>) -> io::Result<()> {
    loop {
        let buffer = raw.fill_buf()?;
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        let all = zeros == buffer.len();
        raw.consume(zeros);
        if zeros == 0 || !all {
            return Ok(());
        }
    }
}

/// Counts what is consumed of a buffered reader, for offsets in messages.
pub(super) struct Counted<R> {
    inner: R,
    consumed: u64,
}

impl<R: Read> Counted<BufReader<R>> {
    pub(super) fn new(input: R, buffer_bytes: usize) -> Self {
        Self {
            inner: BufReader::with_capacity(buffer_bytes, input),
            consumed: 0,
        }
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.consumed += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.inner.consume(bytes);
        self.consumed += bytes as u64;
    }
}
