//! The search for a proof of work (docs/protocol/blockchain.md §5).
//!
//! The seed's 64 hex characters fill one SHA-256 block exactly, so its state is computed once and a try
//! costs one compression of a block that holds the number and the padding. "Hash below target" on text
//! becomes one comparison of integers. Called by the endpoint with the state after the seed.

#[cfg(target_arch = "x86_64")]
use super::mine_lanes;
use super::sha256::{BLOCK_BYTES, Block, State, compress, put_length};

/// Most tries that [`search`] can count, whatever the setting says: the number then has 15 digits, the most
/// a counter here holds. It would take weeks.
pub const TRIES_MAX: u64 = 999_999_999_999_999;

/// Blocks written before the first of them is compressed; see `sha256` on why. Expected tries are 16 to 37
/// for genuine targets.
const BATCH_BLOCKS: usize = 16;

/// How many of the 2^32 hashes are below `target` as text, a prefix being below what it begins.
///
/// Hashes in text order are hashes in numeric order, since digits sort before lowercase letters; hence
/// `hash < threshold(target)` decides. A target of any bytes is allowed; 0 means no hash is below it.
pub fn threshold(target: &[u8]) -> u64 {
    let mut below = 0u64;
    let mut equal_prefix = 1u64 << 32;
    for &byte in target.iter().take(8) {
        equal_prefix >>= 4;
        let smaller_digits = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            ..b'0' => 0,
            b':'..b'a' => 10,
            b'g'.. => 16,
        };
        below += u64::from(smaller_digits) * equal_prefix;
        if !matches!(byte, b'0'..=b'9' | b'a'..=b'f') {
            return below;
        }
    }
    // All eight digits equal: the hash is below only if the target goes on.
    if target.len() > 8 { below + 1 } else { below }
}

/// A proof of work and the block hash it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The smallest number that does it.
    pub pow: u64,
    /// The first 32 bits of the digest, below the threshold.
    pub hash: u32,
}

/// The smallest number below `tries_max` whose hash after `seed_state` is below `threshold`.
pub fn search(seed_state: &State, threshold: u64, tries_max: u64) -> Option<Found> {
    let tries_max = tries_max.min(TRIES_MAX);
    #[cfg(target_arch = "x86_64")]
    if mine_lanes::available() {
        let hash_max = threshold.checked_sub(1)?.min(u32::MAX.into()) as u32;
        let pow = mine_lanes::search(seed_state, hash_max, tries_max)?;
        let mut block = [0; BLOCK_BYTES];
        Counter::at(pow).write(&mut block);
        return Some(Found {
            pow,
            hash: compress(*seed_state, &[block])[0],
        });
    }
    search_one_by_one(seed_state, threshold, tries_max)
}

/// What [`search`] does on processors without AVX-512.
pub fn search_one_by_one(seed_state: &State, threshold: u64, tries_max: u64) -> Option<Found> {
    let tries_max = tries_max.min(TRIES_MAX);
    let mut counter = Counter::zero();
    let mut blocks = [[0; BLOCK_BYTES]; BATCH_BLOCKS];
    let mut pow = 0;
    while pow < tries_max {
        for block in &mut blocks {
            counter.write(block);
            counter.increment();
        }
        for block in &blocks {
            let hash = compress(*seed_state, std::slice::from_ref(block))[0];
            if u64::from(hash) < threshold && pow < tries_max {
                return Some(Found { pow, hash });
            }
            pow += 1;
        }
    }
    None
}

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

    /// At `number`, which is at most [`TRIES_MAX`].
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

    /// Writes the number into `block`, whose other bytes are zero but for an earlier number's.
    #[inline]
    fn write(&self, block: &mut Block) {
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
            // From ':' back to '0', and one more in the digit before.
            self.text -= 10 << shift;
            if shift == 0 {
                self.lengthen();
                return;
            }
            shift -= 8;
            self.text += 1 << shift;
        }
    }

    /// From 99…9, now all zeros, to 1 and one zero more.
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
    use crate::blockchain::sha256::{INITIAL, cc_hash, finish, hex8};
    use proptest::prelude::*;

    const SEED: [u8; 64] = *b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn naive(seed: &[u8; 64], target: &[u8], tries_max: u64) -> Option<Found> {
        (0..tries_max).find_map(|pow| {
            let message = [seed.as_slice(), pow.to_string().as_bytes()].concat();
            let digest = finish(INITIAL, 0, &message);
            (cc_hash(&digest).as_slice() < target).then_some(Found {
                pow,
                hash: digest[0],
            })
        })
    }

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

    #[test]
    fn found_is_the_smallest() {
        let state = compress(INITIAL, &[SEED]);
        for target in [
            "0a", "1", "007", "06", "g", "f", "00f", "8", "0", "00000000",
        ] {
            let expected = naive(&SEED, target.as_bytes(), 20_000);
            let threshold = threshold(target.as_bytes());
            assert_eq!(search(&state, threshold, 20_000), expected, "{target}");
            assert_eq!(
                search_one_by_one(&state, threshold, 20_000),
                expected,
                "{target}"
            );
        }
    }

    #[test]
    fn the_bound_is_exact() {
        let state = compress(INITIAL, &[SEED]);
        let found = search(&state, threshold(b"007"), 20_000).unwrap();
        assert_eq!(
            search(&state, threshold(b"007"), found.pow + 1),
            Some(found)
        );
        assert_eq!(search(&state, threshold(b"007"), found.pow), None);
        assert_eq!(search(&state, 1 << 32, 0), None);
    }

    #[test]
    fn targets_no_hash_is_below() {
        for zeros in 0..=8 {
            assert_eq!(threshold("0".repeat(zeros).as_bytes()), 0, "{zeros} zeros");
        }
        assert_eq!(threshold(b"000000000"), 1);
        assert_eq!(threshold(b" 1"), 0);
        assert_eq!(threshold(b"0A"), 10 << 24);
        assert_eq!(threshold(b"g"), 1 << 32);
        assert_eq!(threshold(b"ffffffff"), u64::from(u32::MAX));
        assert_eq!(threshold(b"ffffffff0"), 1 << 32);
    }

    proptest! {
        #[test]
        fn threshold_is_text_order(hash: u32, target in "[0-9a-fA-F:/` g\u{e9}]{0,10}", near in 0usize..9) {
            // Half of the targets share a prefix with the hash, else ties would never be tried.
            let text = hex8(hash);
            let target = [&text[..near], target.as_bytes()].concat();
            prop_assert_eq!(u64::from(hash) < threshold(&target), text.as_slice() < target.as_slice());
        }

        #[test]
        fn search_is_the_naive_search(seed in "[0-9a-f]{64}", target in "(0[1-9a-f]|[1-9a-f])") {
            let seed: [u8; 64] = seed.as_bytes().try_into().unwrap();
            let state = compress(INITIAL, &[seed]);
            prop_assert_eq!(search(&state, threshold(target.as_bytes()), 5_000), naive(&seed, target.as_bytes(), 5_000));
        }
    }
}
