//! JSON that is not one object per line: arrays, objects over several lines or one after another, answers of the search
//! API, files of a Twitter archive. Its objects are returned one per line.
//!
//! Only brackets and strings are followed; the content of an object is left to the parser of the line. There is no
//! recursion, and only one object is held at a time.

use crate::{
    codec::json::Cursor,
    etl::read::{
        blocks::{BLOCK_BYTES, LINE_BYTES_MAX},
        budget::LayerError,
    },
};
use memchr::memchr3;
use std::io::{self, Read};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Replaces a raw newline inside a string, which JSON does not allow: the parser will refuse this byte too.
const NEWLINE_IN_STRING: u8 = 0x0B;

/// How the objects of a text are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes before the first bracket: `window.YTD.tweets.part0 = `.
    pub(super) skip: usize,
    /// Every element wraps its tweet: `{"tweet": {…}}`.
    pub(super) is_archive: bool,
    /// An object ends with its line, so damage costs only that line.
    pub(super) by_line: bool,
}

/// The objects of a text.
pub(super) struct Documents<R> {
    input: R,
    layout: Layout,
    /// Open brackets.
    depth: usize,
    /// Depth of the elements of the array that is being read; 0 outside of one.
    elements_at: usize,
    in_string: bool,
    after_backslash: bool,
    /// The elements are over; the rest of the object around them does not count.
    in_tail: bool,
    /// The object at hand, as far as it has been read.
    item: Vec<u8>,
    item_is_too_long: bool,
    chunk: Vec<u8>,
    /// The part of `chunk` that has not been looked at begins here.
    at: usize,
    read: u64,
    /// Objects found so far.
    found: u64,
    block: Vec<u8>,
    long_items: u64,
}

/// Some objects, one per line.
pub(super) struct Objects {
    pub(super) lines: Vec<u8>,
    /// Number of the first one in its text, from 1.
    pub(super) first: u64,
    /// Number of objects that are too long to be returned.
    pub(super) too_long: u64,
    pub(super) ended: bool,
}

impl<R: Read> Documents<R> {
    pub(super) fn new(input: R, layout: Layout) -> Self {
        Self {
            input,
            layout,
            depth: 0,
            elements_at: 0,
            in_string: false,
            after_backslash: false,
            in_tail: false,
            item: Vec::new(),
            item_is_too_long: false,
            chunk: Vec::new(),
            at: 0,
            read: 0,
            found: 0,
            block: Vec::new(),
            long_items: 0,
        }
    }

    /// The next objects, and an error that came after them.
    pub(super) fn next(&mut self) -> (Objects, io::Result<()>) {
        let first = self.found + 1;
        let (ended, result) = match self.fill() {
            Ok(ended) => (ended, Ok(())),
            Err(error) => (true, Err(error)),
        };
        let objects = Objects {
            lines: std::mem::take(&mut self.block),
            first,
            too_long: std::mem::take(&mut self.long_items),
            ended,
        };
        (objects, result)
    }

    /// Collects a block; true at the end of the text.
    fn fill(&mut self) -> io::Result<bool> {
        while self.block.len() < BLOCK_BYTES {
            if self.at == self.chunk.len() && !self.refill()? {
                self.end()?;
                return Ok(true);
            }
            let chunk = std::mem::take(&mut self.chunk);
            while self.at < chunk.len() && self.block.len() < BLOCK_BYTES {
                self.step(&chunk);
            }
            self.chunk = chunk;
        }
        Ok(false)
    }

