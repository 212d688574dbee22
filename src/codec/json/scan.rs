//! Scans ASCII text eight bytes at a time in ordinary registers.
//!
//! [`Cursor`](super::Cursor) and the readers of `/blockchain` call these on numbers and short strings, where a vector search costs more to start
//! than it saves. Nothing here knows JSON's grammar.

/// `byte` in all eight places.
const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The top bit of each byte of `word` that is a quote, a backslash or below 0x20. Exact up to the lowest
/// bit set; a borrow may set further bits above it.
#[inline]
pub fn special_bytes(word: u64) -> u64 {
    let quote = word ^ repeat(b'"');
    let backslash = word ^ repeat(b'\\');
    let quotes = quote.wrapping_sub(repeat(1)) & !quote;
    let backslashes = backslash.wrapping_sub(repeat(1)) & !backslash;
    let controls = word.wrapping_sub(repeat(b' ')) & !word;
    (quotes | backslashes | controls) & repeat(0x80)
}

/// Whether all eight bytes are plain string content.
#[inline]
pub fn is_plain(word: u64) -> bool {
    special_bytes(word) == 0
}

/// Value and count of the ASCII digits at the start of `text`. Reads at most 24; the value is right for up
/// to 19.
///
/// A chunk of eight digits is a branch, nearly always predicted; only the digits after it are counted by
/// arithmetic, because everything after the number waits for the count.
#[inline]
pub fn leading_digits(text: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    for count in [0, 8, 16] {
        let Some(chunk) = text.get(count..).and_then(|rest| rest.first_chunk()) else {
            return leading_digits_near_end(text);
        };
        let digits = u64::from_le_bytes(*chunk) ^ repeat(b'0');
        // A byte above 9 has a bit in its high nibble now or after adding 6. Carries reach only higher
        // bytes, and only the first such byte matters.
        let others = (digits | digits.wrapping_add(repeat(6))) & repeat(0xf0);
        if others != 0 {
            let (part, part_count) = fewer_than_eight(digits, others);
            return (
                value
                    .wrapping_mul(power_of_ten(part_count))
                    .wrapping_add(part),
                count + part_count,
            );
        }
        value = value
            .wrapping_mul(100_000_000)
            .wrapping_add(eight_digits(digits));
    }
    (value, 24)
}

#[cold]
fn leading_digits_near_end(text: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    let mut count = 0;
    for byte in text
        .iter()
        .take(24)
        .take_while(|byte| byte.is_ascii_digit())
    {
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        count += 1;
    }
    (value, count)
}

/// Value and count of the digits before the first byte marked in `others`, without a branch per digit:
/// amounts and signatures vary in length, so a loop would mispredict once per number.
#[inline]
fn fewer_than_eight(digits: u64, others: u64) -> (u64, usize) {
    let bits = others.trailing_zeros() & !7;
    // Moves the digits to the top; the zeros before them do not change the value.
    let top = digits.checked_shl(64 - bits).unwrap_or(0);
    (eight_digits(top), bits as usize / 8)
}

/// The value of eight digits, one per byte, the first one lowest.
#[inline]
fn eight_digits(digits: u64) -> u64 {
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

#[inline]
fn power_of_ten(exponent: usize) -> u64 {
    const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    POWERS[exponent % POWERS.len()]
}

/// The bytes of a key as [`Cursor::word`](super::Cursor::word) returns them, followed by zeros.
pub const fn key_word<const N: usize>(key: &[u8; N]) -> u64 {
    let mut bytes = [0; 8];
    let mut at = 0;
    while at < N {
        bytes[at] = key[at];
        at += 1;
    }
    u64::from_le_bytes(bytes)
}

/// `word` with all but its first `bytes` bytes zeroed.
#[inline]
pub const fn first_bytes(word: u64, bytes: u32) -> u64 {
    word & u64::MAX >> (64 - 8 * bytes)
}

/// The value of eight hex digits of either case; unspecified for other bytes.
#[inline]
pub fn hex_value(digits: [u8; 8]) -> u32 {
    let word = u64::from_be_bytes(digits);
    // Letters have bit 6 set and count from 1; their value is 9 more than their low nibble.
    let letters = word >> 6 & repeat(1);
    let nibbles = ((word & repeat(0x0f)) + letters * 9) & repeat(0x0f);
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let halves = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    (halves | halves >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_stop_where_they_end() {
        for text in [
            "",
            "x",
            "0",
            "7,",
            "12345678",
            "123456789",
            "1234567890123456789}",
            "00012x34567",
        ] {
            let count = text.bytes().take_while(u8::is_ascii_digit).count();
            let value = text[..count].parse().unwrap_or(0);
            assert_eq!(leading_digits(text.as_bytes()), (value, count), "{text}");
            let padded = format!("{text}, and more text behind it");
            let count = padded.bytes().take_while(u8::is_ascii_digit).count();
            assert_eq!(
                leading_digits(padded.as_bytes()),
                (value, count),
                "{padded}"
            );
        }
        assert_eq!(leading_digits(&[b'9'; 40]).1, 24);
    }

    #[test]
    fn keys_as_words() {
        let text = u64::from_le_bytes(*b"hash\":\"0");
        assert_eq!(first_bytes(text, 4), key_word(b"hash"));
        assert_eq!(text, key_word(b"hash\":\"0"));
        assert_eq!(key_word(b""), 0);
    }

    proptest! {
        #[test]
        fn digits_are_those_of_parse(value: u64, tail in prop::collection::vec(any::<u8>(), 0..20)) {
            let value = value % 10_000_000_000_000_000_000;
            let mut text = value.to_string().into_bytes();
            text.push(b'x');
            text.extend_from_slice(&tail);
            prop_assert_eq!(leading_digits(&text), (value, value.to_string().len()));
        }

        #[test]
        fn hex_is_that_of_parse(value: u32) {
            let text = format!("{value:08x}").into_bytes();
            prop_assert_eq!(hex_value(text.try_into().unwrap()), value);
        }

        #[test]
        fn the_lowest_special_byte_is_found(bytes: [u8; 8]) {
            let expected = bytes.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
            let found = special_bytes(u64::from_le_bytes(bytes));
            prop_assert_eq!((found != 0).then_some(found.trailing_zeros() as usize / 8), expected);
            prop_assert_eq!(is_plain(u64::from_le_bytes(bytes)), expected.is_none());
        }
    }
}
