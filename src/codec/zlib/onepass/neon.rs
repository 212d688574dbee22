//! The match search's operations for arm64, where every processor has these instructions.
//!
//! There is no instruction that gathers one bit per byte: each byte of a comparison keeps the bit of its place
//! in its group of eight, and additions of neighbours fold a group into one byte.

#![allow(unsafe_code)] // loads of whole vectors, and calls of functions with the target's own feature

use super::matcher::Cpu;
use std::arch::aarch64::*;

/// Vectors of sixteen bytes.
pub struct Neon;

impl Cpu for Neon {
    #[inline(always)]
    fn alphanumeric(block: &[u8; 64]) -> u64 {
        // SAFETY: NEON is part of every aarch64 target that has an operating system.
        unsafe { alphanumeric(block) }
    }

    #[inline(always)]
    fn differing(a: &[u8; 32], b: &[u8; 32]) -> u32 {
        // SAFETY: as above.
        unsafe { differing(a, b) }
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn alphanumeric(block: &[u8; 64]) -> u64 {
    let (quarters, _) = block.as_chunks::<16>();
    let place = |nth: usize| places(letters_and_digits(load(&quarters[nth])));
    let folded = vpaddq_u8(vpaddq_u8(place(0), place(1)), vpaddq_u8(place(2), place(3)));
    let folded = vpaddq_u8(folded, folded);
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(folded))
}

#[target_feature(enable = "neon")]
#[inline]
fn differing(a: &[u8; 32], b: &[u8; 32]) -> u32 {
    let (ones, _) = a.as_chunks::<16>();
    let (others, _) = b.as_chunks::<16>();
    let place = |nth: usize| places(vceqq_u8(load(&ones[nth]), load(&others[nth])));
    let folded = vpaddq_u8(place(0), place(1));
    let folded = vpaddq_u8(folded, folded);
    let folded = vpaddq_u8(folded, folded);
    !vgetq_lane_u32::<0>(vreinterpretq_u32_u8(folded))
}

#[target_feature(enable = "neon")]
#[inline]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the reference is to 16 readable bytes and the load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// Ones where a byte is an ASCII letter or digit.
#[target_feature(enable = "neon")]
#[inline]
fn letters_and_digits(bytes: uint8x16_t) -> uint8x16_t {
    let digit = vcltq_u8(vsubq_u8(bytes, vdupq_n_u8(b'0')), vdupq_n_u8(10));
    let lower = vorrq_u8(bytes, vdupq_n_u8(0x20));
    let letter = vcltq_u8(vsubq_u8(lower, vdupq_n_u8(b'a')), vdupq_n_u8(26));
    vorrq_u8(digit, letter)
}

/// For each byte that is all ones, the bit of its place in its group of eight; 0 for the others, which are 0.
#[target_feature(enable = "neon")]
#[inline]
fn places(ones: uint8x16_t) -> uint8x16_t {
    const PLACES: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    vandq_u8(ones, load(&PLACES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::zlib::onepass::portable::Portable;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_same_as_without_vectors(
            block in proptest::array::uniform(any::<u8>()),
            a in proptest::array::uniform32(0..4u8),
            b in proptest::array::uniform32(0..4u8),
        ) {
            prop_assert_eq!(Neon::alphanumeric(&block), Portable::alphanumeric(&block));
            prop_assert_eq!(Neon::differing(&a, &b), Portable::differing(&a, &b));
        }
    }
}
