//! The candidates for a proof of work: 0, 1, 2, … as the start of a SHA-256 block.
//!
//! `mine` and `lanes` write these blocks and compress them after the seed's state.

use crate::blockchain::sha256::{BLOCK_BYTES, Block, put_length};

/// Most candidates that a [`Counter`] can count: its number then has 15 digits. A search that long takes
/// weeks.
pub(crate) const TRIES_MAX: u64 = 999_999_999_999_999;

/// A decimal number as the start of a message's last block: its digits, then the padding's 0x80.
///
/// Kept in a register, the first digit lowest: a counter in memory, changed byte-wise and copied
/// block-wise, would wait for its own stores at every try.
pub(super) struct Counter {
    pub(super) text: u128,
    pub(super) digits: u32,
}

impl Counter {
    pub(super) const fn zero() -> Self {
        Self {
            text: u128::from_le_bytes(*b"0\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            digits: 1,
        }
    }

    /// A counter at `number`, which is at most [`TRIES_MAX`]. Only the vector search starts above 0.
    #[cfg(any(test, target_arch = "x86_64"))]
    pub(super) fn at(number: u64) -> Self {
        let mut text = 0x80;
        let mut digits = 0;
        let mut rest = number;
        loop {
            text = text << 8 | u128::from(b'0' + (rest % 10) as u8);
            digits += 1;
            rest /= 10;
            if rest == 0 {
                return Self { text, digits };
            }
        }
    }

    /// Writes the number into `block`, whose other bytes are zero; it may hold an earlier number.
    #[inline]
    pub(super) fn write(&self, block: &mut Block) {
        if let Some(start) = block.first_chunk_mut() {
            *start = self.text.to_le_bytes();
        }
        put_length(block, BLOCK_BYTES + self.digits as usize);
    }

    #[inline]
    pub(super) const fn increment(&mut self) {
        let mut shift = (self.digits - 1) * 8;
        self.text += 1 << shift;
        while (self.text >> shift) as u8 > b'9' {
            // From ':' back to '0', with a carry to the previous digit.
            self.text -= 10 << shift;
            if shift == 0 {
                self.lengthen();
                return;
            }
            shift -= 8;
            self.text += 1 << shift;
        }
    }

    /// From 99…9, now all zeros, to 1 and one more zero.
    #[cold]
    const fn lengthen(&mut self) {
        if self.digits < 15 {
            self.text = self.text << 8 | b'1' as u128;
            self.digits += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_counts() {
        let mut counter = Counter::zero();
        let mut block = [0; BLOCK_BYTES];
        for number in 0..12_000u32 {
            let mut expected = number.to_string().into_bytes();
            expected.push(0x80);
            expected.resize(16, 0);
            counter.write(&mut block);
            assert_eq!(&block[..16], expected.as_slice());
            assert_eq!(&block[16..56], &[0; 40]);
            let bits = (64 + number.to_string().len() as u64) * 8;
            assert_eq!(block[56..], bits.to_be_bytes());
            counter.increment();
        }
    }

    #[test]
    fn the_counter_starts_anywhere() {
        let mut counter = Counter::zero();
        for number in 0..12_000 {
            let at = Counter::at(number);
            assert_eq!(
                (at.text, at.digits),
                (counter.text, counter.digits),
                "{number}"
            );
            counter.increment();
        }
        assert_eq!(Counter::at(TRIES_MAX).digits, 15);
    }

    #[test]
    fn the_counter_stops_at_the_most_tries() {
        let nines = u128::from_le_bytes(*b"999999999999999\x80");
        let mut counter = Counter {
            text: nines,
            digits: 15,
        };
        counter.increment();
        assert_eq!(counter.digits, 15);
    }
}
