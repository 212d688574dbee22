//! The text form of a matrix: `0x` and lowercase hex without leading zeros for every word, nothing
//! between words (docs/protocol/qrcode.md §1.6 and §2.1).
//!
//! The writer keeps to this form. The reader accepts what the reference decoder accepts: a lowercase
//! prefix, digits of either case, leading zeros; a word wider than 32 bits is an error.

use crate::codec::hex;

/// Words of a decode request: 32 rows of 32 cells.
pub(super) const GRID_WORDS: usize = 32;

/// Bytes of the longest word: the prefix and eight digits.
const WORD_BYTES_MAX: usize = 10;

/// Appends the text of `words`, of which there may be 20, to `out`.
pub(super) fn write<const WORDS: usize>(words: &[u32; WORDS], out: &mut Vec<u8>) {
    const { assert!(WORDS <= 20) };
    let mut text = [0; 20 * WORD_BYTES_MAX];
    let mut end = 0;
    for &word in words {
        // Always ten bytes; those after the word's last digit are overwritten by the next one.
        let zeros = (word | 1).leading_zeros() / 4;
        let digits = (u64::from_be_bytes(hex::digits_8(word)) << (8 * zeros)).to_be_bytes();
        let place = &mut text[end..end + WORD_BYTES_MAX];
        place[..2].copy_from_slice(b"0x");
        place[2..].copy_from_slice(&digits);
        end += WORD_BYTES_MAX - zeros as usize;
    }
    out.extend_from_slice(&text[..end]);
}

/// The lowercase hex digit of every byte of `nibbles`, all of which are below 16.
fn lowercase_digits(nibbles: u64) -> u64 {
    let letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    nibbles + 0x3030_3030_3030_3030 + letters * 0x27
}

/// The words of a grid's text, or `None` unless it is 32 well-formed words and nothing else.
pub(super) fn parse(text: &[u8]) -> Option<[u32; GRID_WORDS]> {
    let mut words = [0; GRID_WORDS];
    let mut rest = text;
    for word in &mut words {
        rest = rest.strip_prefix(b"0x")?;
        let digits = match rest.first_chunk().and_then(short_word_digits) {
            Some((value, digits)) => {
                *word = value;
                digits
            }
            None => {
                let digits = word_digits(rest)?;
                *word = wide_value(rest.get(..digits)?)?;
                digits
            }
        };
        rest = rest.get(digits..)?;
    }
    rest.is_empty().then_some(words)
}

/// Value and digit count of a word with one to eight digits and another word after it, eight bytes at a time; `None`
/// for other and malformed words. Twelve times as fast as digit by digit.
fn short_word_digits(text: &[u8; WORD_BYTES_MAX]) -> Option<(u32, usize)> {
    let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9] = *text;
    let eight = u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
    // 15 words in 16 have eight digits. As a branch this is predicted, and the next word need not
    // wait until this one's length is computed: a third of the whole reading.
    if [c8, c9] == *b"0x" {
        return Some((eight_digits_value(eight)?, 8));
    }
    let ahead = u64::from_le_bytes([c2, c3, c4, c5, c6, c7, c8, c9]);
    // The lowest bit of 0x80 set here marks the first `x` of the next word's prefix.
    let other = ahead ^ u64::from_le_bytes([b'x'; 8]);
    let marks = other.wrapping_sub(0x0101_0101_0101_0101) & !other & 0x8080_8080_8080_8080;
    if marks == 0 {
        return None;
    }
    let digits = marks.trailing_zeros() / 8 + 1;
    // Right-align: first digit lowest, zero digits before it.
    let zeros = u64::from_le_bytes([b'0'; 8]) >> (8 * (digits - 1)) >> 8;
    let eight = eight << (8 * (8 - digits)) | zeros;
    Some((eight_digits_value(eight)?, digits as usize))
}

/// The value of eight hex digits of either case, the first one in the lowest byte.
fn eight_digits_value(text: u64) -> Option<u32> {
    let is_letter = text >> 6 & 0x0101_0101_0101_0101;
    let nibbles = (text & 0x0f0f_0f0f_0f0f_0f0f) + is_letter * 9;
    let lowercase = text | is_letter << 5;
    // A character that is not a digit gives a value over 15, or a value whose digit is a different character.
    if nibbles & 0xf0f0_f0f0_f0f0_f0f0 != 0 || lowercase_digits(nibbles) != lowercase {
        return None;
    }
    let bytes = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let halves = bytes | bytes >> 8;
    Some(((halves & 0xffff | halves >> 16 & 0xffff_0000) as u32).swap_bytes())
}

/// How many bytes of `text` belong to the word at its start: all up to the next word's prefix.
fn word_digits(text: &[u8]) -> Option<usize> {
    match memchr::memchr(b'x', text) {
        Some(at) => at.checked_sub(1),
        None => Some(text.len()),
    }
}

