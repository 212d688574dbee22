//! Turns the response of `/qrcode?type=encode` into a follow-up request for `type=decode`: decrypts the
//! matrix, places it in an empty 32x32 grid and encrypts that (docs/protocol/qrcode.md).
//!
//! Called by `check`: an encoder is right, without an oracle, if decoding returns the message.

/// Side of the grid that decode takes.
const GRID: usize = 32;

/// The `data` of a decode request for the encoded matrix `text`.
///
/// # Errors
/// `text` is not a matrix in the form of the protocol.
pub fn decode_data(text: &[u8]) -> Result<String, &'static str> {
    let words = hex_words(text).ok_or("answer is not made of 0x words")?;
    let side = match words.len() {
        14 => 21, // 441 bits
        20 => 25, // 625 bits
        _ => return Err("answer is neither a 21x21 nor a 25x25 matrix"),
    };
    let key = key_stream();
    let mut grid = [false; GRID * GRID];
    for (cell, bit) in bits(&words, side * side)?.into_iter().enumerate() {
        let (row, column) = (cell / side, cell % side);
        grid[row * GRID + column] = bit ^ key[cell];
    }
    let mut out = String::with_capacity(GRID * 10);
    for row in 0..GRID {
        let word = (0..GRID).fold(0u32, |word, column| {
            let cell = row * GRID + column;
            word << 1 | u32::from(grid[cell] ^ key[cell])
        });
        out.push_str(&format!("{word:#x}"));
    }
    Ok(out)
}

fn hex_words(text: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix("0x")?;
    text.split("0x")
        .map(|word| {
            let canonical = u32::from_str_radix(word, 16).ok()?;
            (format!("{canonical:x}") == word).then_some(canonical)
        })
        .collect()
}

/// The bits of a matrix; the last word holds the remaining bits at its right end.
fn bits(words: &[u32], count: usize) -> Result<Vec<bool>, &'static str> {
    let mut out = Vec::with_capacity(count);
    for word in words {
        let width = (count - out.len()).min(32);
        if width < 32 && word >> width != 0 {
            return Err("last word is too large");
        }
        out.extend((0..width).rev().map(|bit| word >> bit & 1 == 1));
    }
    Ok(out)
}

/// The logistic map's bits for the cells of a grid in row-major order.
fn key_stream() -> [bool; GRID * GRID] {
    let mut x = 0.1f64;
    let mut key = [false; GRID * GRID];
    for byte_of_cells in key.chunks_exact_mut(8) {
        let byte = (255.0 * x) as u8;
        for (bit, cell) in byte_of_cells.iter_mut().enumerate() {
            *cell = byte >> bit & 1 == 1;
        }
        x = 4.0 * x * (1.0 - x);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stream_is_the_documented_one() {
        let bytes: Vec<u8> = key_stream()
            .chunks(8)
            .map(|bits| {
                bits.iter()
                    .rev()
                    .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
            })
            .collect();
        assert_eq!(bytes[..6], [25, 91, 235, 73, 209, 149]);
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        for text in ["", "INVALID", "0x", "0x1", "1x0x", "0x01", "0xg", "0xA"] {
            assert!(decode_data(text.as_bytes()).is_err(), "{text}");
        }
        let too_large = "0x0".repeat(13) + "0xffffffff";
        assert_eq!(
            decode_data(too_large.as_bytes()),
            Err("last word is too large")
        );
        assert_eq!(
            decode_data("0x0".repeat(14).as_bytes())
                .unwrap()
                .matches("0x")
                .count(),
            32
        );
    }
}
