//! Writes literals and matches as bits of a deflate block.

use super::{
    code::{Code, MATCH_BYTES_MAX},
    matcher::{Match, Matcher},
};

/// Bits that [`BitWriter::put`] takes at most; with the 7 that can be pending they fill 63 of 64.
pub const PUT_BITS_MAX: u32 = 56;

/// Bytes that a block of `text_bytes` can take, and room for one more write of 8 bytes. No literal
/// has more than 9 bits and no match of 5 bytes more than 40; the header is far below 100 bytes.
pub const fn block_bytes_max(text_bytes: usize) -> usize {
    text_bytes + text_bytes / 8 + 128
}

/// Appends bits, lowest first, to a buffer of [`block_bytes_max`] bytes.
pub struct BitWriter<'a> {
    pub room: &'a mut [u8],
    /// Bytes of `room` that are complete.
    pub at: usize,
    /// Bits after those, in number `count`, which is below 8.
    pub pending: u64,
    pub count: u32,
}

impl<'a> BitWriter<'a> {
    /// Starts a block with its header.
    pub fn new(room: &'a mut [u8], code: &Code) -> Self {
        if let Some(head) = room.first_chunk_mut() {
            *head = code.header;
        }
        let at = code.header_bits as usize / 8;
        let pending = u64::from(code.header[at]);
        Self {
            room,
            at,
            pending,
            count: code.header_bits % 8,
        }
    }

    /// Appends the low `count` bits of `bits`, whose others are zero.
    /// `count` is at most [`PUT_BITS_MAX`].
    #[inline(always)]
    pub fn put(&mut self, bits: u64, count: u32) {
        debug_assert!(count <= PUT_BITS_MAX);
        self.pending |= bits << self.count;
        self.count += count;
        if let Some(to) = self
            .room
            .get_mut(self.at..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            *to = self.pending.to_le_bytes();
        }
        self.at += (self.count >> 3) as usize;
        self.pending >>= self.count & !7;
        self.count &= 7;
    }

    /// Ends the block and returns its bytes.
    pub fn finish(mut self, code: &Code) -> usize {
        let (bits, count) = split(code.end_of_block);
        self.put(bits, count);
        self.at + usize::from(self.count > 0)
    }
}

/// An entry's bits and their number.
#[inline(always)]
fn split(entry: u32) -> (u64, u32) {
    (u64::from(entry & 0xff_ffff), entry >> 24)
}

/// A match's bits and their number.
#[inline(always)]
pub fn match_bits(code: &Code, found: Match) -> (u64, u32) {
    let (length, length_count) = split(code.length[usize::from(found.len).min(MATCH_BYTES_MAX)]);
    // Distances come in symbols of doubling ranges, two to each number of extra bits.
    let beyond = u32::from(found.distance).wrapping_sub(1);
    let extra_count = 30 - (beyond | 2).leading_zeros();
    let symbol = 2 * extra_count + (beyond >> extra_count);
    let (distance, distance_count) = split(code.distance[(symbol & 31) as usize]);
    let extra = u64::from(beyond & ((1 << extra_count) - 1));
    let bits = length | (distance | extra << distance_count) << length_count;
    (bits, length_count + distance_count + extra_count)
}

/// Appends the first `kept` matches of the segment that ends at `end` and the literals around
/// them. `coded` is where the text already coded ends. `false` if a literal is missing.
#[inline(always)]
pub fn put_segment(
    writer: &mut BitWriter,
    code: &Code,
    matcher: &Matcher,
    kept: usize,
    end: usize,
    coded: &mut usize,
) -> bool {
    let text = matcher.padded();
    let mut complete = true;
    for &found in matcher.matches(kept) {
        let start = found.start as usize;
        complete &= put_literals(writer, code, text.get(*coded..start).unwrap_or(&[]));
        let (bits, count) = match_bits(code, found);
        writer.put(bits, count);
        *coded = start + usize::from(found.len);
    }
    complete &= put_literals(writer, code, text.get(*coded..end).unwrap_or(&[]));
    *coded = end.max(*coded);
    complete
}

/// Appends `text` with the code's literals; `false` if one is missing.
#[inline(always)]
pub fn put_literals(writer: &mut BitWriter, code: &Code, text: &[u8]) -> bool {
    let (fours, rest) = text.as_chunks::<4>();
    let mut missing = false;
    for four in fours {
        let [a, b, c, d] = four.map(|byte| code.literal[usize::from(byte)]);
        missing |= (a == 0) | (b == 0) | (c == 0) | (d == 0);
        let (low, low_count) = pair(a, b);
        let (high, high_count) = pair(c, d);
        writer.put(low | high << low_count, low_count + high_count);
    }
    for &byte in rest {
        let (bits, count) = split(code.literal[usize::from(byte)]);
        missing |= count == 0;
        writer.put(bits, count);
    }
    !missing
}

/// Two entries in a row: their bits and how many.
#[inline(always)]
fn pair(first: u32, second: u32) -> (u64, u32) {
    let (first, first_count) = split(first);
    let (second, second_count) = split(second);
    (first | second << first_count, first_count + second_count)
}
