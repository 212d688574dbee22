//! What later updates need, of a cluster's job: for each partition a file of frames, tweets first, then states of users,
//! both by ascending id.

use crate::etl::{
    blocks::frame::{FrameReader, FrameWriter, Kind},
    error::EtlError,
    record::fields,
    shuffle::sort::Sorter,
    shuffle::spill::Spool,
};
use memchr::memchr;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::{self, File},
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

/// Lines in one frame of the file.
const BLOCK_BYTES: usize = 256 << 10;

/// Records of both kinds while they come in.
#[derive(Default)]
pub(super) struct HistorySpool {
    kept: Option<Spool>,
    user_states: Option<Spool>,
}

impl HistorySpool {
    /// Adds a block; `create` makes a spool for its kind.
    pub(super) fn append(
        &mut self,
        kind: Kind,
        block: &[u8],
        create: impl FnOnce() -> Result<Spool, EtlError>,
    ) -> Result<(), EtlError> {
        let spool = match kind {
            Kind::Kept => &mut self.kept,
            _ => &mut self.user_states,
        };
        let spool = match spool {
            Some(spool) => spool,
            none => none.insert(create()?),
        };
        spool.append(block).map(drop)
    }

    /// Whether nothing came in.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_none() && self.user_states.is_none()
    }

    /// Sorts both and writes the file `path`, which has this name when it is complete.
    pub(super) fn write(self, path: &Path, sorter: impl Fn() -> Sorter) -> Result<(), EtlError> {
        let partial = path.with_added_extension("partial");
        let failed = |e| EtlError::io("write", &partial, 0, e);
        let mut out = BufWriter::new(File::create(&partial).map_err(failed)?);
        let mut frames = FrameWriter::to(&mut out, &partial);
        for (kind, spool) in [
            (Kind::Kept, self.kept),
            (Kind::UserStates, self.user_states),
        ] {
            let Some(spool) = spool else { continue };
            let mut sorter = sorter();
            let mut sorted = sorter.sort(spool.into_reader()?)?;
            let mut block = Vec::new();
            while let Some(line) = sorted.next_line()? {
                block.extend_from_slice(line);
                block.push(b'\n');
                if block.len() >= BLOCK_BYTES {
                    frames.write(kind, 0, &block)?;
                    block.clear();
                }
            }
            if !block.is_empty() {
                frames.write(kind, 0, &block)?;
            }
        }
        frames.end()?;
        out.get_ref().sync_all().map_err(failed)?;
        fs::rename(&partial, path).map_err(|e| EtlError::io("rename", &partial, 0, e))
    }
}

/// The files of all partitions.
pub(super) struct HistoryFiles(Vec<HistoryFile>);

impl HistoryFiles {
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, EtlError> {
        let files = paths.iter().map(|path| HistoryFile::open(path));
        files.collect::<Result<_, _>>().map(Self)
    }

    /// Gives `each` all records of a kind by ascending id; how many there are. [`Kind::Kept`] is read first.
    pub(super) fn merge(
        &mut self,
        kind: Kind,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), EtlError>,
    ) -> Result<u64, EtlError> {
        let mut heads = BinaryHeap::new();
        for (index, file) in self.0.iter_mut().enumerate() {
            heads.extend(file.next_id(kind)?.map(|id| Reverse((id, index))));
        }
        let mut records = 0;
        while let Some(mut head) = heads.peek_mut() {
            let Reverse((id, index)) = *head;
            let file = &mut self.0[index];
            each(id, file.take_line())?;
            records += 1;
            match file.next_id(kind)? {
                Some(next) => *head = Reverse((next, index)),
                None => drop(PeekMut::pop(head)),
            }
        }
        Ok(records)
    }
}

/// A file being read, line by line.
struct HistoryFile {
    frames: FrameReader<BufReader<File>>,
    /// Kind of the lines in `block`; `None` after the last.
    kind: Option<Kind>,
    block: Vec<u8>,
    at: usize,
}

impl HistoryFile {
    fn open(path: &Path) -> Result<Self, EtlError> {
        let file = File::open(path).map_err(|e| EtlError::io("open", path, 0, e))?;
        let mut frames = FrameReader::new(BufReader::new(file));
        let mut block = Vec::new();
        Ok(Self {
            kind: frames.next(&mut block)?.map(|(kind, _)| kind),
            frames,
            block,
            at: 0,
        })
    }

    /// The id of the next record if it is of this kind.
    fn next_id(&mut self, kind: Kind) -> Result<Option<u64>, EtlError> {
        while self.at >= self.block.len() && self.kind.is_some() {
            self.kind = self.frames.next(&mut self.block)?.map(|(kind, _)| kind);
            self.at = 0;
        }
        if self.kind != Some(kind) {
            return Ok(None);
        }
        let rest = self.block.get(self.at..).unwrap_or_default();
        fields::key(rest).map(Some)
    }

    fn take_line(&mut self) -> &[u8] {
        let rest = self.block.get(self.at..).unwrap_or_default();
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += end + 1;
        &rest[..end]
    }
}
