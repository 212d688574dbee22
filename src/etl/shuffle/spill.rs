//! Files of lines: written in partitions, read one after another.
//!
//! Every stage writes through [`Shuffle`]: each worker has a small buffer per partition, full
//! buffers are appended to the partition's file under its lock. The order of lines in a file is
//! therefore arbitrary; the stage that reads it sorts.

use crate::etl::error::EtlError;
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Read buffer of one open file; a merge has up to [`crate::etl::shuffle::sort::FAN_IN`] of them.
const READ_BYTES: usize = 64 * 1024;

/// A file being written, which knows its name and length for error messages.
pub struct LineFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl LineFile {
    /// Creates or truncates `path`.
    pub fn create(path: PathBuf) -> Result<Self, EtlError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(|e| EtlError::io("create", &path, 0, e))?;
        Ok(Self {
            path,
            file,
            bytes: 0,
        })
    }

    /// A file without a name in `directory`: it leaves nothing behind, however its process ends.
    pub fn unnamed(directory: &Path) -> Result<Self, EtlError> {
        let path = directory.to_owned();
        let file =
            tempfile::tempfile_in(&path).map_err(|e| EtlError::io("write to", &path, 0, e))?;
        Ok(Self {
            path,
            file,
            bytes: 0,
        })
    }

    /// Appends whole lines; returns where they begin.
    pub fn append(&mut self, lines: &[u8]) -> Result<u64, EtlError> {
        let start = self.bytes;
        self.file
            .write_all(lines)
            .map_err(|e| EtlError::io("write", &self.path, start, e))?;
        self.bytes += lines.len() as u64;
        Ok(start)
    }

    /// Appends all of `read`, which has `bytes` bytes.
    pub fn append_from(&mut self, mut read: impl Read, bytes: u64) -> Result<(), EtlError> {
        let copied = io::copy(&mut read, &mut self.file);
        let whole = copied.and_then(|copied| {
            if copied != bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(())
        });
        whole.map_err(|e| EtlError::io("write", &self.path, self.bytes, e))?;
        self.bytes += bytes;
        Ok(())
    }

    /// Makes the file durable; returns its length in bytes.
    pub fn finish(self) -> Result<u64, EtlError> {
        self.file
            .sync_all()
            .map_err(|e| EtlError::io("sync", &self.path, self.bytes, e))?;
        Ok(self.bytes)
    }

    /// Reads the file from its beginning, without making it durable.
    pub fn into_reader(mut self) -> Result<LineReader, EtlError> {
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(|e| EtlError::io("seek", &self.path, 0, e))?;
        Ok(LineReader::new(self.file, self.path))
    }
}

/// Lines that wait in a file without a name.
pub(crate) struct Spool(LineFile);

impl Spool {
    pub(crate) fn create(directory: &Path) -> Result<Self, EtlError> {
        LineFile::unnamed(directory).map(Self)
    }

    pub(crate) fn append(&mut self, block: &[u8]) -> Result<u64, EtlError> {
        self.0.append(block)
    }

    pub(crate) fn into_reader(self) -> Result<LineReader, EtlError> {
        self.0.into_reader()
    }
}

/// A source of lines: a file of a partition, or the standard input of a stage.
pub trait Lines {
    /// Appends the next line to `out`, newline excluded; `false` at the end.
    fn append_line(&mut self, out: &mut Vec<u8>) -> Result<bool, EtlError>;
}

/// Reads a file line by line.
pub struct LineReader {
    path: PathBuf,
    input: BufReader<File>,
    offset: u64,
}

impl LineReader {
    /// Opens `path`.
    pub fn open(path: &Path) -> Result<Self, EtlError> {
        let file = File::open(path).map_err(|e| EtlError::io("open", path, 0, e))?;
        Ok(Self::new(file, path.to_owned()))
    }

    fn new(file: File, path: PathBuf) -> Self {
        Self {
            path,
            input: BufReader::with_capacity(READ_BYTES, file),
            offset: 0,
        }
    }

    /// Replaces `out` by `bytes` bytes from `offset` on; used for references into a file of tags.
    pub fn read_at(
        &mut self,
        offset: u64,
        bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EtlError> {
        out.clear();
        out.resize(bytes, 0);
        self.input
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.input.read_exact(out))
            .map_err(|e| EtlError::io("read", &self.path, offset, e))
    }
}

impl Lines for LineReader {
    fn append_line(&mut self, out: &mut Vec<u8>) -> Result<bool, EtlError> {
        let read = self
            .input
            .read_until(b'\n', out)
            .map_err(|e| EtlError::io("read", &self.path, self.offset, e))?;
        self.offset += read as u64;
        if out.last() == Some(&b'\n') && read > 0 {
            out.pop();
        }
        Ok(read > 0)
    }
}

/// The partition of a key; `partitions` must be a power of two.
pub fn partition(key: u64, partitions: usize) -> usize {
    // Fibonacci hashing: ids are clustered (snowflakes by time, users by age), but the product's middle
    // bits are not.
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & (partitions - 1)
}

/// Where a stage sends records that the next shuffle brings together by key.
pub trait Emit {
    /// Lets `write` append one record of `key`, newline excluded.
    fn record(&mut self, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError>;
    /// Writes out all buffered records.
    fn flush(&mut self) -> Result<(), EtlError>;
}

/// One file per partition, shared by all workers of a stage.
pub struct Shuffle {
    files: Vec<Mutex<LineFile>>,
    buffer_bytes: usize,
}

impl Shuffle {
    /// Creates the files `directory/0000` and so on. One worker buffers up to `buffer_bytes` per partition.
    pub fn create(
        directory: &Path,
        partitions: usize,
        buffer_bytes: usize,
    ) -> Result<Self, EtlError> {
        let file = |i| LineFile::create(partition_path(directory, i)).map(Mutex::new);
        let files = (0..partitions).map(file).collect::<Result<_, _>>()?;
        Ok(Self {
            files,
            buffer_bytes,
        })
    }

    /// The buffers of one worker.
    pub fn writer(&self) -> ShuffleWriter<'_> {
        ShuffleWriter {
            shuffle: self,
            buffers: vec![Vec::new(); self.files.len()],
        }
    }

    /// Makes the files durable; returns their lengths in bytes. Every writer must be flushed.
    pub fn finish(self) -> Result<Vec<u64>, EtlError> {
        self.files
            .into_iter()
            .map(|file| file.into_inner().finish())
            .collect()
    }
}

/// The buffers of one worker.
pub struct ShuffleWriter<'s> {
    shuffle: &'s Shuffle,
    buffers: Vec<Vec<u8>>,
}

impl Emit for ShuffleWriter<'_> {
    fn record(&mut self, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        let index = partition(key, self.buffers.len());
        let buffer = &mut self.buffers[index];
        write(buffer);
        buffer.push(b'\n');
        if buffer.len() >= self.shuffle.buffer_bytes {
            self.flush_partition(index)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), EtlError> {
        (0..self.buffers.len()).try_for_each(|index| self.flush_partition(index))
    }
}

impl ShuffleWriter<'_> {
    fn flush_partition(&mut self, index: usize) -> Result<(), EtlError> {
        let buffer = &mut self.buffers[index];
        if !buffer.is_empty() {
            self.shuffle.files[index].lock().append(buffer)?;
            buffer.clear();
            // One very long record must not stay reserved in every partition.
            buffer.shrink_to(2 * self.shuffle.buffer_bytes);
        }
        Ok(())
    }
}

/// Name of the file of partition `index`.
pub fn partition_path(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("{index:04}"))
}
