//! Query strings: `name=value` pairs joined by `&`, percent-encoded.
//!
//! Nothing is allocated, values are decoded only on request, and every byte is read a fixed number of
//! times. `;` is not a separator, and names are compared as they are sent.

use super::hex;
use memchr::{memchr, memchr2};

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
    pieces(query).map(|piece| split_at_byte(piece, b'='))
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
pub fn percent_decode(raw: &[u8], plus: Plus, out: &mut Vec<u8>) {
    out.reserve(raw.len());
    let mut rest = raw;
    loop {
        let special = match plus {
            Plus::Space => memchr2(b'%', b'+', rest),
            Plus::Literal => memchr(b'%', rest),
        };
        let (run, tail) = rest.split_at(special.unwrap_or(rest.len()));
        out.extend_from_slice(run);
        let (byte, tail) = match tail {
            [] => return,
            [b'%', high, low, tail @ ..] => match (hex::digit(*high), hex::digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => (b'%', &rest[run.len() + 1..]),
            },
            [b'+', tail @ ..] => (b' ', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

/// The parts of `query` between `&`, without empty ones.
fn pieces(query: &[u8]) -> impl Iterator<Item = &[u8]> {
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
    match memchr(byte, text) {
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
