//! A validating JSON scanner that skips what nobody asked for.
//!
//! `etl::extract` walks one input line with it and keeps the spans of the dozen fields the service
//! needs; everything else is checked against RFC 8259 and stepped over. There is no tree, no
//! allocation (below 64 levels of nesting) and no recursion, so depth is bounded by the line only.
//!
//! Why not a library: the data rules keep lines that serde_json, sonic-rs and simd-json reject
//! (lone surrogate escapes, bytes that are not UTF-8; `docs/protocol/twitter.md` section 2) and let
//! the last of repeated keys win. Neither kind of damage can change the structure of a line, so it
//! is mended inside the few strings that are used ([`crate::etl::record::escape`]) instead of repairing the line
//! and parsing it again. Nor would a library be faster: on 146 MB of tweets, one core, baseline
//! x86-64, checking everything and keeping nothing takes 1.2 GB/s here; picking the same fields
//! through serde takes 0.94 GB/s with sonic-rs 0.5, 0.85 with simd-json 0.19 and 0.67 with
//! serde_json. Eight bytes at a time in safe code; SSE2 with `unsafe` gave 5 % more of this part,
//! less than 3 % of the map stage. `benches/etl.rs` has the ratios to serde_json.

/// Contents of a JSON string, as positions in the line, quotes excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
    /// Whether there is a backslash between `start` and `end`.
    pub escaped: bool,
}

impl Span {
    /// The bytes as they stand in `line`, escapes included.
    pub fn raw<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        line.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Whether the string is `""`.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// A position in one line. Methods return `None` at the first syntax error.
pub struct Scanner<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte of `line`, which must be shorter than 4 GiB: spans are
    /// 32-bit.
    pub fn new(line: &'a [u8]) -> Self {
        debug_assert!(u32::try_from(line.len()).is_ok());
        Self {
            bytes: line,
            position: 0,
        }
    }

