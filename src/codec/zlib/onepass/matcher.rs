//! Finds back-references at the starts of words.
//!
//! A probe is the byte before a letter or digit that follows something else: in JSON the last punctuation
//! before each key and each value. It is compared with one earlier probe, the latest that has the same four
//! bytes before it and the same four from it on, else the latest with the same four from it on: what comes
//! before a key says in which kind of object it is, and so what will come after it. The match is extended up
//! to 32 bytes back, over earlier matches if it covers them, and up to 66 forward. A run of equal bytes is one
//! more probe, which is compared with the byte before it. Probing at every byte gains 1 % in size for three
//! times the work: digits inside numbers seldom repeat long enough to be worth a reference.
//!
//! The work is split into three loops over arrays, none with a hard-to-predict branch, so that the CPU
//! keeps many probes in flight. One loop measured 15 % slower, five loops 10 % slower.

#![allow(unsafe_code)] // unchecked loads, worth 15 % of the encoder; see `load`

use super::code::{MATCH_BYTES_MAX, WINDOW_BYTES};
use crate::codec::zlib::inflate::{Copied, Inflated};
use std::hint::select_unpredictable;

/// Most bytes of text in one block. Positions are 32-bit; the caller stores longer texts.
pub const TEXT_BYTES_MAX: usize = 1 << 30;

/// The operations of the match search that CPUs differ in.
pub trait Cpu {
    /// Bit `i` is set when `block[i]` is an ASCII letter or digit.
    fn alphanumeric(block: &[u8; 64]) -> u64;

    /// Bit `i` is set when `a[i]` and `b[i]` differ.
    fn differing(a: &[u8; 32], b: &[u8; 32]) -> u32;

    /// [`Self::differing`] of twice as many bytes.
    #[inline(always)]
    fn differing_64(a: &[u8; 64], b: &[u8; 64]) -> u64 {
        let ([low_a, high_a], _) = a.as_chunks() else {
            return !0;
        };
        let ([low_b, high_b], _) = b.as_chunks() else {
            return !0;
        };
        u64::from(Self::differing(low_a, low_b)) | u64::from(Self::differing(high_a, high_b)) << 32
    }
}

/// Bytes of text handled at a time.
pub const SEGMENT_BYTES: usize = 4 << 10;

/// Where the text begins in the buffer. The zero bytes before it, as those after it, let blocks be loaded
/// whole at every position; all positions count from the buffer's start.
pub const TEXT_START: usize = 32;

/// Zero bytes kept after the text.
pub const PADDING_BYTES: usize = 128;

/// Most probes in a block of 64 bytes: every other byte, or one for each run of five equal ones, and one in
/// each empty half.
const PROBES_MAX: usize = SEGMENT_BYTES / 64 * 48 + 8;

/// Most matches in a segment, and one more to note what comes after.
pub const MATCHES_MAX: usize = SEGMENT_BYTES / MATCH_BYTES_MIN as usize + 2;

/// Capacity of the text buffer that is kept from one text to the next.
const TEXT_BYTES_RETAINED: usize = 64 << 10;

/// The two tables of latest positions have 2 to this power entries each: 24 KiB in all, half of an L1
/// cache, of which a text of 1 KiB touches a fraction.
const HASH_BITS: u32 = 11;

/// Shortest match used. Four digits cost about as much as a reference, so four do not pay.
const MATCH_BYTES_MIN: i32 = 5;

/// Bytes before a probe, and from it on, that are compared at once.
const COMPARED_BYTES: u32 = 32;

/// Most bytes from a probe on in a match, so that with those before it the match is not too long.
const FORWARD_BYTES_MAX: u32 = MATCH_BYTES_MAX as u32 - COMPARED_BYTES;

/// Bytes before a probe that the first table regards, beside the four from it on.
const CONTEXT_BYTES: usize = 4;

/// A back-reference: `len` bytes at `start` repeat those `distance` bytes earlier.
#[derive(Clone, Copy, Default)]
pub struct Match {
    pub start: u32,
    pub len: u16,
    pub distance: u16,
}

/// Fewest bytes for which the matches of a request are taken over.
const KNOWN_BYTES_MIN: usize = 256;

