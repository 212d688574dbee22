//! The request: `user_id`, `type`, `phrase` and `hashtag` out of a query string
//! (`docs/protocol/twitter.md` section 1).
//!
//! Called by `app` before the lookup. Texts are decoded into [`Scratch`]; only encoded numbers, bytes that are not
//! UTF-8 and tags with capitals outside ASCII allocate.

use crate::{
    codec::{
        decimal,
        query::{self, Plus},
    },
    store::value::Kind,
};

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
    phrase: String,
    hashtag: String,
}

impl Scratch {
    /// Frees large buffers, so that a large request does not hold memory forever.
    pub(super) fn release_large_buffers(&mut self) {
        for buffer in [&mut self.phrase, &mut self.hashtag] {
            if buffer.capacity() > RETAINED_BYTES_MAX {
                *buffer = String::new();
            }
        }
    }
}

/// Reads a request from the query of a URL.
pub fn parse<'r>(query: &'r [u8], scratch: &'r mut Scratch) -> Result<Query<'r>, Reject> {
    let [user_id, kind, phrase, hashtag, limit, offset] = first_values(query);
    let user_id = user_id.and_then(number).ok_or(Reject::UserId)?;
    let kind = kind.and_then(kind_of).ok_or(Reject::Type)?;
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

/// The number that `raw` stands for. Digits are their own decoded form, so what is plain is read as it stands.
fn number(raw: &[u8]) -> Option<u64> {
    decimal::parse_u63(raw).or_else(|| decimal::parse_u63(&encoded_word(raw)?))
}

/// The type that `raw` stands for.
fn kind_of(raw: &[u8]) -> Option<Kind> {
    let kind = |word: &[u8]| match word {
        b"reply" => Some(Kind::Reply),
        b"retweet" => Some(Kind::Retweet),
        b"both" => Some(Kind::Both),
        _ => None,
    };
    kind(raw).or_else(|| kind(&encoded_word(raw)?))
}

/// The rows that `limit` and `offset` ask for.
fn page(limit: Option<&[u8]>, offset: Option<&[u8]>) -> Result<Page, Reject> {
    let number = |raw: &[u8]| Some(usize::try_from(number(raw)?).unwrap_or(usize::MAX));
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

/// The parameters, in the order of [`first_values`], as nearly everybody writes them.
const PARAMETERS: [&[u8]; 6] = [
    b"user_id=",
    b"type=",
    b"phrase=",
    b"hashtag=",
    b"limit=",
    b"offset=",
];

/// The first value of each parameter, still encoded.
fn first_values(query: &[u8]) -> [Option<&[u8]>; 6] {
    let mut values = [None; 6];
    for piece in query::pieces(query) {
        let known = plain(piece).or_else(|| unusual(piece));
        if let Some((first, value)) =
            known.and_then(|(place, value)| Some((values.get_mut(place)?, value)))
        {
            first.get_or_insert(value);
        }
    }
    values
}

/// Which parameter a piece is, by its place in [`PARAMETERS`], and its value.
#[inline]
fn plain(piece: &[u8]) -> Option<(usize, &[u8])> {
    let mut places = PARAMETERS.iter().enumerate();
    places.find_map(|(place, start)| Some((place, piece.strip_prefix(*start)?)))
}

/// As [`plain`], for a piece without `=` or with an encoded name.
#[cold]
fn unusual(piece: &[u8]) -> Option<(usize, &[u8])> {
    let (name, value) = query::pair(piece);
    let decoded = encoded_word(name);
    let name = decoded.as_deref().unwrap_or(name);
    let of_name = |start: &&[u8]| start.strip_suffix(b"=") == Some(name);
    Some((PARAMETERS.iter().position(of_name)?, value))
}

/// The decoded bytes of `raw`, unless it is its own decoded form, or too long for a word.
#[cold]
fn encoded_word(raw: &[u8]) -> Option<Vec<u8>> {
    let is_encoded = raw.len() <= 3 * WORD_BYTES_MAX && !is_plain(raw);
    is_encoded.then(|| {
        let mut decoded = Vec::new();
        query::percent_decode(raw, Plus::Space, &mut decoded);
        decoded
    })
}

/// Whether `raw` is its own decoded form.
fn is_plain(raw: &[u8]) -> bool {
    !raw.iter().any(|byte| matches!(byte, b'%' | b'+'))
}

/// The decoded text of `raw`, in `buffer`; bytes that are not UTF-8 become U+FFFD.
fn decode<'r>(raw: &[u8], buffer: &'r mut String) -> &'r mut String {
    let mut bytes = std::mem::take(buffer).into_bytes();
    bytes.clear();
    query::percent_decode(raw, Plus::Space, &mut bytes);
    *buffer = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    buffer
}

