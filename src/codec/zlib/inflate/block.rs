//! Blocks of a deflate stream (RFC 1951 §3.2.3): bits in, text out.

use super::{
    BYTES_RETAINED, HEADERS_MAX, InflateError, TEXT_BYTES_INITIAL,
    header::BlockCodes,
    prefix::{END, LITERAL, LONG, RARE},
};

/// Bytes that one turn of the loop may write past the text's end: three literals, the longest match,
/// and what copying in steps of sixteen bytes overshoots.
const TURN_BYTES_MAX: usize = 3 + 258 + 16;

/// Reads bits, lowest first.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    stream: &'a [u8],
    /// Bytes of `stream` taken into `bits`.
    at: usize,
    /// The next bits. Above the lowest `count` may be more of the stream.
    bits: u64,
    /// In the low six bits, how many bits are at hand; the others are left to overflow.
    count: u32,
}

impl<'a> Bits<'a> {
    /// Zero bytes that must follow the stream.
    pub const PADDING_BYTES: usize = 16;

    fn new(stream: &'a [u8]) -> Self {
        Self {
            stream,
            at: 0,
            bits: 0,
            count: 0,
        }
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    pub fn refill(&mut self) -> Result<(), InflateError> {
        let eight = self
            .stream
            .get(self.at..)
            .and_then(|rest| rest.first_chunk());
        let eight = u64::from_le_bytes(*eight.ok_or(InflateError::Malformed)?);
        self.bits |= eight << (self.count & 63);
        self.at += ((!self.count & 63) >> 3) as usize;
        self.count |= 56;
        Ok(())
    }

    /// The next bits.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        self.bits
    }

    /// Consumes the bits of an entry's code and extra bits.
    #[inline(always)]
    fn consume(&mut self, entry: u32) {
        self.bits >>= entry & 63;
        self.count = self.count.wrapping_sub(entry);
    }

    /// The value of an entry and its extra bits, which are consumed.
    #[inline(always)]
    pub fn symbol(&mut self, entry: u32) -> (u32, u32) {
        let both = self.bits & ((1 << (entry & 63)) - 1);
        self.consume(entry);
        (entry >> 16, (both >> (entry >> 8 & 15)) as u32)
    }

    /// The next `count` bits, which are consumed.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = self.bits as u32 & ((1 << count) - 1);
        self.consume(count);
        value
    }

    /// Where the next whole byte of the stream is.
    fn next_byte(&self) -> usize {
        self.at - ((self.count & 63) / 8) as usize
    }
}

/// The text made so far.
pub struct Output {
    /// The text, then room.
    text: Vec<u8>,
    len: usize,
    bytes_max: usize,
}

impl Output {
    pub fn new(bytes_max: usize) -> Self {
        let initial = bytes_max.min(TEXT_BYTES_INITIAL) + TURN_BYTES_MAX;
        Self {
            text: vec![0; initial],
            len: 0,
            bytes_max,
        }
    }

    /// Begins a new text. Memory kept from a long one is given back.
    pub fn restart(&mut self) {
        if self.text.len() > BYTES_RETAINED {
            *self = Self::new(self.bytes_max);
        }
        self.len = 0;
    }

    pub fn text(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or(&[])
    }

    /// Sees to it that `more` bytes fit, within the bound and a turn.
    fn make_room(&mut self, more: usize) -> Result<(), InflateError> {
        if self.len + more <= self.text.len() {
            return Ok(());
        }
        let most = self.bytes_max + TURN_BYTES_MAX;
        if self.len + more > most {
            return Err(InflateError::TooLarge);
        }
        let larger = (self.text.len() * 4).max(self.len + more).min(most);
        self.text.reserve_exact(larger - self.text.len());
        self.text.resize(larger, 0);
        Ok(())
    }
}

/// [`inflate_blocks`] in instructions that save the decoding loop a copy for every shift.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2,lzcnt")]
pub fn inflate_blocks_bmi2(
    stream: &[u8],
    [codes, fixed]: [&mut BlockCodes; 2],
    output: &mut Output,
) -> Result<usize, InflateError> {
    inflate_blocks(stream, [codes, fixed], output)
}

/// Inflates the blocks of `stream`, which ends with padding, and returns the bytes they take. The first
/// codes are for those that blocks bring along, the second stay the fixed ones: putting those in place
/// takes longer than a block of 10 bits that asks for them.
#[inline(always)]
pub fn inflate_blocks(
    stream: &[u8],
    [codes, fixed]: [&mut BlockCodes; 2],
    output: &mut Output,
) -> Result<usize, InflateError> {
    let mut bits = Bits::new(stream);
    let mut headers_left = HEADERS_MAX;
    loop {
        bits.refill()?;
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => bits = put_stored(bits, output)?,
            1 => {
                fixed.fix()?;
                bits = put_coded(bits, fixed, output)?;
            }
            2 => {
                headers_left = headers_left.checked_sub(1).ok_or(InflateError::TooLarge)?;
                codes.read(&mut bits)?;
                bits = put_coded(bits, codes, output)?;
            }
            _ => return Err(InflateError::Malformed),
        }
        if output.len > output.bytes_max {
            return Err(InflateError::TooLarge);
        }
        if last {
            return Ok(bits.next_byte());
        }
    }
}

