//! First stage: input lines to `t1` and `d1` records, keyed by tweet id.
//!
//! All workers share the open readers: a worker takes one, fills a block of lines, puts the reader back and
//! parses the block. No thread is only a reader, so no balance is needed: one plain file keeps all cores
//! parsing, and as many workers decompress as there are compressed files.

use crate::etl::{
    error::EtlError,
    progress::Progress,
    read::{
        list::Source,
        reader::{Filled, LINE_BYTES_MAX, Reader},
        walk::Position,
    },
    record::{
        compat::Compat, dropped::Dropped, extract::Extractor, notice, records::push_deletion,
    },
    shuffle::spill::Emit,
    stage::counts::{Counts, SkippedFile},
    stage::examples::{DroppedLine, Examples},
    stage::workers,
};
use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, path::Path};

/// Parses lines and counts kept and dropped ones.
#[derive(Default)]
pub struct Mapper {
    extractor: Extractor,
    counts: Counts,
    /// Why the last line was dropped.
    dropped: Option<Dropped>,
}

impl Mapper {
    /// With the choice `compat` for damaged strings.
    pub fn new(compat: Compat) -> Self {
        Self {
            extractor: Extractor::new(compat),
            ..Self::default()
        }
    }

    /// Appends the record of `line`, newlines excluded on both sides, to `out`; `None` when the line
    /// is dropped, or is a notice without effect.
    pub fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Option<u64> {
        self.counts.lines += 1;
        if line.len() > LINE_BYTES_MAX {
            self.counts.dropped_too_long += 1;
            self.dropped = None;
            return None;
        }
        match self.extractor.extract(line, out) {
            Ok(kept) => {
                self.counts.valid += 1;
                self.counts.ids_differ += u64::from(kept.ids_differ);
                Some(kept.id)
            }
            Err(reason) => self.without_tweet(reason, line, out),
        }
    }

    /// Counts a line that is no tweet; a deletion has a record.
    fn without_tweet(&mut self, reason: Dropped, line: &[u8], out: &mut Vec<u8>) -> Option<u64> {
        if reason == Dropped::NoTweetId
            && let Some((notice, deleted)) = notice::read(line)
        {
            self.counts.notices[notice as usize] += 1;
            self.dropped = None;
            return deleted.inspect(|id| push_deletion(out, *id));
        }
        self.counts.dropped[reason as usize] += 1;
        self.dropped = Some(reason);
        None
    }

    /// Counts the bytes of a block and the long lines that its reader dropped.
    pub fn count_block(&mut self, bytes: u64, long_lines: u64) {
        self.counts.bytes += bytes;
        self.counts.lines += long_lines;
        self.counts.dropped_too_long += long_lines;
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// What the stage reads, and how.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'s> {
    /// The files.
    pub sources: &'s [Source],
    /// Use and list files that cannot be read to their end; without it, the first one ends the stage.
    pub skip_bad_files: bool,
    /// What becomes of damaged strings.
    pub compat: Compat,
}

/// What the stage found beside records.
#[derive(Clone, Debug, Default)]
pub struct Mapped {
    /// What became of the lines.
    pub counts: Counts,
    /// Files read only in part.
    pub skipped_files: Vec<SkippedFile>,
    /// For each reason the first line that was dropped for it.
    pub examples: Vec<DroppedLine>,
    /// Members of archives that were not read: a line for each archive.
    pub left_out: Vec<String>,
    /// Records written.
    pub records: u64,
}

/// Reads all that `reading` names; each worker sends its records to an `output()` of its own.
pub fn run<E: Emit>(
    reading: Reading<'_>,
    workers: usize,
    output: impl Fn() -> E + Sync,
    progress: &dyn Progress,
) -> Result<Mapped, EtlError> {
    let pool = ReaderPool::new(reading);
    let results = workers::run(workers, || {
        let _stop = StopOnUnwind(&pool);
        let result = work(&pool, Mapper::new(reading.compat), output(), progress);
        if result.is_err() {
            pool.stop();
        }
        result
    })?;
    let mut mapped = Mapped::default();
    let mut examples = Examples::default();
    for (counts, found, records) in results {
        mapped.counts.add(&counts);
        mapped.records += records;
        examples.merge(found);
    }
    mapped.examples = examples.lines(reading.sources);
    let state = pool.state.into_inner();
    (mapped.skipped_files, mapped.left_out) = (state.skipped, state.left_out);
    mapped.skipped_files.sort();
    mapped.left_out.sort();
    Ok(mapped)
}

fn work(
    pool: &ReaderPool<'_>,
    mut mapper: Mapper,
    mut output: impl Emit,
    progress: &dyn Progress,
) -> Result<(Counts, Examples, u64), EtlError> {
    let (mut examples, mut records) = (Examples::default(), 0);
    let (mut block, mut record) = (Vec::new(), Vec::new());
    while let Some(read) = pool.next_block(&mut block)? {
        mapper.count_block(read.bytes, read.long_lines);
        let (mut rest, mut number) = (block.as_slice(), read.position.first);
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            if let Some(id) = mapper.line(line, &mut record) {
                records += 1;
                output.record(id, |out| out.append(&mut record))?;
            } else if let Some(reason) = mapper.dropped {
                examples.note(reason, read.source, &read.position, number, line);
            }
            rest = rest.get(end + 1..).unwrap_or_default();
            number += 1;
        }
        let lines = number - read.position.first + read.long_lines;
        examples.counted(read.source, &read.position, lines);
        progress.advance(read.advanced);
    }
    output.flush()?;
    Ok((mapper.counts(), examples, records))
}

