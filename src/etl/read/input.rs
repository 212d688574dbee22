//! Input files as blocks of whole lines: plain or gzip, files, directories or standard input.
//!
//! The map stage's workers share the readers (see [`crate::etl::stage::map`]): one takes a reader, fills a block,
//! puts the reader back and then parses, so one large file feeds all cores and many gzip files are
//! inflated in parallel. A file is taken for gzip when it begins with the gzip magic bytes.

use crate::etl::error::EtlError;
use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Bytes of lines read at once.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Longest line that is parsed. A tweet has at most some 30 kB; without a limit, one file without a
/// newline would have to fit in memory.
pub const LINE_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 256 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// One input, as recorded in the work directory to notice a changed list on resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file, or `-` for standard input.
    pub path: PathBuf,
    /// Length in bytes; 0 for standard input.
    pub bytes: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub modified_ns: u64,
}

impl Source {
    /// Whether this is standard input.
    pub fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }
}

/// The files meant by `inputs`, sorted: a directory stands for all `.json`, `.jsonl` and `.gz` files
/// below it.
pub fn list(inputs: &[PathBuf]) -> Result<Vec<Source>, EtlError> {
    list_without(inputs, &[])
}

/// As [`list`], without what is below the directories `left_out`; they need not be there.
pub fn list_without(inputs: &[PathBuf], left_out: &[&Path]) -> Result<Vec<Source>, EtlError> {
    let left_out: Vec<PathBuf> = left_out
        .iter()
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect();
    let mut sources = Vec::new();
    for input in inputs {
        if input == Path::new("-") {
            sources.push(Source {
                path: input.clone(),
                bytes: 0,
                modified_ns: 0,
            });
            continue;
        }
        let found = fs::metadata(input).map_err(|e| EtlError::io("open", input, 0, e))?;
        if found.is_dir() {
            walk(input, &left_out, &mut sources)?
        } else {
            sources.push(source(input, &found))
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.dedup();
    if sources.is_empty() {
        return Err(EtlError::Usage("no input files: name files or directories with .json, .jsonl or .gz files, or - for standard input".into()));
    }
    Ok(sources)
}

fn walk(directory: &Path, left_out: &[PathBuf], sources: &mut Vec<Source>) -> Result<(), EtlError> {
    let failed = |e| EtlError::io("list", directory, 0, e);
    if !left_out.is_empty() && left_out.contains(&fs::canonicalize(directory).map_err(failed)?) {
        return Ok(());
    }
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let found = fs::metadata(&path).map_err(|e| EtlError::io("open", &path, 0, e))?;
        if found.is_dir() {
            walk(&path, left_out, sources)?;
        } else if path
            .extension()
            .is_some_and(|e| e == "json" || e == "jsonl" || e == "gz")
        {
            sources.push(source(&path, &found));
        }
    }
    Ok(())
}

fn source(path: &Path, found: &fs::Metadata) -> Source {
    let modified = found
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ns = modified.map_or(0, |time| time.as_nanos() as u64);
    Source {
        path: path.to_owned(),
        bytes: found.len(),
        modified_ns,
    }
}

/// An open input.
pub struct Reader {
    path: PathBuf,
    input: Input,
    /// The beginning of a line whose end has not been read.
    carry: Vec<u8>,
    /// Uncompressed bytes read so far.
    text_offset: u64,
    /// Input bytes reported by [`Reader::advanced`] so far.
    reported: u64,
    /// Inside a line longer than [`LINE_BYTES_MAX`].
    in_long_line: bool,
}

type Raw = Counted<BufReader<Box<dyn Read + Send>>>;

enum Input {
    Plain(Raw),
    /// `None` after the last member.
    Gzip(Option<Box<GzDecoder<Raw>>>, u64),
}

/// What [`Reader::fill`] found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filled {
    /// Nothing is left in the file.
    pub ended: bool,
    /// Lines that were too long and are not in the block.
    pub long_lines: u64,
}