    fn refill(&mut self) -> io::Result<bool> {
        self.chunk.resize(CHUNK_BYTES, 0);
        self.at = 0;
        let read = loop {
            match self.input.read(&mut self.chunk) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.chunk.truncate(*read.as_ref().unwrap_or(&0));
        self.read += self.chunk.len() as u64;
        Ok(read? > 0)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.depth > 0 && !self.layout.by_line {
            let inside = if self.elements_at > 0 {
                "an array"
            } else {
                "an object"
            };
            let what = format!(
                "is truncated: it ends inside {inside}, after {} objects",
                self.found
            );
            return Err(LayerError::new("JSON", what, self.read).into());
        }
        self.finish();
        Ok(())
    }

    /// Inspects the next bytes of `chunk`: the rest of a string, or one byte.
    fn step(&mut self, chunk: &[u8]) {
        let rest = &chunk[self.at..];
        if self.in_string {
            return self.string(rest);
        }
        self.at += 1;
        match rest[0] {
            b'{' | b'[' => self.open(rest[0]),
            b'}' | b']' => self.close(rest[0]),
            b',' if self.depth == self.elements_at => self.finish(),
            b'\n' => self.newline(),
            b'"' if self.depth > 0 => {
                self.in_string = true;
                self.keep(b"\"");
            }
            b' ' | b'\t' | b'\r' if self.item.is_empty() => {}
            byte => self.keep(&[byte]),
        }
    }

    fn string(&mut self, rest: &[u8]) {
        if std::mem::take(&mut self.after_backslash) && rest[0] != b'\n' {
            self.at += 1;
            return self.keep(&rest[..1]);
        }
        let plain = memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
        self.keep(&rest[..plain]);
        self.at += plain;
        let Some(&special) = rest.get(plain) else {
            return;
        };
        self.at += 1;
        match special {
            b'\n' if self.layout.by_line => self.newline(),
            b'\n' => self.keep(&[NEWLINE_IN_STRING]),
            b'"' => {
                self.in_string = false;
                self.keep(b"\"");
            }
            backslash => {
                self.after_backslash = true;
                self.keep(&[backslash]);
            }
        }
    }

    fn newline(&mut self) {
        if self.layout.by_line || self.depth == 0 {
            self.finish();
            (self.depth, self.elements_at) = (0, 0);
            (self.in_string, self.after_backslash, self.in_tail) = (false, false, false);
        } else if !self.item.is_empty() {
            self.keep(b" ");
        }
    }

    fn open(&mut self, bracket: u8) {
        if self.depth == 0 {
            self.finish();
        }
        self.depth += 1;
        let is_array = bracket == b'[';
        if is_array && self.depth == 1 && self.elements_at == 0 {
            self.elements_at = 1;
        } else if is_array && self.depth == 2 && self.elements_at == 0 && self.is_at_statuses() {
            self.elements_at = 2;
            self.item.clear();
        } else {
            self.keep(&[bracket]);
        }
    }

    /// Whether the next value is the member `statuses` of an answer of the search API.
    fn is_at_statuses(&self) -> bool {
        let before = self.item.trim_ascii_end().strip_suffix(b":");
        before.is_some_and(|key| key.trim_ascii_end().ends_with(b"\"statuses\""))
    }

    fn close(&mut self, bracket: u8) {
        if self.depth == 0 {
            return self.keep(&[bracket]);
        }
        self.depth -= 1;
        if self.elements_at == 0 {
            self.keep(&[bracket]);
            if self.depth == 0 {
                self.finish();
                self.in_tail = false;
            }
        } else if self.depth + 1 == self.elements_at {
            self.finish();
            self.in_tail = self.depth > 0;
            self.elements_at = 0;
        } else {
            self.keep(&[bracket]);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.in_tail || self.item_is_too_long {
            return;
        }
        if self.item.len() + bytes.len() > LINE_BYTES_MAX {
            self.item_is_too_long = true;
            self.item = Vec::new();
            return;
        }
        self.item.extend_from_slice(bytes);
    }

    /// The item is complete.
    fn finish(&mut self) {
        if std::mem::take(&mut self.item_is_too_long) {
            self.found += 1;
            self.long_items += 1;
        }
        let item = self.item.trim_ascii();
        if !item.is_empty() {
            let tweet = if self.layout.is_archive {
                wrapped(item)
            } else {
                item
            };
            self.block.extend_from_slice(tweet);
            self.block.push(b'\n');
            self.found += 1;
        }
        self.item.clear();
    }
}

/// The tweet in `{"tweet": {…}}`; anything else stays as it is.
fn wrapped(element: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(element);
    let mut inner = || {
        cursor.open(b'{', b'}').ok()?.then_some(())?;
        let key = cursor.key().ok()?;
        let is_tweet = key.of(element) == b"tweet" && cursor.peek() == b'{';
        let start = cursor.position();
        cursor.skip_value().ok()?;
        let tweet = &element[start..cursor.position()];
        let is_only_member = !cursor.more(b'}').ok()?;
        cursor.end().ok()?;
        (is_tweet && is_only_member).then_some(tweet)
    };
    inner().unwrap_or(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], layout: Layout) -> (String, io::Result<()>) {
        let mut documents = Documents::new(&text[layout.skip..], layout);
        let mut lines = Vec::new();
        loop {
            let (objects, result) = documents.next();
            lines.extend(objects.lines);
            if objects.ended {
                return (String::from_utf8(lines).unwrap(), result);
            }
        }
    }

    #[test]
    fn objects_are_found_in_all_layouts() {
        let whole = Layout::default();
        let by_line = Layout {
            by_line: true,
            ..whole
        };
        for (text, layout, expected) in [
            ("[]", whole, ""),
            (
                "[{\"a\":1},{\"b\":[2,{}]}]",
                whole,
                "{\"a\":1}\n{\"b\":[2,{}]}\n",
            ),
            ("[\n {\"a\":\n1}\n,\n{}\n]\n", whole, "{\"a\": 1}\n{}\n"),
            (
                "[{}] [ {\"a\":\"]},[\\\"\\\\\"} ]",
                whole,
                "{}\n{\"a\":\"]},[\\\"\\\\\"}\n",
            ),
            (
                "[1, null,{} junk,[2,3]]",
                whole,
                "1\nnull\n{} junk\n[2,3]\n",
            ),
            ("{\n\"a\": {\n}\n}\n{\n}\n", whole, "{ \"a\": { } }\n{ }\n"),
            ("{}{\"a\":2}{}", whole, "{}\n{\"a\":2}\n{}\n"),
            ("{\"a\":\"x\ny\"}", whole, "{\"a\":\"x\u{b}y\"}\n"),
            (
                "{\"search_metadata\":{\"statuses\":1},\"statuses\" : [{\"statuses\":[1]},{}],\"x\":[{}]}\n{\"statuses\":[{\"b\":1}]}",
                whole,
                "{\"statuses\":[1]}\n{}\n{\"b\":1}\n",
            ),
            (
                "{\"a\":1}{\"b\":2}\n{\"c\":\n{\"d\":4}\n",
                by_line,
                "{\"a\":1}\n{\"b\":2}\n{\"c\":\n{\"d\":4}\n",
            ),
            (
                "{\"a\":\"x\n{\"d\":4}\n",
                by_line,
                "{\"a\":\"x\n{\"d\":4}\n",
            ),
            ("}]{}\nnonsense\n{}", whole, "}]\n{}\nnonsense\n{}\n"),
        ] {
            let (lines, result) = split(text.as_bytes(), layout);
            assert_eq!(lines, expected, "{text}");
            assert!(result.is_ok(), "{text}");
        }
        let archive = Layout {
            skip: 4,
            is_archive: true,
            by_line: false,
        };
        let text =
            b"x = [{\"tweet\" : {\"id\":1}},{\"tweet\":{},\"b\":1},{\"tweet\":3},{\"b\":{}}]";
        let (lines, _) = split(text, archive);
        let expected = "{\"id\":1}\n{\"tweet\":{},\"b\":1}\n{\"tweet\":3}\n{\"b\":{}}\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_text_cut_anywhere_is_truncated_or_complete() {
        let text = b"[{\"a\":\"x\"},\n {\"b\":[1,{}]}\n]";
        for end in 1..text.len() {
            let (_, result) = split(&text[..end], Layout::default());
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("is truncated: it ends inside an array"),
                "{error}"
            );
        }
        let (lines, result) = split(b"{}{\"a\":", Layout::default());
        assert_eq!(lines, "{}\n");
        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("an object, after 1 objects")
        );
    }

    #[test]
    fn an_object_without_end_is_counted_not_collected() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let text = [b"[{\"a\":\"", &long[..], b"\"},{\"b\":1}]"].concat();
        let mut documents = Documents::new(&text[..], Layout::default());
        let (objects, result) = documents.next();
        assert!(result.is_ok() && objects.ended);
        assert_eq!(
            (objects.too_long, &objects.lines[..]),
            (1, &b"{\"b\":1}\n"[..])
        );
    }
}
