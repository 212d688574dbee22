//! Block headers: the codes of a dynamic block, or the fixed codes of RFC 1951.

use super::{
    InflateError,
    bits::Bits,
    prefix::{CODE_BITS_MAX, Codes, Counts, END, INVALID, LITERAL, Symbol},
};

/// The codes of the current block.
pub struct BlockCodes {
    /// Literals, end of block and lengths.
    pub literal: Codes<288, 512>,
    /// Distances.
    pub distance: Codes<32, 256>,
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
            symbols: Box::new([Symbol { index: 0, bits: 0 }; 512]),
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
            *symbol = match index {
                0..144 | 280..288 => Symbol { index, bits: 8 },
                144..256 => Symbol { index, bits: 9 },
                256..280 => Symbol { index, bits: 7 },
                _ => Symbol {
                    index: index - 288,
                    bits: 5,
                },
            };
        }
        let (mut literals, mut distances) = ([0; 16], [0; 16]);
        (literals[7], literals[8], literals[9], distances[5]) = (24, 152, 112, 32);
        self.build(288, 320, [&literals, &distances])?;
        self.fixed = true;
        Ok(())
    }

    /// Reads the codes of a dynamic block (RFC 1951 §3.2.7).
    #[inline(always)]
    pub fn read(&mut self, bits: &mut Bits) -> Result<(), InflateError> {
        self.fixed = false;
        bits.refill()?;
        let literals = bits.take(5) as usize + 257;
        let distances = bits.take(5) as usize + 1;
        let lengths = bits.take(4) as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(InflateError::Malformed);
        }
        self.read_length_codes(bits, lengths)?;
        // The lengths of both alphabets are one sequence; a repetition may cross from one to the other.
        let all = literals + distances;
        let mut counts = [[0; CODE_BITS_MAX + 1]; 2];
        let mut used = 0;
        let mut previous = None;
        let mut index = 0;
        while index < all {
            bits.refill()?;
            // A symbol takes at most 14 of the 56 bits.
            for _ in 0..4 {
                let (symbol, extra) = bits.symbol(self.length.find(bits.peek()));
                let (len, times) = match symbol {
                    0..16 => (symbol, 1),
                    16 => (previous.ok_or(InflateError::Malformed)?, 3 + extra),
                    17 => (0, 3 + extra),
                    _ => (0, 11 + extra),
                };
                previous = Some(len);
                let end = index + times as usize;
                // Once for nearly all symbols. A length of zero leaves nothing but its count.
                let mut left = if len == 0 { 1 } else { times };
                loop {
                    let distance = usize::from(index >= literals);
                    let index_in = (index - literals * distance) as u16;
                    self.symbols[used & 511] = Symbol {
                        index: index_in,
                        bits: len as u8,
                    };
                    counts[distance][len as usize & CODE_BITS_MAX] += 1;
                    used += usize::from(len != 0);
                    index += 1;
                    left -= 1;
                    if left == 0 {
                        break;
                    }
                }
                index = end;
                if index >= all {
                    break;
                }
            }
        }
        if index > all {
            return Err(InflateError::Malformed);
        }
        let [literal_counts, distance_counts] = &mut counts;
        (literal_counts[0], distance_counts[0]) = (0, 0);
        let literals: u16 = literal_counts.iter().sum();
        self.build(
            usize::from(literals),
            used,
            [literal_counts, distance_counts],
        )
    }

    #[inline(always)]
    fn read_length_codes(&mut self, bits: &mut Bits, count: usize) -> Result<(), InflateError> {
        bits.refill()?;
        let mut lens = [0u8; 19];
        for (nth, symbol) in LENGTH_ORDER.iter().take(count).enumerate() {
            if nth == 12 {
                bits.refill()?;
            }
            lens[usize::from(*symbol)] = bits.take(3) as u8;
        }
        let mut counts = [0; CODE_BITS_MAX + 1];
        let mut used = 0;
        for (index, bits) in (0..).zip(lens) {
            self.symbols[used & 511] = Symbol { index, bits };
            used += usize::from(bits != 0);
            counts[usize::from(bits & 7)] += 1;
        }
        counts[0] = 0;
        let symbols = self.symbols.get(..used).unwrap_or(&[]);
        self.length.build(symbols, &counts, &LENGTH_TEMPLATES)?;
        if self.length.is_complete() {
            Ok(())
        } else {
            Err(InflateError::Malformed)
        }
    }

    #[inline(always)]
    fn build(
        &mut self,
        literals: usize,
        all: usize,
        counts: [&Counts; 2],
    ) -> Result<(), InflateError> {
        let symbols = self.symbols.get(..all).unwrap_or(&[]);
        let (literals, distances) = symbols.split_at(literals.min(symbols.len()));
        self.literal
            .build(literals, counts[0], &LITERAL_TEMPLATES)?;
        self.distance
            .build(distances, counts[1], &DISTANCE_TEMPLATES)?;
        Ok(())
    }
}

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

/// Entries of code lengths and their repetitions likewise (RFC 1951 §3.2.7).
static LENGTH_TEMPLATES: [u32; 19] = {
    let mut entries = [0; 19];
    let mut at = 0;
    while at < 19 {
        let extra = match at {
            16 => 2,
            17 => 3,
            18 => 7,
            _ => 0,
        };
        entries[at] = (at as u32) << 16 | extra;
        at += 1;
    }
    entries
};
