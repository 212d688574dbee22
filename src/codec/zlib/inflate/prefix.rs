//! Prefix codes of one block, laid out for reading: a table indexed by the next bits.
//!
//! A library spends a third of its time for a stream of 400 bytes on building tables: it counts and sorts
//! all 288 symbols, of which such a stream uses 50. Here the header reader passes only the symbols in use,
//! and the table has 9 bits, enough for nearly all codes of short streams. Each symbol is entered once, then the
//! empty entries are filled from those before them, eight at a time: no branch depends on how long the codes are.
//! Longer codes are found by the canonical rule (RFC 1951 §3.2.2) in a few dozen cycles each. Entries with two
//! short literals were tried: building them costs what they save.
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
use std::hint::select_unpredictable;

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

/// How many symbols have codes of each length in bits. The count of length zero means nothing.
pub type Counts = [u16; CODE_BITS_MAX + 1];

/// A symbol of a code about to be built: its index, and above that the bits of its code, 1 to 15.
#[derive(Clone, Copy, Default)]
pub struct Symbol(u32);

impl Symbol {
    #[inline(always)]
    pub fn new(index: u32, bits: u32) -> Self {
        Self(index | bits << 16)
    }

    #[inline(always)]
    pub fn index(self) -> u32 {
        self.0 & 0xffff
    }

    #[inline(always)]
    pub fn bits(self) -> usize {
        (self.0 >> 16) as usize & CODE_BITS_MAX
    }
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
    long: Long<SYMBOLS>,
}

/// What finds codes longer than the table's index; valid if there are any.
struct Long<const SYMBOLS: usize> {
    /// Entries by code length, then by symbol.
    sorted: Box<[u32; SYMBOLS]>,
    counts: Counts,
    /// Symbols with shorter codes, by code length.
    shorter: Counts,
    /// The first code of each length, followed by zeros to 15 bits.
    first_codes: Counts,
}

impl<const SYMBOLS: usize, const SIZE: usize> Codes<SYMBOLS, SIZE> {
    const INDEX_BITS: usize = SIZE.trailing_zeros() as usize;

    /// No codes.
    pub fn new() -> Self {
        let none = [0; CODE_BITS_MAX + 1];
        Self {
            table: Box::new([INVALID; SIZE]),
            long: Long {
                sorted: Box::new([INVALID; SYMBOLS]),
                counts: none,
                shorter: none,
                first_codes: none,
            },
        }
    }

    /// The entry for the lowest of `bits`.
    #[inline(always)]
    pub fn find(&self, bits: u64) -> u32 {
        self.table[bits as usize & (SIZE - 1)]
    }

    /// Builds the codes of `symbols`, given in the order of the alphabet, whose first symbol has the index
    /// `first`. `counts` has the number of codes of each length, `templates` the alphabet's entries without
    /// the code's bits.
    ///
    /// The code must be complete, except that it may have a single symbol, of one bit, or none.
    #[inline(always)]
    pub fn build(
        &mut self,
        symbols: &[Symbol],
        first: u32,
        counts: &Counts,
        templates: &[u32; SYMBOLS],
    ) -> Result<(), NotACode> {
        // The next code of each length, followed by zeros to 15 bits.
        let mut next: Counts = [0; CODE_BITS_MAX + 1];
        let (mut code, mut long) = (0, true);
        for (bits, next) in next.iter_mut().enumerate().skip(1) {
            *next = code as u16;
            code += u32::from(counts[bits]) << (CODE_BITS_MAX - bits);
            if bits == Self::INDEX_BITS {
                long = code != COMPLETE;
            }
        }
        if code != COMPLETE {
            return self.build_incomplete(symbols, first, templates);
        }
        if long {
            self.long.sort(symbols, first, counts, &next, templates);
        }
        self.table.fill(EMPTY);
        for symbol in symbols {
            let bits = symbol.bits();
            let code = next[bits];
            next[bits] = code.wrapping_add(COMPLETE as u16 >> bits);
            let entry = entry(*symbol, first, templates);
            let entry = select_unpredictable(bits > Self::INDEX_BITS, LONG, entry);
            // Codes are read lowest bit first.
            let at = REVERSED[usize::from(code) >> (CODE_BITS_MAX - 9) & 511];
            self.table[usize::from(at) & (SIZE - 1)] = entry;
        }
        self.spread();
        Ok(())
    }

