//! Byte classes of the HTTP grammar and searches for the first byte outside one.
//!
//! The long searches test sixteen bytes or more at a time.

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
    first_stop::<AfterTarget>(bytes)
}

/// Index of the first byte that cannot stand in the path of a target: those of [`target_end`], and `?`.
#[inline]
pub fn path_end(bytes: &[u8]) -> usize {
    first_stop::<AfterPath>(bytes)
}

/// Index of the first byte that cannot stand in a field value.
#[inline]
pub fn field_value_end(bytes: &[u8]) -> usize {
    first_stop::<AfterFieldValue>(bytes)
}

/// A set of bytes at which a search stops.
trait Stops {
    /// All bytes up to this one,
    const UP_TO: u8;
    /// but not these,
    const BUT: &[u8];
    /// and these.
    const AND: &[u8];

    #[inline(always)]
    fn has(b: u8) -> bool {
        // Without a branch: the compiler makes vector comparisons of a loop over this.
        let one_of = |set: &[u8]| set.iter().fold(false, |any, &one| any | (b == one));
        ((b <= Self::UP_TO) & !one_of(Self::BUT)) | one_of(Self::AND)
    }
}

struct AfterTarget;

impl Stops for AfterTarget {
    const UP_TO: u8 = b' ';
    const BUT: &[u8] = b"";
    const AND: &[u8] = b"\x7f#";
}

struct AfterPath;

impl Stops for AfterPath {
    const UP_TO: u8 = b' ';
    const BUT: &[u8] = b"";
    const AND: &[u8] = b"\x7f#?";
}

struct AfterFieldValue;

impl Stops for AfterFieldValue {
    const UP_TO: u8 = 0x1f;
    const BUT: &[u8] = b"\t";
    const AND: &[u8] = b"\x7f";
}

/// Index of the first byte that stops, or the length.
#[inline(always)]
fn first_stop<S: Stops>(bytes: &[u8]) -> usize {
    // Most paths and values are short: one chunk in line, before the loops.
    if let Some(at) = bytes.first_chunk().and_then(sixteen::first_stop::<S>) {
        return at;
    }
    later_stop::<S>(bytes)
}

/// As [`first_stop`]: 64 bytes at a time while nothing stops, then sixteen to find the place.
#[inline(never)]
fn later_stop<S: Stops>(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<64>();
    let clear = |block: &&[u8; 64]| !block.iter().fold(false, |any, &b| any | S::has(b));
    let start = blocks.iter().take_while(clear).count() * 64;
    let (chunks, tail) = bytes[start..].as_chunks();
    for (index, chunk) in chunks.iter().enumerate() {
        if let Some(at) = sixteen::first_stop::<S>(chunk) {
            return start + index * 16 + at;
        }
    }
    let at = tail.iter().position(|&b| S::has(b));
    bytes.len() - tail.len() + at.unwrap_or(tail.len())
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // the compiler makes 150 instructions of this search; spelt out, a /twitter request has 340 fewer
mod sixteen {
    use super::Stops;
    use std::arch::x86_64::*;

    /// Index of the first byte of `chunk` that stops.
    #[inline(always)]
    pub(super) fn first_stop<S: Stops>(chunk: &[u8; 16]) -> Option<usize> {
        // SAFETY: every x86-64 processor has SSE2.
        let marks = unsafe { marks::<S>(chunk) };
        (marks != 0).then(|| marks.trailing_zeros() as usize)
    }

    /// A bit for each byte that stops.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn marks<S: Stops>(chunk: &[u8; 16]) -> u32 {
        let both = u128::from_le_bytes(*chunk).cast_signed();
        let bytes = _mm_set_epi64x((both >> 64) as i64, both as i64);
        let are = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        let up_to = _mm_set1_epi8(S::UP_TO.cast_signed());
        let mut marks = _mm_cmpeq_epi8(_mm_min_epu8(bytes, up_to), bytes);
        for &byte in S::BUT {
            marks = _mm_andnot_si128(are(byte), marks);
        }
        for &byte in S::AND {
            marks = _mm_or_si128(marks, are(byte));
        }
        _mm_movemask_epi8(marks).cast_unsigned()
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod sixteen {
    use super::Stops;

    /// Index of the first byte of `chunk` that stops.
    #[inline]
    pub(super) fn first_stop<S: Stops>(chunk: &[u8; 16]) -> Option<usize> {
        let marks = u128::from_le_bytes(chunk.map(|b| u8::from(S::has(b))));
        (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
    }
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
