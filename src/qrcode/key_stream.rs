//! The key stream every cell is XORed with, from a logistic map (docs/protocol/qrcode.md §1.5).
//!
//! Computed once at start; encoder and decoder take it from here.

/// Bytes of the stream that are ever used: one bit for each cell of the 32x32 grid.
pub(super) const STREAM_BYTES: usize = 128;

/// The stream: x starts at 0.1, every byte is floor(255 x), then x becomes 4x(1-x), in IEEE
/// doubles without fused multiply-add (which Rust never introduces).
pub(super) fn stream() -> [u8; STREAM_BYTES] {
    let mut x = 0.1f64;
    std::array::from_fn(|_| {
        let byte = (255.0 * x) as u8;
        x = 4.0 * x * (1.0 - x);
        byte
    })
}

/// The stream as 32 words of 32 cells, first cell highest. Cell m takes bit m mod 8 of byte m / 8,
/// bit 0 being the lowest: every byte is reversed.
pub(super) fn words() -> [u32; 32] {
    let stream = stream();
    std::array::from_fn(|word| {
        u32::from_be_bytes(std::array::from_fn(|byte| {
            stream[4 * word + byte].reverse_bits()
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_stream_is_the_documented_one() {
        let stream = stream();
        let first = [
            25, 91, 235, 73, 209, 149, 247, 28, 102, 245, 37, 128, 254, 0, 0, 1,
        ];
        assert_eq!(stream[..16], first);
        let digest: String = Sha256::digest(stream)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            digest,
            "c57bb6984cf86c1de3af323dd9231b31be10f6b8f48aa4be7874c036383bbbc6"
        );
    }

    #[test]
    fn cells_take_the_lowest_bit_of_a_byte_first() {
        // 25 = 0b0001_1001, 91 = 0b0101_1011, 235 = 0b1110_1011, 73 = 0b0100_1001.
        assert_eq!(words()[0], 0b1001_1000_1101_1010_1101_0111_1001_0010);
    }
}
