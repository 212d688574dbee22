//! Eight bytes at a time as one `u64`, the first in the lowest byte.

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// The first eight bytes of `text`, or all of a shorter one with zeros after them.
#[inline]
pub fn load(text: &[u8]) -> u64 {
    if let Some(eight) = text.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let shift = 8 * (text.len() as u32 - 4);
        return u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)) << shift;
    }
    // One, two or three bytes: the first, the middle and the last are all of them.
    let byte = |at: usize| text.get(at).map_or(0, |byte| u64::from(*byte) << (8 * at));
    byte(0) | byte(text.len() / 2) | byte(text.len().saturating_sub(1))
}

/// The highest bit of each byte that is `byte`; above the first of them other bits may be set.
#[inline]
pub fn marks(word: u64, byte: u8) -> u64 {
    let other = word ^ (ONES * u64::from(byte));
    other.wrapping_sub(ONES) & !other & (ONES << 7)
}

/// The number of bytes before the first one of [`marks`]; 8 without one.
#[inline]
pub fn before(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_have_zeros_after_them() {
        let text = b"abcdefghij";
        for len in 0..=text.len() {
            let mut want = [0; 8];
            let known = len.min(8);
            want[..known].copy_from_slice(&text[..known]);
            assert_eq!(load(&text[..len]), u64::from_le_bytes(want), "{len}");
        }
    }

    #[test]
    fn the_first_byte_of_its_kind_is_found() {
        for byte in 1..=255u8 {
            for other in [0, byte - 1, byte.wrapping_add(1), byte ^ 0x80] {
                for at in 0..8 {
                    let mut text = [other; 8];
                    text[at] = byte;
                    assert_eq!(before(marks(load(&text), byte)), at);
                }
                assert_eq!(before(marks(load(&[other; 8]), byte)), 8);
            }
        }
    }
}
