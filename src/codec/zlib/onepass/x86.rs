//! The encoder for x86-64 CPUs with AVX2 and BMI2.
//!
//! Literals are coded sixteen at a time: their codes, and masks as long as the codes, come from the rows of
//! [`Rows`](super::rows::Rows) with one byte shuffle per row, and `pext` closes the codes up. The last
//! group of a run takes as long as a full one, but its length causes no misprediction. Coding is split into
//! two loops, [`stage`] and [`pack`], which is 25 % faster than one.

#![allow(unsafe_code)] // instructions found at run time, and loads and stores through pointers

use super::{
    code::Code,
    emit::{self, BitWriter, PUT_BITS_MAX, block_bytes_max, match_bits},
    matcher::{Cpu, MATCHES_MAX, Matcher, SEGMENT_BYTES, TEXT_START, boxed},
    rows::ROW_HIGHS,
};
use std::arch::x86_64::*;

/// Most items of a segment: one for each match and one for each 16 literals before it, and the
/// literals at the end.
const ITEMS_MAX: usize = MATCHES_MAX + SEGMENT_BYTES / 16 + 1;

/// Up to sixteen literals and what follows them, ready to be closed up.
#[derive(Clone, Copy, Default)]
#[repr(C, align(16))]
struct Item {
    /// A byte for each literal: its code in as many low bits as it has.
    codes: [u64; 2],
    /// Ones where `codes` has bits to write.
    masks: [u64; 2],
    /// The match that follows, if `bit_count` is not zero.
    bits: u64,
    bit_count: u64,
}

/// The encoder's own scratch. Having one proves that the CPU has the instructions.
pub struct Wide {
    items: Box<[Item; ITEMS_MAX]>,
}