/// The decoded text of `raw`, lower-cased by the full mapping of Unicode (section 4).
fn lower<'r>(raw: &[u8], buffer: &'r mut String) -> &'r str {
    let text = decode(raw, buffer);
    if text.is_ascii() {
        text.make_ascii_lowercase();
    } else if !is_lower(text) {
        // The mapping of a sigma depends on what follows: no shortcut for parts of the text.
        *text = text.to_lowercase();
    }
    text
}

/// True only if lower-casing does not change `text`. A tag is hardly ever written otherwise, and the mapping of a
/// character costs a search. Knows the scripts without capitals, and the small letters of Latin-1 and of Russian.
fn is_lower(text: &str) -> bool {
    let (mut capital, mut before) = (0, ANYWHERE);
    for byte in text.bytes() {
        let marks = CAPITALS[usize::from(byte)];
        capital |= marks & before;
        before = ANYWHERE | marks >> 4;
    }
    capital == 0
}

/// Part of a capital, or perhaps of one, wherever the byte is.
const ANYWHERE: u8 = 1;

/// What each byte of UTF-8 says about capitals. The lower four bits: the byte is part of one [`ANYWHERE`], or after
/// one of the three first bytes whose bit it is. The upper four: the bit of this first byte.
static CAPITALS: [u8; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let anywhere = match byte {
            0x41..=0x5a => ANYWHERE,                 // A to Z
            0xc4..=0xcf | 0xd2..=0xd5 => ANYWHERE,   // Latin, Greek, Cyrillic, Armenian
            0xe1 | 0xe2 | 0xea | 0xef.. => ANYWHERE, // Georgian, Coptic, full width and more
            _ => 0,
        };
        let after_c3 = (matches!(byte, 0x80..=0x9e) as u8) << 1; // À to Þ
        let after_d0 = (matches!(byte, 0x80..=0xaf) as u8) << 2; // Ѐ to Я
        let after_d1 = (matches!(byte, 0xa0..=0xbf) as u8) << 3; // from Ѡ on
        let first = match byte {
            0xc3 => 1 << 5,
            0xd0 => 1 << 6,
            0xd1 => 1 << 7,
            _ => 0,
        };
        marks[byte] = anywhere | after_c3 | after_d0 | after_d1 | first;
        byte += 1;
    }
    marks
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn what_counts_as_lower_case_is_its_own_mapping() {
        let mut known = 0;
        for letter in '\0'..=char::MAX {
            let text = letter.to_string();
            if is_lower(&text) {
                assert_eq!(text.to_lowercase(), text, "{letter:?}");
                known += 1;
            }
        }
        assert!(known > 30_000);
        for text in [
            "tag",
            "música",
            "новости",
            "明日見",
            "フォロワ",
            "خبر",
            "สวัสดี",
        ] {
            assert!(is_lower(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_lowered_as_the_library_does(text in "[aZéÉяЯσΣıİ明خ ]{0,12}") {
            let mut buffer = String::from("old");
            prop_assert_eq!(lower(text.as_bytes(), &mut buffer), text.to_lowercase());
        }
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
