//! The request: `user_id`, `type`, `phrase` and `hashtag` out of a query string
//! (`docs/protocol/twitter.md` section 1).
//!
//! Called by `app` before the lookup. Plain values borrow from the query, encoded ones from [`Scratch`];
//! only bytes that are not UTF-8 and tags outside ASCII allocate.

use crate::{
    codec::{
        decimal,
        query::{self, Plus},
    },
    store::value::Kind,
};
use std::borrow::Cow;

/// Longest decoded text that can be valid for parameters with short values: 19 digits.
const WORD_BYTES_MAX: usize = 19;

/// Buffers above this size are freed after the request.
const RETAINED_BYTES_MAX: usize = 64 << 10;

/// A well-formed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'r> {
    /// At most 2^63-1.
    pub user_id: u64,
    /// The requested type.
    pub kind: Kind,
    /// Decoded, not empty.
    pub phrase: &'r str,
    /// Decoded and lower-cased, not empty.
    pub hashtag: &'r str,
    /// Which rows are wanted.
    pub page: Page,
}

/// The wanted rows of the whole answer: an addition of this server to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows left out at the beginning.
    pub offset: usize,
    /// Most rows after the offset.
    pub limit: usize,
}

impl Default for Page {
    /// All rows.
    fn default() -> Self {
        Self {
            offset: 0,
            limit: usize::MAX,
        }
    }
}

impl Page {
    /// The rows of a whole answer of `rows`.
    pub fn range(self, rows: usize) -> std::ops::Range<usize> {
        let start = self.offset.min(rows);
        start..start.saturating_add(self.limit).min(rows)
    }
}

crate::reject::rejects! {
    /// Why a request is INVALID: what is missing or malformed.
    Reject, "twitter.md" {
        /// `user_id` is not a decimal number up to 2^63-1.
        UserId = "user_id", "§1", "user_id is 1 to 19 digits, at most 2^63 - 1";
        /// `type` is not one of [`Kind`]'s.
        Type = "type", "§1", "type is reply, retweet or both";
        /// `phrase` is missing or empty.
        Phrase = "phrase", "§1", "phrase is there and not empty";
        /// `hashtag` is missing or empty.
        Hashtag = "hashtag", "§1", "hashtag is there and not empty";
        /// `limit` is not a decimal number from 1 to 2^63-1.
        Limit = "limit", "§10", "limit is a number of at least 1, if it is there";
        /// `offset` is not a decimal number up to 2^63-1.
        Offset = "offset", "§10", "offset is a number, if it is there";
    }
}

/// Buffers for decoded values. One per worker.
#[derive(Default)]
pub struct Scratch {
    phrase: Vec<u8>,
    hashtag: Vec<u8>,
}

