//! Base64 as `/blockchain` uses it: URL-safe with padding on output, lenient about alphabet and
//! padding on input (spec/blockchain §1).

/// The text is not base64 in either alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Decodes `text` (URL-safe or standard alphabet, even mixed; padded or not) and appends the bytes
/// to `out`. Unused trailing bits are ignored, as the reference decoder does.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut acc = 0u32;
    let mut bits = 0u32;
    let end = text.iter().rposition(|&b| b != b'=').map_or(0, |i| i + 1);
    let text = &text[..end];
    if text.is_empty() || text.len() % 4 == 1 {
        return Err(Malformed);
    }
    for &b in text {
        let v = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return Err(Malformed),
        };
        acc = acc << 6 | u32::from(v);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((acc >> bits) as u8);
        }
    }
    Ok(())
}

/// Appends the URL-safe, padded base64 of `bytes` to `out`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    base64_simd::URL_SAFE.encode_append(bytes, out);
}
