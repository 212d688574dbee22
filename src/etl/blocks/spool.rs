//! What a stage takes out of its blocks: records for the sorter; hashtags and long lists, which wait in a file.

use crate::etl::{
    blocks::frame::{FrameReader, Kind},
    error::EtlError,
    shuffle::spill::{LineReader, Lines, Spool},
    stage::values::TagSource,
};
use memchr::memchr;
use std::{collections::HashMap, io::Read, path::Path};

/// The records of all blocks, line by line. Blocks of other kinds go to `aside`.
pub(super) struct RecordLines<R, F> {
    frames: FrameReader<R>,
    block: Vec<u8>,
    at: usize,
    aside: F,
}

impl<R: Read, F: FnMut(Kind, u32, &[u8]) -> Result<(), EtlError>> RecordLines<R, F> {
    pub(super) fn new(input: R, aside: F) -> Self {
        Self {
            frames: FrameReader::new(input),
            block: Vec::new(),
            at: 0,
            aside,
        }
    }
}

impl<R: Read, F: FnMut(Kind, u32, &[u8]) -> Result<(), EtlError>> Lines for RecordLines<R, F> {
    fn append_line(&mut self, out: &mut Vec<u8>) -> Result<bool, EtlError> {
        while self.at >= self.block.len() {
            let Some((kind, bucket)) = self.frames.next(&mut self.block)? else {
                return Ok(false);
            };
            self.at = 0;
            if kind != Kind::Records {
                (self.aside)(kind, bucket, &self.block)?;
                self.block.clear();
            }
        }
        let rest = self.block.get(self.at..).unwrap_or_default();
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..end]);
        self.at += end + 1;
        Ok(true)
    }
}

/// Long lists of hashtags while they come in.
pub(super) struct ListSpool {
    spool: Spool,
    /// By reference: where the list begins, and its bytes.
    places: HashMap<Vec<u8>, (u64, usize)>,
}

impl ListSpool {
    pub(super) fn create(directory: &Path) -> Result<Self, EtlError> {
        Ok(Self {
            spool: Spool::create(directory)?,
            places: HashMap::new(),
        })
    }

    pub(super) fn append(&mut self, block: &[u8]) -> Result<(), EtlError> {
        let mut start = self.spool.append(block)?;
        for line in block.split_inclusive(|&byte| byte == b'\n') {
            let tab = memchr(b'\t', line).ok_or_else(|| EtlError::record(line))?;
            let list = line.len().saturating_sub(tab + 2);
            let place = (start + tab as u64 + 1, list);
            self.places.insert(line[..tab].to_vec(), place);
            start += line.len() as u64;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Lists, EtlError> {
        Ok(Lists {
            file: self.spool.into_reader()?,
            places: self.places,
        })
    }
}

/// Long lists of hashtags, found by their references.
pub(super) struct Lists {
    file: LineReader,
    places: HashMap<Vec<u8>, (u64, usize)>,
}

impl TagSource for Lists {
    fn read(&mut self, reference: &[u8], out: &mut Vec<u8>) -> Result<(), EtlError> {
        let place = self.places.get(reference);
        let &(offset, bytes) = place.ok_or_else(|| EtlError::record(reference))?;
        self.file.read_at(offset, bytes, out)
    }
}