impl Scratch {
    /// Frees large buffers, so that a large request does not hold memory forever.
    pub(super) fn release_large_buffers(&mut self) {
        for buffer in [&mut self.phrase, &mut self.hashtag] {
            if buffer.capacity() > RETAINED_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

/// Reads a request from the query of a URL.
pub fn parse<'r>(query: &'r [u8], scratch: &'r mut Scratch) -> Result<Query<'r>, Reject> {
    let [user_id, kind, phrase, hashtag, limit, offset] = first_values(query);
    let user_id = user_id.and_then(|text| decimal::parse_u63(&word(text)));
    let user_id = user_id.ok_or(Reject::UserId)?;
    let kind = match &*word(kind.ok_or(Reject::Type)?) {
        b"reply" => Kind::Reply,
        b"retweet" => Kind::Retweet,
        b"both" => Kind::Both,
        _ => return Err(Reject::Type),
    };
    let phrase = decode(phrase.unwrap_or_default(), &mut scratch.phrase);
    let hashtag = lower(hashtag.unwrap_or_default(), &mut scratch.hashtag);
    if phrase.is_empty() {
        return Err(Reject::Phrase);
    }
    if hashtag.is_empty() {
        return Err(Reject::Hashtag);
    }
    Ok(Query {
        user_id,
        kind,
        phrase,
        hashtag,
        page: page(limit, offset)?,
    })
}

/// The rows that `limit` and `offset` ask for.
fn page(limit: Option<&[u8]>, offset: Option<&[u8]>) -> Result<Page, Reject> {
    let number = |raw: &[u8]| {
        let value = decimal::parse_u63(&word(raw))?;
        Some(usize::try_from(value).unwrap_or(usize::MAX))
    };
    let mut page = Page::default();
    if let Some(raw) = limit {
        page.limit = number(raw)
            .filter(|limit| *limit > 0)
            .ok_or(Reject::Limit)?;
    }
    if let Some(raw) = offset {
        page.offset = number(raw).ok_or(Reject::Offset)?;
    }
    Ok(page)
}

/// The first value of each parameter, still encoded.
fn first_values(query: &[u8]) -> [Option<&[u8]>; 6] {
    let mut values = [None; 6];
    let [user_id, kind, phrase, hashtag, limit, offset] = &mut values;
    for (name, value) in query::pairs(query) {
        let place = match &*word(name) {
            b"user_id" => &mut *user_id,
            b"type" => &mut *kind,
            b"phrase" => &mut *phrase,
            b"hashtag" => &mut *hashtag,
            b"limit" => &mut *limit,
            b"offset" => &mut *offset,
            _ => continue,
        };
        place.get_or_insert(value);
    }
    values
}

/// The decoded bytes of `raw`, or an empty word if it is too long.
fn word(raw: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(raw) {
        return Cow::Borrowed(raw);
    }
    let mut decoded = Vec::new();
    if raw.len() <= 3 * WORD_BYTES_MAX {
        query::percent_decode(raw, Plus::Space, &mut decoded);
    }
    Cow::Owned(decoded)
}

/// Whether `raw` is its own decoded form.
fn is_plain(raw: &[u8]) -> bool {
    memchr::memchr2(b'%', b'+', raw).is_none()
}

/// The decoded text of `raw`; bytes that are not UTF-8 become U+FFFD.
fn decode<'r>(raw: &'r [u8], buffer: &'r mut Vec<u8>) -> &'r str {
    if is_plain(raw)
        && let Ok(text) = str::from_utf8(raw)
    {
        return text;
    }
    fill(raw, buffer);
    str::from_utf8(buffer).unwrap_or_default()
}

/// The decoded text of `raw`, lower-cased by the full mapping of Unicode (section 4).
fn lower<'r>(raw: &[u8], buffer: &'r mut Vec<u8>) -> &'r str {
    fill(raw, buffer);
    if buffer.is_ascii() {
        buffer.make_ascii_lowercase();
    } else {
        // The mapping of a sigma depends on what follows: no shortcut for parts of the text.
        let lowered = str::from_utf8(buffer).unwrap_or_default().to_lowercase();
        *buffer = lowered.into_bytes();
    }
    str::from_utf8(buffer).unwrap_or_default()
}

/// Puts the decoded text of `raw` into `buffer` as UTF-8.
fn fill(raw: &[u8], buffer: &mut Vec<u8>) {
    buffer.clear();
    query::percent_decode(raw, Plus::Space, buffer);
    if let Cow::Owned(repaired) = String::from_utf8_lossy(buffer) {
        *buffer = repaired.into_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Option<(u64, Kind, String, String)> {
        let mut scratch = Scratch::default();
        let request = parse(query.as_bytes(), &mut scratch).ok()?;
        let (phrase, hashtag) = (request.phrase.to_owned(), request.hashtag.to_owned());
        Some((request.user_id, request.kind, phrase, hashtag))
    }

    #[test]
    fn well_formed_requests() {
        let cases: &[(&str, u64, Kind, &str, &str)] = &[
            (
                "user_id=1&type=both&phrase=a&hashtag=b",
                1,
                Kind::Both,
                "a",
                "b",
            ),
            (
                "hashtag=B&phrase=A&type=reply&user_id=007",
                7,
                Kind::Reply,
                "A",
                "b",
            ),
            // names are decoded, plus is a space, percent garbage stays
            (
                "%75ser_id=%31&ty%70e=%72etweet&phrase=a+b%&hashtag=%2",
                1,
                Kind::Retweet,
                "a b%",
                "%2",
            ),
            (
                "user_id=1&type=both&phrase=%zz%4&hashtag=%C3%89t%c3%89",
                1,
                Kind::Both,
                "%zz%4",
                "été",
            ),
            // first of repeated names, others ignored, empty pieces ignored
            (
                "&&x=1&user_id=1&user_id=x&type=both&type=like&phrase=a&hashtag=b&&",
                1,
                Kind::Both,
                "a",
                "b",
            ),
            // a value goes on after its first `=`; a lone `#` or `=` is a value
            (
                "user_id=1&type=both&phrase==&hashtag=%23X",
                1,
                Kind::Both,
                "=",
                "#x",
            ),
            // bytes that are not UTF-8, encoded or not
            (
                "user_id=1&type=both&phrase=%ff%00&hashtag=a%f0%9f",
                1,
                Kind::Both,
                "\u{fffd}\0",
                "a\u{fffd}",
            ),
            (
                "user_id=9223372036854775807&type=both&phrase=é&hashtag=ΟΔΟΣ",
                i64::MAX as u64,
                Kind::Both,
                "é",
                "οδος",
            ),
            (
                "user_id=1&type=both&phrase=+&hashtag=İSTANBUL",
                1,
                Kind::Both,
                " ",
                "i\u{307}stanbul",
            ),
        ];
        for (query, user_id, kind, phrase, hashtag) in cases {
            let want = (*user_id, *kind, (*phrase).into(), (*hashtag).into());
            assert_eq!(parsed(query), Some(want), "{query}");
        }
        let mut scratch = Scratch::default();
        let raw = b"user_id=1&type=both&phrase=\xff&hashtag=\xc3";
        let request = parse(raw, &mut scratch).unwrap();
        assert_eq!((request.phrase, request.hashtag), ("\u{fffd}", "\u{fffd}"));
    }

    #[test]
    fn everything_else_is_invalid() {
        let rest = "type=both&phrase=a&hashtag=b";
        for id in [
            "",
            "x",
            "1x",
            "-1",
            "+1",
            "%2b1",
            "1.0",
            "%201",
            "1%20",
            "9223372036854775808",
            "00000000000000000001",
            "99999999999999999999999",
            "%ff",
            "１",
            "1%00",
        ] {
            assert_eq!(parsed(&format!("user_id={id}&{rest}")), None, "{id}");
        }
        for kind in [
            "",
            "Both",
            "both%20",
            "like",
            "reply,retweet",
            "retweets",
            "bothbothbothbothboth",
        ] {
            let query = format!("user_id=1&type={kind}&phrase=a&hashtag=b");
            assert_eq!(parsed(&query), None, "{kind}");
        }
        for query in [
            "",
            "user_id=1",
            "user_id=1&type=both&phrase=a",
            "user_id=1&type=both&hashtag=a",
            "type=both&phrase=a&hashtag=b",
            "user_id=1&phrase=a&hashtag=b",
            "user_id=1&type=both&phrase=&hashtag=b",
            "user_id=1&type=both&phrase&hashtag=b&phrase=a",
            "user_id=1&type=both&phrase=a&hashtag=",
            "USER_ID=1&type=both&phrase=a&hashtag=b",
            "user_id =1&type=both&phrase=a&hashtag=b",
            "user_id&user_id=1&type=both&phrase=a&hashtag=b",
            "user_id=&user_id=1&type=both&phrase=a&hashtag=b",
        ] {
            assert_eq!(parsed(query), None, "{query}");
        }
    }

    #[test]
    fn pages_are_read_and_bounded() {
        let page = |more: &str| {
            let query = format!("user_id=1&type=both&phrase=a&hashtag=b{more}");
            let mut scratch = Scratch::default();
            parse(query.as_bytes(), &mut scratch).map(|request| request.page)
        };
        let of = |offset, limit| Ok(Page { offset, limit });
        assert_eq!(page(""), Ok(Page::default()));
        assert_eq!(page("&limit=2"), of(0, 2));
        assert_eq!(page("&offset=3"), of(3, usize::MAX));
        assert_eq!(page("&off%73et=%33&limit=007&limit=x"), of(3, 7));
        for bad in ["", "0", "x", "-1", "1.0", "9223372036854775808", "+1"] {
            assert_eq!(page(&format!("&limit={bad}")), Err(Reject::Limit), "{bad}");
        }
        for bad in ["", "x", "-1", "99999999999999999999"] {
            assert_eq!(
                page(&format!("&offset={bad}")),
                Err(Reject::Offset),
                "{bad}"
            );
        }
        let largest = Page {
            offset: usize::MAX,
            limit: usize::MAX,
        };
        assert_eq!(largest.range(5), 5..5);
        assert_eq!(
            Page {
                offset: 2,
                limit: 2
            }
            .range(5),
            2..4
        );
        assert_eq!(
            Page {
                offset: 4,
                limit: 2
            }
            .range(5),
            4..5
        );
    }

    #[test]
    fn large_values_do_not_stay_in_memory() {
        let mut scratch = Scratch::default();
        let query = format!(
            "user_id=1&type=both&phrase={}&hashtag={0}",
            "%41".repeat(1 << 20)
        );
        assert_eq!(
            parse(query.as_bytes(), &mut scratch).unwrap().phrase.len(),
            1 << 20
        );
        scratch.release_large_buffers();
        assert_eq!(scratch.phrase.capacity() + scratch.hashtag.capacity(), 0);
    }
}