/// The value of one or more hex digits, if it fits a word.
fn wide_value(mut digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    // A request may be nothing but leading zeros: 64 KiB of them take 33 µs one by one.
    while let Some(rest) = digits.strip_prefix(b"00000000") {
        digits = rest;
    }
    let mut value = 0u32;
    for &digit in digits {
        if value >> 28 != 0 {
            return None;
        }
        value = value << 4 | u32::from(hex::digit(digit)?);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(words: &[u32; 3]) -> String {
        let mut out = Vec::new();
        write(words, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// As the grammar has it: ("0x" hexdigit+) thirty-two times, each below 2^32.
    fn parse_slowly(text: &[u8]) -> Option<[u32; GRID_WORDS]> {
        let text = std::str::from_utf8(text).ok()?;
        let mut pieces = text.split("0x");
        if pieces.next() != Some("") {
            return None;
        }
        let value = |digits: &str| {
            let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let significant = digits.trim_start_matches('0');
            match significant {
                "" => hex.then_some(0),
                _ => u32::from_str_radix(significant, 16).ok().filter(|_| hex),
            }
        };
        let words: Option<Vec<u32>> = pieces.map(value).collect();
        words?.try_into().ok()
    }

    fn grid_of(word: &str, at: usize) -> Vec<u8> {
        let words = (0..GRID_WORDS).map(|i| {
            if i == at {
                word.to_owned()
            } else {
                "0x7".into()
            }
        });
        words.collect::<String>().into_bytes()
    }

    #[test]
    fn words_are_written_without_leading_zeros() {
        assert_eq!(written(&[0, 1, 0x10]), "0x00x10x10");
        assert_eq!(
            written(&[0xffff_ffff, 0x0fff_ffff, 0x89ab_cdef]),
            "0xffffffff0xfffffff0x89abcdef"
        );
        assert_eq!(
            written(&[0x0123_4567, 0xedb_223a, 0x100]),
            "0x12345670xedb223a0x100"
        );
    }

    #[test]
    fn words_are_read_as_the_grammar_has_them() {
        for (word, value) in [
            ("0x0", Some(0)),
            ("0x00", Some(0)),
            ("0xABCDEF", Some(0xab_cdef)),
            ("0xfFfFfFfF", Some(u32::MAX)),
            ("0x000000001", Some(1)),
            ("0x00000000000000000000000000ffffffff", Some(u32::MAX)),
            ("0x100000000", None),
            ("0x", None),
            ("", None),
            ("0X1", None),
            ("x1", None),
            ("1", None),
            ("0x0x1", None),
            ("0xx", None),
            ("0x-1", None),
            ("0x+1", None),
            ("0x1 ", None),
            (" 0x1", None),
            ("0x1g", None),
            ("0xO", None),
            ("0x@", None),
            ("0x\u{10}", None),
            ("0xé", None),
            ("0x1_0", None),
        ] {
            for at in [0, 1, 15, 30, 31] {
                let text = grid_of(word, at);
                let words = parse(&text);
                assert_eq!(words.map(|words| words[at]), value, "{word:?} at {at}");
                assert_eq!(words, parse_slowly(&text), "{word:?} at {at}");
            }
        }
        assert_eq!(
            parse(&[grid_of("0x1", 0), b"0x1".to_vec()].concat()),
            None,
            "33 words"
        );
        assert_eq!(parse(&grid_of("0x1", 0)[3..]), None, "31 words");
    }

    #[test]
    fn every_byte_is_a_digit_or_not() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut digits = *b"12345678";
                digits[place] = byte;
                let expected = std::str::from_utf8(&digits)
                    .ok()
                    .filter(|_| byte.is_ascii_hexdigit())
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok());
                assert_eq!(
                    eight_digits_value(u64::from_le_bytes(digits)),
                    expected,
                    "{byte} {place}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(shifts in any::<[(u32, u8); GRID_WORDS]>()) {
            let words = shifts.map(|(word, shift)| word >> (shift % 33).min(31));
            let mut text = Vec::new();
            for half in words.chunks_exact(16) {
                write::<16>(half.try_into().unwrap(), &mut text);
            }
            let formatted: String = words.iter().map(|word| format!("{word:#x}")).collect();
            prop_assert_eq!(&text, formatted.as_bytes());
            prop_assert_eq!(parse(&text), Some(words));
        }

        #[test]
        fn damaged_words_are_read_as_the_grammar_has_them(
            words in any::<[u32; GRID_WORDS]>(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), "[0-9a-fxXg]{0,3}"), 1..4),
        ) {
            let mut text: String = words.iter().map(|word| format!("{word:#x}")).collect();
            for (at, piece) in edits {
                let at = at.index(text.len());
                text.replace_range(at..=at, &piece);
            }
            prop_assert_eq!(parse(text.as_bytes()), parse_slowly(text.as_bytes()), "{}", text);
        }
    }
}
