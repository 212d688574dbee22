//! The kind of a text, by its first bytes.

use crate::etl::{
    read::{
        bytes::compression_of,
        documents::Layout,
        layout::{self, Text},
        names::{is_hidden, looks_like_tweets},
    },
    record::dropped::Dropped,
};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// What kind of text is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// One JSON object per line, or anything that will be dropped line by line.
    Lines,
    /// JSON in another layout.
    Documents(Layout),
    /// Lines that end with a carriage return only.
    CarriageReturns,
    /// UTF-16, with a byte order mark or without.
    Utf16(&'static Encoding),
    Compressed,
    Tar,
    Zip,
    Unreadable(Unreadable),
}

/// A format that is not supported, and how to convert it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Its name.
    pub(super) format: &'static str,
    /// What converts it to JSON.
    pub(super) way_out: &'static str,
}

const DUCKDB: &str =
    "write JSON lines from the table, for instance with DuckDB's COPY … TO 'tweets.json'";
const UNPACK: &str = "unpack it";

/// First bytes, the format's name, and the way out.
const MAGICS: [(&[u8], &str, &str); 13] = [
    (b"PAR1", "Parquet", DUCKDB),
    (b"ORC", "ORC", DUCKDB),
    (b"Obj\x01", "Avro", DUCKDB),
    (b"ARROW1", "Arrow", DUCKDB),
    (
        b"SEQ\x06",
        "Hadoop SequenceFile",
        "write its values as lines, for instance with hadoop fs -text FILE",
    ),
    (
        b"\x1F\x9D",
        "compress (.Z)",
        "gzip -dc FILE | trident etl --input -",
    ),
    (
        b"SQLite format 3\0",
        "SQLite",
        "export its table as JSON lines",
    ),
    (b"7z\xBC\xAF\x27\x1C", "7-Zip", UNPACK),
    (b"Rar!\x1A\x07", "RAR", UNPACK),
    (
        b"\x04\x22\x4D\x18",
        "lz4",
        "lz4 -dc FILE | trident etl --input -",
    ),
    (b"LZIP", "lzip", "lzip -dc FILE | trident etl --input -"),
    (
        b"\xFF\xFE\0\0",
        "UTF-32",
        "iconv -f UTF-32 -t UTF-8 FILE | trident etl --input -",
    ),
    (
        b"\0\0\xFE\xFF",
        "UTF-32",
        "iconv -f UTF-32 -t UTF-8 FILE | trident etl --input -",
    ),
];

/// Name endings of formats without recognisable first bytes: jobs write whole directories of them.
const ENDINGS: [(&str, &str); 3] = [("parquet", "Parquet"), ("orc", "ORC"), ("avro", "Avro")];

pub(super) const API_V2: Unreadable = Unreadable {
    format: "API v2",
    way_out: "its tweets lack what the rules need (`user`, `retweeted_status`); get them as API v1.1 objects, \
              or join `includes.users` into each tweet as `user`",
};

impl Kind {
    /// The kind of data that begin with `head`; `is_whole` if nothing follows.
    pub(super) fn of(head: &[u8], is_whole: bool) -> Self {
        if let Some(&(_, format, way_out)) =
            MAGICS.iter().find(|(magic, ..)| head.starts_with(magic))
        {
            return Self::Unreadable(Unreadable { format, way_out });
        }
        if compression_of(head).is_some() {
            return Self::Compressed;
        }
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Self::Zip,
            [0xFF, 0xFE, ..] => return Self::Utf16(UTF_16LE),
            [0xFE, 0xFF, ..] => return Self::Utf16(UTF_16BE),
            // JSON begins with two ASCII characters.
            [b'{' | b'[', 0, 1..=255, 0, ..] => return Self::Utf16(UTF_16LE),
            [0, b'{' | b'[', 0, 1..=255, ..] => return Self::Utf16(UTF_16BE),
            _ if is_tar(head) => return Self::Tar,
            _ => {}
        }
        if memchr::memchr(b'\n', head).is_none() && has_cr_lines(head) {
            return Self::CarriageReturns;
        }
        match layout::of(head, is_whole) {
            Text::Lines => Self::Lines,
            Text::Documents(layout) => Self::Documents(layout),
            Text::ApiV2 => Self::Unreadable(API_V2),
        }
    }
}

/// Whether a carriage return separates two lines, rather than ends the only one.
fn has_cr_lines(head: &[u8]) -> bool {
    memchr::memchr(b'\r', head.trim_ascii()).is_some()
}

/// Whether the first record is a header with the right checksum: old archives have no magic bytes.
fn is_tar(head: &[u8]) -> bool {
    let Some(record) = head.first_chunk::<512>() else {
        return false;
    };
    let header = tar::Header::from_byte_slice(record);
    let sum =
        |range: std::ops::Range<usize>| record[range].iter().map(|&b| u32::from(b)).sum::<u32>();
    let blanks = 8 * u32::from(b' ');
    let expected = sum(0..148) + blanks + sum(156..512);
    record[0] != 0 && header.cksum().is_ok_and(|found| found == expected)
}

/// Whether the member `name` of an archive, which begins with `head`, may hold tweets.
pub(super) fn is_member_of_interest(name: &str, head: &[u8], is_whole: bool) -> bool {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    if name.split(['/', '\\']).any(is_hidden) {
        return false;
    }
    if looks_like_tweets(base) {
        return true;
    }
    let lower = base.to_lowercase();
    if [".js", ".html", ".csv", ".txt", ".md"]
        .iter()
        .any(|ending| lower.ends_with(ending))
    {
        return false;
    }
    match Kind::of(head, is_whole) {
        Kind::Lines => head.trim_ascii_start().starts_with(b"{\""),
        Kind::Unreadable(_) => false,
        _ => true,
    }
}

