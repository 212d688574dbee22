//! SHA-256 for the protocol: short ASCII messages, digests as hex text.
//!
//! Called by `hash` and `mine`, which lay padded blocks out themselves and call [`compress`] directly.
//! `sha2` chooses SHA-NI at run time. Its incremental API costs a buffer copy per message and, in a build
//! for a CPU with AVX-512, meets a state-transition penalty two orders of magnitude above the work itself;
//! bare compressions have neither.
//!
//! A compression is a chain of dependent steps, so the processor overlaps two calls when the second does
//! not wait for the first (24 ns each instead of 35 on Zen 5). This works only if the second block is
//! already in memory: a block written with narrow stores just before the call can be read only after all
//! older stores have retired. So callers fill several blocks first and compress them afterwards.

use crate::codec::hex::digits_8;

/// Bytes of one block.
pub const BLOCK_BYTES: usize = 64;
/// Longest message that fits one block with its padding.
pub const ONE_BLOCK_BYTES_MAX: usize = BLOCK_BYTES - 9;

/// The chaining value, eight big-endian words.
pub type HashState = [u32; 8];
/// One block of message.
pub type Block = [u8; BLOCK_BYTES];

/// FIPS 180-4 §5.3.3.
pub const INITIAL: HashState = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The state after `blocks`.
#[inline]
pub fn compress(mut state: HashState, blocks: &[Block]) -> HashState {
    sha2::block_api::compress256(&mut state, blocks);
    state
}

/// The digest of a message: `state` is the state after its first `before_bytes` bytes (whole blocks),
/// `tail` the rest. For tests: `hash` and `mine` pad their blocks themselves.
#[cfg(test)]
pub fn finish(state: HashState, before_bytes: usize, tail: &[u8]) -> HashState {
    let (blocks, rest) = tail.as_chunks::<BLOCK_BYTES>();
    let mut state = if blocks.is_empty() {
        state
    } else {
        compress(state, blocks)
    };
    let mut last = [0; BLOCK_BYTES];
    for (to, &from) in last.iter_mut().zip(rest) {
        *to = from;
    }
    if let Some(end) = last.get_mut(rest.len()) {
        *end = 0x80;
    }
    if rest.len() > ONE_BLOCK_BYTES_MAX {
        state = compress(state, &[last]);
        last = [0; BLOCK_BYTES];
    }
    put_length(&mut last, before_bytes + tail.len());
    compress(state, &[last])
}

/// Writes the message length into the last eight bytes of the last block.
#[inline]
pub fn put_length(last: &mut Block, message_bytes: usize) {
    if let Some(field) = last.last_chunk_mut::<8>() {
        *field = (message_bytes as u64 * 8).to_be_bytes();
    }
}

/// CCHash: the first eight hex digits of the digest.
pub fn cc_hash(state: &HashState) -> [u8; 8] {
    digits_8(state[0])
}

/// The whole digest as hex: exactly one block of a following message.
#[inline]
pub fn hex64(state: &HashState) -> Block {
    let mut text = [0; BLOCK_BYTES];
    for (to, word) in text.as_chunks_mut::<8>().0.iter_mut().zip(state) {
        *to = digits_8(*word);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn reference(message: &[u8]) -> String {
        Sha256::digest(message)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    #[test]
    fn every_length_around_the_block_borders() {
        let message: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        for length in 0..message.len() {
            let digest = finish(INITIAL, 0, &message[..length]);
            assert_eq!(
                hex64(&digest).as_slice(),
                reference(&message[..length]).as_bytes(),
                "length {length}"
            );
        }
    }

    #[test]
    fn a_midstate_continues_the_message() {
        let message = [b'x'; 64 + 70];
        let middle = compress(INITIAL, &message.as_chunks::<64>().0[..1]);
        let digest = finish(middle, 64, &message[64..]);
        assert_eq!(
            cc_hash(&digest).as_slice(),
            &reference(&message).as_bytes()[..8]
        );
    }
}
