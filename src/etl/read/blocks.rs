//! Text to blocks of whole lines.

use std::io;

/// Bytes of lines read at once.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Longest line that is parsed. A tweet has at most some 30 kB; without a limit, one file without a
/// newline would have to fit in memory.
pub const LINE_BYTES_MAX: usize = 16 << 20;
pub(super) const READ_BYTES: usize = 256 * 1024;

/// How a block ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    /// Nothing is left of the text.
    pub(super) ended: bool,
    /// Bytes read for it.
    pub(super) read: u64,
    /// Lines that were too long and are not in it.
    pub(super) long_lines: u64,
}

/// The state between two blocks of one text.
#[derive(Default)]
pub(super) struct Blocks {
    /// The beginning of a line whose end has not been read.
    carry: Vec<u8>,
    /// Inside a line longer than [`LINE_BYTES_MAX`].
    in_long_line: bool,
}

impl Blocks {
    /// Replaces `block` by the next lines from `read`, newlines included; only the last line of a text may lack one. On
    /// error `block` holds the whole lines before the fault.
    pub(super) fn fill(
        &mut self,
        block: &mut Vec<u8>,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> (Block, io::Result<()>) {
        block.clear();
        block.append(&mut self.carry);
        let mut filled = Block::default();
        loop {
            let start = block.len();
            let wanted = BLOCK_BYTES.saturating_sub(start).max(READ_BYTES);
            block.resize(start + wanted, 0);
            let read = retry(|| read(&mut block[start..]));
            block.truncate(start + *read.as_ref().unwrap_or(&0));
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    block.truncate(memchr::memrchr(b'\n', block).map_or(0, |at| at + 1));
                    return (filled, Err(error));
                }
            };
            filled.read += read as u64;
            if read == 0 {
                filled.ended = true;
                return (filled, Ok(()));
            }
            self.drop_long_line(block, start, &mut filled);
            if block.len() >= BLOCK_BYTES
                && let Some(end) = memchr::memrchr(b'\n', block)
            {
                self.carry.extend_from_slice(&block[end + 1..]);
                block.truncate(end + 1);
                return (filled, Ok(()));
            }
        }
    }

    /// Keeps an unfinished line from growing beyond the limit: its bytes, the new ones of which begin
    /// at `start`, are thrown away until its newline comes. A long line that one read held whole stays:
    /// the mapper drops it by the same rule.
    fn drop_long_line(&mut self, block: &mut Vec<u8>, start: usize, filled: &mut Block) {
        if self.in_long_line {
            match memchr::memchr(b'\n', &block[start..]) {
                Some(end) => {
                    block.drain(start..=start + end);
                    self.in_long_line = false;
                }
                None => return block.truncate(start),
            }
        }
        let line_start = memchr::memrchr(b'\n', block).map_or(0, |at| at + 1);
        if block.len() - line_start > LINE_BYTES_MAX {
            block.truncate(line_start);
            self.in_long_line = true;
            filled.long_lines += 1;
        }
    }
}

/// Repeats reads that a signal interrupted.
pub(super) fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
