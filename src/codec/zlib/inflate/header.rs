//! Block headers: the codes that a block brings along, or those RFC 1951 fixes.

use super::{
    InflateError,
    block::Bits,
    prefix::{CODE_BITS_MAX, Codes, END, INVALID, LITERAL, Symbol},
};

/// Literals, end of block and lengths; indexed by 9 bits.
pub type LiteralCodes = Codes<512, 288>;
/// Distances; indexed by 8 bits.
pub type DistanceCodes = Codes<256, 32>;
/// The codes in which code lengths are sent, which have at most 7 bits.
type LengthCodes = Codes<128, 19>;

/// The codes of the block under way.
pub struct BlockCodes {
    pub literal: LiteralCodes,
    pub distance: DistanceCodes,
    length: LengthCodes,
    /// The symbols in use, literals before distances.
    symbols: Box<[Symbol; 512]>,
    /// The codes in place are the fixed ones.
    fixed: bool,
}

type Counts = [u16; CODE_BITS_MAX + 1];

/// Order in which the lengths of the length codes are sent (RFC 1951 §3.2.7).
const LENGTH_ORDER: [u8; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

impl BlockCodes {
    pub fn new() -> Self {
        Self {
            literal: LiteralCodes::new(),
            distance: DistanceCodes::new(),
            length: LengthCodes::new(),
            symbols: Box::new([Symbol { index: 0, bits: 0 }; 512]),
            fixed: false,
        }
    }

    /// Puts the fixed codes in place (RFC 1951 §3.2.6).
    pub fn fix(&mut self) -> Result<(), InflateError> {
        if self.fixed {
            return Ok(());
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

    /// Reads the codes that a block brings along (RFC 1951 §3.2.7).
    pub fn read(&mut self, bits: &mut Bits) -> Result<(), InflateError> {
        self.fixed = false;
        bits.refill()?;
        let literals = bits.take(5) as u16 + 257;
        let distances = bits.take(5) as u16 + 1;
        let lengths = bits.take(4) as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(InflateError::Malformed);
        }
        self.read_length_codes(bits, lengths)?;
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
                let distance = index >= literals;
                let first = if distance { literals } else { 0 };
                if symbol < 16 {
                    self.symbols[used & 511] = Symbol {
                        index: index - first,
                        bits: symbol as u8,
                    };
                    used += usize::from(symbol != 0);
                    counts[usize::from(distance)][symbol as usize] += 1;
                    previous = Some(symbol);
                    index += 1;
                } else {
                    let (len, times) = match symbol {
                        16 => (previous.ok_or(InflateError::Malformed)?, 3 + extra),
                        17 => (0, 3 + extra),
                        _ => (0, 11 + extra),
                    };
                    previous = Some(len);
                    if len == 0 {
                        index += times as u16;
                    } else {
                        for _ in 0..times {
                            let distance = index >= literals;
                            let first = if distance { literals } else { 0 };
                            self.symbols[used & 511] = Symbol {
                                index: index - first,
                                bits: len as u8,
                            };
                            counts[usize::from(distance)][len as usize & 15] += 1;
                            used += 1;
                            index += 1;
                        }
                    }
                }
                if index >= all {
                    break;
                }
            }
        }
        if index > all {
            return Err(InflateError::Malformed);
        }
        counts[0][0] = 0;
        counts[1][0] = 0;
        let literals: u16 = counts[0].iter().sum();
        self.build(usize::from(literals), used, [&counts[0], &counts[1]])
    }

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
        self.literal.pair();
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
        entries[at] = LITERAL | 1 << 8 | (at as u32) << 16;
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
