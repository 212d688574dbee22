//! Blocks of a deflate stream (RFC 1951 §3.2.3): bits in, text out.

use super::{
    BYTES_RETAINED, InflateError, TEXT_BYTES_INITIAL,
    header::BlockCodes,
    prefix::{END, LITERAL, LONG, RARE},
};

/// Bytes that one turn of the loop can write past the text's end: two literals, the longest match,
/// and what a copy in steps of sixteen bytes overshoots.
const TURN_BYTES_MAX: usize = 4 + 258 + 32;

/// Reads bits, lowest first.
pub struct Bits<'a> {
    stream: &'a [u8],
    /// Bytes of `stream` taken into `bits`.
    at: usize,
    bits: u64,
    /// Bits of `bits` not consumed. Above them may be more of the stream.
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
        self.bits |= u64::from_le_bytes(*eight.ok_or(InflateError::Malformed)?) << self.count;
        self.at += (63 - self.count as usize) >> 3;
        self.count |= 56;
        Ok(())
    }

    #[inline(always)]
    pub fn peek(&self) -> u64 {
        self.bits
    }

    /// Consumes the bits of an entry's code and extra bits.
    #[inline(always)]
    fn consume(&mut self, entry: u32) {
        self.bits >>= entry & 63;
        self.count -= entry & 63;
    }

    /// The value of an entry and its extra bits, which are consumed.
    #[inline(always)]
    pub fn symbol(&mut self, entry: u32) -> (u32, u32) {
        let both = self.bits & ((1 << (entry & 63)) - 1);
        self.consume(entry);
        (entry >> 16, (both >> (entry >> 8 & 15)) as u32)
    }

    /// The next `count` bits.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = self.bits as u32 & ((1 << count) - 1);
        self.consume(count);
        value
    }

    /// Skips to the next whole byte of the stream and returns where it is.
    fn align(&mut self) -> usize {
        self.at - (self.count / 8) as usize
    }

    /// Goes on from a byte of the stream.
    fn seek(&mut self, at: usize) {
        (self.at, self.bits, self.count) = (at, 0, 0);
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

    pub fn restart(&mut self) {
        if self.text.len() > BYTES_RETAINED {
            *self = Self::new(self.bytes_max);
        }
        self.len = 0;
    }

    pub fn text(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or(&[])
    }

    /// Sees to it that `more` bytes fit, within the bound.
    fn make_room(&mut self, more: usize) -> Result<(), InflateError> {
        if self.len + more <= self.text.len() {
            return Ok(());
        }
        let most = self.bytes_max + TURN_BYTES_MAX;
        if self.len + more > most {
            return Err(InflateError::TooLarge);
        }
        let larger = (self.text.len() * 4).max(self.len + more).min(most);
        self.text.resize(larger, 0);
        Ok(())
    }
}

/// Inflates the blocks of `stream`, which ends with padding, and returns the bytes they take.
pub fn inflate_blocks(
    stream: &[u8],
    codes: &mut BlockCodes,
    output: &mut Output,
) -> Result<usize, InflateError> {
    let mut bits = Bits::new(stream);
    loop {
        bits.refill()?;
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => put_stored(&mut bits, output)?,
            1 => {
                codes.fix()?;
                put_coded(&mut bits, codes, output)?;
            }
            2 => {
                codes.read(&mut bits)?;
                put_coded(&mut bits, codes, output)?;
            }
            _ => return Err(InflateError::Malformed),
        }
        if last {
            break;
        }
    }
    if output.len > output.bytes_max {
        return Err(InflateError::TooLarge);
    }
    Ok(bits.align())
}

/// A block of plain bytes (RFC 1951 §3.2.4).
fn put_stored(bits: &mut Bits, output: &mut Output) -> Result<(), InflateError> {
    let at = bits.align();
    let rest = bits
        .stream
        .get(at..bits.stream.len() - Bits::PADDING_BYTES)
        .unwrap_or(&[]);
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
    bits.seek(at + 4 + len);
    Ok(())
}

/// A block of literals and matches.
fn put_coded(bits: &mut Bits, codes: &BlockCodes, output: &mut Output) -> Result<(), InflateError> {
    loop {
        output.make_room(TURN_BYTES_MAX)?;
        if fill(bits, codes, &mut output.text, &mut output.len)? {
            return Ok(());
        }
    }
}

/// Writes to `room` from `len` on until the block ends (`true`) or the room may not be enough for
/// another turn.
#[inline(never)]
fn fill(
    bits: &mut Bits,
    codes: &BlockCodes,
    room: &mut [u8],
    len: &mut usize,
) -> Result<bool, InflateError> {
    let mut at = *len;
    let last = room.len() - TURN_BYTES_MAX;
    let mut reader = Bits {
        stream: bits.stream,
        at: bits.at,
        bits: bits.bits,
        count: bits.count,
    };
    let ended = loop {
        if at > last {
            break false;
        }
        reader.refill()?;
        let mut entry = codes.literal.find(reader.bits);
        // Up to two literals leave enough bits for a length.
        if entry & LITERAL != 0 {
            reader.consume(entry);
            at += put(room, at, entry);
            entry = codes.literal.find(reader.bits);
            if entry & LITERAL != 0 {
                reader.consume(entry);
                at += put(room, at, entry);
                entry = codes.literal.find(reader.bits);
                if entry & LITERAL != 0 {
                    reader.consume(entry);
                    at += put(room, at, entry);
                    continue;
                }
            }
        }
        if entry & RARE != 0 {
            if entry & LONG == LONG {
                entry = codes.literal.find_long(reader.bits);
            }
            if entry & LITERAL != 0 {
                reader.consume(entry);
                at += put(room, at, entry);
                continue;
            }
            if entry & END == END {
                reader.consume(entry);
                break true;
            }
            if entry & RARE != 0 {
                return Err(InflateError::Malformed);
            }
        }
        let (base, extra) = reader.symbol(entry);
        let length = (base + extra) as usize;
        reader.refill()?;
        let mut entry = codes.distance.find(reader.bits);
        if entry & RARE != 0 {
            if entry & LONG == LONG {
                entry = codes.distance.find_long(reader.bits);
            }
            if entry & RARE != 0 {
                return Err(InflateError::Malformed);
            }
        }
        let (base, extra) = reader.symbol(entry);
        let distance = (base + extra) as usize;
        if distance > at {
            return Err(InflateError::Malformed);
        }
        copy(room, at, distance, length);
        at += length;
    };
    *len = at;
    *bits = reader;
    Ok(ended)
}

#[inline(always)]
fn put(room: &mut [u8], at: usize, entry: u32) -> usize {
    if let Some(bytes) = room
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut::<2>())
    {
        *bytes = ((entry >> 16) as u16).to_le_bytes();
    }
    (entry >> 8 & 3) as usize
}

/// Repeats `length` bytes from `distance` before `at`.
#[inline(always)]
fn copy(room: &mut [u8], at: usize, distance: usize, length: usize) {
    let mut from = at - distance;
    let mut to = at;
    let end = at + length;
    if distance >= 16 {
        loop {
            let Some(bytes) = room.get(from..).and_then(|rest| rest.first_chunk::<16>()) else {
                return;
            };
            let bytes = *bytes;
            let Some(room) = room
                .get_mut(to..)
                .and_then(|rest| rest.first_chunk_mut::<16>())
            else {
                return;
            };
            *room = bytes;
            from += 16;
            to += 16;
            if to >= end {
                return;
            }
        }
    }
    while to < end {
        room[to] = room[from];
        to += 1;
        from += 1;
    }
}