/// Fewest bytes that the matches of a request have on average, if they are taken over.
const KNOWN_MATCH_BYTES_MIN: usize = 8;

/// The beginning of a text whose matches are known from its request.
#[derive(Clone, Copy)]
pub struct Known {
    /// Where it ends in the buffer.
    pub end: usize,
    /// How many matches it has.
    pub matches: usize,
    /// Where the last of them ends.
    pub coded: usize,
}

impl Known {
    const NOTHING: Self = Self {
        end: TEXT_START,
        matches: 0,
        coded: TEXT_START,
    };
}

/// A probe compared with its candidate.
#[derive(Clone, Copy, Default)]
struct Probe {
    at: u32,
    distance: u32,
    /// Which of the 32 bytes before and the 32 from here differ, lowest bit first; all if there is no
    /// candidate.
    differing: u64,
}

/// The current text, the table of positions, and the arrays between the loops.
pub struct Matcher {
    /// Zeros, the text, zeros.
    text: Vec<u8>,
    /// Where the text ends in the buffer.
    end: usize,
    /// What need not be searched.
    known: Known,
    /// What position 0 counts as in the tables. It is more than the window's bytes above every entry of
    /// earlier texts, which are recognised by that and need not be cleared.
    base: u32,
    /// The latest position with the same four bytes from it on.
    latest: Box<[u32; 1 << HASH_BITS]>,
    /// The latest position with the same four bytes before it, too, and these four.
    latest_in_context: Box<[(u32, u32); 1 << HASH_BITS]>,
    /// For each block of 64 bytes, which are letters or digits, and which are equal to the byte before.
    words: Box<[(u64, u64); SEGMENT_BYTES / 64]>,
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
            end: TEXT_START,
            known: Known::NOTHING,
            base: WINDOW_BYTES,
            latest: boxed(),
            latest_in_context: boxed(),
            words: boxed(),
            starts: boxed(),
            probes: boxed(),
            matches: boxed(),
        }
    }

    /// Copies `text`. Frees the memory of an earlier long text.
    pub fn load(&mut self, text: &[u8]) {
        if self.text.capacity() > TEXT_BYTES_RETAINED + TEXT_START + PADDING_BYTES {
            self.text = Vec::new();
        }
        self.text.clear();
        self.text
            .reserve_exact(TEXT_START + text.len() + PADDING_BYTES);
        self.text.extend_from_slice(&[0; TEXT_START]);
        self.text.extend_from_slice(text);
        self.text.extend_from_slice(&[0; PADDING_BYTES]);
        self.end = TEXT_START + text.len();
        self.known = Known::NOTHING;
    }

    /// Takes over the matches of `request` as far as the loaded text begins alike, if that is far enough and they
    /// are as many and as long as an encoder finds who searches. Of others the answer would be larger.
    pub fn adopt(&mut self, request: &Inflated) {
        let len = self.end - TEXT_START;
        let text = self.text.get(TEXT_START..self.end).unwrap_or(&[]);
        let same = same_bytes(text, request.text).min(len.saturating_sub(1));
        if same < KNOWN_BYTES_MIN || len > SEGMENT_BYTES {
            return;
        }
        let mut known = Known::NOTHING;
        known.end += same;
        let mut covered = 0;
        for copied in request.copies {
            let Copied {
                start, distance, ..
            } = *copied;
            let start = start as usize;
            let len = usize::from(copied.len)
                .min(MATCH_BYTES_MAX)
                .min(same.saturating_sub(start));
            let take = (len >= MATCH_BYTES_MIN as usize) & (u32::from(distance) <= WINDOW_BYTES);
            let start = TEXT_START + start;
            let Some(slot) = self.matches.get_mut(known.matches) else {
                return;
            };
            *slot = Match {
                start: start as u32,
                len: len as u16,
                distance,
            };
            known.matches += usize::from(take);
            covered += select_unpredictable(take, len, 0);
            known.coded = select_unpredictable(take, start + len, known.coded);
        }
        if covered * 2 >= same && covered >= known.matches * KNOWN_MATCH_BYTES_MIN {
            self.known = known;
        }
    }

    /// What need not be searched.
    pub fn known(&self) -> Known {
        self.known
    }

    /// Forgets every position, so that the text can be searched again or another loaded.
    pub fn forget(&mut self) {
        // Leaves room for the positions of one more text.
        const BASE_MAX: u32 = u32::MAX - (TEXT_START + TEXT_BYTES_MAX) as u32;
        let base = u64::from(self.base) + self.end as u64 + u64::from(WINDOW_BYTES);
        if base <= u64::from(BASE_MAX) {
            self.base = base as u32;
        } else {
            self.latest.fill(0);
            self.latest_in_context.fill((0, 0));
            self.base = WINDOW_BYTES;
        }
    }

    /// The buffer: zeros, the text from [`TEXT_START`] to [`Self::end`], zeros.
    pub fn padded(&self) -> &[u8] {
        &self.text
    }

    /// Where the text ends in the buffer.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The first `count` matches that [`Self::select`] kept.
    pub fn matches(&self, count: usize) -> &[Match] {
        self.matches.get(..count).unwrap_or(&[])
    }

    /// Notes where words and runs start in the segment at `from`, which ends at `to` if it is not full; returns
    /// how many starts there are.
    #[inline(always)]
    pub fn mark<C: Cpu>(&mut self, from: usize, to: usize) -> usize {
        let segment = self.text.get(from..).unwrap_or(&[]).as_chunks().0;
        let before = self.text.get(from - 1..).unwrap_or(&[]).as_chunks().0;
        let used = to.saturating_sub(from).min(SEGMENT_BYTES).div_ceil(64);
        let blocks = segment.iter().zip(before).take(used);
        for (words, (block, shifted)) in self.words.iter_mut().zip(blocks) {
            *words = (C::alphanumeric(block), !C::differing_64(block, shifted));
        }
        let mut count = 0;
        let mut before = 1;
        for (index, (word, equal)) in self.words.iter().take(used).enumerate() {
            let at = (from + index * 64) as u32;
            let mut starts = word & !(word << 1 | before);
            before = word >> 63;
            // Four bytes equal to those before them. The probe is the byte before a start.
            let runs = equal & equal >> 1 & equal >> 2 & equal >> 3;
            starts |= (runs & !(equal << 1)) << 1;
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
        count.min(PROBES_MAX)
    }

    /// Enters starts before `to` into the tables without comparing them.
    #[inline(always)]
    pub fn learn(&mut self, starts: usize, to: usize) {
        let text = &self.text[..];
        let starts = self.starts.get(..starts).unwrap_or(&[]).iter();
        for start in starts.filter(|start| (TEXT_START + 2..to).contains(&(**start as usize))) {
            let at = start - 1;
            // SAFETY: 32 < at < to, which is in the text; the padding is longer than these bytes.
            let around = u64::from_le_bytes(*unsafe { load(text, at as usize - CONTEXT_BYTES) });
            let position = self.base + at;
            let [plain, in_context] = places(around);
            self.latest[plain] = position;
            self.latest_in_context[in_context] = (position, around as u32);
        }
    }

    /// Compares each start with an earlier one; returns the number of probes, in which starts too near the
    /// ends of the text are left out.
    #[inline(always)]
    pub fn compare<C: Cpu>(&mut self, starts: usize) -> usize {
        let mut starts = self.starts.get(..starts).unwrap_or(&[]);
        while let Some((first, rest)) = starts.split_first()
            && *first as usize <= TEXT_START + 1
        {
            starts = rest;
        }
        while let Some((last, rest)) = starts.split_last()
            && *last as usize > self.end
        {
            starts = rest;
        }
        let text = &self.text[..];
        for (start, probe) in starts.iter().zip(self.probes.iter_mut()) {
            let at = start - 1;
            let here = at as usize;
            // SAFETY: 32 < at < end, for the starts outside were taken off both ends; the padding is longer
            // than these bytes.
            let around = u64::from_le_bytes(*unsafe { load(text, here - CONTEXT_BYTES) });
            let position = self.base + at;
            let bytes = (around >> 32) as u32;
            let [plain_at, in_context_at] = places(around);
            let latest = &mut self.latest[plain_at];
            let plain = position.wrapping_sub(*latest);
            *latest = position;
            let latest = &mut self.latest_in_context[in_context_at];
            let (before, in_context) = (latest.1, position.wrapping_sub(latest.0));
            *latest = (position, around as u32);
            let same = (before == around as u32) & (in_context <= WINDOW_BYTES);
            let distance = select_unpredictable(same, in_context, plain);
            let run = bytes == (around >> 24) as u32;
            let distance = select_unpredictable(run, 1, distance);
            // Then the candidate is in this text, not before its start: see `base`.
            let near = distance <= WINDOW_BYTES;
            let there = here - select_unpredictable(near, distance, 0) as usize;
            let start = here - COMPARED_BYTES as usize;
            // SAFETY: 32 <= there <= here < end, and the padding is longer than the 32 bytes from there on.
            let (here, there) = unsafe {
                (
                    load(text, start),
                    load(text, there - COMPARED_BYTES as usize),
                )
            };
            let differing = select_unpredictable(near, C::differing_64(here, there), !0);
            *probe = Probe {
                at,
                distance,
                differing,
            };
        }
        starts.len().min(PROBES_MAX)
    }

    /// Keeps matches that cover enough bytes after `coded` and after earlier matches. A match that begins
    /// no later than the one before it and ends after it takes its place. Returns how many are kept, with the
    /// `kept` before them.
    #[inline(always)]
    pub fn select<C: Cpu>(&mut self, probes: usize, mut kept: usize, coded: usize) -> usize {
        let mut coded = coded as i32;
        // Where the last match starts, and where the one before it ends.
        let (mut last, mut before_last) = (i32::MIN, coded);
        for probe in self.probes.iter().take(probes) {
            let Probe {
                at,
                distance,
                differing,
            } = *probe;
            let back = (differing as u32).leading_zeros();
            let mut forward = ((differing >> 32) as u32).trailing_zeros();
            if forward == COMPARED_BYTES {
                let here = (at + COMPARED_BYTES) as usize;
                // SAFETY: at < end, the padding is longer than the 32 and 64 bytes, and a probe of which 32
                // bytes are equal has a candidate, so its distance is less than `at`.
                let (here, there) = unsafe {
                    (
                        load(&self.text, here),
                        load(&self.text, here - distance as usize),
                    )
                };
                forward += C::differing_64(here, there).trailing_zeros();
                forward = forward.min(FORWARD_BYTES_MAX);
            }
            // The candidate's text begins with the text.
            let back = back.min(at.wrapping_sub(distance).wrapping_sub(TEXT_START as u32));
            let start = (at - back) as i32;
            let end = (at + forward).min(self.end as u32) as i32;
            // Each result waits for as few others as possible: the loop is as slow as this chain.
            let replace = (start <= last) & (end > coded);
            let take = replace | (end - start.max(coded) >= MATCH_BYTES_MIN);
            let start = select_unpredictable(replace, start.max(before_last), start.max(coded));
            let index = kept - usize::from(replace);
            let Some(slot) = self.matches.get_mut(index) else {
                break;
            };
            *slot = Match {
                start: start as u32,
                len: (end - start) as u16,
                distance: distance as u16,
            };
            before_last = select_unpredictable(take & !replace, coded, before_last);
            kept = index + usize::from(take);
            coded = select_unpredictable(take, end, coded);
            last = select_unpredictable(take, start, last);
        }
        kept
    }
}

/// Where the two tables have the eight bytes around a probe: the four from it on, and all.
#[inline(always)]
fn places(around: u64) -> [usize; 2] {
    let bytes = (around >> 32) as u32;
    let plain = bytes.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
    let in_context = around.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS);
    [plain as usize, in_context as usize]
}

/// With how many equal bytes two texts begin.
fn same_bytes(a: &[u8], b: &[u8]) -> usize {
    let chunks = a.as_chunks::<32>().0.iter().zip(b.as_chunks::<32>().0);
    let same = chunks.take_while(|(a, b)| a == b).count() * 32;
    let rest = a.iter().zip(b).skip(same);
    same + rest.take_while(|(a, b)| a == b).count()
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

#[cfg(test)]
impl Matcher {
    pub fn set_base(&mut self, base: u32) {
        self.latest.fill(0);
        self.latest_in_context.fill((0, 0));
        self.base = base;
    }

    pub fn text_capacity(&self) -> usize {
        self.text.capacity()
    }
}
