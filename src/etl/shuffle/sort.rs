//! Sorting of lines by bytes within a fixed amount of memory.
//!
//! A partition normally fits: it is read once and sorted in place. A larger one is cut into runs that fit;
//! each run is sorted and written out, and the runs are merged while they are read. Beyond [`FAN_IN`] runs,
//! the oldest are first merged into one. Memory stays bounded for any input, at the price of one more pass
//! over the disk for each factor of [`FAN_IN`].

use crate::etl::{
    error::EtlError,
    record::fields::{KEY_DIGITS, number},
    shuffle::spill::{LineFile, LineReader, Lines},
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    path::{Path, PathBuf},
};

/// Runs merged at once: with 64 KiB of read buffer each, 4 MiB.
pub const FAN_IN: usize = 64;

/// Room that each run keeps for its next line.
const KEPT_LINE_BYTES: usize = 64 * 1024;

/// How lines begin, which decides how [`sort_key`] is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Records: 19 digits and a tab.
    Ids,
    /// Anything.
    Text,
}

/// Sorts files one after another in the same memory.
pub struct Sorter {
    keys: Keys,
    directory: PathBuf,
    arena: Arena,
}

impl Sorter {
    /// A sorter that uses about `memory_bytes` and keeps runs in `directory`, in files without a name.
    pub fn new(keys: Keys, memory_bytes: usize, directory: &Path) -> Self {
        Self {
            keys,
            directory: directory.to_owned(),
            arena: Arena::new(memory_bytes),
        }
    }

    /// The lines of `input` in ascending order.
    pub fn sort(&mut self, mut input: impl Lines) -> Result<Sorted<'_>, EtlError> {
        let mut runs: Vec<LineReader> = Vec::new();
        loop {
            let more = self.arena.fill(&mut input, self.keys)?;
            self.arena.sort();
            if !more && runs.is_empty() {
                return Ok(Sorted(Order::Arena {
                    arena: &self.arena,
                    next: 0,
                }));
            }
            if runs.len() == FAN_IN {
                let mut merged = Sorted(merge(std::mem::take(&mut runs))?);
                let mut writer = RunWriter::create(&self.directory)?;
                while let Some(line) = merged.next_line()? {
                    writer.push(line)?;
                }
                runs.push(writer.finish()?);
            }
            let mut writer = RunWriter::create(&self.directory)?;
            for entry in &self.arena.entries {
                writer.push(slice(&self.arena.bytes, entry))?;
            }
            runs.push(writer.finish()?);
            if !more {
                return Ok(Sorted(merge(runs)?));
            }
        }
    }
}

/// Lines in ascending order of their bytes.
pub struct Sorted<'a>(Order<'a>);

enum Order<'a> {
    /// Everything is in memory.
    Arena { arena: &'a Arena, next: usize },
    /// Runs on disk, ordered by their next line; `current` is the line returned last.
    Merge {
        heads: BinaryHeap<Reverse<Head>>,
        current: Vec<u8>,
    },
}

/// The next line of a run; runs with equal lines come in any order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    line: Vec<u8>,
    run: Run,
}

/// A run being read. All runs compare as equal, so that only their lines are compared.
struct Run(LineReader);

impl PartialEq for Run {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Run {}
impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Run {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<'a> Sorted<'a> {
    /// Merges the lines of sorted files.
    pub fn merge(files: Vec<LineReader>) -> Result<Self, EtlError> {
        merge(files).map(Self)
    }

    /// The next line, without its newline.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, EtlError> {
        match &mut self.0 {
            Order::Arena { arena, next } => {
                let entry = arena.entries.get(*next);
                *next += 1;
                Ok(entry.map(|entry| slice(&arena.bytes, entry)))
            }
            Order::Merge { heads, current } => {
                let Some(mut least) = heads.peek_mut() else {
                    return Ok(None);
                };
                let Reverse(Head { line, run }) = &mut *least;
                std::mem::swap(current, line);
                line.clear();
                // A few very long lines must not stay reserved once per run.
                line.shrink_to(KEPT_LINE_BYTES);
                if !run.0.append_line(line)? {
                    PeekMut::pop(least);
                }
                Ok(Some(current))
            }
        }
    }
}

fn merge<'a>(runs: Vec<LineReader>) -> Result<Order<'a>, EtlError> {
    let mut heads = BinaryHeap::with_capacity(runs.len());
    for mut run in runs {
        let mut line = Vec::new();
        if run.append_line(&mut line)? {
            heads.push(Reverse(Head {
                line,
                run: Run(run),
            }));
        }
    }
    Ok(Order::Merge {
        heads,
        current: Vec::new(),
    })
}

/// Writes a run in blocks.
struct RunWriter {
    file: LineFile,
    buffer: Vec<u8>,
}

impl RunWriter {
    const BLOCK_BYTES: usize = 256 * 1024;

