//! The bytes of one input: as they stand, or inflated when they begin as gzip does.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};

pub(super) type Raw = Counted<BufReader<Box<dyn Read + Send>>>;

pub(super) enum Input {
    Plain(Raw),
    /// `None` after the last member.
    Gzip(Option<Box<GzDecoder<Raw>>>, u64),
}

impl Input {
    /// Bytes taken from the file so far.
    pub(super) fn consumed(&self) -> u64 {
        match self {
            Input::Plain(raw) => raw.consumed,
            Input::Gzip(decoder, total) => {
                decoder.as_ref().map_or(*total, |d| d.get_ref().consumed)
            }
        }
    }

    /// The next bytes of text; 0 at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (decoder, total) = match self {
            Input::Plain(raw) => return retry(|| raw.read(out)),
            Input::Gzip(decoder, total) => (decoder, total),
        };
        while let Some(open) = decoder {
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
