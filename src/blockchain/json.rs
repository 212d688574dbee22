//! The strings of a request: spans of the JSON, or decoded into the buffer of unescaped strings.
//!
//! The grammar is [`codec::json`](crate::codec::json)'s; `request` and `transaction` ask it for exactly the
//! values that the schema expects. The caller has checked the text for UTF-8. A string with escapes is
//! decoded into the buffer of unescaped strings. Half a surrogate pair has no UTF-8 form and marks the text.

use super::span::Span;
use crate::codec::json::{Cursor, Piece, RawString, Syntax};

/// Most containers open at once inside an ignored value.
///
/// The reference fails near 990, at its interpreter's limit of recursion; genuine requests nest 5 deep.
pub const DEPTH_MAX: usize = 1024;

/// Reads a member's name and the colon.
pub fn key(cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<Span, Syntax> {
    let key = cursor.key()?;
    Ok(text(key, cursor.text(), unescaped))
}

/// Reads a string, whose opening quote must be the next byte.
#[inline]
pub fn string(cursor: &mut Cursor, unescaped: &mut Vec<u8>) -> Result<Span, Syntax> {
    let string = cursor.string()?;
    Ok(text(string, cursor.text(), unescaped))
}

#[inline]
fn text(string: RawString, json: &[u8], unescaped: &mut Vec<u8>) -> Span {
    if string.escaped {
        decoded(string, json, unescaped)
    } else {
        Span::new(string.start(), string.len())
    }
}

/// Appends the string's value to `unescaped`.
#[cold]
fn decoded(string: RawString, json: &[u8], unescaped: &mut Vec<u8>) -> Span {
    let start = unescaped.len();
    let mut lone_surrogate = false;
    for piece in string.pieces(json) {
        match piece {
            Piece::Plain(bytes) => unescaped.extend_from_slice(bytes),
            Piece::Char(c) => unescaped.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::LoneSurrogate(unit) => {
                // The three bytes that UTF-8 would use if it allowed surrogates, so that different keys
                // stay different.
                unescaped.extend_from_slice(&[
                    0xe0 | (unit >> 12) as u8,
                    0x80 | (unit >> 6 & 0x3f) as u8,
                    0x80 | (unit & 0x3f) as u8,
                ]);
                lone_surrogate = true;
            }
        }
    }
    let text = Span::at_end_of(unescaped, start);
    if lone_surrogate {
        text.marked_lone_surrogate()
    } else {
        text
    }
}