    fn create(directory: &Path) -> Result<Self, EtlError> {
        Ok(Self {
            file: LineFile::unnamed(directory)?,
            buffer: Vec::with_capacity(Self::BLOCK_BYTES),
        })
    }

    fn push(&mut self, line: &[u8]) -> Result<(), EtlError> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        if self.buffer.len() >= Self::BLOCK_BYTES {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<LineReader, EtlError> {
        self.file.append(&self.buffer)?;
        self.file.into_reader()
    }
}

/// A line in the arena. The key decides almost every comparison without reading the line.
#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    start: u32,
    bytes: u32,
}

/// Lines one after another in one allocation, and their order.
struct Arena {
    bytes: Vec<u8>,
    bytes_max: usize,
    entries: Vec<Entry>,
    entries_max: usize,
    /// A line that did not fit: the first line of the next run.
    pending: Vec<u8>,
    is_pending: bool,
}

impl Arena {
    /// Five eighths for the lines; one eighth for the entries, which take three sixteenths while
    /// their vector grows. The pages of the reserved space cost nothing until they are used.
    fn new(memory_bytes: usize) -> Self {
        let bytes_max = (memory_bytes / 8 * 5).min(u32::MAX as usize);
        Self {
            bytes: Vec::new(),
            bytes_max,
            entries: Vec::new(),
            entries_max: memory_bytes / 8 / size_of::<Entry>(),
            pending: Vec::new(),
            is_pending: false,
        }
    }

    /// Replaces the lines by the next ones; `false` when the input has ended.
    fn fill(&mut self, input: &mut impl Lines, keys: Keys) -> Result<bool, EtlError> {
        self.bytes.clear();
        self.bytes.reserve_exact(self.bytes_max);
        self.entries.clear();
        loop {
            if !self.is_pending && !input.append_line(&mut self.pending)? {
                return Ok(false);
            }
            self.is_pending = true;
            let full = self.bytes.len() + self.pending.len() > self.bytes_max
                || self.entries.len() >= self.entries_max;
            // A line longer than all the space becomes a run of its own.
            if full && !self.entries.is_empty() {
                return Ok(true);
            }
            let key = sort_key(&self.pending, keys);
            let (start, bytes) = (self.bytes.len() as u32, self.pending.len() as u32);
            self.entries.push(Entry { key, start, bytes });
            self.bytes.append(&mut self.pending);
            self.is_pending = false;
        }
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| {
            a.key
                .cmp(&b.key)
                .then_with(|| slice(bytes, a).cmp(slice(bytes, b)))
        });
    }
}

fn slice<'a>(bytes: &'a [u8], entry: &Entry) -> &'a [u8] {
    &bytes[entry.start as usize..][..entry.bytes as usize]
}

/// A number that orders lines as their first bytes do.
fn sort_key(line: &[u8], keys: Keys) -> u64 {
    match keys {
        Keys::Ids => number(&line[..line.len().min(KEY_DIGITS)]).unwrap_or(u64::MAX),
        Keys::Text => {
            let mut first = [0; 8];
            let shared = line.len().min(first.len());
            first[..shared].copy_from_slice(&line[..shared]);
            u64::from_be_bytes(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Lines for std::slice::Iter<'_, Vec<u8>> {
        fn append_line(&mut self, out: &mut Vec<u8>) -> Result<bool, EtlError> {
            Ok(self
                .next()
                .map(|line| out.extend_from_slice(line))
                .is_some())
        }
    }

    fn sorted(keys: Keys, memory_bytes: usize, lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let directory = std::env::temp_dir();
        let mut sorter = Sorter::new(keys, memory_bytes, &directory);
        // Twice: nothing of the first file may appear in the second result.
        sorter.sort(lines[..lines.len() / 2].iter()).unwrap();
        let mut order = sorter.sort(lines.iter()).unwrap();
        let mut out = Vec::new();
        while let Some(line) = order.next_line().unwrap() {
            out.push(line.to_vec());
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_memory_gives_the_order_of_bytes(
            mut lines in prop::collection::vec("[a-c]{1,12}".prop_map(String::into_bytes), 0..200),
            memory_bytes in prop_oneof![Just(0usize), 1usize..2000, Just(1 << 20)],
        ) {
            let result = sorted(Keys::Text, memory_bytes, &lines);
            lines.sort();
            prop_assert_eq!(result, lines);
        }
    }

    #[test]
    fn more_runs_than_are_merged_at_once() {
        let mut lines: Vec<Vec<u8>> = (0..1000u64)
            .map(|i| format!("{:019}\tx{}", i * 7919 % 500, i % 3).into_bytes())
            .collect();
        let result = sorted(Keys::Ids, 64, &lines);
        lines.sort();
        assert_eq!(result, lines);
    }
}