impl Reader {
    /// Opens `source` and looks whether it is gzip.
    pub fn open(source: &Source) -> Result<Self, EtlError> {
        let path = source.path.clone();
        let failed = |e| EtlError::io("open", &source.path, 0, e);
        let raw: Box<dyn Read + Send> = if source.is_stdin() {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&path).map_err(failed)?)
        };
        let mut raw = Counted {
            inner: BufReader::with_capacity(READ_BYTES, raw),
            consumed: 0,
        };
        let first = raw
            .fill_buf()
            .map_err(|e| EtlError::io("read", &path, 0, e))?;
        let is_gzip = first.starts_with(&GZIP_MAGIC);
        if !is_gzip && path.extension().is_some_and(|e| e == "gz") {
            // The least gzip file, of nothing, has 20 bytes.
            let what = if first.is_empty() {
                "is truncated"
            } else {
                "is damaged: no gzip header"
            };
            let what = what.to_owned();
            return Err(EtlError::Gzip {
                path,
                what,
                offset: 0,
                text_offset: 0,
            });
        }
        let input = if is_gzip {
            Input::Gzip(Some(Box::new(GzDecoder::new(raw))), 0)
        } else {
            Input::Plain(raw)
        };
        Ok(Self {
            path,
            input,
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

    /// Input bytes consumed since the last call, for progress; compressed ones for gzip.
    pub fn advanced(&mut self) -> u64 {
        let consumed = self.input.consumed();
        consumed - std::mem::replace(&mut self.reported, consumed)
    }

    /// Keeps an unfinished line from growing beyond the limit: its bytes, the new ones of which begin
    /// at `start`, are thrown away until its newline comes. A long line that one read held whole stays:
    /// the mapper drops it by the same rule.
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
        let what = match (&self.input, source.kind()) {
            (Input::Gzip(..), io::ErrorKind::UnexpectedEof) => "is truncated".to_owned(),
            (Input::Gzip(..), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                format!("is damaged: {source}")
            }
            _ => return EtlError::io("read", &path, offset, source),
        };
        EtlError::Gzip {
            path,
            what,
            offset,
            text_offset: self.text_offset,
        }
    }
}

impl Input {
    fn consumed(&self) -> u64 {
        match self {
            Input::Plain(raw) => raw.consumed,
            Input::Gzip(decoder, total) => {
                decoder.as_ref().map_or(*total, |d| d.get_ref().consumed)
            }
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (decoder, total) = match self {
            Input::Plain(raw) => return retry(|| raw.read(out)),
            Input::Gzip(decoder, total) => (decoder, total),
        };
        while let Some(open) = decoder {
            let read = retry(|| open.read(out))?;
            if read > 0 {
                return Ok(read);
            }
            // The end of a member. Others may follow; zeros after the last one are padding.
            let mut raw = match decoder.take() {
                Some(ended) => ended.into_inner(),
                None => break,
            };
            skip_zeros(&mut raw)?;
            *total = raw.consumed;
            if !raw.fill_buf()?.is_empty() {
                *decoder = Some(Box::new(GzDecoder::new(raw)));
            }
        }
        Ok(0)
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn skip_zeros(raw: &mut Raw) -> io::Result<()> {
    loop {
        let buffer = raw.fill_buf()?;
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        let all = zeros == buffer.len();
        raw.consume(zeros);
        if zeros == 0 || !all {
            return Ok(());
        }
    }
}

/// Counts what is consumed of a buffered reader, for offsets in messages.
struct Counted<R> {
    inner: R,
    consumed: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.consumed += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.inner.consume(bytes);
        self.consumed += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// All blocks of a file with this content, and the number of lines dropped.
    fn read(name: &str, content: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let path = std::env::temp_dir().join(format!("trident-{}-{name}", std::process::id()));
        File::create(&path).unwrap().write_all(content).unwrap();
        let source = list(std::slice::from_ref(&path)).unwrap().remove(0);
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
            // What one read held comes whole, and is left to the mapper.
            let (whole, lines): (Vec<_>, Vec<_>) = text
                .split(|&b| b == b'\n')
                .filter(|l| !l.is_empty())
                .partition(|l| l.len() > LINE_BYTES_MAX);
            assert!(lines == expected, "{name}");
            assert_eq!(long_lines + whole.len() as u64, lost, "{name}");
        }
    }
}
