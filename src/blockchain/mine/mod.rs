//! The search for a proof of work (docs/protocol/blockchain.md §5).
//!
//! The seed's 64 hex characters fill one SHA-256 block exactly, so its state is computed once and a try
//! costs one compression of a block that holds the number and the padding. "Hash below target" on text
//! becomes one comparison of integers. Called by the endpoint with the state after the seed.
//!
//! `counter` writes the numbers to try, `lanes` tries thirty-two at once where the processor can.

mod counter;
#[cfg(target_arch = "x86_64")]
mod lanes;

pub(crate) use counter::TRIES_MAX;

use super::sha256::{BLOCK_BYTES, HashState, compress};
use counter::Counter;

/// Blocks written before the first of them is compressed; see `sha256` on why. Expected tries are 16 to 37
/// for genuine targets.
const BATCH_BLOCKS: usize = 16;

/// How many of the 2^32 hashes are below `target` as text, where a prefix is below the longer text.
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
    // All eight digits equal: the hash is below only if the target is longer.
    if target.len() > 8 { below + 1 } else { below }
}

/// A proof of work and its block hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofOfWork {
    /// The smallest number whose hash is below the threshold.
    pub pow: u64,
    /// The first 32 bits of the digest, below the threshold.
    pub hash: u32,
}

/// The smallest number below `tries_max` whose hash after `seed_state` is below `threshold`.
pub fn search(seed_state: &HashState, threshold: u64, tries_max: u64) -> Option<ProofOfWork> {
    let tries_max = tries_max.min(TRIES_MAX);
    #[cfg(target_arch = "x86_64")]
    if lanes::available() {
        let hash_max = threshold.checked_sub(1)?.min(u32::MAX.into()) as u32;
        let pow = lanes::search(seed_state, hash_max, tries_max)?;
        let mut block = [0; BLOCK_BYTES];
        Counter::at(pow).write(&mut block);
        return Some(ProofOfWork {
            pow,
            hash: compress(*seed_state, &[block])[0],
        });
    }
    search_one_by_one(seed_state, threshold, tries_max)
}

/// [`search`] on processors without AVX-512.
pub fn search_one_by_one(
    seed_state: &HashState,
    threshold: u64,
    tries_max: u64,
) -> Option<ProofOfWork> {
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
                return Some(ProofOfWork { pow, hash });
            }
            pow += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        blockchain::sha256::{INITIAL, cc_hash, finish},
        codec::hex,
    };
    use proptest::prelude::*;

    const SEED: [u8; 64] = *b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn naive(seed: &[u8; 64], target: &[u8], tries_max: u64) -> Option<ProofOfWork> {
        (0..tries_max).find_map(|pow| {
            let message = [seed.as_slice(), pow.to_string().as_bytes()].concat();
            let digest = finish(INITIAL, 0, &message);
            (cc_hash(&digest).as_slice() < target).then_some(ProofOfWork {
                pow,
                hash: digest[0],
            })
        })
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
            // Half of the targets share a prefix with the hash; otherwise ties would never be tested.
            let text = hex::digits_8(hash);
            let target = [&text[..near], target.as_bytes()].concat();
            prop_assert_eq!(u64::from(hash) < threshold(&target), text.as_slice() < target.as_slice());
        }

        #[cfg(target_arch = "x86_64")]
        #[test]
        fn lanes_find_what_the_plain_search_finds(seed: [u8; 64], hash_max: u32, shift in 0u32..13, tries_max in 0u64..3_000) {
            if !lanes::available() {
                return Ok(());
            }
            let state = compress(INITIAL, &[seed]);
            let hash_max = hash_max >> shift;
            let expected = search_one_by_one(&state, u64::from(hash_max) + 1, tries_max);
            prop_assert_eq!(lanes::search(&state, hash_max, tries_max), expected.map(|found| found.pow));
        }

        #[test]
        fn search_is_the_naive_search(seed in "[0-9a-f]{64}", target in "(0[1-9a-f]|[1-9a-f])") {
            let seed: [u8; 64] = seed.as_bytes().try_into().unwrap();
            let state = compress(INITIAL, &[seed]);
            prop_assert_eq!(search(&state, threshold(target.as_bytes()), 5_000), naive(&seed, target.as_bytes(), 5_000));
        }
    }
}
