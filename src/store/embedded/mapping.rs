//! Mapped files: where a mapped byte is in its file, and giving back what has been read.
//!
//! Pages of a mapped file that were read count as memory of the process until the kernel needs them for something else. A
//! scan of a whole store gives them back on its way, so that it takes no more than a limit in which it runs.

#![allow(unsafe_code)] // advice about mapped memory; see the SAFETY note

use rustix::mm::{Advice, madvise};
use std::{fs, io, ops::Range};

/// The mappings of this process.
pub(super) const MAPS: &str = "/proc/self/maps";

/// Where `bytes`, which are mapped from a file, begin in it.
pub(super) fn offset_in_file(bytes: &[u8]) -> io::Result<u64> {
    let address = bytes.as_ptr().addr() as u64;
    let maps = fs::read_to_string(MAPS)?;
    let mappings = maps.lines().filter_map(mapping);
    let mut around = mappings.filter(|(range, _)| range.contains(&address));
    let found = around
        .next()
        .filter(|(range, _)| bytes.len() as u64 <= range.end - address)
        .map(|(range, offset)| offset + (address - range.start));
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "a mapped value is not in it"))
}

/// Addresses and offset in the file, of a line such as `7f0000000000-7f0000010000 r--s 00001000 fe:00 247030 /a/b`.
fn mapping(line: &str) -> Option<(Range<u64>, u64)> {
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    Some((hexadecimal(start)?..hexadecimal(end)?, hexadecimal(offset)?))
}

/// Pages behind a scan are given back when they have so many bytes.
const BEHIND_BYTES: usize = 32 << 20;
/// The largest page size of any Linux system.
const PAGE_BYTES: usize = 64 << 10;

/// What a scan has read of one mapped file since it last gave pages back.
pub(super) struct Behind {
    start: Option<usize>,
}

impl Behind {
    /// Nothing is read yet.
    ///
    /// # Safety
    /// All bytes given to [`Self::read`] are of one shared read-only mapping of a file, which lasts as long as they.
    pub(super) unsafe fn of_one_file() -> Self {
        Self { start: None }
    }

    /// Says that `bytes` have been read. Their pages may go; whoever reads them again gets them from the file.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let begin = bytes.as_ptr().addr();
        let end = begin + bytes.len();
        let start = *self.start.get_or_insert(begin);
        if end < start {
            self.start = Some(begin);
        } else if end - start >= BEHIND_BYTES {
            // Whole pages only, none with bytes outside.
            let (first, last) = (
                start.next_multiple_of(PAGE_BYTES),
                end / PAGE_BYTES * PAGE_BYTES,
            );
            if first < last {
                let address = std::ptr::without_provenance_mut(first);
                // SAFETY: both ends are in one shared read-only mapping of a file, by the contract of `of_one_file`, so
                // everything between is. Its pages hold what the file holds, before and after. A failure changes nothing.
                let _ = unsafe { madvise(address, last - first, Advice::LinuxDontNeed) };
            }
            self.start = Some(last);
        }
    }
}
