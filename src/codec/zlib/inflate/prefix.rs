//! Prefix codes of one block, laid out for reading: a table indexed by the next bits.
//!
//! What a library spends on a stream of 400 bytes is mostly table building: clearing and counting
//! over all 288 symbols, of which such a stream uses 50. Here the header reader hands over only the
//! symbols in use, and the table has 10 bits, which all codes of short streams fit in; longer codes
//! are found by the canonical rule (RFC 1951 §3.2.2), a few dozen cycles each.
//!
//! An entry says what to do with a symbol:
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0..8 | bits to consume: code and extra bits |
//! | 8..12 | bits of the code alone |
//! | 14 | [`END`]: end of block |
//! | 15 | [`RARE`]: not a plain symbol; see the other bits |
//! | 16..31 | literal, or first length or distance |
//! | 31 | [`LITERAL`] |

use super::InflateError;

/// The symbol is a literal byte.
pub const LITERAL: u32 = 1 << 12;
/// The entry is neither a literal nor a length or distance: [`END`], [`LONG`] or [`INVALID`].
pub const RARE: u32 = 1 << 15;
/// The symbol ends the block.
pub const END: u32 = RARE | 1 << 14;
/// The code is longer than the table's index: ask [`Codes::find_long`].
pub const LONG: u32 = RARE | 1 << 13;
/// No symbol has these bits.
pub const INVALID: u32 = RARE;

/// Longest code in bits (RFC 1951 §3.2.7).
pub const CODE_BITS_MAX: usize = 15;

/// A symbol of a code about to be built.
#[derive(Clone, Copy, Default)]
pub struct Symbol {
    pub index: u16,
    /// Bits of its code, 1 to 15.
    pub bits: u8,
}

/// The code is over- or undersubscribed; see [`Codes::build`].
pub struct NotACode;

impl From<NotACode> for InflateError {
    fn from(_: NotACode) -> Self {
        Self::Malformed
    }
}

/// The codes of one alphabet: `SIZE` is 2 to the number of index bits, `SYMBOLS` the alphabet's size.
pub struct Codes<const SIZE: usize, const SYMBOLS: usize> {
    table: Box<[u32; SIZE]>,
    /// Entries by code length, then by symbol.
    sorted: Box<[u32; SYMBOLS]>,
    /// Symbols of each code length, how many are shorter, and the first code of the length.
    counts: [u16; CODE_BITS_MAX + 1],
    shorter: [u16; CODE_BITS_MAX + 1],
    first_codes: [u16; CODE_BITS_MAX + 1],
}

impl<const SIZE: usize, const SYMBOLS: usize> Codes<SIZE, SYMBOLS> {
    /// Bits that index the table.
    pub const INDEX_BITS: u32 = SIZE.trailing_zeros();

    pub fn new() -> Self {
        Self {
            table: Box::new([INVALID; SIZE]),
            sorted: Box::new([INVALID; SYMBOLS]),
            counts: [0; CODE_BITS_MAX + 1],
            shorter: [0; CODE_BITS_MAX + 1],
            first_codes: [0; CODE_BITS_MAX + 1],
        }
    }

    /// Every sequence of bits starts with a code.
    pub fn is_complete(&self) -> bool {
        let last = CODE_BITS_MAX;
        u32::from(self.first_codes[last]) + u32::from(self.counts[last]) == 1 << last
    }

    /// The entry for the lowest of `bits`.
    #[inline(always)]
    pub fn find(&self, bits: u64) -> u32 {
        self.table[bits as usize & (SIZE - 1)]
    }

    /// Makes the codes of `symbols`, given in the order of the alphabet; `counts` says how many
    /// there are of each length and `templates` has the alphabet's entries but for the code's bits.
    ///
    /// A code must be complete, except that it may have a single symbol, of one bit, or none.
    pub fn build(
        &mut self,
        symbols: &[Symbol],
        counts: &[u16; CODE_BITS_MAX + 1],
        templates: &[u32; SYMBOLS],
    ) -> Result<(), NotACode> {
        self.counts = *counts;
        let (mut code, mut before, mut longest) = (0u32, 0, 0);
        for bits in 1..=CODE_BITS_MAX {
            code <<= 1;
            self.first_codes[bits] = code as u16;
            self.shorter[bits] = before;
            code += u32::from(counts[bits]);
            before += counts[bits];
            if counts[bits] != 0 {
                longest = bits;
            }
            if code > 1 << bits {
                return Err(NotACode);
            }
        }
        if code != 1 << CODE_BITS_MAX {
            if longest > 1 {
                return Err(NotACode);
            }
            self.table.fill(INVALID);
        }
        let mut next = self.shorter;
        for symbol in symbols {
            let slot = &mut next[usize::from(symbol.bits) & CODE_BITS_MAX];
            let template = templates
                .get(usize::from(symbol.index))
                .copied()
                .unwrap_or(INVALID);
            if let Some(entry) = self.sorted.get_mut(usize::from(*slot)) {
                *entry = template
                    + u32::from(symbol.bits) * if template & LITERAL != 0 { 1 } else { 0x101 };
            }
            *slot += 1;
        }
        self.fill(longest);
        Ok(())
    }

