//! Strings from JSON to records: decoding, repairing, escaping, lower-casing.
//!
//! A record (see [`records`](super::records)) is one line with fields between tabs, so inside a field
//! backslash, tab, newline and carriage return are written `\\`, `\t`, `\n` and `\r`. Damage is
//! repaired here, once, in the strings that are used: half a surrogate pair becomes the character that the
//! caller names ([`super::compat`]), and each maximal run of bytes that is not UTF-8 becomes U+FFFD
//! (`docs/protocol/twitter.md` section 2, rules 1 and 3).

use crate::codec::json::{Piece, RawString};
use memchr::memchr;
use std::{borrow::Cow, cmp::Ordering};

/// Appends the value of a JSON string as a record field, with `lone` for each half of a surrogate pair.
pub(crate) fn push_json_string(out: &mut Vec<u8>, string: RawString, text: &[u8], lone: char) {
    if !string.escaped {
        // A JSON string holds no unescaped tab or newline, so it is already a field.
        return push_lossy(out, string.of(text));
    }
    for piece in string.pieces(text) {
        match piece {
            Piece::Plain(bytes) => push_lossy(out, bytes),
            Piece::Char(c) if c.is_ascii() => push_byte(out, c as u8),
            Piece::Char(c) => push_char(out, c),
            Piece::LoneSurrogate(_) => push_char(out, lone),
        }
    }
}

/// Appends a string as a record field.
pub fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        push_byte(out, byte);
    }
}

/// The string that a record field stands for. A backslash that starts no escape stands for itself.
pub fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', field).is_none() {
        return Cow::Borrowed(field);
    }
    Cow::Owned(unescaped_bytes(field).collect())
}

/// Compares the unescaped strings of two record fields by bytes.
pub fn compare_unescaped(a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    unescaped_bytes(a).cmp(unescaped_bytes(b))
}

/// Appends a record field holding the lower-cased string of the record field `field`: the full
/// Unicode mapping without a locale (`docs/protocol/twitter.md` section 4).
pub fn push_lower(out: &mut Vec<u8>, field: &[u8]) {
    if field.is_ascii() && memchr(b'\\', field).is_none() {
        let start = out.len();
        out.extend_from_slice(field);
        out[start..].make_ascii_lowercase();
        return;
    }
    push_escaped(
        out,
        String::from_utf8_lossy(&unescape(field))
            .to_lowercase()
            .as_bytes(),
    );
}

fn unescaped_bytes(field: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut bytes = field.iter().copied().peekable();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte != b'\\' {
            return Some(byte);
        }
        let plain = match bytes.peek() {
            Some(b'\\') => b'\\',
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            _ => return Some(byte),
        };
        bytes.next();
        Some(plain)
    })
}

/// Appends bytes that need no escape but may not be UTF-8.
fn push_lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(_) => out.extend_from_slice(bytes),
        Err(_) => out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()),
    }
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_byte(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json::Cursor;
    use proptest::prelude::*;

    /// The field of the JSON string whose inside is `inside`.
    fn field(inside: impl AsRef<[u8]>) -> Vec<u8> {
        let json = [b"\"", inside.as_ref(), b"\""].concat();
        let string = Cursor::new(&json).string().unwrap();
        let mut out = Vec::new();
        push_json_string(&mut out, string, &json, char::REPLACEMENT_CHARACTER);
        out
    }

    proptest! {
        #[test]
        fn json_strings_become_the_fields_of_their_text(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let mut expected = Vec::new();
            push_escaped(&mut expected, text.as_bytes());
            prop_assert_eq!(field(&json[1..json.len() - 1]), expected.clone());
            prop_assert!(memchr::memchr3(b'\t', b'\n', b'\r', &expected).is_none());
            prop_assert_eq!(unescape(&expected).into_owned(), text.into_bytes());
        }

        #[test]
        fn utf16_escapes_decode_as_pairs_and_replacements(units in prop::collection::vec(
            prop_oneof![any::<u16>(), 0xD7F0u16..0xE010], 0..12))
        {
            let json: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            let expected = String::from_utf16_lossy(&units);
            prop_assert_eq!(unescape(&field(&json)).into_owned(), expected.into_bytes());
        }

        #[test]
        fn fields_compare_like_their_strings(a in "[\\\\a\t\n\r~]{0,4}", b in "[\\\\a\t\n\r~]{0,4}") {
            let escaped = |text: &str| {
                let mut out = Vec::new();
                push_escaped(&mut out, text.as_bytes());
                out
            };
            prop_assert_eq!(compare_unescaped(&escaped(&a), &escaped(&b)), a.cmp(&b));
        }

        #[test]
        fn lower_casing_is_the_full_mapping(text in any::<String>()) {
            let (mut escaped, mut lower) = (Vec::new(), Vec::new());
            push_escaped(&mut escaped, text.as_bytes());
            push_lower(&mut lower, &escaped);
            prop_assert_eq!(unescape(&lower).into_owned(), text.to_lowercase().into_bytes());
        }
    }

    #[test]
    fn lone_halves_and_broken_bytes_are_replaced() {
        assert_eq!(field("a\\ud83dz\\udc00"), "a\u{FFFD}z\u{FFFD}".as_bytes());
        assert_eq!(
            field("\\ud83d\\ud83d\\ude00"),
            "\u{FFFD}\u{1F600}".as_bytes()
        );
        assert_eq!(field("\\ud83d\\n"), "\u{FFFD}\\n".as_bytes());
        assert_eq!(
            field(b"x\xE2\x82y\xED\xA0\xBD\xC3"),
            "x\u{FFFD}y\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}".as_bytes()
        );
    }

    #[test]
    fn special_casing_is_kept() {
        for (tag, lower) in [
            ("İSTANBUL", "i\u{307}stanbul"),
            ("ΟΔΟΣ", "οδος"),
            ("\u{212a}", "k"),
        ] {
            let mut out = Vec::new();
            push_lower(&mut out, tag.as_bytes());
            assert_eq!(out, lower.as_bytes());
        }
    }
}