    /// A code of a single symbol or none.
    #[cold]
    #[inline(never)]
    fn build_incomplete(
        &mut self,
        symbols: &[Symbol],
        first: u32,
        templates: &[u32; SYMBOLS],
    ) -> Result<(), NotACode> {
        self.table.fill(INVALID);
        match symbols {
            [] => Ok(()),
            [symbol] if symbol.bits() == 1 => {
                let entry = entry(*symbol, first, templates);
                self.table.iter_mut().step_by(2).for_each(|at| *at = entry);
                Ok(())
            }
            _ => Err(NotACode),
        }
    }

    /// Fills the empty entries. An index without its highest bit has the same code, unless that bit belongs to the
    /// code; then a code begins with the whole index and is entered there.
    #[inline(always)]
    fn spread(&mut self) {
        macro_rules! levels {
            ($($bits:literal)*) => { $(
                if $bits <= Self::INDEX_BITS {
                    fill_second::<{ 1 << ($bits - 1) }>(&mut self.table[..]);
                }
            )* };
        }
        levels!(1 2 3 4 5 6 7 8 9);
    }

    /// The entry for the lowest of `bits` when the table says [`LONG`].
    #[cold]
    #[inline(never)]
    pub fn find_long(&self, bits: u64) -> u32 {
        let Long {
            sorted,
            counts,
            shorter,
            first_codes,
        } = &self.long;
        let code = (bits as u16).reverse_bits() >> 1;
        for len in Self::INDEX_BITS + 1..=CODE_BITS_MAX {
            let nth = code.wrapping_sub(first_codes[len]) >> (CODE_BITS_MAX - len);
            if nth < counts[len] {
                let at = usize::from(shorter[len] + nth);
                return sorted.get(at).copied().unwrap_or(INVALID);
            }
        }
        INVALID
    }
}

impl<const SYMBOLS: usize> Long<SYMBOLS> {
    #[cold]
    #[inline(never)]
    fn sort(
        &mut self,
        symbols: &[Symbol],
        first: u32,
        counts: &Counts,
        first_codes: &Counts,
        templates: &[u32; SYMBOLS],
    ) {
        self.counts = *counts;
        self.first_codes = *first_codes;
        let mut before = 0;
        for (shorter, count) in self.shorter.iter_mut().zip(counts).skip(1) {
            *shorter = before;
            before += count;
        }
        let mut next = self.shorter;
        for symbol in symbols {
            let slot = &mut next[symbol.bits()];
            if let Some(place) = self.sorted.get_mut(usize::from(*slot)) {
                *place = entry(*symbol, first, templates);
            }
            *slot += 1;
        }
    }
}

/// How many sequences of 15 bits begin with a code, if all do.
const COMPLETE: u32 = 1 << CODE_BITS_MAX;

/// No entry is this.
const EMPTY: u32 = 0;

/// Numbers of nine bits with the bits in the opposite order.
static REVERSED: [u16; 512] = {
    let mut reversed = [0; 512];
    let mut at = 0;
    while at < 512 {
        reversed[at] = (at as u16).reverse_bits() >> 7;
        at += 1;
    }
    reversed
};

/// The entry of a symbol in an alphabet that begins with `first`.
#[inline(always)]
fn entry<const SYMBOLS: usize>(symbol: Symbol, first: u32, templates: &[u32; SYMBOLS]) -> u32 {
    let template = templates.get(symbol.index().wrapping_sub(first) as usize);
    template.copied().unwrap_or(INVALID) + symbol.bits() as u32 * (1 + CODE_BIT)
}

/// Fills the empty entries of the second `HALF` from the first `HALF`.
#[inline(always)]
fn fill_second<const HALF: usize>(table: &mut [u32]) {
    if let Some((low, high)) = table.split_first_chunk_mut::<HALF>()
        && let Some(high) = high.first_chunk_mut::<HALF>()
    {
        for (high, low) in high.iter_mut().zip(low) {
            *high = if *high == EMPTY { *low } else { *high };
        }
    }
}