/// The unsupported format that the name of a file suggests.
pub(super) fn unreadable_of_name(name: &str) -> Option<Unreadable> {
    let (_, ending) = name.rsplit_once('.')?;
    let mut known = ENDINGS.iter();
    let (_, format) = known.find(|(known, _)| ending.eq_ignore_ascii_case(known))?;
    Some(Unreadable {
        format,
        way_out: DUCKDB,
    })
}

/// The likely kind of a text that gave no tweet because of `reason`, for the message about it.
pub(crate) fn text_hint(reason: Dropped, start: &[u8]) -> &'static str {
    let text = start.trim_ascii_start();
    if text.is_empty() {
        return "the input is empty";
    }
    if text.starts_with(b"[") {
        return "an empty array, or one of no objects";
    }
    if !text.starts_with(b"{") {
        return "no JSON; tweets as JSON objects are read";
    }
    if reason == Dropped::NoUserId && layout::has_no_user(text) {
        return "a tweet without `user`, as in a Twitter archive; docs/etl.md has the command that puts the account in";
    }
    if reason == Dropped::NotJson {
        return "not valid JSON, or a document around the tweets; lines, arrays, objects behind one another and \
                `statuses` are read: `jq -c '.tweets[]' FILE` takes tweets out of others";
    }
    "docs/protocol/twitter.md section 3 has the rule"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_first_bytes() {
        let mut tar = tar::Header::new_old();
        tar.set_path("a.json").unwrap();
        tar.set_size(3);
        tar.set_cksum();
        let mut flipped = *tar.as_bytes();
        flipped[0] ^= 1;
        let whole = Layout::default();
        for (start, kind) in [
            (&b"BZh91AY&SY"[..], Kind::Compressed),
            (b"\x28\xB5\x2F\xFD\x04", Kind::Compressed),
            (b"\xFD7zXZ\0\0", Kind::Compressed),
            (b"PK\x03\x04\x14", Kind::Zip),
            (b"\xFF\xFE{\0", Kind::Utf16(UTF_16LE)),
            (b"\xFE\xFF\0{", Kind::Utf16(UTF_16BE)),
            (b"{\0\"\0", Kind::Utf16(UTF_16LE)),
            (b"\0[\0{", Kind::Utf16(UTF_16BE)),
            (b"{\0\"id\":1}\n", Kind::Lines),
            (b"\x51\x2A\x4D\x18\x04\0\0\0", Kind::Compressed),
            (tar.as_bytes(), Kind::Tar),
            (&flipped, Kind::Lines),
            (b"{\"id\":1}\r{\"id\":2}\r", Kind::CarriageReturns),
            (b"{\"id\":1}\r", Kind::Lines),
            (b"{\"id\":1}\r\n{}\r\n", Kind::Lines),
            (
                b"[{\"id\":1}]",
                Kind::Documents(Layout {
                    by_line: true,
                    ..whole
                }),
            ),
            (b"", Kind::Lines),
        ] {
            assert_eq!(Kind::of(start, true), kind, "{start:?}");
        }
        for (start, name) in [
            (&b"PAR1\x15"[..], "Parquet"),
            (b"\xFF\xFE\0\0{\0\0\0", "UTF-32"),
            (b"{\"data\":[{\"id\":\"1\"}]}", "API v2"),
        ] {
            let kind = Kind::of(start, true);
            assert!(
                matches!(kind, Kind::Unreadable(found) if found.format == name),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn members_are_taken_by_name_or_content() {
        let json = &b"{\"id\":1}\n"[..];
        for (name, head, expected) in [
            ("2014/04/01.json.bz2", &b""[..], true),
            ("data/tweets.js", b"window", true),
            ("data/tweets-part1.js", b"window", true),
            ("data/tweet-headers.js", b"window.YTD.x = [{", false),
            ("data/account.js", b"window.YTD.x = [{", false),
            ("stream", json, true),
            ("stream", b"BZh91AY&SY", true),
            ("README", b"read me", false),
            ("notes.txt", json, false),
            ("__MACOSX/._a.json", json, false),
            ("x/._a.json", json, false),
            ("x/.part-0.json.crc", json, false),
            ("_temporary/0/part-0.json", json, false),
            ("./x/../a.json", json, true),
            ("a.parquet", b"PAR1", false),
        ] {
            assert_eq!(is_member_of_interest(name, head, true), expected, "{name}");
        }
    }

    #[test]
    fn text_without_a_tweet_gets_a_hint() {
        let archived = &b"{\"full_text\":\"a\",\"created_at\":\"x\"}"[..];
        for (reason, start, hint) in [
            (Dropped::NotJson, &b""[..], "empty"),
            (Dropped::NotJson, b" [\n", "an empty array"),
            (Dropped::NotJson, b"id,text\n", "no JSON"),
            (Dropped::NoUserId, archived, "without `user`"),
            // Only the start of the line is known here.
            (Dropped::NotJson, archived, "not valid JSON"),
            (Dropped::NoTweetId, b"{\"delete\":{}}\n", "section 3"),
        ] {
            assert!(text_hint(reason, start).contains(hint), "{hint}");
        }
    }
}
