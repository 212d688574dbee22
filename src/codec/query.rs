//! Query strings: `name=value` pairs joined by `&`, percent-encoded.
//!
//! Nothing is allocated, values are decoded only on request, and every byte is read a fixed number of
//! times. Names and values are short, so they are searched in line, eight bytes at a time: a call would cost more.
//! `;` is not a separator, and names are compared as they are sent.

use super::{hex, word};
use memchr::memchr;

const WORD_BYTES: usize = size_of::<u64>();

/// The meaning of `+` in percent-encoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// A space, as HTML forms write it.
    Space,
    /// Itself: base64's standard alphabet sent without escaping.
    Literal,
}

/// The raw pairs of `query` in order; a piece without `=` has an empty value, empty pieces are
/// skipped.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pieces(query).map(pair)
}

/// The name and the value of a piece; without `=` the value is empty.
pub fn pair(piece: &[u8]) -> (&[u8], &[u8]) {
    split_at_byte(piece, b'=')
}

/// The raw value of the first pair whose name is exactly `name`.
pub fn first<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    pieces(query).find_map(|piece| match piece.strip_prefix(name)?.split_first() {
        None => Some(&[][..]),
        Some((b'=', value)) => Some(value),
        Some(_) => None,
    })
}

/// Appends the decoded bytes of `raw` to `out`. A `%` without two hex digits stays as it is.
///
/// Values are short and their escapes come in runs, so nothing here searches ahead.
pub fn percent_decode(raw: &[u8], plus: Plus, out: &mut Vec<u8>) {
    let start = out.len();
    // Decoded bytes are never more, and the last of them are written as a whole word.
    out.resize(start + raw.len() + WORD_BYTES, 0);
    let room = &mut out[start..];
    let mut end = 0;
    let mut rest = raw;
    while !rest.is_empty()
        && let Some(place) = room.get_mut(end..end + WORD_BYTES)
    {
        // Copies eight bytes, and keeps those before the first special one.
        let word = word::load(rest);
        place.copy_from_slice(&word.to_le_bytes());
        let plain = plain_bytes(word, plus).min(rest.len());
        end += plain;
        rest = &rest[plain..];
        if plain == WORD_BYTES {
            continue;
        }
        while let [b'%', high, low, tail @ ..] = rest
            && let Some(byte) = hex::byte(*high, *low)
            && let Some(place) = room.get_mut(end)
        {
            *place = byte;
            end += 1;
            rest = tail;
        }
        if let ([byte @ (b'%' | b'+'), tail @ ..], Some(place)) = (rest, room.get_mut(end)) {
            *place = match byte {
                b'+' if plus == Plus::Space => b' ',
                byte => *byte,
            };
            end += 1;
            rest = tail;
        }
    }
    out.truncate(start + end);
}

/// How many bytes of `word` come before the first that is not its own decoded form.
#[inline]
fn plain_bytes(word: u64, plus: Plus) -> usize {
    word::before(match plus {
        Plus::Space => word::marks(word, b'%') | word::marks(word, b'+'),
        Plus::Literal => word::marks(word, b'%'),
    })
}

/// Where `byte` is in `text`; not for a zero. Names and values are short: the first bytes are searched in line.
#[inline]
fn find(byte: u8, text: &[u8]) -> Option<usize> {
    const IN_LINE: usize = 4;
    let (chunks, tail) = text.as_chunks::<WORD_BYTES>();
    for (index, chunk) in chunks.iter().take(IN_LINE).enumerate() {
        let found = word::marks(u64::from_le_bytes(*chunk), byte);
        if found != 0 {
            return Some(WORD_BYTES * index + word::before(found));
        }
    }
    if chunks.len() > IN_LINE {
        let searched = WORD_BYTES * IN_LINE;
        return Some(searched + memchr(byte, text.get(searched..)?)?);
    }
    let found = word::marks(word::load(tail), byte);
    (found != 0).then(|| WORD_BYTES * chunks.len() + word::before(found))
}

