//! Base64 for `/blockchain`: URL-safe with padding on output, lenient about alphabet and padding on input
//! (docs/protocol/blockchain.md §1).
//!
//! Clients send the URL-safe alphabet, which goes straight through the vector decoder; other text is
//! translated first.

use base64_simd::{URL_SAFE, URL_SAFE_NO_PAD};

/// The text is not base64 in either alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Decodes `text` (URL-safe or standard alphabet, even mixed; padded or not) and appends the bytes to
/// `out`. Unused trailing bits are ignored, as the reference decoder does. Empty text is [`Malformed`]; on
/// an error `out` is unchanged.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let (text, _) = text.split_at(text.len() - padding);
    let (fours, rest) = text.split_at(text.len() & !3);
    if text.is_empty() || rest.len() == 1 {
        return Err(Malformed);
    }
    let last = last_bytes(rest)?;
    out.reserve(text.len() / 4 * 3 + last.len());
    if URL_SAFE_NO_PAD.decode_append(fours, out).is_err() {
        decode_mixed(fours, out)?;
    }
    out.extend(last);
    Ok(())
}

/// Appends the URL-safe, padded base64 of `bytes` to `out`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    URL_SAFE.encode_append(bytes, out);
}

/// Decodes groups of four in any mix of the alphabets, translating in `out` itself.
#[cold]
fn decode_mixed(fours: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    out.extend(fours.iter().map(|&byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        _ => byte,
    }));
    let decoded = match out
        .get_mut(start..)
        .map(|text| URL_SAFE_NO_PAD.decode_inplace(text))
    {
        Some(Ok(bytes)) => Ok(bytes.len()),
        _ => Err(Malformed),
    };
    out.truncate(start + decoded.unwrap_or(0));
    decoded.map(|_| ())
}

/// The bytes of an incomplete last group: two characters give one byte, three give two.
fn last_bytes(rest: &[u8]) -> Result<impl ExactSizeIterator<Item = u8>, Malformed> {
    let mut bits = 0;
    for &byte in rest {
        bits = bits << 6 | u32::from(sextet(byte).ok_or(Malformed)?);
    }
    let bits = bits << (6 * (4 - rest.len()));
    Ok([(bits >> 16) as u8, (bits >> 8) as u8]
        .into_iter()
        .take(rest.len().saturating_sub(1)))
}

/// The six bits of a character.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' | b'+' => Some(62),
        b'_' | b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The reference of the tests: character by character, by the rules.
    fn decode_slowly(text: &[u8]) -> Result<Vec<u8>, Malformed> {
        let end = text
            .iter()
            .rposition(|&byte| byte != b'=')
            .ok_or(Malformed)?
            + 1;
        if end % 4 == 1 {
            return Err(Malformed);
        }
        let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
        for &byte in &text[..end] {
            bits = bits << 6 | u32::from(sextet(byte).ok_or(Malformed)?);
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        Ok(bytes)
    }

    fn check(text: &[u8]) {
        let mut out = b"kept".to_vec();
        let result = decode(text, &mut out);
        match decode_slowly(text) {
            Ok(bytes) => {
                assert_eq!(result, Ok(()), "{text:?}");
                assert_eq!(out[4..], bytes, "{text:?}");
            }
            Err(Malformed) => assert_eq!(result, Err(Malformed), "{text:?}"),
        }
        assert!(out.starts_with(b"kept") && (result.is_ok() || out.len() == 4));
    }

    #[test]
    fn every_byte_at_every_place_of_every_length() {
        for len in 0..=70 {
            let text: Vec<u8> = (0..len).map(|i| b"aZ09_-Qx"[i % 8]).collect();
            check(&text);
            for at in 0..len {
                for byte in 0..=255 {
                    let mut text = text.clone();
                    text[at] = byte;
                    check(&text);
                }
            }
        }
    }

    #[test]
    fn padding_is_optional_and_may_be_too_much() {
        for text in [
            "", "=", "====", "a", "a=", "a===", "ab", "ab=", "ab==", "ab===", "abc", "abc=",
            "abcd", "abcd=", "abcd====", "=abc", "ab=c", "ab==cd", "abcde", "abcde===",
        ] {
            check(text.as_bytes());
        }
    }

    #[test]
    fn every_last_group() {
        let alphabet = b"AZaz09-_+/BQgw=%";
        for a in 0..=255 {
            for &b in alphabet {
                check(&[a, b]);
                check(&[b, a]);
                for &c in alphabet {
                    check(&[a, b, c]);
                    check(&[b, c, a]);
                }
            }
        }
    }

    #[test]
    fn warm_buffers_are_not_reallocated() {
        let text = b"-_Zz".repeat(130);
        let mixed = b"-_+/".repeat(130);
        let mut out = Vec::with_capacity(text.len());
        let room = out.as_ptr();
        for text in [&text, &mixed] {
            for end in text.len() - 8..text.len() {
                out.clear();
                let _ = decode(&text[..end], &mut out);
            }
        }
        assert_eq!(out.as_ptr(), room);
    }

    proptest! {
        #[test]
        fn any_text(text in "[A-Za-z0-9+/_=%-]{0,200}") {
            check(text.as_bytes());
        }

        #[test]
        fn either_alphabet(bytes in proptest::collection::vec(any::<u8>(), 0..700), mixed in any::<u64>()) {
            let mut text = Vec::new();
            encode(&bytes, &mut text);
            check(&text);
            for (at, byte) in text.iter_mut().enumerate() {
                match *byte {
                    b'-' if mixed >> (at % 64) & 1 == 1 => *byte = b'+',
                    b'_' if mixed >> (at % 64) & 1 == 1 => *byte = b'/',
                    _ => {}
                }
            }
            check(&text);
            if !bytes.is_empty() {
                prop_assert_eq!(decode_slowly(&text), Ok(bytes));
            }
        }
    }
}
