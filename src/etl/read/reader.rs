//! One input as blocks of whole lines.
//!
//! The map stage's workers share the readers (see [`crate::etl::stage::map`]): one takes a reader, fills a block,
//! puts the reader back and then parses, so one large file feeds all cores and many compressed files are
//! decompressed in parallel. The first bytes of an input say what it is. Lines, plain or compressed once, are read here;
//! everything else comes from a thread of its own (`super::walk`).

use crate::etl::{
    error::EtlError,
    read::{
        blocks::{Blocks, READ_BYTES},
        budget::{Budget, Metered},
        bytes::{Counted, Input, check_name},
        format::Kind,
        head::{BYTE_ORDER_MARK, Headed},
        list::Source,
        walk::{self, Message, Position, Walked, damaged},
    },
};
use std::{
    fs::File,
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Receiver},
};

pub use super::blocks::{BLOCK_BYTES, LINE_BYTES_MAX};

/// An open input.
pub struct Reader {
    path: PathBuf,
    text: Text,
    budget: Arc<Budget>,
    /// Length of the file when it was listed; 0 if it has no length.
    listed_bytes: u64,
    /// Uncompressed bytes read so far.
    text_offset: u64,
    /// Input bytes reported by [`Reader::advanced`] so far.
    reported: u64,
}

type Opened = Headed<Input<Box<dyn Read + Send>>>;

/// Where the blocks come from.
enum Text {
    /// Lines, read here.
    Lines {
        text: Box<Opened>,
        blocks: Blocks,
        /// Blocks read so far.
        read: u64,
    },
    /// Blocks from a thread; `None` after its end.
    Walked(Option<Receiver<Message>>),
}

/// What [`Reader::fill`] found.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    /// Nothing is left in the file.
    pub ended: bool,
    /// Lines that were too long and are not in the block.
    pub long_lines: u64,
    /// Where the block begins.
    pub position: Position,
    /// Members of an archive that were not read, in one line; told at its end.
    pub left_out: Option<String>,
}

impl Reader {
    /// Opens `source` and recognises its kind.
    pub fn open(source: &Source) -> Result<Self, EtlError> {
        let path = source.shown_path();
        let budget = Arc::<Budget>::default();
        let failed = |e| EtlError::io("open", &path, 0, e);
        let raw: Box<dyn Read + Send> = if source.is_stdin() {
            Box::new(Metered::new(io::stdin(), budget.clone()))
        } else {
            let file = File::open(&source.path).map_err(failed)?;
            Box::new(Metered::new(file, budget.clone()))
        };
        let mut raw = Counted::new(raw, READ_BYTES);
        let unread = |e| damaged(path.clone(), e, 0, 0);
        let start = raw.fill_buf().map_err(unread)?;
        check_name(&path, start).map_err(unread)?;
        let input = Input::new(raw, budget.clone()).map_err(unread)?;
        let text = Self::look(source, input, &budget).map_err(unread)?;
        Ok(Self {
            path,
            text,
            budget,
            listed_bytes: source.bytes,
            text_offset: 0,
            reported: 0,
        })
    }