/// The files not yet read, shared by the workers.
struct ReaderPool<'a> {
    state: Mutex<PoolState<'a>>,
    changed: Condvar,
    skip_bad_files: bool,
}

struct PoolState<'a> {
    unopened: VecDeque<(usize, &'a Source)>,
    #[allow(
        clippy::vec_box,
        reason = "a reader is moved in and out for every block"
    )]
    idle: Vec<(usize, Box<Reader>)>,
    /// Readers that workers hold now, to fill a block.
    busy: usize,
    stopped: bool,
    skipped: Vec<SkippedFile>,
    left_out: Vec<String>,
}

struct BlockRead {
    /// Index of the file.
    source: usize,
    position: Position,
    bytes: u64,
    long_lines: u64,
    /// Input bytes, compressed ones if the file is compressed.
    advanced: u64,
}

impl<'a> ReaderPool<'a> {
    fn new(reading: Reading<'a>) -> Self {
        let state = PoolState {
            unopened: reading.sources.iter().enumerate().collect(),
            idle: Vec::new(),
            busy: 0,
            stopped: false,
            skipped: Vec::new(),
            left_out: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            skip_bad_files: reading.skip_bad_files,
        }
    }

    /// Fills `block` from any file; `None` when nothing is left or another worker has failed.
    fn next_block(&self, block: &mut Vec<u8>) -> Result<Option<BlockRead>, EtlError> {
        loop {
            let Some(taken) = self.take() else {
                return Ok(None);
            };
            let (source, opened) = match taken {
                NextInput::Open(source, reader) => (source, Ok(reader)),
                NextInput::Unopened(index, source) => (
                    index,
                    Reader::open(source).map(Box::new).map_err(|e| (source, e)),
                ),
            };
            let mut reader = match opened {
                Ok(reader) => reader,
                Err((source, error)) => {
                    self.put_back(None);
                    self.skip(&source.path, error)?;
                    continue;
                }
            };
            let before = reader.text_offset();
            let filled = reader.fill(block);
            let (bytes, advanced) = (reader.text_offset() - before, reader.advanced());
            let filled = match filled {
                Ok(filled) => {
                    self.state.lock().left_out.extend(filled.left_out);
                    self.put_back((!filled.ended).then_some((source, reader)));
                    Filled {
                        left_out: None,
                        ..filled
                    }
                }
                Err(error) => {
                    let (path, position) = (reader.path().to_owned(), reader.position());
                    self.put_back(reader.goes_on().then_some((source, reader)));
                    self.skip(&path, error)?;
                    Filled {
                        position,
                        ..Filled::default()
                    }
                }
            };
            return Ok(Some(BlockRead {
                source,
                position: filled.position,
                bytes,
                long_lines: filled.long_lines,
                advanced,
            }));
        }
    }

    fn take(&self) -> Option<NextInput<'a>> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some((source, reader)) = state.idle.pop() {
                state.busy += 1;
                return Some(NextInput::Open(source, reader));
            }
            if let Some((index, source)) = state.unopened.pop_front() {
                state.busy += 1;
                return Some(NextInput::Unopened(index, source));
            }
            if state.busy == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn put_back(&self, reader: Option<(usize, Box<Reader>)>) {
        let mut state = self.state.lock();
        state.busy -= 1;
        state.idle.extend(reader);
        self.changed.notify_all();
    }

    fn skip(&self, path: &Path, error: EtlError) -> Result<(), EtlError> {
        if !self.skip_bad_files {
            return Err(error);
        }
        self.state.lock().skipped.push(SkippedFile {
            path: path.to_owned(),
            reason: error.to_string(),
        });
        Ok(())
    }

    fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }
}

enum NextInput<'a> {
    Open(usize, Box<Reader>),
    Unopened(usize, &'a Source),
}

/// Ends the other workers when one panics; otherwise they would wait for its reader forever.
struct StopOnUnwind<'f, 'a>(&'f ReaderPool<'a>);

impl Drop for StopOnUnwind<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
