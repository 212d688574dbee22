//! Recognises an input that is not lines of JSON by its first bytes.

/// The UTF-8 byte order mark at the start of a file; Windows programs write it.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Offset of the magic of a tar archive.
const TAR_MAGIC_AT: usize = 257;

/// A format that is not lines of JSON, and how to convert it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Its name.
    pub(super) format: &'static str,
    /// How to convert it to lines.
    pub(super) way_out: &'static str,
}

const TWICE: &str = "compressed twice";
const DECOMPRESS_ONCE: &str = "decompress it once";

/// First bytes after decompression, the format's name, and how to convert it.
const MAGICS: [(&[u8], &str, &str); 8] = [
    (b"BZh", TWICE, DECOMPRESS_ONCE),
    (b"\x28\xB5\x2F\xFD", TWICE, DECOMPRESS_ONCE),
    (b"\xFD7zXZ\0", TWICE, DECOMPRESS_ONCE),
    (b"\x1F\x8B", TWICE, DECOMPRESS_ONCE),
    (
        b"PK\x03\x04",
        "zip",
        "unzip -p FILE | trident etl --input -",
    ),
    (
        b"PAR1",
        "Parquet",
        "write JSON lines from the table, for instance with DuckDB's COPY … TO 'tweets.json'",
    ),
    (
        b"\xFF\xFE",
        "UTF-16",
        "iconv -f UTF-16 -t UTF-8 FILE | trident etl --input -",
    ),
    (
        b"\xFE\xFF",
        "UTF-16",
        "iconv -f UTF-16 -t UTF-8 FILE | trident etl --input -",
    ),
];

/// The format that begins with `start`; `None` if the input may be lines of JSON.
pub(super) fn unreadable(start: &[u8]) -> Option<Unreadable> {
    let is_tar = start
        .get(TAR_MAGIC_AT..)
        .is_some_and(|rest| rest.starts_with(b"ustar"));
    if is_tar {
        return Some(Unreadable {
            format: "tar",
            way_out: "tar -xOf FILE | trident etl --input -",
        });
    }
    MAGICS
        .iter()
        .find(|(magic, ..)| start.starts_with(magic))
        .map(|&(_, format, way_out)| Unreadable { format, way_out })
}

/// What a text without a tweet seems to be, for the error message.
pub(crate) fn text_hint(start: &[u8]) -> &'static str {
    let text = start.trim_ascii_start();
    if text.is_empty() {
        return "the input is empty";
    }
    if text.starts_with(b"window.YTD") {
        return "a file of a Twitter archive; take its array after `=`: \
                sed '1s/^[^=]*=//' FILE | jq -c '.[].tweet'";
    }
    if text.starts_with(b"[") {
        return "a JSON array; write one object per line: jq -c '.[]' FILE";
    }
    if text.starts_with(b"{\"statuses\"") {
        return "an answer of the search API; write one object per line: jq -c '.statuses[]' FILE";
    }
    if text.starts_with(b"{\"data\"") {
        return "API v2, which lacks what the rules need; API v1.1 objects are read";
    }
    if text.starts_with(b"{\n") || text.starts_with(b"{\r") {
        return "JSON over several lines; write one object per line: jq -c . FILE";
    }
    if !text.starts_with(b"{") {
        return "no JSON; one tweet as a JSON object per line is read";
    }
    "JSON; see the reasons above and docs/protocol/twitter.md section 3"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_first_bytes() {
        let mut tar = vec![b'a'; 512];
        tar[TAR_MAGIC_AT..TAR_MAGIC_AT + 6].copy_from_slice(b"ustar\0");
        for (start, format) in [
            (&b"BZh91AY&SY"[..], Some(TWICE)),
            (b"\x28\xB5\x2F\xFD\x04", Some(TWICE)),
            (b"\xFD7zXZ\0\0", Some(TWICE)),
            (b"PK\x03\x04\x14", Some("zip")),
            (b"PAR1\x15", Some("Parquet")),
            (b"\xFF\xFE{\0", Some("UTF-16")),
            (b"\xFE\xFF\0{", Some("UTF-16")),
            (&tar, Some("tar")),
            (b"{\"id\":1}\n", None),
            (b"[1]\n{\"id\":1}\n", None),
            (b"", None),
        ] {
            assert_eq!(unreadable(start).map(|found| found.format), format);
        }
    }

    #[test]
    fn text_without_a_tweet_gets_a_hint() {
        for (start, hint) in [
            (&b""[..], "empty"),
            (b"window.YTD.tweet.part0 = [ {", "Twitter archive"),
            (b" [\n{", "JSON array"),
            (b"{\"statuses\":[", "search API"),
            (b"{\"data\":{", "API v2"),
            (b"{\r\n  \"id\"", "several lines"),
            (b"id,text\n", "no JSON"),
            (b"{\"delete\":{}}\n", "reasons above"),
        ] {
            assert!(text_hint(start).contains(hint), "{hint}");
        }
    }
}