/// A block of plain bytes (RFC 1951 §3.2.4).
fn put_stored<'a>(bits: Bits<'a>, output: &mut Output) -> Result<Bits<'a>, InflateError> {
    let at = bits.next_byte();
    let end = bits.stream.len() - Bits::PADDING_BYTES;
    let rest = bits.stream.get(at..end).unwrap_or(&[]);
    let [a, b, c, d, rest @ ..] = rest else {
        return Err(InflateError::Malformed);
    };
    let len = u16::from_le_bytes([*a, *b]);
    if len != !u16::from_le_bytes([*c, *d]) {
        return Err(InflateError::Malformed);
    }
    let len = usize::from(len);
    let text = rest.get(..len).ok_or(InflateError::Malformed)?;
    output.make_room(len)?;
    if let Some(to) = output.text.get_mut(output.len..output.len + len) {
        to.copy_from_slice(text);
    }
    output.len += len;
    Ok(Bits {
        at: at + 4 + len,
        bits: 0,
        count: 0,
        ..bits
    })
}

/// A block of literals and matches.
#[inline(always)]
fn put_coded<'a>(
    mut bits: Bits<'a>,
    codes: &BlockCodes,
    output: &mut Output,
) -> Result<Bits<'a>, InflateError> {
    loop {
        output.make_room(TURN_BYTES_MAX)?;
        let (after, ended) = fill(bits, codes, &mut output.text, &mut output.len)?;
        if ended {
            return Ok(after);
        }
        bits = after;
    }
}

/// Writes to `room` from `len` on until the block ends (`true`) or the room may not be enough for
/// another turn.
#[inline(always)]
fn fill<'a>(
    mut bits: Bits<'a>,
    codes: &BlockCodes,
    room: &mut [u8],
    len: &mut usize,
) -> Result<(Bits<'a>, bool), InflateError> {
    let mut at = *len;
    while at + TURN_BYTES_MAX <= room.len() {
        bits.refill()?;
        let mut entry = codes.literal.find(bits.peek());
        // A literal found in the table takes at most 9 bits, a length at most 20: after three
        // literals there are enough for a length, after four there may not be.
        if entry & LITERAL != 0 {
            put_literal(&mut bits, room, &mut at, entry);
            entry = codes.literal.find(bits.peek());
            if entry & LITERAL != 0 {
                put_literal(&mut bits, room, &mut at, entry);
                entry = codes.literal.find(bits.peek());
                if entry & LITERAL != 0 {
                    put_literal(&mut bits, room, &mut at, entry);
                    entry = codes.literal.find(bits.peek());
                    if entry & LITERAL != 0 {
                        put_literal(&mut bits, room, &mut at, entry);
                        continue;
                    }
                    bits.refill()?;
                }
            }
        }
        if entry & RARE != 0 {
            if entry == LONG {
                entry = codes.literal.find_long(bits.peek());
            }
            if entry & LITERAL != 0 {
                put_literal(&mut bits, room, &mut at, entry);
                continue;
            }
            if entry & END == END {
                bits.consume(entry);
                *len = at;
                return Ok((bits, true));
            }
            if entry & RARE != 0 {
                return Err(InflateError::Malformed);
            }
        }
        let (base, extra) = bits.symbol(entry);
        let length = (base + extra) as usize;
        bits.refill()?;
        let mut entry = codes.distance.find(bits.peek());
        if entry & RARE != 0 {
            if entry == LONG {
                entry = codes.distance.find_long(bits.peek());
            }
            if entry & RARE != 0 {
                return Err(InflateError::Malformed);
            }
        }
        let (base, extra) = bits.symbol(entry);
        let distance = (base + extra) as usize;
        if distance > at {
            return Err(InflateError::Malformed);
        }
        repeat(room, at, distance, length);
        at += length;
    }
    *len = at;
    Ok((bits, false))
}

/// Writes an entry's literal.
#[inline(always)]
fn put_literal(bits: &mut Bits, room: &mut [u8], at: &mut usize, entry: u32) {
    bits.consume(entry);
    if let Some(to) = room.get_mut(*at) {
        *to = (entry >> 16) as u8;
    }
    *at += 1;
}

/// Writes at `at` what is `distance` bytes before, `length` bytes of it and some more.
#[inline(always)]
fn repeat(room: &mut [u8], at: usize, distance: usize, length: usize) {
    let end = at + length;
    let mut at = at;
    if distance >= 16 {
        while at < end {
            let Some(from) = room.get(at - distance..) else {
                return;
            };
            let Some(sixteen) = from.first_chunk::<16>().copied() else {
                return;
            };
            let Some(to) = room.get_mut(at..).and_then(|to| to.first_chunk_mut()) else {
                return;
            };
            *to = sixteen;
            at += 16;
        }
    } else {
        for at in at..end {
            room[at] = room[at - distance];
        }
    }
}

#[cfg(test)]
impl Output {
    pub fn capacity(&self) -> usize {
        self.text.capacity()
    }
}
