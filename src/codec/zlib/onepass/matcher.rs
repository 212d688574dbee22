//! Finds back-references at the starts of words.
//!
//! A probe is the byte before a letter or digit that follows something else: in JSON the last punctuation
//! before each key and each value. The four bytes there pick the latest earlier probe with the same four,
//! and the match is extended up to 8 bytes back and as far forward as it goes. Probing at every byte gains
//! 1 % in size for three times the work: digits inside numbers seldom repeat long enough to be worth a
//! reference.
//!
//! The work is split into three loops over arrays, none with a hard-to-predict branch, so that the CPU
//! keeps many probes in flight. One loop measured 15 % slower, five loops 10 % slower.

#![allow(unsafe_code)] // unchecked loads, worth 15 % of the encoder; see `load`

use super::code::{MATCH_BYTES_MAX, WINDOW_BYTES};
use std::hint::select_unpredictable;

/// Most bytes of text in one block. Positions are 32-bit; the caller stores longer texts.
pub const TEXT_BYTES_MAX: usize = 1 << 30;

/// The operations of the match search that CPUs differ in.
pub trait Cpu {
    /// Bit `i` is set when `block[i]` is an ASCII letter or digit.
    fn alphanumeric(block: &[u8; 64]) -> u64;

    /// Bit `i` is set when `a[i]` and `b[i]` differ.
    fn differing(a: &[u8; 32], b: &[u8; 32]) -> u32;
}

/// Bytes of text handled at a time.
pub const SEGMENT_BYTES: usize = 4 << 10;

/// Zero bytes kept after the text so that blocks can be loaded whole at every position.
pub const PADDING_BYTES: usize = 64;

/// Most probes in a segment: every other byte, and one in each empty half of a 64-byte block.
const PROBES_MAX: usize = SEGMENT_BYTES / 2 + SEGMENT_BYTES / 32 + 8;

/// Most matches in a segment, and one more to note what comes after.
pub const MATCHES_MAX: usize = SEGMENT_BYTES / MATCH_BYTES_MIN as usize + 2;

/// Capacity of the text buffer that is kept from one text to the next.
const TEXT_BYTES_RETAINED: usize = 64 << 10;

/// The table of latest positions has 2 to this power entries: 16 KiB, a third of an L1 cache.
const HASH_BITS: u32 = 12;

/// Shortest match used. Four digits cost about as much as a reference, so four do not pay.
const MATCH_BYTES_MIN: i32 = 5;

/// Bytes before a probe that are compared with those before its candidate.
const BACK_BYTES: u32 = 8;

/// Bytes from a probe on that are compared at the same time.
const FORWARD_BYTES: u32 = 24;

/// Most bytes from a probe on that [`extend`] compares, so that with those before it a match is not
/// too long.
const EXTENDED_BYTES_MAX: u32 = (MATCH_BYTES_MAX as u32 - BACK_BYTES) / 8 * 8;

/// A back-reference: `len` bytes at `start` repeat those `distance` bytes earlier.
#[derive(Clone, Copy, Default)]
pub struct Match {
    pub start: u32,
    pub len: u16,
    pub distance: u16,
}

/// A probe compared with its candidate.
#[derive(Clone, Copy, Default)]
struct Probe {
    at: u32,
    distance: u32,
    /// Which of the 8 bytes before and the 24 from here differ, lowest bit first; all if the
    /// candidate cannot be used.
    differing: u32,
}

/// The current text, the table of positions, and the arrays between the loops.
pub struct Matcher {
    /// The text and its padding.
    text: Vec<u8>,
    len: usize,
    /// What position 0 of the text counts as in `latest`. It grows with each text by more than
    /// the text's length, so entries of earlier texts are recognised as too far away and the table
    /// need not be cleared.
    base: u32,
    latest: Box<[u32; 1 << HASH_BITS]>,
    words: Box<[u64; SEGMENT_BYTES / 64]>,
    starts: Box<[u32; PROBES_MAX]>,
    probes: Box<[Probe; PROBES_MAX]>,
    matches: Box<[Match; MATCHES_MAX]>,
}