    /// The next byte after white space, or NUL (which starts nothing in JSON) at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        loop {
            match self.bytes.get(self.position) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.position += 1,
                Some(&byte) => return byte,
                None => return 0,
            }
        }
    }

    /// Succeeds when nothing but white space is left.
    pub fn finish(&mut self) -> Option<()> {
        (self.peek() == 0 && self.position == self.bytes.len()).then_some(())
    }

    /// Walks an object: `member` is called after each key and must consume the value.
    #[inline]
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, Span) -> Option<()>) -> Option<()> {
        self.byte(b'{')?;
        if self.peek() == b'}' {
            return self.byte(b'}');
        }
        loop {
            let key = self.key()?;
            member(self, key)?;
            match self.peek() {
                b',' => self.position += 1,
                b'}' => return self.byte(b'}'),
                _ => return None,
            }
        }
    }

    /// Walks an array: `element` must consume one value. Returns the number of elements.
    #[inline]
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<usize> {
        self.byte(b'[')?;
        if self.peek() == b']' {
            self.position += 1;
            return Some(0);
        }
        let mut count = 0;
        loop {
            element(self)?;
            count += 1;
            match self.peek() {
                b',' => self.position += 1,
                b']' => {
                    self.position += 1;
                    return Some(count);
                }
                _ => return None,
            }
        }
    }

    /// The next value if it is a string; any other value is skipped and gives `Some(None)`.
    #[inline]
    pub fn string_or_skip(&mut self) -> Option<Option<Span>> {
        if self.peek() == b'"' {
            return self.string().map(Some);
        }
        self.skip().map(|()| None)
    }

    /// A string, from its opening quote on.
    #[inline]
    pub fn string(&mut self) -> Option<Span> {
        self.byte(b'"')?;
        let start = self.position;
        let mut escaped = false;
        loop {
            let (at, byte) = special(self.bytes, self.position)?;
            self.position = at + 1;
            match byte {
                b'"' => {
                    return Some(Span {
                        start: start as u32,
                        end: at as u32,
                        escaped,
                    });
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    /// A number; `Some(Some(digits))` when it is an integer, its minus sign included.
    #[inline]
    pub fn number(&mut self) -> Option<Option<&'a [u8]>> {
        let start = self.position;
        let mut integer = true;
        if self.here() == b'-' {
            self.position += 1;
        }
        match self.here() {
            b'0' => self.position += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return None,
        }
        if self.here() == b'.' {
            self.position += 1;
            self.digits()?;
            integer = false;
        }
        if matches!(self.here(), b'e' | b'E') {
            self.position += 1;
            if matches!(self.here(), b'+' | b'-') {
                self.position += 1;
            }
            self.digits()?;
            integer = false;
        }
        Some(if integer {
            self.bytes.get(start..self.position)
        } else {
            None
        })
    }

    /// Steps over one value of any kind, checking its syntax.
    #[inline]
    pub fn skip(&mut self) -> Option<()> {
        match self.peek() {
            b'{' | b'[' => self.skip_nested(),
            first => self.skip_scalar(first),
        }
    }

    #[inline]
    fn skip_scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => None,
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut open = Nesting::default();
        loop {
            match self.peek() {
                b'{' => {
                    self.position += 1;
                    open.push(true);
                    if self.peek() != b'}' {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.position += 1;
                    open.push(false);
                    if self.peek() != b']' {
                        continue;
                    }
                }
                first => self.skip_scalar(first)?,
            }
            if self.close(&mut open)? {
                return Some(());
            }
        }
    }

    /// After a value: closes what ends here. `true` when nothing is open any more, `false` when
    /// another value follows.
    #[inline]
    fn close(&mut self, open: &mut Nesting) -> Option<bool> {
        loop {
            let in_object = open.is_object();
            match self.peek() {
                b',' => {
                    self.position += 1;
                    if in_object {
                        self.key()?;
                    }
                    return Some(false);
                }
                b'}' if in_object => self.position += 1,
                b']' if !in_object => self.position += 1,
                _ => return None,
            }
            open.pop();
            if open.depth == 0 {
                return Some(true);
            }
        }
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self) -> Option<Span> {
        self.peek();
        let key = self.string()?;
        self.peek();
        self.byte(b':')?;
        Some(key)
    }

    #[inline]
    fn here(&self) -> u8 {
        self.bytes.get(self.position).copied().unwrap_or(0)
    }

    #[inline]
    fn byte(&mut self, expected: u8) -> Option<()> {
        if self.peek() != expected {
            return None;
        }
        self.position += 1;
        Some(())
    }

    #[inline]
    fn literal(&mut self, word: &[u8]) -> Option<()> {
        let end = self.position + word.len();
        if self.bytes.get(self.position..end)? != word {
            return None;
        }
        self.position = end;
        Some(())
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Option<()> {
        let start = self.position;
        while self.here().is_ascii_digit() {
            self.position += 1;
        }
        (self.position > start).then_some(())
    }

    /// What follows a backslash.
    #[inline]
    fn escape(&mut self) -> Option<()> {
        match self.here() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.position += 1,
            b'u' => {
                let hex = self.bytes.get(self.position + 1..self.position + 5)?;
                if !hex.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.position += 5;
            }
            _ => return None,
        }
        Some(())
    }
}

/// First quote, backslash or control byte at or after `from`.
#[inline]
fn special(bytes: &[u8], mut from: usize) -> Option<(usize, u8)> {
    let mut rest = bytes.get(from..)?;
    while let Some((block, tail)) = rest.split_first_chunk::<8>() {
        let hits = special_lanes(u64::from_le_bytes(*block));
        if hits != 0 {
            let lane = hits.trailing_zeros() as usize / 8;
            return block.get(lane).map(|&byte| (from + lane, byte));
        }
        from += 8;
        rest = tail;
    }
    let lane = rest
        .iter()
        .position(|&b| b == b'"' || b == b'\\' || b < 0x20)?;
    rest.get(lane).map(|&byte| (from + lane, byte))
}

/// The high bit of every byte of `word` that is a quote, a backslash or a control byte; bits above
/// the lowest one set may be wrong (borrows), the lowest one is exact.
#[inline]
const fn special_lanes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let zero_quote = quote.wrapping_sub(ONES) & !quote;
    let zero_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero_quote | zero_backslash | control) & HIGH
}

/// Which of the open brackets are objects: one bit per level, 64 levels to a word.
#[derive(Default)]
struct Nesting {
    bits: u64,
    depth: usize,
    outer: Vec<u64>,
}

impl Nesting {
    #[inline]
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    fn is_object(&self) -> bool {
        self.bits & 1 == 1
    }
}
