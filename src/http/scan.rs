//! Byte classes of the HTTP grammar and searches for the first byte outside one.
//!
//! The long searches test sixteen bytes or more at a time, in safe code.

const fn table(visible: &[u8], alphanumeric: bool) -> [bool; 256] {
    let mut set = [false; 256];
    let mut b = 0;
    while b < 256 {
        if alphanumeric && (b as u8).is_ascii_alphanumeric() {
            set[b] = true;
        }
        b += 1;
    }
    let mut i = 0;
    while i < visible.len() {
        set[visible[i] as usize] = true;
        i += 1;
    }
    set
}

/// `tchar` of RFC 9110 §5.6.2.
static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~", true);

/// `reg-name` without its percent sign (RFC 3986 §3.2.2): unreserved and sub-delims.
static REG_NAME: [bool; 256] = table(b"-._~!$&'()*+,;=", true);

/// Whether `b` may stand in a token.
pub fn is_token(b: u8) -> bool {
    TOKEN[usize::from(b)]
}

/// Whether `b` may stand in a registered host name (percent signs are handled by the caller).
pub fn is_reg_name(b: u8) -> bool {
    REG_NAME[usize::from(b)]
}

/// Whether `b` may stand inside a field value: HTAB, SP, visible and obs-text bytes (RFC 9110 §5.5).
pub fn is_field_value(b: u8) -> bool {
    (b >= 0x20 && b != 0x7f) || b == b'\t'
}

/// Index of the first byte of `bytes` that is not a token byte.
pub fn token_end(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&b| !is_token(b))
        .unwrap_or(bytes.len())
}

/// Index of the first byte that cannot stand in a request target: controls, space, DEL and `#`.
///
/// Bytes from 0x80 up are accepted although RFC 3986 forbids them: clients do send raw UTF-8 in queries,
/// and the endpoints define its meaning.
#[inline]
pub fn target_end(bytes: &[u8]) -> usize {
    first_stop(bytes, |b| (b <= b' ') | (b == 0x7f) | (b == b'#'))
}

/// Index of the first byte that cannot stand in the path of a target: those of [`target_end`], and `?`.
#[inline]
pub fn path_end(bytes: &[u8]) -> usize {
    first_stop(bytes, |b| {
        (b <= b' ') | (b == 0x7f) | (b == b'#') | (b == b'?')
    })
}

/// Index of the first byte that cannot stand in a field value.
pub fn field_value_end(bytes: &[u8]) -> usize {
    first_stop(bytes, |b| ((b < b' ') & (b != b'\t')) | (b == 0x7f))
}

/// Index of the first byte that `stops`, or the length.
///
/// The compiler turns the chunk loops into vector comparisons: 64 bytes at a time while nothing stops, then
/// sixteen to find the place. `stops` must not branch, hence `|` and `&` above.
#[inline(always)]
fn first_stop(bytes: &[u8], stops: impl Fn(u8) -> bool) -> usize {
    // Most paths and values are short: one chunk in line, before the large blocks.
    if let Some(first) = bytes.first_chunk()
        && let found @ 1.. = flags(first, &stops)
    {
        return found.trailing_zeros() as usize / 8;
    }
    later_stop(bytes, &stops)
}

/// A byte of value 1 for each that `stops`.
#[inline(always)]
fn flags(chunk: &[u8; 16], stops: impl Fn(u8) -> bool) -> u128 {
    u128::from_le_bytes(chunk.map(|b| u8::from(stops(b))))
}

/// As [`first_stop`].
#[inline(never)]
fn later_stop(bytes: &[u8], stops: impl Fn(u8) -> bool) -> usize {
    let (blocks, _) = bytes.as_chunks::<64>();
    let clear = |block: &&[u8; 64]| block.iter().fold(0, |any, &b| any | u8::from(stops(b))) == 0;
    let start = blocks.iter().take_while(clear).count() * 64;
    let (chunks, tail) = bytes[start..].as_chunks::<16>();
    for (index, chunk) in chunks.iter().enumerate() {
        if let found @ 1.. = flags(chunk, &stops) {
            return start + index * 16 + found.trailing_zeros() as usize / 8;
        }
    }
    let inside = tail.iter().position(|&b| stops(b)).unwrap_or(tail.len());
    bytes.len() - tail.len() + inside
}

/// `value` without the SP and HTAB at both ends (OWS, RFC 9110 §5.6.3).
pub fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of a comma-separated list, trimmed, without empty ones (RFC 9110 §5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(trim_ows)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_searches_agree_with_the_plain_ones() {
        for len in 0..150usize {
            for bad in [0u8, 9, 10, 13, 31, 32, 35, 63, 127, 128, 255] {
                for at in 0..len {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = bad;
                    let target = bytes
                        .iter()
                        .position(|&b| b <= 32 || b == 127 || b == b'#')
                        .unwrap_or(len);
                    assert_eq!(target_end(&bytes), target);
                    let path = bytes
                        .iter()
                        .position(|&b| b == b'?')
                        .unwrap_or(len)
                        .min(target);
                    assert_eq!(path_end(&bytes), path);
                    let value = bytes
                        .iter()
                        .position(|&b| !is_field_value(b))
                        .unwrap_or(len);
                    assert_eq!(field_value_end(&bytes), value);
                }
            }
        }
    }

    #[test]
    fn tokens_are_the_rfc_s() {
        let want = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for b in 0..=255u8 {
            assert_eq!(is_token(b), want.contains(&b), "{b:#x}");
        }
    }

    #[test]
    fn lists_skip_empty_elements() {
        let got: Vec<&[u8]> = list(b" ,, close , \tkeep-alive").collect();
        assert_eq!(got, [&b"close"[..], b"keep-alive"]);
    }
}
