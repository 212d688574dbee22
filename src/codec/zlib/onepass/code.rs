//! Prefix codes of the one-pass encoder, laid out for writing: one `u32` per symbol.
//!
//! A block of deflate (RFC 1951) may contain its own code lengths. A code fitted to each text needs a
//! counting pass and a table build, on which a library encoder spends most of its time for a text of 1,000
//! bytes. [`JSON`] is instead fitted once, offline, to compact JSON of decimal numbers, hex strings and
//! repeated keys: its block header is a constant, and its output is about a quarter shorter than with the
//! fixed code of RFC 1951 ([`FIXED`]). Its alphabet lacks bytes that such texts do not have; a text with
//! one of them gets [`FIXED`].
//!
//! Entries hold the bits to write, first bit lowest, in bits 0..24 and their number in bits 24..32.
//! A zero entry is a symbol outside the alphabet.

use super::json_bits::{JSON_DISTANCE_BITS, JSON_LENGTH_BITS, JSON_LITERAL_BITS};
#[cfg(target_arch = "x86_64")]
use super::rows::Rows;

/// Farthest back-reference in bytes. RFC 1951 §2 allows 32 KiB, whose distances would make the JSON code and
/// its header longer; in a chain everything that repeats does so within 4 KiB.
pub const WINDOW_BYTES: u32 = 4 << 10;

/// Longest back-reference in bytes. RFC 1951 §3.2.5 allows 258; likewise.
pub const MATCH_BYTES_MAX: usize = 98;

/// First length of each length symbol 257..=285, and its count of extra bits.
pub const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_EXTRA: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];

/// Room for the longest block header that code lengths can need, in bytes.
const HEADER_BYTES_MAX: usize = 72;

/// One block's codes for literals, lengths and distances, and the bits that announce them.
pub struct Code {
    /// By byte value.
    pub literal: [u32; 256],
    /// By match length in bytes, extra bits included. Lengths below 3 have no entry.
    pub length: [u32; MATCH_BYTES_MAX + 1],
    /// By distance symbol, without extra bits; padded so that a masked index is in range.
    pub distance: [u32; 32],
    /// Symbol 256.
    pub end_of_block: u32,
    /// Block header: last-block bit, block type and code lengths.
    pub header: [u8; HEADER_BYTES_MAX],
    /// Bits used of `header`.
    pub header_bits: u32,
    /// The literals for CPUs that look up sixteen at a time.
    #[cfg(target_arch = "x86_64")]
    pub rows: Rows,
}

/// The code RFC 1951 §3.2.6 fixes: no lengths to send, 8 bits for most literals.
pub static FIXED: Code = {
    let mut code = Code::new(&fixed_lengths(), &[5; 32]);
    code.header[0] = 0b011;
    code.header_bits = 3;
    code
};

/// The code for compact JSON.
pub static JSON: Code = {
    let code = Code::new(&JSON_LITERAL_BITS, &JSON_DISTANCE_BITS);
    with_header(
        code,
        &JSON_LITERAL_BITS,
        &JSON_DISTANCE_BITS,
        &JSON_LENGTH_BITS,
    )
};

impl Code {
    const fn new<const L: usize, const D: usize>(
        literal_bits: &[u8; L],
        distance_bits: &[u8; D],
    ) -> Self {
        let symbols = canonical(literal_bits);
        let mut code = Self {
            literal: [0; 256],
            length: [0; MATCH_BYTES_MAX + 1],
            distance: [0; 32],
            end_of_block: symbols[256],
            header: [0; HEADER_BYTES_MAX],
            header_bits: 0,
            #[cfg(target_arch = "x86_64")]
            rows: Rows::new(&symbols),
        };
        let mut at = 0;
        while at < 256 {
            code.literal[at] = symbols[at];
            at += 1;
        }
        let mut length = 3;
        let mut step = 0;
        while length <= MATCH_BYTES_MAX {
            if length == LENGTH_BASE[step + 1] as usize {
                step += 1;
            }
            let extra = (length - LENGTH_BASE[step] as usize) as u32;
            code.length[length] = append(symbols[257 + step], extra, LENGTH_EXTRA[step] as u32);
            length += 1;
        }
        let distances = canonical(distance_bits);
        at = 0;
        while at < D && at < 30 {
            code.distance[at] = distances[at];
            at += 1;
        }
        code
    }
}

