//! Lowercase hexadecimal.

/// Appends `bytes` as lowercase hex, two digits each, to `out`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2);
    let (eights, rest) = bytes.as_chunks::<8>();
    for &eight in eights {
        let value = u64::from_be_bytes(eight);
        out.extend_from_slice(&digits_8((value >> 32) as u32));
        out.extend_from_slice(&digits_8(value as u32));
    }
    for &byte in rest {
        let [.., high, low] = digits_8(u32::from(byte));
        out.extend_from_slice(&[high, low]);
    }
}

/// The eight lowercase digits of `value`, highest first.
#[inline]
pub fn digits_8(value: u32) -> [u8; 8] {
    // One digit to a byte, the highest in the highest byte.
    let mut digits = u64::from(value);
    digits = (digits << 16 | digits) & 0x0000_ffff_0000_ffff;
    digits = (digits << 8 | digits) & 0x00ff_00ff_00ff_00ff;
    digits = (digits << 4 | digits) & 0x0f0f_0f0f_0f0f_0f0f;
    // Six more carries ten and up into bit 4.
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// The value of one hex digit of either case.
pub const fn digit(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}

/// The values of the hex digits; above 15 for every other byte.
static VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut byte = 0;
    while byte < 256 {
        if let Some(value) = digit(byte as u8) {
            values[byte] = value;
        }
        byte += 1;
    }
    values
};

/// The byte that two hex digits of either case stand for.
#[inline]
pub fn byte(high: u8, low: u8) -> Option<u8> {
    let (high, low) = (VALUES[usize::from(high)], VALUES[usize::from(low)]);
    ((high | low) <= 15).then_some(high << 4 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255u8 {
            for len in 0..20 {
                for at in 0..len {
                    let mut bytes = vec![0x5a; len];
                    bytes[at] = byte;
                    let mut out = b"0x".to_vec();
                    encode(&bytes, &mut out);
                    let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    assert_eq!(out, format!("0x{expected}").into_bytes());
                }
            }
        }
    }

    #[test]
    fn eight_digits() {
        for value in (0..32)
            .map(|shift| 0xf19a_fa90u32.rotate_left(shift))
            .chain([0, 1, u32::MAX])
        {
            assert_eq!(digits_8(value), *format!("{value:08x}").as_bytes());
        }
    }

    #[test]
    fn every_digit() {
        for byte in 0..=255u8 {
            let expected = char::from(byte).to_digit(16).map(|value| value as u8);
            assert_eq!(digit(byte), if byte.is_ascii() { expected } else { None });
            for low in 0..=255u8 {
                let want = digit(byte).and_then(|high| Some(high * 16 + digit(low)?));
                assert_eq!(super::byte(byte, low), want);
            }
        }
    }
}
