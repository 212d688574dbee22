//! Blocks of a deflate stream (RFC 1951 §3.2.3): bits in, text out.

use super::{
    InflateError,
    bits::Bits,
    copies::Copies,
    header::BlockCodes,
    output::{Output, TURN_BYTES_MAX},
    prefix::{END, LITERAL, LONG, RARE},
};

/// Most dynamic blocks of a stream, which contain their codes (RFC 1951 §3.2.7).
///
/// Reading codes takes as long as inflating a few hundred bytes, and an empty dynamic block has only 12
/// bytes: without this bound a stream could cost far more time than the size of its text allows. zlib with
/// its smallest buffer (`memLevel` 1) begins a block every 127 symbols, 2,065 times in 256 KiB of text;
/// with its default buffer every 16,383.
pub const HEADERS_MAX: usize = 4096;

/// [`inflate_blocks`] with BMI2 instructions, which save the decoding loop a copy per shift, and AVX2, which fills
/// tables eight entries at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
pub fn inflate_blocks_avx2(
    stream: &[u8],
    [codes, fixed]: [&mut BlockCodes; 2],
    output: &mut Output,
    copies: &mut Copies,
) -> Result<usize, InflateError> {
    inflate_blocks(stream, [codes, fixed], output, copies)
}

/// Inflates the blocks of `stream`, which ends with padding, and returns the bytes they take. The first
/// codes hold those of dynamic blocks. The second stay the fixed codes, because building these takes longer
/// than a block of 10 bits that uses them.
#[inline(always)]
pub fn inflate_blocks(
    stream: &[u8],
    [codes, fixed]: [&mut BlockCodes; 2],
    output: &mut Output,
    copies: &mut Copies,
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
                bits = put_coded(bits, fixed, output, copies)?;
            }
            2 => {
                headers_left = headers_left.checked_sub(1).ok_or(InflateError::TooLarge)?;
                codes.read(&mut bits)?;
                bits = put_coded(bits, codes, output, copies)?;
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
    let [a, b, c, d, rest @ ..] = bits.bytes() else {
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
    Ok(bits.after_bytes(4 + len))
}

/// A block of literals and matches.
#[inline(always)]
fn put_coded<'a>(
    mut bits: Bits<'a>,
    codes: &BlockCodes,
    output: &mut Output,
    copies: &mut Copies,
) -> Result<Bits<'a>, InflateError> {
    loop {
        output.make_room(TURN_BYTES_MAX)?;
        let (after, ended) = fill(bits, codes, &mut output.text, &mut output.len, copies)?;
        if ended {
            return Ok(after);
        }
        bits = after;
    }
}

/// Writes to `room` from `len` on until the block ends (`true`) or the room may be too small for another
/// turn.
#[inline(always)]
fn fill<'a>(
    mut bits: Bits<'a>,
    codes: &BlockCodes,
    room: &mut [u8],
    len: &mut usize,
    copies: &mut Copies,
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
        copies.note(at, length, distance);
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

/// Copies `length` bytes, and some more, from `distance` bytes before `at` to `at`.
#[inline(always)]
fn repeat(room: &mut [u8], at: usize, distance: usize, length: usize) {
    let end = at + length;
    let mut at = at;
    if distance >= 32 {
        // Most matches have at most 32 bytes: a loop over fewer at a time would be mispredicted more often.
        while at < end {
            let Some(from) = room.get(at - distance..) else {
                return;
            };
            let Some(bytes) = from.first_chunk::<32>().copied() else {
                return;
            };
            let Some(to) = room.get_mut(at..).and_then(|to| to.first_chunk_mut()) else {
                return;
            };
            *to = bytes;
            at += 32;
        }
    } else if distance >= 16 {
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