/// `entry` followed by the low `count` bits of `bits`.
const fn append(entry: u32, bits: u32, count: u32) -> u32 {
    (entry & 0xff_ffff) | bits << (entry >> 24) | ((entry >> 24) + count) << 24
}

const fn fixed_lengths() -> [u8; 288] {
    let mut bits = [8; 288];
    let mut at = 144;
    while at < 280 {
        bits[at] = if at < 256 { 9 } else { 7 };
        at += 1;
    }
    bits
}

/// Canonical codes for the given code lengths (RFC 1951 §3.2.2), as entries.
const fn canonical<const N: usize>(bits: &[u8; N]) -> [u32; N] {
    let mut counts = [0u32; 16];
    let mut at = 0;
    while at < N {
        counts[bits[at] as usize] += 1;
        at += 1;
    }
    counts[0] = 0;
    let mut next = [0u32; 16];
    let mut len = 1;
    while len < 16 {
        next[len] = (next[len - 1] + counts[len - 1]) << 1;
        len += 1;
    }
    assert!(next[15] + counts[15] == 1 << 15, "the code is not complete");
    let mut entries = [0u32; N];
    at = 0;
    while at < N {
        let len = bits[at] as u32;
        if len != 0 {
            entries[at] = next[len as usize].reverse_bits() >> (32 - len) | len << 24;
            next[len as usize] += 1;
        }
        at += 1;
    }
    entries
}

/// Order in which the lengths of the code for code lengths are sent (RFC 1951 §3.2.7).
const LENGTH_ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// `code` with the header of a last block that sends its lengths, run-length coded (§3.2.7).
const fn with_header<const L: usize, const D: usize>(
    mut code: Code,
    literal_bits: &[u8; L],
    distance_bits: &[u8; D],
    length_bits: &[u8; 19],
) -> Code {
    put(&mut code, 0b101, 3);
    put(&mut code, L as u32 - 257, 5);
    put(&mut code, D as u32 - 1, 5);
    let mut sent = 19;
    while length_bits[LENGTH_ORDER[sent - 1]] == 0 {
        sent -= 1;
    }
    put(&mut code, sent as u32 - 4, 4);
    let mut at = 0;
    while at < sent {
        put(&mut code, length_bits[LENGTH_ORDER[at]] as u32, 3);
        at += 1;
    }
    let mut all = [0u8; 286 + 30];
    at = 0;
    while at < L + D {
        all[at] = if at < L {
            literal_bits[at]
        } else {
            distance_bits[at - L]
        };
        at += 1;
    }
    let symbols = canonical(length_bits);
    at = 0;
    while at < L + D {
        let mut run = 1;
        while at + run < L + D && all[at + run] == all[at] {
            run += 1;
        }
        at += put_run(&mut code, &symbols, all[at] as usize, run);
    }
    code
}

/// Writes up to `run` lengths of `value` and returns how many; a long run takes several calls.
const fn put_run(code: &mut Code, symbols: &[u32; 19], value: usize, run: usize) -> usize {
    if value == 0 && run >= 3 {
        let sent = if run > 138 { 138 } else { run };
        if sent > 10 {
            put_entry(code, append(symbols[18], sent as u32 - 11, 7));
        } else {
            put_entry(code, append(symbols[17], sent as u32 - 3, 3));
        }
        return sent;
    }
    put_entry(code, symbols[value]);
    let mut left = run - 1;
    while value != 0 && left >= 3 {
        // Seven and eight are split so that no one or two lengths remain to be sent singly.
        let repeats = match left {
            7 | 8 => 4,
            3..=5 => left,
            _ => 6,
        };
        put_entry(code, append(symbols[16], repeats as u32 - 3, 2));
        left -= repeats;
    }
    run - left
}

