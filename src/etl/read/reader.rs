//! One input as blocks of whole lines.
//!
//! The map stage's workers share the readers (see [`crate::etl::stage::map`]): one takes a reader, fills a block,
//! puts the reader back and then parses, so one large file feeds all cores and many compressed files are
//! decompressed in parallel. A file's first bytes tell how it is compressed.

use crate::etl::{
    error::EtlError,
    read::{
        bytes::{Counted, Input, compression_of_name},
        format::{self, Unreadable},
        list::Source,
    },
};
use std::{
    fs::File,
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
};

/// Bytes of lines read at once.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Longest line that is parsed. A tweet has at most some 30 kB; without a limit, a file without a newline
/// would have to fit in memory.
pub const LINE_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 256 * 1024;

/// An open input.
pub struct Reader {
    path: PathBuf,
    input: Input,
    /// Length of the file when it was listed; 0 for standard input.
    listed_bytes: u64,
    /// The start of a line whose end has not been read yet.
    carry: Vec<u8>,
    /// Uncompressed bytes read so far.
    text_offset: u64,
    /// Input bytes reported by [`Reader::advanced`] so far.
    reported: u64,
    /// The reader is inside a line longer than [`LINE_BYTES_MAX`].
    in_long_line: bool,
}

/// What [`Reader::fill`] found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filled {
    /// Nothing is left in the file.
    pub ended: bool,
    /// Lines left out of the block because they were too long.
    pub long_lines: u64,
}

