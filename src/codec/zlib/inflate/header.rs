//! Block headers: the codes of a dynamic block, or the fixed codes of RFC 1951.

use super::{
    InflateError,
    bits::Bits,
    prefix::{CODE_BITS_MAX, Codes, Counts, END, INVALID, LITERAL, Symbol},
};
use std::hint::select_unpredictable;

/// The codes of the current block.
pub struct BlockCodes {
    /// Literals, end of block and lengths.
    pub literal: Codes<288, 512>,
    /// Distances.
    pub distance: Codes<32, 128>,
    /// The codes of code lengths, which have at most 7 bits.
    length: Codes<19, 128>,
    /// The symbols in use, literals before distances.
    symbols: Box<[Symbol; 512]>,
    /// The current codes are the fixed ones.
    fixed: bool,
    /// How often the fixed codes were built.
    #[cfg(test)]
    pub fixes: usize,
}

/// Order in which the lengths of the length codes are sent (RFC 1951 §3.2.7).
const LENGTH_ORDER: [u8; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

impl BlockCodes {
    pub fn new() -> Self {
        Self {
            literal: Codes::new(),
            distance: Codes::new(),
            length: Codes::new(),
            symbols: Box::new([Symbol::default(); 512]),
            fixed: false,
            #[cfg(test)]
            fixes: 0,
        }
    }

    /// Builds the fixed codes (RFC 1951 §3.2.6).
    pub fn fix(&mut self) -> Result<(), InflateError> {
        if self.fixed {
            return Ok(());
        }
        #[cfg(test)]
        {
            self.fixes += 1;
        }
        for (index, symbol) in (0..).zip(self.symbols.iter_mut()) {
            let bits = match index {
                0..144 | 280..288 => 8,
                144..256 => 9,
                256..280 => 7,
                _ => 5,
            };
            *symbol = Symbol::new(index, bits);
        }
        let (mut literals, mut distances) = ([0; 16], [0; 16]);
        (literals[7], literals[8], literals[9], distances[5]) = (24, 152, 112, 32);
        self.build(288, 320, 288, [&literals, &distances])?;
        self.fixed = true;
        Ok(())
    }

    /// Reads the codes of a dynamic block (RFC 1951 §3.2.7).
    #[inline(always)]
    pub fn read(&mut self, bits: &mut Bits) -> Result<(), InflateError> {
        self.fixed = false;
        bits.refill()?;
        let literals = bits.take(5) + 257;
        let distances = bits.take(5) + 1;
        let lengths = bits.take(4) + 4;
        if literals > 286 || distances > 30 {
            return Err(InflateError::Malformed);
        }
        self.read_length_codes(bits, lengths)?;
        self.read_lengths(bits, literals, literals + distances)
    }

    /// Reads the lengths of `all` codes, of which `literals` are those of literals and lengths, and builds both.
    #[inline(always)]
    fn read_lengths(
        &mut self,
        bits: &mut Bits,
        literals: u32,
        all: u32,
    ) -> Result<(), InflateError> {
        let mut counts: Counts = [0; CODE_BITS_MAX + 1];
        let (mut used, mut index) = (0, 0);
        // A repetition at the start has nothing to repeat.
        let mut previous = NOTHING;
        let mut wrong = 0;
        // The lengths of both alphabets are one sequence; a repetition may cross from one to the other.
        while index < all {
            bits.refill()?;
            // A symbol takes at most 14 of the 56 bits.
            for _ in 0..4 {
                let (value, extra) = bits.symbol(self.length.find(bits.peek()));
                let times = (value >> TIMES_SHIFT) + extra;
                let len = select_unpredictable(value & REPEAT != 0, previous, value & 15);
                wrong |= len & NOTHING;
                previous = len;
                // Always eight, of which up to six are meant: their number would be mispredicted.
                if let Some(room) = self.symbols.get_mut(used..)
                    && let Some(eight) = room.first_chunk_mut::<8>()
                {
                    *eight = std::array::from_fn(|nth| Symbol::new(index + nth as u32, len));
                }
                counts[len as usize & CODE_BITS_MAX] += times as u16;
                used += select_unpredictable(len == 0, 0, times) as usize;
                index += times;
                if index >= all {
                    break;
                }
            }
        }
        if index > all || wrong != 0 {
            return Err(InflateError::Malformed);
        }
        let mut distances: Counts = [0; CODE_BITS_MAX + 1];
        let mut split = used.min(self.symbols.len());
        while let Some(symbol) = self.symbols.get(split.wrapping_sub(1))
            && symbol.index() >= literals
        {
            distances[symbol.bits()] += 1;
            split -= 1;
        }
        for (count, distances) in counts.iter_mut().zip(&distances) {
            *count = count.wrapping_sub(*distances);
        }
        self.build(split, used, literals, [&counts, &distances])
    }

    #[inline(always)]
    fn read_length_codes(&mut self, bits: &mut Bits, count: u32) -> Result<(), InflateError> {
        bits.refill()?;
        // Eighteen lengths are 54 of the 56 bits; those not sent are zero.
        let mut sent = bits.peek() & ((1 << (3 * count.min(18))) - 1);
        bits.consume(3 * count.min(18));
        let mut lens = [0u8; 19];
        for symbol in &LENGTH_ORDER[..18] {
            lens[usize::from(*symbol)] = sent as u8 & 7;
            sent >>= 3;
        }
        if count == 19 {
            bits.refill()?;
            lens[usize::from(LENGTH_ORDER[18])] = bits.take(3) as u8;
        }
        let mut counts: Counts = [0; CODE_BITS_MAX + 1];
        let mut used = 0;
        for (index, bits) in (0..).zip(lens) {
            self.symbols[used & 511] = Symbol::new(index, u32::from(bits));
            used += usize::from(bits != 0);
            counts[usize::from(bits & 7)] += 1;
        }
        // Zero or one code would be accepted in the other alphabets.
        if used < 2 {
            return Err(InflateError::Malformed);
        }
        let symbols = self.symbols.get(..used).unwrap_or(&[]);
        Ok(self.length.build(symbols, 0, &counts, &LENGTH_TEMPLATES)?)
    }

    /// Builds both codes: the symbols of literals and lengths end at `split`, those of distances at `used` and
    /// begin with the index `first_distance`.
    #[inline(always)]
    fn build(
        &mut self,
        split: usize,
        used: usize,
        first_distance: u32,
        counts: [&Counts; 2],
    ) -> Result<(), InflateError> {
        let symbols = self.symbols.get(..used).unwrap_or(&[]);
        let (literals, distances) = symbols.split_at(split.min(symbols.len()));
        self.literal
            .build(literals, 0, counts[0], &LITERAL_TEMPLATES)?;
        self.distance
            .build(distances, first_distance, counts[1], &DISTANCE_TEMPLATES)?;
        Ok(())
    }
}

/// In the value of a length code's entry: the length is the one before.
const REPEAT: u32 = 1 << 4;

/// Where in that value the number of lengths begins, to which the extra bits are added.
const TIMES_SHIFT: u32 = 5;

/// No length is this.
const NOTHING: u32 = 16;

/// Entries of literals, end of block and lengths without their code's bits (RFC 1951 §3.2.5).
static LITERAL_TEMPLATES: [u32; 288] = {
    let mut entries = [INVALID; 288];
    let mut at = 0;
    while at < 256 {
        entries[at] = LITERAL | (at as u32) << 16;
        at += 1;
    }
    entries[256] = END;
    let mut length = 3;
    at = 257;
    while at < 285 {
        let extra = if at < 265 { 0 } else { (at as u32 - 261) / 4 };
        entries[at] = length << 16 | extra;
        length += 1 << extra;
        at += 1;
    }
    entries[285] = 258 << 16;
    entries
};

/// Entries of distances likewise.
static DISTANCE_TEMPLATES: [u32; 32] = {
    let mut entries = [INVALID; 32];
    let mut distance = 1;
    let mut at = 0;
    while at < 30 {
        let extra = if at < 4 { 0 } else { (at as u32 - 2) / 2 };
        entries[at] = distance << 16 | extra;
        distance += 1 << extra;
        at += 1;
    }
    entries
};

/// Entries of code lengths and their repetitions likewise (RFC 1951 §3.2.7): a length, whether it is
/// [`REPEAT`], and how often.
static LENGTH_TEMPLATES: [u32; 19] = {
    let mut entries = [0; 19];
    let mut at = 0;
    while at < 16 {
        entries[at as usize] = (at | 1 << TIMES_SHIFT) << 16;
        at += 1;
    }
    entries[16] = (REPEAT | 3 << TIMES_SHIFT) << 16 | 2;
    entries[17] = (3 << TIMES_SHIFT) << 16 | 3;
    entries[18] = (11 << TIMES_SHIFT) << 16 | 7;
    entries
};