/// The parts of `query` between `&`, without empty ones.
pub fn pieces(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = query;
    std::iter::from_fn(move || {
        while let [b'&', tail @ ..] = rest {
            rest = tail;
        }
        let (piece, tail) = split_at_byte(rest, b'&');
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The parts before and after the first `byte`; without one the whole text and nothing.
fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    match find(byte, text) {
        Some(at) => (
            text.get(..at).unwrap_or(text),
            text.get(at + 1..).unwrap_or(&[]),
        ),
        None => (text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(raw: &[u8], plus: Plus) -> Vec<u8> {
        let mut out = b"kept".to_vec();
        percent_decode(raw, plus, &mut out);
        out.split_off(4)
    }

    fn decoded_slowly(raw: &[u8], plus: Plus) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < raw.len() {
            let digits = raw
                .get(at + 1..at + 3)
                .and_then(|two| Some((hex::digit(two[0])?, hex::digit(two[1])?)));
            match (raw[at], digits) {
                (b'%', Some((high, low))) => {
                    out.push(high * 16 + low);
                    at += 2;
                }
                (b'+', _) if plus == Plus::Space => out.push(b' '),
                (byte, _) => out.push(byte),
            }
            at += 1;
        }
        out
    }

    fn pairs_slowly(query: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        query
            .split(|&byte| byte == b'&')
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let mut parts = piece.splitn(2, |&byte| byte == b'=');
                (
                    parts.next().unwrap().to_vec(),
                    parts.next().unwrap_or(&[]).to_vec(),
                )
            })
            .collect()
    }

    fn check_pairs(query: &[u8]) {
        let expected = pairs_slowly(query);
        let found: Vec<_> = pairs(query)
            .map(|(n, v)| (n.to_vec(), v.to_vec()))
            .collect();
        assert_eq!(found, expected, "{query:?}");
        for name in [&b""[..], b"a", b"cc", b"c"] {
            let expected = expected
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| &v[..]);
            assert_eq!(first(query, name), expected, "{query:?}");
        }
    }

    #[test]
    fn pieces_of_every_shape() {
        for query in [
            "",
            "&",
            "&&a=1",
            "a",
            "a=",
            "=a",
            "=",
            "a=1&a=2",
            "cc=x=y&c=1",
            "c=1&cc",
            "ccc=1&cc=2",
            "a=1&",
        ] {
            check_pairs(query.as_bytes());
        }
        assert_eq!(first(b"x=1&cc=eJw=&y", b"cc"), Some(&b"eJw="[..]));
    }

    #[test]
    fn every_pair_of_bytes_after_a_percent_sign() {
        for high in 0..=255u8 {
            for low in 0..=255u8 {
                let raw = [b'a', b'%', high, low, b'z'];
                for plus in [Plus::Space, Plus::Literal] {
                    assert_eq!(decoded(&raw, plus), decoded_slowly(&raw, plus), "{raw:?}");
                }
            }
        }
    }

    #[test]
    fn percent_signs_at_the_end_stay() {
        for raw in ["%", "%4", "a%", "%%", "%%41", "%4%41", "%zz", "+%2B+"] {
            for plus in [Plus::Space, Plus::Literal] {
                let raw = raw.as_bytes();
                assert_eq!(decoded(raw, plus), decoded_slowly(raw, plus), "{raw:?}");
            }
        }
        assert_eq!(decoded(b"a+b%2Bc%3D", Plus::Space), b"a b+c=");
        assert_eq!(decoded(b"a+b%2bc%3d", Plus::Literal), b"a+b+c=");
    }

    proptest! {
        #[test]
        fn any_query(query in "[ac=&%]{0,40}") {
            check_pairs(query.as_bytes());
        }

        #[test]
        fn any_escapes(raw in "[0-9a-fG%+]{0,60}") {
            for plus in [Plus::Space, Plus::Literal] {
                prop_assert_eq!(decoded(raw.as_bytes(), plus), decoded_slowly(raw.as_bytes(), plus));
            }
        }
    }
}