const fn put_entry(code: &mut Code, entry: u32) {
    assert!(entry != 0, "a code length without a code");
    put(code, entry & 0xff_ffff, entry >> 24);
}

const fn put(code: &mut Code, bits: u32, count: u32) {
    let mut at = 0;
    while at < count {
        let to = code.header_bits as usize;
        code.header[to / 8] |= ((bits >> at & 1) as u8) << (to % 8);
        code.header_bits += 1;
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::zlib::onepass::{
        emit::{BitWriter, match_bits, put_literals},
        matcher::Match,
    };

    /// A complete code for code lengths: of 0, 4, 5, 7 and the three repetitions.
    const LENGTH_BITS: [u8; 19] = [3, 0, 0, 0, 3, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 2];
    const DISTANCE_BITS: [u8; 30] = {
        let mut bits = [5; 30];
        (bits[0], bits[1]) = (4, 4);
        bits
    };

    /// 128 codes of 7 bits in runs of 1 to 11, the rest in one more; runs without a code between them.
    fn literal_bits() -> [u8; 286] {
        let gaps = [139, 1, 2, 3, 3, 1, 5, 1, 1, 1, 1];
        let mut bits = [7; 286];
        let mut at = 0;
        for (run, gap) in (1..).zip(gaps) {
            at += run;
            bits[at..at + gap].fill(0);
            at += gap;
        }
        bits
    }

    /// What an inflater makes of literals and of matches of every length and many distances.
    fn check(code: &Code) {
        let alphabet: Vec<u8> = (0..=255)
            .filter(|b| code.literal[usize::from(*b)] != 0)
            .collect();
        let mut text: Vec<u8> = alphabet.iter().copied().cycle().take(5000).collect();
        let mut room = vec![0; 40_000];
        let mut writer = BitWriter::new(&mut room, code);
        assert!(put_literals(&mut writer, code, &text));
        for (len, distance) in (3..=MATCH_BYTES_MAX).zip((1..=4096).step_by(37).cycle()) {
            let start = text.len();
            for from in start - distance..start - distance + len {
                text.push(text[from]);
            }
            let (bits, count) = match_bits(
                code,
                Match {
                    start: start as u32,
                    len: len as u16,
                    distance: distance as u16,
                },
            );
            writer.put(bits, count);
        }
        let used = writer.finish(code);
        let mut inflated = vec![0; text.len()];
        let mut library = libdeflater::Decompressor::new();
        let len = library.deflate_decompress(&room[..used], &mut inflated);
        assert_eq!(len, Ok(text.len()));
        assert!(inflated == text);
    }

    #[test]
    fn inflaters_read_a_code_of_runs_of_every_kind() {
        let literal_bits = literal_bits();
        let code = Code::new(&literal_bits, &DISTANCE_BITS);
        check(&with_header(
            code,
            &literal_bits,
            &DISTANCE_BITS,
            &LENGTH_BITS,
        ));
    }

    #[test]
    fn inflaters_read_the_fixed_code() {
        let mut code = Code::new(&fixed_lengths(), &[5; 32]);
        (code.header[0], code.header_bits) = (0b011, 3);
        check(&code);
    }

    #[test]
    #[should_panic(expected = "not complete")]
    fn a_code_that_is_not_complete_is_none() {
        canonical(&[1, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "a code length without a code")]
    fn every_code_length_needs_a_code() {
        let literal_bits = literal_bits();
        let code = Code::new(&literal_bits, &DISTANCE_BITS);
        let mut length_bits = LENGTH_BITS;
        length_bits.swap(7, 8);
        with_header(code, &literal_bits, &DISTANCE_BITS, &length_bits);
    }
}