/// `N` defaults on the heap, never on the stack.
pub fn boxed<T: Clone + Default, const N: usize>() -> Box<[T; N]> {
    match vec![T::default(); N].into_boxed_slice().try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("the vector was made N long"),
    }
}

impl Matcher {
    /// A matcher without a text.
    pub fn new() -> Self {
        Self {
            text: Vec::new(),
            len: 0,
            base: WINDOW_BYTES,
            latest: boxed(),
            words: boxed(),
            starts: boxed(),
            probes: boxed(),
            matches: boxed(),
        }
    }

    /// Copies `text`. Frees the memory of an earlier long text.
    pub fn load(&mut self, text: &[u8]) {
        if self.text.capacity() > TEXT_BYTES_RETAINED + PADDING_BYTES {
            self.text = Vec::new();
        }
        self.text.clear();
        self.text.reserve_exact(text.len() + PADDING_BYTES);
        self.text.extend_from_slice(text);
        self.text.extend_from_slice(&[0; PADDING_BYTES]);
        self.len = text.len();
    }

    /// Forgets every position, so that the text can be searched again or another loaded.
    pub fn forget(&mut self) {
        // Leaves room for the positions of one more text.
        const BASE_MAX: u32 = u32::MAX - TEXT_BYTES_MAX as u32;
        let base = u64::from(self.base) + self.len as u64 + u64::from(WINDOW_BYTES);
        if base <= u64::from(BASE_MAX) {
            self.base = base as u32;
        } else {
            self.latest.fill(0);
            self.base = WINDOW_BYTES;
        }
    }

    /// The text and its padding.
    pub fn padded(&self) -> &[u8] {
        &self.text
    }

    /// Bytes of text.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first `count` matches that [`Self::select`] kept.
    pub fn matches(&self, count: usize) -> &[Match] {
        self.matches.get(..count).unwrap_or(&[])
    }

    /// Notes where words start in the segment at `from`; returns how many starts there are.
    #[inline(always)]
    pub fn mark<C: Cpu>(&mut self, from: usize) -> usize {
        let segment = self.text.get(from..).unwrap_or(&[]);
        let used = self
            .len
            .saturating_sub(from)
            .min(SEGMENT_BYTES)
            .div_ceil(64);
        for (word, block) in self.words.iter_mut().zip(segment.as_chunks().0).take(used) {
            *word = C::alphanumeric(block);
        }
        let mut count = 0;
        let mut before = 1;
        for (index, word) in self.words.iter().take(used).enumerate() {
            let at = (from + index * 64) as u32;
            let mut starts = word & !(word << 1 | before);
            before = word >> 63;
            // Without a start for 32 bytes there is one anyway, so that any repetition is found.
            starts |= u64::from(starts as u32 == 0) | u64::from(starts >> 32 == 0) << 32;
            let mut left = starts.count_ones() as usize;
            let Some(mut room) = self.starts.get_mut(count..) else {
                break;
            };
            count += left;
            // Always eight at a time, because a branch on their number would be mispredicted.
            while let Some((eight, rest)) = room.split_first_chunk_mut::<8>() {
                for start in eight {
                    *start = at + starts.trailing_zeros();
                    starts &= starts.wrapping_sub(1);
                }
                room = rest;
                if left <= 8 {
                    break;
                }
                left -= 8;
            }
        }
        count
    }

