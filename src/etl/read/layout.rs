//! How the objects of a JSON text are laid out: one per line, or otherwise.
//!
//! One object per line is the rule, and damage to the first line must not hide that: the next line decides.

use crate::{codec::json::Cursor, etl::read::documents::Layout};

/// The layout of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Lines,
    Documents(Layout),
    /// Tweets of Twitter's API v2.
    ApiV2,
}

/// How the files of a Twitter archive begin; the second one before 2018.
const ARCHIVES: [&[u8]; 2] = [b"window.YTD.", b"Grailbird.data."];

const WHOLE: Layout = Layout {
    skip: 0,
    is_archive: false,
    by_line: false,
};
const BY_LINE: Layout = Layout {
    by_line: true,
    ..WHOLE
};

/// The layout of a text that begins with `head`; `is_whole` if nothing follows.
pub(super) fn of(head: &[u8], is_whole: bool) -> Text {
    let start = head.trim_ascii_start();
    if ARCHIVES.iter().any(|name| start.starts_with(name)) {
        return archive(head);
    }
    let (line, rest) = match memchr::memchr(b'\n', start) {
        Some(end) => (&start[..end], &start[end + 1..]),
        None => (start, &b""[..]),
    };
    let has_whole_line = line.len() < start.len() || is_whole;
    match start.first() {
        Some(b'[') => array(start, line, rest),
        Some(b'{') => object(start, line, rest, has_whole_line),
        _ => Text::Lines,
    }
}

fn archive(head: &[u8]) -> Text {
    let Some(at) = memchr::memchr(b'=', head) else {
        return Text::Lines;
    };
    Text::Documents(Layout {
        skip: at + 1,
        is_archive: true,
        by_line: false,
    })
}

fn array(start: &[u8], line: &[u8], rest: &[u8]) -> Text {
    if !start[1..].trim_ascii_start().starts_with(b"{") {
        return Text::Lines;
    }
    let mut cursor = Cursor::new(line);
    let is_whole_line = cursor.skip_value().is_ok() && cursor.end().is_ok();
    match rest.trim_ascii_start().first() {
        // A line that is not an object, among lines that are.
        Some(b'{') if is_whole_line => Text::Lines,
        _ if is_whole_line => Text::Documents(BY_LINE),
        _ => Text::Documents(WHOLE),
    }
}

fn object(start: &[u8], line: &[u8], rest: &[u8], has_whole_line: bool) -> Text {
    let mut cursor = Cursor::new(line);
    let is_complete = cursor.skip_value().is_ok();
    let members = Members::of(if is_complete { line } else { start });
    let goes_on = if is_complete {
        cursor.peek() == b'{' && members.is_tweet()
    } else {
        // If an object spans several lines, its next line holds a key or the end; after a broken line comes another
        // object.
        let next_line = rest.trim_ascii_start().first();
        let is_several = has_whole_line && matches!(next_line, Some(b'"' | b'}' | b','));
        is_several || members.has_statuses || members.is_api_v2()
    };
    if members.is_api_v2() && (is_complete || goes_on) {
        Text::ApiV2
    } else if is_complete && (members.has_statuses || goes_on) {
        Text::Documents(BY_LINE)
    } else if goes_on {
        Text::Documents(WHOLE)
    } else {
        Text::Lines
    }
}

/// Whether the object at the start of `text` is a tweet, except that it has no user.
pub(super) fn has_no_user(text: &[u8]) -> bool {
    let members = Members::of(text);
    members.has_date && !members.has_user
}

/// Which members the first object of a text has.
#[derive(Default)]
struct Members {
    has_statuses: bool,
    has_data: bool,
    has_author: bool,
    has_id: bool,
    has_user: bool,
    has_date: bool,
}

impl Members {
    fn is_tweet(&self) -> bool {
        self.has_id && self.has_date
    }

