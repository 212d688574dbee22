//! Work files that one worker at a time writes or reads.

use crate::etl::{
    error::EtlError,
    record::fields,
    record::records::push_deletion,
    shuffle::sort::Sorted,
    shuffle::spill::{Emit, LineFile, LineReader, Lines, ShuffleWriter, partition_path},
    sink::user_sink::write_frame_head,
    stage::tags::TagCounter,
    stage::tweets::TweetOutput,
    stage::users::UserOutput,
    stage::values::TagSource,
};
use crate::store::value::Value;
use std::path::{Path, PathBuf};

/// Bytes buffered before a write to the file.
const WRITE_BYTES: usize = 256 * 1024;

/// The outputs of [`crate::etl::stage::tweets`] for one partition.
pub(super) struct TweetFiles<'a, 's> {
    pub(super) events: &'a mut ShuffleWriter<'s>,
    pub(super) tags: &'a mut ShuffleWriter<'s>,
    pub(super) counter: &'a mut TagCounter,
    pub(super) kept: BlockFile,
    pub(super) history: bool,
}

impl TweetOutput for TweetFiles<'_, '_> {
    fn kept(&mut self, record: &[u8]) -> Result<(), EtlError> {
        if !self.history {
            return Ok(());
        }
        self.kept.record(|out| out.extend_from_slice(record))
    }

    fn deleted(&mut self, id: u64) -> Result<(), EtlError> {
        if !self.history {
            return Ok(());
        }
        self.kept.record(|out| push_deletion(out, id))
    }

    fn tag(&mut self, tag: &[u8]) -> Result<(), EtlError> {
        self.counter.add(tag, self.tags)
    }

    fn event(&mut self, user: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.events.record(user, write)
    }
}

/// The outputs of [`crate::etl::stage::users`] for one partition.
pub(super) struct UserFiles<'a, 's> {
    pub(super) base: BlockFile,
    pub(super) counts: BlockFile,
    pub(super) user_states: BlockFile,
    pub(super) index: usize,
    pub(super) peers: &'a mut ShuffleWriter<'s>,
}

impl UserOutput for UserFiles<'_, '_> {
    fn own(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.base.record(write)
    }

    fn peer(&mut self, other: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.peers.record(other, write)
    }

    fn user_state(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.user_states.record(write)
    }

    fn store_tags(&mut self, _: u64, tags: &[u8]) -> Result<Option<Vec<u8>>, EtlError> {
        let offset = self.counts.offset();
        self.counts.record(|out| out.extend_from_slice(tags))?;
        Ok(Some(
            format!("@{}:{offset}:{}", self.index, tags.len()).into_bytes(),
        ))
    }
}

/// A partition file that one worker writes.
pub(super) struct BlockFile {
    file: LineFile,
    buffer: Vec<u8>,
    written: u64,
}

impl BlockFile {
    pub(super) fn create(directory: &Path, index: usize) -> Result<Self, EtlError> {
        let file = LineFile::create(partition_path(directory, index))?;
        Ok(Self {
            file,
            buffer: Vec::new(),
            written: 0,
        })
    }

    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        write(&mut self.buffer);
        self.buffer.push(b'\n');
        self.flush_if_full()
    }

    pub(super) fn frame(&mut self, user: u64, value: Value<'_>) -> Result<(), EtlError> {
        let bytes = value.bytes();
        write_frame_head(&mut self.buffer, user, bytes).map_err(|e| EtlError::Sink {
            user,
            source: e.into(),
        })?;
        match value {
            Value::Whole(value) if value.len() < WRITE_BYTES => {
                self.buffer.extend_from_slice(value);
                return self.flush_if_full();
            }
            // Not through the buffer: values may have gigabytes.
            Value::Whole(value) => {
                self.flush()?;
                self.file.append(value)?;
            }
            Value::Stream { bytes, read } => {
                self.flush()?;
                self.file.append_from(read, bytes)?;
            }
        }
        self.written += bytes;
        Ok(())
    }

    fn flush_if_full(&mut self) -> Result<(), EtlError> {
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), EtlError> {
        self.file.append(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<u64, EtlError> {
        self.flush()?;
        self.file.finish()
    }
}

/// Long runs of counts in `counts/`, found by references `@partition:offset:bytes`.
pub(super) struct TagFiles {
    pub(super) directory: PathBuf,
    pub(super) open: Option<(usize, LineReader)>,
}

impl TagSource for TagFiles {
    fn read(&mut self, reference: &[u8], out: &mut Vec<u8>) -> Result<(), EtlError> {
        let mut parts = reference.get(1..).unwrap_or_default().split(|&b| b == b':');
        let mut next = || parts.next().and_then(fields::number);
        let (Some(index), Some(offset), Some(bytes)) = (next(), next(), next()) else {
            return Err(EtlError::record(reference));
        };
        let index = index as usize;
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            self.open = Some((
                index,
                LineReader::open(&partition_path(&self.directory, index))?,
            ));
        }
        match &mut self.open {
            Some((_, reader)) => reader.read_at(offset, bytes as usize, out),
            None => Err(EtlError::record(reference)),
        }
    }
}

/// A sorted file and a sorter's output, read as one sorted run.
pub(super) struct SortedWithFile<'a> {
    pub(super) sorted: Sorted<'a>,
    pub(super) file: LineReader,
}

impl SortedWithFile<'_> {
    pub(super) fn merge(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), EtlError>,
    ) -> Result<(), EtlError> {
        let mut line = Vec::new();
        let mut more = self.file.append_line(&mut line)?;
        while let Some(other) = self.sorted.next_line()? {
            while more && line.as_slice() < other {
                each(&line)?;
                line.clear();
                more = self.file.append_line(&mut line)?;
            }
            each(other)?;
        }
        while more {
            each(&line)?;
            line.clear();
            more = self.file.append_line(&mut line)?;
        }
        Ok(())
    }
}