    fn look(
        source: &Source,
        input: Input<Box<dyn Read + Send>>,
        budget: &Arc<Budget>,
    ) -> io::Result<Text> {
        let is_plain = input.compression().is_none();
        let mut text: Opened = Headed::new(input);
        let kind = Kind::of(without_mark(text.head()), text.is_whole());
        let walked = match kind {
            Kind::Lines => {
                text.skip_byte_order_mark();
                return Ok(Text::Lines {
                    text: Box::new(text),
                    blocks: Blocks::default(),
                    read: 0,
                });
            }
            Kind::Zip if is_plain && source.bytes > 0 => Walked::Zip(File::open(&source.path)?),
            _ => Walked::Text(text.boxed()),
        };
        let receiver = walk::start(&source.shown_path(), walked, budget.clone())?;
        Ok(Text::Walked(Some(receiver)))
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Uncompressed bytes read so far.
    pub fn text_offset(&self) -> u64 {
        self.text_offset
    }

    /// Whether reading may continue after an error.
    pub fn goes_on(&self) -> bool {
        matches!(self.text, Text::Walked(Some(_)))
    }

    /// Replaces `block` by the next lines, newlines included; only the last line of a text may lack
    /// one. On error `block` holds the whole lines before the fault, and unless the reader [goes on](Self::goes_on) it must
    /// not be used again, except for [`Reader::advanced`].
    pub fn fill(&mut self, block: &mut Vec<u8>) -> Result<Filled, EtlError> {
        let filled = match &self.text {
            Text::Lines { .. } => self.fill_lines(block)?,
            Text::Walked(_) => self.fill_walked(block)?,
        };
        let read = self.budget.taken();
        if filled.ended && read < self.listed_bytes {
            return Err(EtlError::Shrunk {
                path: self.path.clone(),
                read,
                listed: self.listed_bytes,
            });
        }
        Ok(filled)
    }

    fn fill_lines(&mut self, block: &mut Vec<u8>) -> Result<Filled, EtlError> {
        let Text::Lines { text, blocks, read } = &mut self.text else {
            return Ok(Filled::default());
        };
        let (filled, result) = blocks.fill(block, |out| text.read(out));
        *read += 1;
        self.text_offset += filled.read;
        let consumed = text.get_ref().consumed();
        result.map_err(|e| damaged(self.path.clone(), e, consumed, self.text_offset))?;
        Ok(Filled {
            ended: filled.ended,
            long_lines: filled.long_lines,
            position: self.position(),
            left_out: None,
        })
    }

    /// Where the last block of lines began. Whoever parses the block counts its lines: a second pass over all bytes
    /// costs 3 % of a run.
    pub fn position(&self) -> Position {
        let uncounted = match &self.text {
            Text::Lines { read, .. } => read.saturating_sub(1),
            Text::Walked(_) => 0,
        };
        Position {
            uncounted,
            first: 1,
            ..Position::default()
        }
    }

    fn fill_walked(&mut self, block: &mut Vec<u8>) -> Result<Filled, EtlError> {
        block.clear();
        let Text::Walked(receiver) = &mut self.text else {
            return Ok(Filled::default());
        };
        let message = receiver.as_ref().and_then(|receiver| receiver.recv().ok());
        let mut filled = Filled::default();
        match message {
            Some(Message::Block(lines, long_lines, position)) => {
                self.text_offset += lines.len() as u64;
                *block = lines;
                (filled.long_lines, filled.position) = (long_lines, position);
                return Ok(filled);
            }
            Some(Message::Bad(error)) => return Err(error),
            Some(Message::End(left_out)) => (filled.ended, filled.left_out) = (true, left_out),
            Some(Message::Failed(error)) => {
                *receiver = None;
                return Err(error);
            }
            // A panic of the thread, which must not look like the end.
            None => {
                *receiver = None;
                let error = io::Error::other("its reader has ended early");
                return Err(EtlError::io("read", &self.path, 0, error));
            }
        }
        *receiver = None;
        Ok(filled)
    }

    /// Input bytes consumed since the last call, for progress; compressed ones where it is compressed.
    pub fn advanced(&mut self) -> u64 {
        let consumed = match &self.text {
            Text::Lines { text, .. } => text.get_ref().consumed(),
            Text::Walked(_) => self.budget.taken(),
        };
        consumed - std::mem::replace(&mut self.reported, consumed)
    }
}

fn without_mark(head: &[u8]) -> &[u8] {
    head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head)
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
    fn a_file_that_grows_is_read_to_its_end() {
        let path = std::env::temp_dir().join(format!("trident-{}-grows", std::process::id()));
        for (first, more) in [(&b"a\n"[..], &b"b\n"[..]), (b"[{},", b"{}]")] {
            fs::write(&path, first).unwrap();
            let source = list(std::slice::from_ref(&path)).unwrap().sources.remove(0);
            fs::write(&path, [first, more].concat()).unwrap();
            let (mut reader, mut lines) = (Reader::open(&source).unwrap(), Vec::new());
            loop {
                let mut block = Vec::new();
                let filled = reader.fill(&mut block).unwrap();
                lines.extend(block);
                if filled.ended {
                    break;
                }
            }
            assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 2);
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn formats_that_are_no_lines_are_named() {
        for (name, content, format) in [
            ("x.zip", &b"PK\x03\x04\x14"[..], "zip archive is damaged"),
            ("x.parquet", b"PAR1\x15\x04", "Parquet"),
        ] {
            let message = failure(name, content, |_| {});
            assert!(message.contains(format), "{message}");
        }
    }
}