    /// Compares each start with the latest place that had the same bytes; returns the number of
    /// probes, in which starts too near the ends of the text are left out.
    #[inline(always)]
    pub fn compare<C: Cpu>(&mut self, starts: usize) -> usize {
        let mut starts = self.starts.get(..starts).unwrap_or(&[]);
        while let Some((first, rest)) = starts.split_first()
            && *first <= BACK_BYTES
        {
            starts = rest;
        }
        while let Some((last, rest)) = starts.split_last()
            && *last as usize > self.len
        {
            starts = rest;
        }
        let text = &self.text[..];
        for (start, probe) in starts.iter().zip(self.probes.iter_mut()) {
            let at = start - 1;
            // SAFETY: 8 <= at < len, for the starts outside were taken off both ends.
            let bytes = u32::from_le_bytes(*unsafe { load(text, at as usize) });
            let hash = bytes.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
            let position = self.base + at;
            let latest = &mut self.latest[hash as usize];
            let distance = position.wrapping_sub(*latest);
            *latest = position;
            let limit = (at - BACK_BYTES).min(WINDOW_BYTES);
            let near = distance <= limit;
            let here = (at - BACK_BYTES) as usize;
            let there = here - select_unpredictable(near, distance, limit) as usize;
            // SAFETY: there <= here < len, and the padding is longer than the 32 bytes.
            let (here, there) = unsafe { (load(text, here), load(text, there)) };
            let differing = select_unpredictable(near, C::differing(here, there), !0);
            *probe = Probe {
                at,
                distance,
                differing,
            };
        }
        starts.len().min(PROBES_MAX)
    }

    /// Keeps matches that still cover enough bytes after `coded` and after earlier matches. Returns how
    /// many.
    #[inline(always)]
    pub fn select<C: Cpu>(&mut self, probes: usize, coded: usize) -> usize {
        let mut coded = coded as i32;
        let mut kept = 0;
        for probe in self.probes.iter().take(probes) {
            let Probe {
                at,
                distance,
                differing,
            } = *probe;
            let back = (differing << 24 | 1 << 23).leading_zeros();
            let mut forward = (differing >> 8 | 1 << FORWARD_BYTES).trailing_zeros();
            if forward == FORWARD_BYTES {
                let here = (at + FORWARD_BYTES) as usize;
                // SAFETY: at < len, the padding is longer than the 24 and 32 bytes, and a probe of
                // which 24 bytes are equal has a candidate, so its distance is at most `at`.
                let (here, there) = unsafe {
                    (
                        load(&self.text, here),
                        load(&self.text, here - distance as usize),
                    )
                };
                let differing = C::differing(here, there);
                forward += differing.trailing_zeros();
                if differing == 0 {
                    forward = extend(&self.text, at as usize, distance as usize);
                    // Already within a match: a later probe can begin a whole match where this one ends.
                    if forward == EXTENDED_BYTES_MAX && (at as i32) < coded {
                        forward = 0;
                    }
                }
            }
            let end = (at + forward).min(self.len as u32) as i32;
            let start = coded.max((at - back) as i32);
            let take = end - start >= MATCH_BYTES_MIN;
            let Some(slot) = self.matches.get_mut(kept) else {
                break;
            };
            *slot = Match {
                start: start as u32,
                len: (end - start) as u16,
                distance: distance as u16,
            };
            kept += usize::from(take);
            coded = select_unpredictable(take, end, coded);
        }
        kept
    }
}

/// The `N` bytes of `text` at `at`. Checked loads cost the encoder 15 %.
///
/// # Safety
/// They are within `text`.
#[inline(always)]
unsafe fn load<const N: usize>(text: &[u8], at: usize) -> &[u8; N] {
    debug_assert!(at + N <= text.len());
    // SAFETY: the caller's promise; byte arrays need no alignment.
    unsafe { &*text.as_ptr().add(at).cast() }
}

/// Equal bytes from `at` on, at most [`EXTENDED_BYTES_MAX`].
#[cold]
#[inline(never)]
fn extend(text: &[u8], at: usize, distance: usize) -> u32 {
    let here = text.get(at..).unwrap_or(&[]).as_chunks::<8>().0;
    let there = text.get(at - distance..).unwrap_or(&[]).as_chunks::<8>().0;
    let mut len = 0;
    for (here, there) in here.iter().zip(there).take(EXTENDED_BYTES_MAX as usize / 8) {
        let differing = u64::from_le_bytes(*here) ^ u64::from_le_bytes(*there);
        len += differing.trailing_zeros() / 8;
        if differing != 0 {
            break;
        }
    }
    len
}

#[cfg(test)]
impl Matcher {
    pub fn set_base(&mut self, base: u32) {
        self.latest.fill(0);
        self.base = base;
    }

    pub fn text_capacity(&self) -> usize {
        self.text.capacity()
    }
}