    fn is_api_v2(&self) -> bool {
        !self.has_user && (self.has_author || self.has_data && !self.has_id)
    }

    /// Inspects the object as far as it can be read.
    fn of(text: &[u8]) -> Self {
        let mut members = Self::default();
        let _ = members.read(text);
        members
    }

    fn read(&mut self, text: &[u8]) -> Option<()> {
        let mut cursor = Cursor::new(text);
        let mut more = cursor.open(b'{', b'}').ok()?;
        while more {
            let key = cursor.key().ok()?;
            let opens = cursor.peek();
            match key.of(text) {
                b"statuses" => self.has_statuses |= opens == b'[',
                b"data" => self.has_data |= opens == b'[' || opens == b'{',
                b"author_id" => self.has_author = true,
                b"id" | b"id_str" => self.has_id = true,
                b"user" => self.has_user = true,
                b"created_at" => self.has_date = true,
                _ => {}
            }
            cursor.skip_value().ok()?;
            more = cursor.more(b'}').ok()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_told_by_the_first_lines() {
        let tweet = "{\"id\":1,\"created_at\":\"x\",\"user\":{}}";
        let two = tweet.repeat(2);
        for (text, expected) in [
            ("", Text::Lines),
            (tweet, Text::Lines),
            ("[{\"id\":1}", Text::Documents(WHOLE)),
            ("[\n{\"id\":1}\n", Text::Documents(WHOLE)),
            ("[{\"id\":1}]\n", Text::Documents(BY_LINE)),
            ("[{\"id\":1}]\n[{}]\n", Text::Documents(BY_LINE)),
            ("{\n  \"id\": 1\n}\n", Text::Documents(WHOLE)),
            ("\r\n{ \"id\": 1\r\n, \"a\": 2}\r\n", Text::Documents(WHOLE)),
            ("{\n}\n", Text::Documents(WHOLE)),
            (&two, Text::Documents(BY_LINE)),
            ("{\"statuses\":[{\"id\":1}]}", Text::Documents(BY_LINE)),
            (
                "{\"search_metadata\":{},\"statuses\":[{\"id\":1}]}",
                Text::Documents(BY_LINE),
            ),
            ("{\n\"statuses\": [\n{\"id\":1}]}", Text::Documents(WHOLE)),
            (
                "{\"statuses\":[{\"id\":1},\n{\"id\":1}]}",
                Text::Documents(WHOLE),
            ),
            ("{\"data\":{\"id\":\"1\"}}\n", Text::ApiV2),
            ("{\n\"data\": [{\"id\":\"1\"}]}\n", Text::ApiV2),
            (
                "{\"id\":\"1\",\"text\":\"\",\"author_id\":\"2\"}\n",
                Text::ApiV2,
            ),
            // Lines, of which the first is not a tweet.
            ("[]\n{\"id\":1}\n", Text::Lines),
            ("[1]\n{\"id\":1}\n", Text::Lines),
            ("[{\"id\":1}]\n{\"id\":1}\n", Text::Lines),
            ("{\n{\"id\":1}\n", Text::Lines),
            ("{\"id\":\n{\"id\":1}\n", Text::Lines),
            ("{\"id\":1\n\n{\"id\":1}\n", Text::Lines),
            ("{\"a\":1}{\"b\":2}\n{\"id\":1}\n", Text::Lines),
            ("{\"id\":1}}\n", Text::Lines),
            ("{\"id\":1,", Text::Lines),
        ] {
            assert_eq!(of(text.as_bytes(), true), expected, "{text}");
        }
        let archive = of(b"window.YTD.tweets.part0 = [ {", true);
        assert!(
            matches!(archive, Text::Documents(layout) if layout.is_archive && layout.skip == 25)
        );
        let long = format!("{{\"statuses\":[{}", "{\"id\":1},".repeat(9));
        assert_eq!(of(long.as_bytes(), false), Text::Documents(WHOLE));
    }
}
