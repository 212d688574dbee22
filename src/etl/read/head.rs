//! A reader whose first bytes can be inspected before they are read.

use std::io::{self, Read};

/// How much of a text is inspected to recognise its kind: several lines of any file of tweets.
pub(super) const HEAD_BYTES: usize = 256 * 1024;

/// UTF-8's mark at the start of a text; Windows programs write it.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The first bytes of a text, and the rest.
pub(super) struct Headed<R> {
    head: Vec<u8>,
    /// Bytes of the head that have been read.
    at: usize,
    /// The error that ended the head; reported after its bytes.
    error: Option<io::Error>,
    ended: bool,
    rest: R,
}

impl<R: Read> Headed<R> {
    /// Reads the head. An error within it is reported when the bytes before it have been read.
    pub(super) fn new(rest: R) -> Self {
        let mut headed = Self {
            head: Vec::new(),
            at: 0,
            error: None,
            ended: false,
            rest,
        };
        if let Err(error) = headed.fill() {
            headed.error = Some(error);
        }
        headed
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut first = (&mut self.rest).take(HEAD_BYTES as u64);
        first.read_to_end(&mut self.head)?;
        self.ended = self.head.len() < HEAD_BYTES;
        Ok(())
    }

    /// The bytes that were inspected and not yet read.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[self.at..]
    }

    /// Whether the head is the whole text; false after an error.
    pub(super) fn is_whole(&self) -> bool {
        self.ended
    }

    /// Passes over bytes of the head.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes.min(self.head().len());
    }

    /// Passes over a byte order mark.
    pub(super) fn skip_byte_order_mark(&mut self) {
        if self.head().starts_with(BYTE_ORDER_MARK) {
            self.skip(BYTE_ORDER_MARK.len());
        }
    }

    /// Passes over a byte order mark of UTF-16.
    pub(super) fn skip_utf16_mark(&mut self) {
        if let [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] = self.head() {
            self.skip(2);
        }
    }

    /// The same text, independent of the type below.
    pub(super) fn boxed(self) -> Headed<Box<dyn Read + Send>>
    where
        R: Send + 'static,
    {
        Headed {
            head: self.head,
            at: self.at,
            error: self.error,
            ended: self.ended,
            rest: Box::new(self.rest),
        }
    }

    /// The reader below.
    pub(super) fn get_ref(&self) -> &R {
        &self.rest
    }

    /// The same text through a borrowed rest.
    pub(super) fn borrowed(&mut self) -> Headed<&mut dyn Read> {
        Headed {
            head: std::mem::take(&mut self.head),
            at: std::mem::take(&mut self.at),
            error: self.error.take(),
            ended: self.ended,
            rest: &mut self.rest,
        }
    }
}

impl<R: Read> Read for Headed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at < self.head.len() {
            let read = (&self.head[self.at..]).read(out)?;
            self.at += read;
            return Ok(read);
        }
        if !self.head.is_empty() {
            (self.head, self.at) = (Vec::new(), 0);
        }
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.ended {
            Ok(0)
        } else {
            self.rest.read(out)
        }
    }
}
