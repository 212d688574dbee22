//! Records in a pipe: read line by line, written by several workers.

use crate::etl::{
    error::EtlError,
    record::extra::Extra,
    record::fields::{push_field, push_key},
    record::records::push_deletion,
    shuffle::spill::{Emit, Lines},
    stage::tags::TagCounter,
    stage::tweets::TweetOutput,
    stage::users::UserOutput,
    stage::values::TagSource,
};
use parking_lot::Mutex;
use std::{
    io::{BufRead, Write},
    path::Path,
};

/// Bytes a worker collects before it takes the lock on the output.
const WRITE_BYTES: usize = 64 * 1024;
/// Memory for hashtags that are being counted.
const TAGS_BYTES: usize = 16 << 20;

/// Lines of a pipe.
pub(super) struct PipeReader<R> {
    input: R,
    offset: u64,
}

impl<R: BufRead> PipeReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, offset: 0 }
    }
}

impl<R: BufRead> Lines for PipeReader<R> {
    fn append_line(&mut self, out: &mut Vec<u8>) -> Result<bool, EtlError> {
        let read = self
            .input
            .read_until(b'\n', out)
            .map_err(|e| EtlError::io("read", Path::new("-"), self.offset, e))?;
        self.offset += read as u64;
        if read > 0 && out.last() == Some(&b'\n') {
            out.pop();
        }
        Ok(read > 0)
    }
}

/// Writes whole lines to an output that several workers share.
pub(super) struct PipeWriter<'o, W> {
    out: &'o Mutex<&'o mut W>,
    buffer: Vec<u8>,
}

impl<'o, W: Write> PipeWriter<'o, W> {
    pub(super) fn new(out: &'o Mutex<&'o mut W>) -> Self {
        Self {
            out,
            buffer: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        write(&mut self.buffer);
        self.buffer.push(b'\n');
        if self.buffer.len() >= WRITE_BYTES {
            Emit::flush(self)
        } else {
            Ok(())
        }
    }
}

impl<W: Write> Emit for PipeWriter<'_, W> {
    fn record(&mut self, _: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.write(write)
    }

    fn flush(&mut self) -> Result<(), EtlError> {
        let mut out = self.out.lock();
        let result = out.write_all(&self.buffer).and_then(|()| out.flush());
        self.buffer.clear();
        result.map_err(|e| EtlError::io("write", Path::new("standard output"), 0, e))
    }
}

/// The output of `reduce`, of both stages.
pub(super) struct Reduced<'o, W> {
    pub(super) writer: PipeWriter<'o, W>,
    counter: TagCounter,
    /// Whether later updates are to be possible.
    history: bool,
    /// Records of the history: tweets and states of users.
    pub(super) kept: (u64, u64),
    /// Records of users, of contacts and of hashtags.
    pub(super) given: (u64, u64, u64),
}

impl<'o, W: Write> Reduced<'o, W> {
    pub(super) fn new(writer: PipeWriter<'o, W>, history: bool) -> Self {
        Self {
            writer,
            counter: TagCounter::new(TAGS_BYTES),
            history,
            kept: (0, 0),
            given: (0, 0, 0),
        }
    }

    /// Writes out what is counted.
    pub(super) fn finish_tags(&mut self) -> Result<(), EtlError> {
        let records = &mut TagRecords(&mut self.writer, &mut self.given.2);
        self.counter.flush(records)
    }
}

/// Hashtags with their counts as records, so that a sort brings those of a hashtag together.
/// They are counted.
struct TagRecords<'w, 'o, W>(&'w mut PipeWriter<'o, W>, &'w mut u64);

impl<W: Write> Emit for TagRecords<'_, '_, W> {
    fn record(&mut self, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        *self.1 += 1;
        self.0.write(|out| {
            push_key(out, key);
            push_field(out, Extra::Tag.kind());
            out.push(b'\t');
            write(out);
        })
    }

    fn flush(&mut self) -> Result<(), EtlError> {
        Ok(())
    }
}

impl<W: Write> TweetOutput for Reduced<'_, W> {
    fn kept(&mut self, record: &[u8]) -> Result<(), EtlError> {
        if !self.history {
            return Ok(());
        }
        self.kept.0 += 1;
        self.writer.write(|out| Extra::push_kept(out, record))
    }

    fn deleted(&mut self, id: u64) -> Result<(), EtlError> {
        let mut record = Vec::new();
        push_deletion(&mut record, id);
        self.kept(&record)
    }

    fn tag(&mut self, tag: &[u8]) -> Result<(), EtlError> {
        let records = &mut TagRecords(&mut self.writer, &mut self.given.2);
        self.counter.add(tag, records)
    }

    fn event(&mut self, _: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.given.0 += 1;
        self.writer.write(write)
    }
}

/// A pipe has no file to refer to, so every record carries its counts.
impl<W: Write> UserOutput for Reduced<'_, W> {
    fn own(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.given.1 += 1;
        self.writer.write(write)
    }

    fn peer(&mut self, _: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.given.1 += 1;
        self.writer.write(write)
    }

    fn store_tags(&mut self, _: u64, _: &[u8]) -> Result<Option<Vec<u8>>, EtlError> {
        Ok(None)
    }

    fn user_state(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.kept.1 += 1;
        self.writer.write(write)
    }
}

pub(super) struct NoReferences;

impl TagSource for NoReferences {
    fn read(&mut self, reference: &[u8], _: &mut Vec<u8>) -> Result<(), EtlError> {
        Err(EtlError::record(reference))
    }
}
