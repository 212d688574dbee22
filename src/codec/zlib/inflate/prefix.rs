//! Prefix codes of one block, laid out for reading: a table indexed by the next bits.
//!
//! A library spends a third of its time for a stream of 400 bytes on building tables: it counts and sorts
//! all 288 symbols, of which such a stream uses 50. Here the header reader passes only the symbols in use,
//! and the table has 9 bits, enough for nearly all codes of short streams. Longer codes are found by the
//! canonical rule (RFC 1951 §3.2.2) in a few dozen cycles each. Entries with two short literals were tried:
//! building them costs what they save.
//!
//! An entry says what to do with a symbol:
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0..6 | bits to consume: code and extra bits |
//! | 8..12 | bits of the code alone |
//! | 12 | [`LITERAL`] |
//! | 13..16 | [`END`], [`LONG`], [`INVALID`] |
//! | 16..32 | the literal, or the length or distance that the extra bits are added to |

use super::InflateError;

/// The symbol is a literal.
pub const LITERAL: u32 = 1 << 12;
/// The entry is [`END`], [`LONG`] or [`INVALID`].
pub const RARE: u32 = 1 << 15;
/// The symbol ends the block.
pub const END: u32 = RARE | 1 << 14;
/// The code is longer than the table's index: use [`Codes::find_long`].
pub const LONG: u32 = RARE | 1 << 13;
/// No symbol has these bits.
pub const INVALID: u32 = RARE;

/// Unit of bits 8..12.
const CODE_BIT: u32 = 1 << 8;

/// Longest code in bits (RFC 1951 §3.2.7).
pub const CODE_BITS_MAX: usize = 15;

/// How many symbols have codes of each length in bits.
pub type Counts = [u16; CODE_BITS_MAX + 1];

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

/// The codes of one alphabet of `SYMBOLS`, with a table of `SIZE` entries, at most 2^9.
pub struct Codes<const SYMBOLS: usize, const SIZE: usize> {
    table: Box<[u32; SIZE]>,
    /// Entries by code length, then by symbol.
    sorted: Box<[u32; SYMBOLS]>,
    counts: Counts,
    /// Symbols with shorter codes, by code length.
    shorter: Counts,
    /// The first code of each length.
    first_codes: Counts,
}

impl<const SYMBOLS: usize, const SIZE: usize> Codes<SYMBOLS, SIZE> {
    const INDEX_BITS: usize = SIZE.trailing_zeros() as usize;

    /// No codes.
    pub fn new() -> Self {
        let none = [0; CODE_BITS_MAX + 1];
        Self {
            table: Box::new([INVALID; SIZE]),
            sorted: Box::new([INVALID; SYMBOLS]),
            counts: none,
            shorter: none,
            first_codes: none,
        }
    }

    /// The entry for the lowest of `bits`.
    #[inline(always)]
    pub fn find(&self, bits: u64) -> u32 {
        self.table[bits as usize & (SIZE - 1)]
    }

    /// Builds the codes of `symbols`, given in the order of the alphabet. `counts` has the number of codes
    /// of each length, `templates` the alphabet's entries without the code's bits.
    ///
    /// The code must be complete, except that it may have a single symbol, of one bit, or none.
    #[inline(always)]
    pub fn build(
        &mut self,
        symbols: &[Symbol],
        counts: &Counts,
        templates: &[u32; SYMBOLS],
    ) -> Result<(), NotACode> {
        let longest = self.count(counts)?;
        if !self.is_complete() {
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
                *entry = template + u32::from(symbol.bits) * (1 + CODE_BIT);
            }
            *slot += 1;
        }
        self.fill(longest);
        Ok(())
    }

    /// Computes the first codes. Returns the length of the longest code in bits.
    #[inline(always)]
    fn count(&mut self, counts: &Counts) -> Result<usize, NotACode> {
        self.counts = *counts;
        let (mut code, mut before, mut longest) = (0u32, 0, 0);
        let places = self.first_codes.iter_mut().zip(&mut self.shorter);
        for (bits, (&count, (first_code, shorter))) in counts.iter().zip(places).enumerate().skip(1)
        {
            code <<= 1;
            *first_code = code as u16;
            *shorter = before;
            code += u32::from(count);
            before += count;
            if count != 0 {
                longest = bits;
            }
            if code > 1 << bits {
                return Err(NotACode);
            }
        }
        Ok(longest)
    }

    /// Whether every sequence of bits starts with a code.
    pub fn is_complete(&self) -> bool {
        let last = CODE_BITS_MAX;
        u32::from(self.first_codes[last]) + u32::from(self.counts[last]) == 1 << last
    }

    /// Fills the table from the sorted entries: codes are read lowest bit first, so a table of `n`
    /// bits becomes one of `n + 1` by appending a copy of itself.
    #[inline(always)]
    fn fill(&mut self, longest: usize) {
        macro_rules! levels {
            ($($bits:literal)*) => { $(
                if $bits <= Self::INDEX_BITS {
                    double::<{ 1 << ($bits - 1) }>(&mut self.table[..]);
                    self.put($bits);
                }
            )* };
        }
        levels!(1 2 3 4 5 6 7 8 9);
        if longest > Self::INDEX_BITS {
            let bits = Self::INDEX_BITS;
            let first = u32::from(self.first_codes[bits]) + u32::from(self.counts[bits]);
            for code in first..SIZE as u32 {
                self.table[reversed(code, bits) & (SIZE - 1)] = LONG;
            }
        }
    }

    /// Enters the symbols with codes of `bits`.
    #[inline(always)]
    fn put(&mut self, bits: usize) {
        let first = u32::from(self.first_codes[bits]);
        let at = usize::from(self.shorter[bits]);
        let entries = self
            .sorted
            .get(at..at + usize::from(self.counts[bits]))
            .unwrap_or(&[]);
        for (code, entry) in (first..).zip(entries) {
            self.table[reversed(code, bits) & (SIZE - 1)] = *entry;
        }
    }

    /// The entry for the lowest of `bits` when the table says [`LONG`].
    #[cold]
    #[inline(never)]
    pub fn find_long(&self, bits: u64) -> u32 {
        for len in Self::INDEX_BITS + 1..=CODE_BITS_MAX {
            let code = reversed(bits as u32 & ((1 << len) - 1), len) as u32;
            let nth = code.wrapping_sub(u32::from(self.first_codes[len]));
            if nth < u32::from(self.counts[len]) {
                let at = usize::from(self.shorter[len]) + nth as usize;
                return self.sorted.get(at).copied().unwrap_or(INVALID);
            }
        }
        INVALID
    }
}

/// The low `bits` of `code`, first bit lowest instead of highest or the other way round.
#[inline(always)]
fn reversed(code: u32, bits: usize) -> usize {
    (code.reverse_bits() >> (32 - bits)) as usize
}

/// Copies the first `HALF` entries to after themselves.
#[inline(always)]
fn double<const HALF: usize>(table: &mut [u32]) {
    if let Some((low, high)) = table.split_first_chunk_mut::<HALF>()
        && let Some(high) = high.first_chunk_mut::<HALF>()
    {
        *high = *low;
    }
}
