//! The bytes of one input, decompressed if they begin with the magic of a known format.

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use liblzma::{
    bufread::XzDecoder,
    stream::{CONCATENATED, Stream},
};
use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

pub(super) type Raw = Counted<BufReader<Box<dyn Read + Send>>>;

/// Most memory that decoding one xz file may take. `xz -9` asks for 65 MiB; a header may ask for 4 GiB.
const XZ_MEMORY_BYTES: u64 = 128 << 20;
/// Largest zstd window, as a power of two: `zstd --ultra` makes no larger one without `--long=28` and up.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

pub(super) enum Input {
    Plain(Raw),
    /// `None` after the last member.
    Gzip(Option<Box<GzDecoder<Raw>>>, u64),
    /// Any number of streams or frames in sequence.
    Bzip2(Box<MultiBzDecoder<Raw>>),
    /// As above.
    Zstd(Box<zstd::Decoder<'static, Raw>>),
    /// As above.
    Xz(Box<XzDecoder<Raw>>),
}

impl Input {
    /// Chooses the decoder by the first bytes of `raw`.
    pub(super) fn new(mut raw: Raw) -> io::Result<Self> {
        let start = raw.fill_buf()?;
        Ok(if start.starts_with(b"\x1F\x8B") {
            Self::Gzip(Some(Box::new(GzDecoder::new(raw))), 0)
        } else if matches!(start, [b'B', b'Z', b'h', b'1'..=b'9', ..]) {
            Self::Bzip2(Box::new(MultiBzDecoder::new(raw)))
        } else if start.starts_with(b"\x28\xB5\x2F\xFD") {
            let mut decoder = zstd::Decoder::with_buffer(raw)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Self::Zstd(Box::new(decoder))
        } else if start.starts_with(b"\xFD7zXZ\0") {
            let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
            Self::Xz(Box::new(XzDecoder::new_stream(raw, stream)))
        } else {
            Self::Plain(raw)
        })
    }

    /// The name of its compression.
    pub(super) fn compression(&self) -> Option<&'static str> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(..) => Some("gzip"),
            Self::Bzip2(_) => Some("bzip2"),
            Self::Zstd(_) => Some("zstd"),
            Self::Xz(_) => Some("xz"),
        }
    }

    /// Bytes taken from the file so far.
    pub(super) fn consumed(&self) -> u64 {
        match self {
            Self::Plain(raw) => raw.consumed,
            Self::Gzip(decoder, total) => decoder.as_ref().map_or(*total, |d| d.get_ref().consumed),
            Self::Bzip2(decoder) => decoder.get_ref().consumed,
            Self::Zstd(decoder) => decoder.get_ref().consumed,
            Self::Xz(decoder) => decoder.get_ref().consumed,
        }
    }

    /// The next bytes of text; 0 at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => retry(|| raw.read(out)),
            Self::Gzip(decoder, total) => read_gzip(decoder, total, out),
            Self::Bzip2(decoder) => retry(|| decoder.read(out)),
            Self::Zstd(decoder) => retry(|| decoder.read(out)),
            Self::Xz(decoder) => retry(|| decoder.read(out)),
        }
    }
}

/// The compression that the name `path` says.
pub(crate) fn compression_of_name(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "gz" => Some("gzip"),
        "bz2" => Some("bzip2"),
        "zst" => Some("zstd"),
        "xz" => Some("xz"),
        _ => None,
    }
}

fn read_gzip(
    decoder: &mut Option<Box<GzDecoder<Raw>>>,
    total: &mut u64,
    out: &mut [u8],
) -> io::Result<usize> {
    while let Some(open) = decoder {
        let read = retry(|| open.read(out))?;
        if read > 0 {
            return Ok(read);
        }
        // The end of a member. More members may follow; zeros after the last one are padding.
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

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn skip_zeros(raw: &mut Raw) -> io::Result<()> {
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

/// Counts the bytes consumed from a buffered reader, for offsets in messages.
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
