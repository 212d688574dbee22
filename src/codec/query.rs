//! Query strings: `name=value` pairs joined by `&`, percent-encoded.

use super::hex;

/// What a `+` stands for in a percent-encoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// A space, as HTML forms write it.
    Space,
    /// Itself: base64's standard alphabet sent without escaping.
    Literal,
}

/// The raw pairs of `query` in order; a piece without `=` has an empty value.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query
        .split(|&b| b == b'&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match memchr::memchr(b'=', piece) {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (piece, &[][..]),
        })
}

/// The raw value of the first pair whose name is exactly `name`.
pub fn first<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    pairs(query)
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value)
}

/// Appends the decoded bytes of `raw` to `out`. A `%` without two hex digits stays as it is.
pub fn percent_decode(raw: &[u8], plus: Plus, out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'%' => match (
                tail.first().copied().and_then(hex::digit),
                tail.get(1).copied().and_then(hex::digit),
            ) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = &tail[2..];
                }
                _ => out.push(b'%'),
            },
            b'+' if plus == Plus::Space => out.push(b' '),
            _ => out.push(b),
        }
    }
}
