//! Decimal integers to and from ASCII, without `fmt` or `str::parse`.
//!
//! Eight digits are handled at a time as the bytes of one `u64`.

use super::word;

/// 10^8: one more than the largest number of eight digits.
const BLOCK: u64 = 100_000_000;

/// Appends `value` in decimal to `out`.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    if value < BLOCK {
        write_short(out, value as u32);
    } else if value < BLOCK * BLOCK {
        let digits = digits_16(value);
        let zeros = (digits as u64 & 0x0f0f_0f0f_0f0f_0f0f).trailing_zeros() / 8; // at most seven
        let start = out.len();
        out.extend_from_slice(&(digits >> (zeros * 8)).to_le_bytes());
        out.truncate(start + 16 - zeros as usize);
    } else {
        write_short(out, (value / (BLOCK * BLOCK)) as u32);
        out.extend_from_slice(&digits_16(value % (BLOCK * BLOCK)).to_le_bytes());
    }
}

/// Appends `value`, which is below 10^19, as 19 digits with leading zeros.
pub fn write_19_digits(out: &mut Vec<u8>, value: u64) {
    let [.., a, b, c] = digits_8((value / (BLOCK * BLOCK)) as u32).to_le_bytes();
    out.extend_from_slice(&[a, b, c]);
    out.extend_from_slice(&digits_16(value % (BLOCK * BLOCK)).to_le_bytes());
}

/// The value of 1 to 19 ASCII digits below 2^63, leading zeros allowed; anything else is `None`.
pub fn parse_u63(text: &[u8]) -> Option<u64> {
    let len = text.len();
    let value = match len {
        1..=8 => parse_8(word::load(text), len)?,
        9..=16 => {
            let high = parse_8(u64::from_le_bytes(*text.first_chunk()?), len - 8)?;
            high * BLOCK + parse_8(u64::from_le_bytes(*text.last_chunk()?), 8)?
        }
        17..=19 => {
            let (high, low) = text.split_last_chunk::<16>()?;
            let (middle, _) = low.split_first_chunk::<8>()?;
            let high = parse_8(word::load(high), len - 16)?;
            let middle = parse_8(u64::from_le_bytes(*middle), 8)?;
            let low = parse_8(u64::from_le_bytes(*low.last_chunk()?), 8)?;
            (high * BLOCK + middle) * BLOCK + low
        }
        _ => return None,
    };
    (value < 1 << 63).then_some(value)
}

/// Appends `value`, which is below [`BLOCK`], without leading zeros.
fn write_short(out: &mut Vec<u8>, value: u32) {
    let digits = digits_8(value);
    let zeros = ((digits & 0x0f0f_0f0f_0f0f_0f0f) | 1 << 56).trailing_zeros() / 8;
    let start = out.len();
    // Copies eight bytes and truncates: a copy of variable length would need a call.
    out.extend_from_slice(&(digits >> (zeros * 8)).to_le_bytes());
    out.truncate(start + 8 - zeros as usize);
}

/// The sixteen ASCII digits of `value`, which is below 10^16, the highest in the lowest byte.
fn digits_16(value: u64) -> u128 {
    let [high, low] = [value / BLOCK, value % BLOCK].map(|part| digits_8(part as u32));
    u128::from(low) << 64 | u128::from(high)
}

/// The eight ASCII digits of `value`, which is below [`BLOCK`], the highest in the lowest byte.
fn digits_8(value: u32) -> u64 {
    // Each step splits every number in two: 4 digits per 32 bits, 2 per 16, 1 per 8. Quotients come
    // from multiplication by rounded-up reciprocals, exact in these ranges.
    let value = u64::from(value);
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | (twos - tens * 10) << 8) + 0x3030_3030_3030_3030
}

/// The value of the first `len` of eight ASCII digits, 1 to 8, the first in the lowest byte; `None` if one
/// of them is not a digit. Bytes after them are ignored.
fn parse_8(digits: u64, len: usize) -> Option<u64> {
    // Missing digits become leading zeros; then all eight are checked and summed.
    let missing = 8 * (8 - len as u32);
    let digits = (digits ^ 0x3030_3030_3030_3030).checked_shl(missing)?;
    // Adding 0x76 carries ten and up into the top bit of a byte.
    let too_large = (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    if too_large != 0 {
        return None;
    }
    let twos = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: u64) -> String {
        let mut out = b"n=".to_vec();
        write_u64(&mut out, value);
        String::from_utf8(out.split_off(2)).unwrap()
    }

    fn parsed_slowly(text: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(text).ok()?;
        let digits =
            !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|value| digits && *value < 1 << 63)
    }

    #[test]
    fn every_short_number() {
        for value in 0..200_000 {
            assert_eq!(written(value), value.to_string());
            assert_eq!(parse_u63(value.to_string().as_bytes()), Some(value));
        }
    }

    #[test]
    fn every_power_of_ten_and_two_and_their_neighbours() {
        let tens = (0..20).map(|n| 10u64.pow(n));
        for power in tens.chain((0..64).map(|n| 1 << n)) {
            for value in [
                power - 1,
                power,
                power + 1,
                power / 10 * 9,
                u64::MAX - power,
            ] {
                let text = value.to_string();
                assert_eq!(written(value), text);
                assert_eq!(parse_u63(text.as_bytes()), parsed_slowly(text.as_bytes()));
            }
        }
    }

    #[test]
    fn every_byte_at_every_place_of_every_length() {
        for len in 0..=21 {
            let digits: Vec<u8> = (0..len).map(|i| b'1' + (i % 9) as u8).collect();
            for at in 0..len {
                for byte in 0..=255 {
                    let mut text = digits.clone();
                    text[at] = byte;
                    assert_eq!(parse_u63(&text), parsed_slowly(&text), "{text:?}");
                }
            }
            assert_eq!(parse_u63(&vec![b'0'; len]), parsed_slowly(&vec![b'0'; len]));
        }
    }

    #[test]
    fn the_limit_is_two_to_the_63() {
        assert_eq!(parse_u63(b"9223372036854775807"), Some((1 << 63) - 1));
        for text in [
            "9223372036854775808",
            "9999999999999999999",
            "",
            "-1",
            "+1",
            " 1",
            "1.0",
            "1e3",
        ] {
            assert_eq!(parse_u63(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number(value in any::<u64>(), shift in 0..64u32) {
            let value = value >> shift;
            prop_assert_eq!(written(value), value.to_string());
            let mut padded = Vec::new();
            write_19_digits(&mut padded, value >> 1);
            prop_assert_eq!(padded, format!("{:019}", value >> 1).into_bytes());
            prop_assert_eq!(parse_u63(value.to_string().as_bytes()), Some(value).filter(|v| *v < 1 << 63));
        }

        #[test]
        fn any_text(text in "[0-9]{0,20}[^0-9]?[0-9]{0,2}") {
            prop_assert_eq!(parse_u63(text.as_bytes()), parsed_slowly(text.as_bytes()));
        }
    }
}
