//! The stages through pipes, for a cluster engine that does the shuffles itself.
//!
//! ```sh
//! trident etl map    < tweets.jsonl | LC_ALL=C sort | trident etl reduce --exclude popular.txt \
//!                                   | LC_ALL=C sort | trident etl reduce \
//!                                   | LC_ALL=C sort | trident etl build --output store
//! ```
//!
//! One record per line, in the format of [`crate::etl::record::records`]; between two stages the lines of one key
//! must come together in one process, sorted by bytes. `reduce` is one command for two stages and chooses by the
//! kind of the first record. It can sort an unordered input first ([`Order::Any`]).

use crate::etl::{
    error::EtlError,
    progress::Progress,
    record::excluded::Excluded,
    run::pipeline::MEMORY_BYTES_DEFAULT,
    shuffle::sort::{Keys, Sorter},
    shuffle::spill::{Emit, Lines},
    sink::user_sink::UserSink,
    stage::counts::Counts,
    stage::map::{self, Mapped, Reading},
    stage::tweets::{TweetOutput, TweetReducer},
    stage::users::{UserOutput, UserReducer},
    stage::values::{Room, TagSource, ValueBuilder},
};
use crate::store::value::Value;
use parking_lot::Mutex;
use std::{
    io::{BufRead, Write},
    path::{Path, PathBuf},
};

/// Bytes a worker collects before it takes the lock on the output.
const WRITE_BYTES: usize = 64 * 1024;

/// How the input lines of `reduce` and `build` are ordered.
#[derive(Clone, Debug)]
pub enum Order {
    /// By bytes; checked.
    Sorted,
    /// In any order: they are sorted first, in this directory and within so many bytes of memory.
    Any {
        /// For runs that do not fit in memory.
        directory: PathBuf,
        /// Memory for sorting and for values.
        memory_bytes: usize,
    },
}

impl Order {
    /// What the values may take beside the sort.
    fn room(&self) -> Room {
        let (directory, memory_bytes) = match self {
            Self::Sorted => (Path::new("."), MEMORY_BYTES_DEFAULT),
            Self::Any {
                directory,
                memory_bytes,
            } => (directory.as_path(), *memory_bytes),
        };
        Room {
            bytes: memory_bytes / 16,
            directory: directory.to_owned(),
        }
    }
}

/// Input lines to `t1` and `d1` records on `out`, in any order.
pub fn map(
    reading: Reading<'_>,
    workers: usize,
    out: &mut (impl Write + Send),
    progress: &dyn Progress,
) -> Result<Mapped, EtlError> {
    let out = Mutex::new(out);
    let writer = || PipeWriter {
        out: &out,
        buffer: Vec::new(),
    };
    map::run(reading, workers, writer, progress)
}

/// `t1` and `d1` records to records of users, or records of users to the records that `build` takes.
pub fn reduce(
    input: impl BufRead,
    order: &Order,
    excluded: &Excluded,
    out: &mut (impl Write + Send),
) -> Result<Counts, EtlError> {
    let out = Mutex::new(out);
    let mut writer = PipeWriter {
        out: &out,
        buffer: Vec::new(),
    };
    let mut tweets = TweetReducer::new(excluded);
    let mut users = UserReducer::default();
    let mut are_tweets = None;
    each_sorted(input, order, |line| {
        let are_tweets =
            *are_tweets.get_or_insert_with(|| matches!(line.get(19..22), Some(b"\tt1" | b"\td1")));
        if are_tweets {
            tweets.line(line, &mut writer)
        } else {
            users.line(line, &mut writer)
        }
    })?;
    tweets.finish(&mut writer)?;
    users.finish(&mut writer)?;
    Emit::flush(&mut writer)?;
    let mut counts = tweets.counts();
    counts.add(&users.counts());
    Ok(counts)
}

/// Records of the second `reduce` to values. No user at all is an error unless `allow_empty`: an earlier stage
/// may have failed.
pub fn build(
    input: impl BufRead,
    order: &Order,
    allow_empty: bool,
    sink: &mut dyn UserSink,
) -> Result<Counts, EtlError> {
    let mut builder = ValueBuilder::new(NoReferences, order.room());
    let mut put = |user, value: Value<'_>| {
        sink.put_value(user, value)
            .map_err(|source| EtlError::Sink { user, source })
    };
    each_sorted(input, order, |line| builder.line(line, &mut put))?;
    builder.finish(&mut put)?;
    if builder.counts().users == 0 && !allow_empty {
        return Err(EtlError::NothingBuilt);
    }
    sink.finish().map_err(EtlError::SinkFinish)?;
    Ok(builder.counts())
}

fn each_sorted(
    input: impl BufRead,
    order: &Order,
    mut each: impl FnMut(&[u8]) -> Result<(), EtlError>,
) -> Result<(), EtlError> {
    let mut input = PipeReader { input, offset: 0 };
    match order {
        Order::Any {
            directory,
            memory_bytes,
        } => {
            let name = format!("pipe-{}", std::process::id());
            // Half of the memory, as all sorters of a whole run.
            let mut sorter = Sorter::new(Keys::Ids, *memory_bytes / 2, directory, &name);
            let mut sorted = sorter.sort(input)?;
            while let Some(line) = sorted.next_line()? {
                each(line)?;
            }
        }
        Order::Sorted => {
            let (mut line, mut previous) = (Vec::new(), Vec::new());
            let mut number = 0;
            while input.append_line(&mut line)? {
                number += 1;
                if line < previous {
                    return Err(EtlError::Unsorted { line: number });
                }
                each(&line)?;
                std::mem::swap(&mut line, &mut previous);
                line.clear();
            }
        }
    }
    Ok(())
}

/// Lines of a pipe.
struct PipeReader<R> {
    input: R,
    offset: u64,
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
struct PipeWriter<'o, W> {
    out: &'o Mutex<&'o mut W>,
    buffer: Vec<u8>,
}

impl<W: Write> PipeWriter<'_, W> {
    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
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

/// Kept tweets and tag frequencies are for runs on one machine.
impl<W: Write> TweetOutput for PipeWriter<'_, W> {
    fn kept(&mut self, _: &[u8]) -> Result<(), EtlError> {
        Ok(())
    }

    fn deleted(&mut self, _: u64) -> Result<(), EtlError> {
        Ok(())
    }

    fn tag(&mut self, _: &[u8]) -> Result<(), EtlError> {
        Ok(())
    }

    fn event(&mut self, _: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.write(write)
    }
}

/// A pipe has no file to refer to, so every record carries its counts.
impl<W: Write> UserOutput for PipeWriter<'_, W> {
    fn own(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.write(write)
    }

    fn peer(&mut self, _: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.write(write)
    }

    fn store_tags(&mut self, _: u64, _: &[u8]) -> Result<Option<Vec<u8>>, EtlError> {
        Ok(None)
    }

    fn user_state(&mut self, _: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        Ok(())
    }
}

struct NoReferences;

impl TagSource for NoReferences {
    fn read(&mut self, reference: &[u8], _: &mut Vec<u8>) -> Result<(), EtlError> {
        Err(EtlError::record(reference))
    }
}