impl Reader {
    /// Opens `source` and detects its compression.
    pub fn open(source: &Source) -> Result<Self, EtlError> {
        let path = source.path.clone();
        let failed = |e| EtlError::io("open", &source.path, 0, e);
        let raw: Box<dyn Read + Send> = if source.is_stdin() {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&path).map_err(failed)?)
        };
        let mut raw = Counted::new(raw, READ_BYTES);
        let unread = |e| EtlError::io("read", &source.path, 0, e);
        let is_empty = raw.fill_buf().map_err(unread)?.is_empty();
        let input = Input::new(raw).map_err(unread)?;
        if let (None, Some(format)) = (input.compression(), compression_of_name(&path)) {
            // A compressed file is never empty: gzip writes 20 bytes even for no input.
            let what = match is_empty {
                true => "is truncated".to_owned(),
                false => format!("is damaged: no {format} header"),
            };
            return Err(EtlError::Compressed {
                path,
                format,
                what,
                offset: 0,
                text_offset: 0,
            });
        }
        Ok(Self {
            path,
            input,
            listed_bytes: source.bytes,
            carry: Vec::new(),
            text_offset: 0,
            reported: 0,
            in_long_line: false,
        })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Uncompressed bytes read so far.
    pub fn text_offset(&self) -> u64 {
        self.text_offset
    }

    /// Replaces `block` by the next lines, newlines included; only the last line of a file may lack
    /// one. On error `block` holds the whole lines before the fault, and the reader must not be
    /// used again, except for [`Reader::advanced`].
    pub fn fill(&mut self, block: &mut Vec<u8>) -> Result<Filled, EtlError> {
        let is_first = self.text_offset == 0;
        let filled = self.fill_lines(block)?;
        if is_first {
            self.look_at_start(block)?;
        }
        let read = self.input.consumed();
        if filled.ended && read < self.listed_bytes {
            return Err(EtlError::Shrunk {
                path: self.path.clone(),
                read,
                listed: self.listed_bytes,
            });
        }
        Ok(filled)
    }

    /// Removes a byte order mark; refuses input that cannot be lines of JSON.
    fn look_at_start(&self, block: &mut Vec<u8>) -> Result<(), EtlError> {
        if let Some(Unreadable { format, way_out }) = format::unreadable(block) {
            block.clear();
            return Err(EtlError::Format {
                path: self.path.clone(),
                format,
                way_out,
            });
        }
        if block.starts_with(format::BYTE_ORDER_MARK) {
            block.drain(..format::BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    fn fill_lines(&mut self, block: &mut Vec<u8>) -> Result<Filled, EtlError> {
        block.clear();
        block.append(&mut self.carry);
        let mut filled = Filled::default();
        loop {
            let start = block.len();
            let wanted = BLOCK_BYTES.saturating_sub(start).max(READ_BYTES);
            block.resize(start + wanted, 0);
            let read = self.input.read(&mut block[start..]);
            block.truncate(start + *read.as_ref().unwrap_or(&0));
            let read = read.map_err(|e| {
                block.truncate(memchr::memrchr(b'\n', block).map_or(0, |at| at + 1));
                self.error(e)
            })?;
            self.text_offset += read as u64;
            if read == 0 {
                filled.ended = true;
                return Ok(filled);
            }
            self.drop_long_line(block, start, &mut filled);
            if block.len() >= BLOCK_BYTES
                && let Some(end) = memchr::memrchr(b'\n', block)
            {
                self.carry.extend_from_slice(&block[end + 1..]);
                block.truncate(end + 1);
                return Ok(filled);
            }
        }
    }

    /// Input bytes consumed since the last call, for progress; compressed bytes if the file is compressed.
    pub fn advanced(&mut self) -> u64 {
        let consumed = self.input.consumed();
        consumed - std::mem::replace(&mut self.reported, consumed)
    }

    /// Keeps an unfinished line below the limit: drops its bytes, of which the new ones begin at `start`,
    /// until its newline comes. A long line that one read returned whole stays: the mapper drops it by the
    /// same rule.
    fn drop_long_line(&mut self, block: &mut Vec<u8>, start: usize, filled: &mut Filled) {
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

    fn error(&self, source: io::Error) -> EtlError {
        let (path, offset) = (self.path.clone(), self.input.consumed());
        let Some(format) = self.input.compression() else {
            return EtlError::io("read", &path, offset, source);
        };
        // Errors of the system have a number; the others come from the decoder.
        let what = match source.kind() {
            _ if source.raw_os_error().is_some() => {
                return EtlError::io("read", &path, offset, source);
            }
            io::ErrorKind::UnexpectedEof => "is truncated".to_owned(),
            _ => format!("is damaged: {source}"),
        };
        EtlError::Compressed {
            path,
            format,
            what,
            offset,
            text_offset: self.text_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etl::read::list::list;
    use std::{fs, io::Write};

    /// All blocks of a file with this content, and the number of lines dropped.
    fn read(name: &str, content: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let path = std::env::temp_dir().join(format!("trident-{}-{name}", std::process::id()));
        File::create(&path).unwrap().write_all(content).unwrap();
        let source = list(std::slice::from_ref(&path)).unwrap().sources.remove(0);
        let mut reader = Reader::open(&source).unwrap();
        let (mut blocks, mut long_lines, mut advanced) = (Vec::new(), 0, 0);
        loop {
            let mut block = Vec::new();
            let filled = reader.fill(&mut block).unwrap();
            long_lines += filled.long_lines;
            advanced += reader.advanced();
            blocks.push(block);
            if filled.ended {
                break;
            }
        }
        assert_eq!(advanced, content.len() as u64);
        assert_eq!(reader.text_offset(), content.len() as u64);
        fs::remove_file(path).unwrap();
        (blocks, long_lines)
    }

    #[test]
    fn blocks_are_whole_lines() {
        let content: Vec<u8> = (0..300_000u32)
            .flat_map(|i| format!("line {i}\n").into_bytes())
            .collect();
        let (blocks, _) = read("whole", &content);
        assert!(blocks.len() > 2);
        assert!(
            blocks
                .iter()
                .all(|block| block.is_empty() || block.ends_with(b"\n"))
        );
        assert!(blocks.concat() == content);
    }

    #[test]
    fn only_the_lines_that_are_too_long_are_lost() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let kept = vec![b'y'; LINE_BYTES_MAX];
        for (name, parts, expected, lost) in [
            ("first", [&long[..], b"b", b"c"], &[&b"b"[..], b"c"][..], 1),
            ("middle", [b"a", &long, b"c"], &[b"a", b"c"], 1),
            ("last", [b"a", b"b", &long], &[b"a", b"b"], 1),
            ("two", [&long, b"b", &long], &[b"b"], 2),
            ("limit", [b"a", &kept, b"c"], &[b"a", &kept, b"c"], 0),
        ] {
            let (blocks, long_lines) = read(name, &parts.join(&b'\n'));
            let text = blocks.concat();
            // A line that one read returned whole stays, and the mapper drops it.
            let (whole, lines): (Vec<_>, Vec<_>) = text
                .split(|&b| b == b'\n')
                .filter(|l| !l.is_empty())
                .partition(|l| l.len() > LINE_BYTES_MAX);
            assert!(lines == expected, "{name}");
            assert_eq!(long_lines + whole.len() as u64, lost, "{name}");
        }
    }

    fn failure(name: &str, content: &[u8], after_listing: impl FnOnce(&Path)) -> String {
        let path = std::env::temp_dir().join(format!("trident-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        let source = list(std::slice::from_ref(&path)).unwrap().sources.remove(0);
        after_listing(&path);
        let error = Reader::open(&source)
            .unwrap()
            .fill(&mut Vec::new())
            .unwrap_err();
        fs::remove_file(path).unwrap();
        error.to_string()
    }

    #[test]
    fn a_byte_order_mark_costs_no_line() {
        let path = std::env::temp_dir().join(format!("trident-{}-bom", std::process::id()));
        fs::write(&path, b"\xEF\xBB\xBFa\n\xEF\xBB\xBFb\n").unwrap();
        let source = list(std::slice::from_ref(&path)).unwrap().sources.remove(0);
        let mut block = Vec::new();
        Reader::open(&source).unwrap().fill(&mut block).unwrap();
        assert_eq!(
            block, b"a\n\xEF\xBB\xBFb\n",
            "only the first one of a file is a mark"
        );
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let message = failure("shrinks", b"one\ntwo\nthree\n", |path| {
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(8)
                .unwrap();
        });
        assert!(message.contains("8 of its 14 bytes"), "{message}");
    }

    #[test]
    fn formats_that_are_no_lines_are_named() {
        for (name, content, format) in [
            ("x.zip", &b"PK\x03\x04\x14"[..], "zip"),
            ("x.parquet", b"PAR1\x15\x04", "Parquet"),
        ] {
            let message = failure(name, content, |_| {});
            assert!(message.contains(format), "{message}");
        }
    }
}