impl Wide {
    /// Detects the instructions.
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        all.then(|| Self { items: boxed() })
    }

    /// [`super::Encoder::block`] in these instructions.
    pub fn block(&mut self, matcher: &mut Matcher, code: &Code, room: &mut [u8]) -> Option<usize> {
        assert!(room.len() >= block_bytes_max(matcher.end() - TEXT_START));
        // SAFETY: only `detect` makes a `Self`, after checking every feature enabled on the callee.
        unsafe { block(&mut self.items, matcher, code, room) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn block(
    items: &mut [Item; ITEMS_MAX],
    matcher: &mut Matcher,
    code: &Code,
    room: &mut [u8],
) -> Option<usize> {
    let mut writer = BitWriter::new(room, code);
    let mut coded = TEXT_START;
    let mut complete = true;
    let known = matcher.known();
    if known.end > TEXT_START {
        let starts = mark(matcher, TEXT_START, known.end);
        matcher.learn(starts, known.end);
    }
    for from in (known.end..matcher.end()).step_by(SEGMENT_BYTES) {
        let starts = mark(matcher, from, matcher.end());
        let probes = compare(matcher, starts);
        let kept = select(matcher, probes, known.matches, coded.max(known.coded));
        let end = matcher.end().min(from + SEGMENT_BYTES);
        if code.rows.complete {
            let staged = stage(items, matcher, kept, end, code, &mut coded);
            complete &= staged.complete;
            // SAFETY: `Wide::block` checked the length of `room`.
            unsafe { pack(&items[..staged.items], &mut writer) };
        } else {
            complete &= emit::put_segment(&mut writer, code, matcher, kept, end, &mut coded);
        }
        if !complete {
            break;
        }
    }
    matcher.forget();
    complete.then(|| writer.finish(code))
}

// The loops are separate functions, called directly from a function with the same features, where the
// compiler obeys `inline(never)`. Inlined into one function they spill registers in every loop (+15 %).

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
fn mark(matcher: &mut Matcher, from: usize, to: usize) -> usize {
    matcher.mark::<Avx2>(from, to)
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
fn compare(matcher: &mut Matcher, starts: usize) -> usize {
    matcher.compare::<Avx2>(starts)
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
fn select(matcher: &mut Matcher, probes: usize, kept: usize, coded: usize) -> usize {
    matcher.select::<Avx2>(probes, kept, coded)
}

/// The result of [`stage`].
struct Staged {
    items: usize,
    /// No literal was missing.
    complete: bool,
}

/// Makes the items of the segment that ends at `end`, of which `coded` bytes are already coded.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
fn stage(
    items: &mut [Item; ITEMS_MAX],
    matcher: &Matcher,
    kept: usize,
    end: usize,
    code: &Code,
    coded: &mut usize,
) -> Staged {
    let text = matcher.padded();
    let mut used = 0;
    let mut at = *coded;
    let mut lengths = _mm_set1_epi8(-1);
    for &found in matcher.matches(kept) {
        let to = found.start as usize;
        used = stage_run(items, used, text, at, to, code, &mut lengths);
        let (bits, count) = match_bits(code, found);
        let last = &mut items[used - 1];
        last.bits = bits;
        last.bit_count = u64::from(count);
        at = to + usize::from(found.len);
    }
    if at < end {
        used = stage_run(items, used, text, at, end, code, &mut lengths);
        at = end;
    }
    *coded = at;
    let missing = _mm_cmpeq_epi8(lengths, _mm_setzero_si128());
    Staged {
        items: used,
        complete: _mm_movemask_epi8(missing) == 0,
    }
}

/// Makes the items, at least one, of the literals from `at` to `to`; returns the new count of items.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn stage_run(
    items: &mut [Item; ITEMS_MAX],
    mut used: usize,
    text: &[u8],
    mut at: usize,
    to: usize,
    code: &Code,
    lengths: &mut __m128i,
) -> usize {
    loop {
        let left = to - at;
        debug_assert!(to + 16 <= text.len());
        // SAFETY: `to` is at most the text's length, which is followed by more padding than this.
        let bytes = unsafe { _mm_loadu_si128(text.as_ptr().add(at).cast()) };
        // SAFETY: 16 − left.min(16) is at most 16, and there are 32 bytes.
        let beyond = unsafe { _mm_loadu_si128(BEYOND.as_ptr().add(16 - left.min(16)).cast()) };
        let [codes, masks] = literals(bytes, code);
        *lengths = _mm_min_epu8(*lengths, _mm_or_si128(masks, beyond));
        let masks = _mm_andnot_si128(beyond, masks);
        let item = &mut items[used];
        used += 1;
        item.bits = 0;
        item.bit_count = 0;
        // SAFETY: both fields are 16 bytes at offsets of 0 and 16 in a struct aligned to 16.
        unsafe {
            _mm_store_si128((&raw mut item.codes).cast(), codes);
            _mm_store_si128((&raw mut item.masks).cast(), masks);
        }
        if left <= 16 {
            return used;
        }
        at += 16;
    }
}

/// The codes of sixteen literals, each in the low bits of its byte, and their masks.
#[target_feature(enable = "avx2")]
#[inline]
fn literals(bytes: __m128i, code: &Code) -> [__m128i; 2] {
    let bytes = _mm256_broadcastsi128_si256(bytes);
    let mut both = _mm256_setzero_si256();
    for (table, high) in code.rows.tables.iter().zip(ROW_HIGHS) {
        // The row's own bytes become 0x70..0x80; others 0x80 and up, which shuffle in zeros.
        let high = _mm256_set1_epi8((high << 4) as i8);
        let index = _mm256_adds_epu8(_mm256_xor_si256(bytes, high), _mm256_set1_epi8(0x70));
        both = _mm256_or_si256(both, _mm256_shuffle_epi8(load(&table.0), index));
    }
    [
        _mm256_castsi256_si128(both),
        _mm256_extracti128_si256::<1>(both),
    ]
}

/// Sixteen zeros and sixteen ones: loaded from `16 - n` on, a mask of the bytes after the first `n`.
static BEYOND: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut at = 16;
    while at < 32 {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes
};

/// Writes the items' bits.
///
/// # Safety
/// The writer's buffer has [`block_bytes_max`] bytes for the text that the items are of.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
unsafe fn pack(items: &[Item], writer: &mut BitWriter) {
    let room = writer.room.as_mut_ptr();
    let mut end = End {
        at: writer.at,
        pending: writer.pending,
        count: writer.count,
    };
    for item in items {
        // SAFETY: the caller's promise; the items have at most the bits that `block_bytes_max` assumes.
        unsafe {
            end.put_masked(room, item.codes[0], item.masks[0]);
            end.put_masked(room, item.codes[1], item.masks[1]);
            end.put(room, item.bits, item.bit_count as u32);
        }
    }
    (writer.at, writer.pending, writer.count) = (end.at, end.pending, end.count);
}

/// A [`BitWriter`]'s state in registers; it writes without checking the buffer's end.
struct End {
    at: usize,
    pending: u64,
    count: u32,
}

impl End {
    /// [`BitWriter::put`].
    ///
    /// # Safety
    /// `room` has at least `at` + 8 bytes.
    #[inline(always)]
    unsafe fn put(&mut self, room: *mut u8, bits: u64, count: u32) {
        debug_assert!(count <= PUT_BITS_MAX);
        self.pending |= bits << self.count;
        self.count += count;
        // SAFETY: the caller's promise; byte arrays need no alignment.
        unsafe {
            room.add(self.at)
                .cast::<[u8; 8]>()
                .write(self.pending.to_le_bytes())
        };
        self.at += (self.count >> 3) as usize;
        self.pending >>= self.count & !7;
        self.count &= 7;
    }

    /// Appends the bits of `codes` where `masks` has ones.
    ///
    /// # Safety
    /// `room` has at least `at` + 16 bytes.
    #[target_feature(enable = "bmi2,popcnt")]
    #[inline]
    unsafe fn put_masked(&mut self, room: *mut u8, codes: u64, masks: u64) {
        let bits = _pext_u64(codes, masks);
        let count = masks.count_ones();
        // SAFETY: the caller's promise.
        unsafe {
            if count <= PUT_BITS_MAX {
                self.put(room, bits, count);
            } else {
                self.put(room, bits & 0xffff_ffff, 32);
                self.put(room, bits >> 32, count - 32);
            }
        }
    }
}

/// Only functions of this file name it, so its methods run only where the features exist.
struct Avx2;

impl Cpu for Avx2 {
    #[inline(always)]
    fn alphanumeric(block: &[u8; 64]) -> u64 {
        let (halves, _) = block.as_chunks();
        // SAFETY: called from functions with the feature only.
        let [low, high] = unsafe { [alphanumeric(&halves[0]), alphanumeric(&halves[1])] };
        u64::from(low) | u64::from(high) << 32
    }

    #[inline(always)]
    fn differing(a: &[u8; 32], b: &[u8; 32]) -> u32 {
        // SAFETY: called from functions with the feature only.
        unsafe { differing(a, b) }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn alphanumeric(bytes: &[u8; 32]) -> u32 {
    let bytes = load(bytes);
    // A range of n bytes is moved to the top of the signed numbers, where one comparison finds it.
    let digits = _mm256_cmpgt_epi8(
        _mm256_add_epi8(bytes, _mm256_set1_epi8(127 - b'9' as i8)),
        _mm256_set1_epi8(127 - 10),
    );
    let lower = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    let letters = _mm256_cmpgt_epi8(
        _mm256_add_epi8(lower, _mm256_set1_epi8(127 - b'z' as i8)),
        _mm256_set1_epi8(127 - 26),
    );
    _mm256_movemask_epi8(_mm256_or_si256(digits, letters)) as u32
}

#[target_feature(enable = "avx2")]
#[inline]
fn differing(a: &[u8; 32], b: &[u8; 32]) -> u32 {
    !_mm256_movemask_epi8(_mm256_cmpeq_epi8(load(a), load(b))) as u32
}