    /// Fills the table from the sorted entries: codes are stored lowest bit first, so a table of
    /// `n` bits becomes one of `n + 1` by appending a copy of itself.
    #[inline(always)]
    fn fill(&mut self, longest: usize) {
        let index_bits = Self::INDEX_BITS as usize;
        let mut at = 0;
        macro_rules! level {
            ($($bits:literal)*) => { $(
                if $bits <= index_bits {
                    if at != 0 {
                        double::<{ 1 << ($bits - 1) }>(&mut self.table[..]);
                    }
                    at = self.put_level($bits, at);
                }
            )* };
        }
        level!(1 2 3 4 5 6 7 8 9);
        let _ = at;
        if longest > index_bits {
            let first =
                u32::from(self.first_codes[index_bits]) + u32::from(self.counts[index_bits]);
            for code in first..SIZE as u32 {
                let index = code.reverse_bits() >> (32 - index_bits);
                self.table[index as usize & (SIZE - 1)] = LONG;
            }
        }
    }

    fn put_level(&mut self, bits: usize, at: usize) -> usize {
        let first = u32::from(self.first_codes[bits]);
        let count = usize::from(self.counts[bits]);
        let entries = self.sorted.get(at..at + count).unwrap_or(&[]);
        for (code, entry) in (first..).zip(entries) {
            let index = code.reverse_bits() >> (32 - bits);
            self.table[index as usize & (SIZE - 1)] = *entry;
        }
        at + count
    }

    /// Pairs.
    pub fn pair(&mut self) {
        let bits = Self::INDEX_BITS as usize;
        // literal entries with their reversed codes, by length
        let mut shorts = [(0u32, 0u32); 32];
        let mut ends = [0usize; 8];
        let mut n = 0;
        for len in 1..=bits - 2 {
            if len < 8 {
                let at = usize::from(self.shorter[len]);
                let entries = self
                    .sorted
                    .get(at..at + usize::from(self.counts[len]))
                    .unwrap_or(&[]);
                for (code, entry) in (u32::from(self.first_codes[len])..).zip(entries) {
                    if entry & LITERAL != 0 && n < 32 && len <= 5 {
                        shorts[n] = (code.reverse_bits() >> (32 - len), *entry);
                        n += 1;
                    }
                }
                ends[len] = n;
            }
        }
        for &(first_code, first) in &shorts[..n] {
            let len = first & 15;
            let end = ends[(bits - len as usize).min(7)];
            for &(second_code, second) in &shorts[..end] {
                let both = len + (second & 15);
                let entry = LITERAL | 2 << 8 | both | first & 0xff_0000 | (second & 0xff_0000) << 8;
                let mut index = (first_code | second_code << len) as usize;
                while index < SIZE {
                    self.table[index] = entry;
                    index += 1 << both;
                }
            }
        }
    }

    /// The entry for the lowest of `bits` when [`Self::find`] says [`LONG`].
    #[cold]
    #[inline(never)]
    pub fn find_long(&self, bits: u64) -> u32 {
        for len in Self::INDEX_BITS as usize + 1..=CODE_BITS_MAX {
            let code = (bits as u32).reverse_bits() >> (32 - len);
            let nth = code.wrapping_sub(u32::from(self.first_codes[len]));
            if nth < u32::from(self.counts[len]) {
                let at = usize::from(self.shorter[len]) + nth as usize;
                return self.sorted.get(at).copied().unwrap_or(INVALID);
            }
        }
        INVALID
    }
}

fn double<const HALF: usize>(table: &mut [u32]) {
    if let Some((low, high)) = table.split_first_chunk_mut::<HALF>() {
        if let Some(high) = high.first_chunk_mut::<HALF>() {
            *high = *low;
        }
    }
}
