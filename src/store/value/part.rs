//! One part of a value while it is made: its end in memory, and what was before in a file.

use crc32fast::Hasher;
use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, Write},
    path::Path,
};

/// Bytes of each part that stay allocated for the next value. Few users need more, and those need gigabytes.
const KEPT_BYTES: usize = 1 << 20;

/// Appended to until the value is finished.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What is not in the file.
    end: Vec<u8>,
    /// Bytes in the file.
    spilled: u64,
    file: Option<(File, Hasher)>,
}

impl Part {
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.end.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.end.push(byte);
    }

    /// Bytes so far.
    #[inline]
    pub(super) fn len(&self) -> u64 {
        self.spilled + self.end.len() as u64
    }

    /// Bytes in memory: all of them unless there was a [`spill`](Self::spill).
    #[inline]
    pub(super) fn in_memory(&self) -> &[u8] {
        &self.end
    }

    pub(super) fn is_spilled(&self) -> bool {
        self.file.is_some()
    }

    /// Moves all bytes to a file without a name in `directory`.
    pub(super) fn spill(&mut self, directory: &Path) -> io::Result<()> {
        let (file, hasher) = match &mut self.file {
            Some(open) => open,
            none => none.insert((tempfile::tempfile_in(directory)?, Hasher::new())),
        };
        file.write_all(&self.end)?;
        hasher.update(&self.end);
        self.spilled += self.end.len() as u64;
        self.release();
        Ok(())
    }

    /// The checksum of all bytes.
    pub(super) fn checksum(&self) -> Hasher {
        let spilled = self.file.as_ref().map(|(_, hasher)| hasher.clone());
        let mut hasher = spilled.unwrap_or_default();
        hasher.update(&self.end);
        hasher
    }

    /// Takes all bytes out, from the first on.
    pub(super) fn take(&mut self) -> io::Result<Box<dyn Read>> {
        let end = Cursor::new(std::mem::take(&mut self.end));
        self.spilled = 0;
        Ok(match self.file.take() {
            None => Box::new(end),
            Some((mut file, _)) => {
                file.rewind()?;
                Box::new(file.chain(end))
            }
        })
    }

    /// Starts over.
    pub(super) fn clear(&mut self) {
        self.file = None;
        self.spilled = 0;
        self.release();
    }

    /// Empties the memory, so that a value and its parts are not in memory twice.
    pub(super) fn release(&mut self) {
        self.end.clear();
        self.end.shrink_to(KEPT_BYTES);
    }
}
