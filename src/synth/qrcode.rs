//! Requests to `/qrcode`, half of them encode, half decode.
//!
//! Called by `trident gen qrcode`. Request `n` depends on nothing but seed and `n`. The grids of decode
//! requests hold a matrix drawn by the product's own encoder, turned and put anywhere among noise
//! (docs/protocol/qrcode.md section 2), so a grader should take right answers from an independent
//! implementation.

use super::random::Random;
use crate::qrcode::QrCode;
use std::fmt::Write;

const REQUEST: u64 = 60;
/// Side of a grid to decode.
const GRID: usize = 32;
/// Milliseconds since 1970 of the first decode request.
const FIRST_TIMESTAMP_MS: u64 = 1_706_567_290_739;
/// Longest message of the small and of the large matrix.
const SMALL_BYTES_MAX: usize = 13;
const LARGE_BYTES_MAX: usize = 22;

/// Writes targets; holds the encoder's tables and the key stream.
pub struct Targets {
    qrcode: QrCode,
    /// One bit per cell of a grid.
    key: Vec<bool>,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            qrcode: QrCode::new(),
            key: key_stream(),
        }
    }
}

impl Targets {
    /// Appends request target `index` of the list with this seed; no newline.
    pub fn write_target(&self, seed: u64, index: u64, invalid: bool, out: &mut Vec<u8>) {
        let mut random = Random::new(seed, REQUEST, index);
        let encode = random.below(2) == 0;
        let target = match (encode, invalid) {
            (true, false) => {
                let message = message(&mut random);
                format!(
                    "/qrcode?type=encode&data={}",
                    escaped(&mut random, &message)
                )
            }
            (true, true) => match random.below(3) {
                0 => {
                    let longer = LARGE_BYTES_MAX as u64 + 1 + random.below(40);
                    let message: String = (0..longer).map(|_| letter(&mut random)).collect();
                    format!("/qrcode?type=encode&data={message}")
                }
                1 => format!("/qrcode?type=encod&data={}", letter(&mut random)),
                _ => format!("/qrcode?type=encode&text={}", letter(&mut random)),
            },
            (false, _) => {
                let grid = self.grid(&mut random, !invalid);
                let timestamp = FIRST_TIMESTAMP_MS + 1009 * index;
                format!("/qrcode?type=decode&data={grid}&timestamp={timestamp}")
            }
        };
        out.extend_from_slice(target.as_bytes());
    }

    /// An encrypted grid with a code in it, or with noise and nothing else.
    fn grid(&self, random: &mut Random, with_code: bool) -> String {
        let mut cells: Vec<bool> = (0..GRID * GRID).map(|_| random.below(2) == 1).collect();
        if with_code {
            let message = message(random);
            let (side, code) = self.matrix(&message);
            let turns = random.below(4);
            let top = random.below((GRID - side + 1) as u64) as usize;
            let left = random.below((GRID - side + 1) as u64) as usize;
            for row in 0..side {
                for column in 0..side {
                    let (from_row, from_column) = turned(row, column, side, turns);
                    cells[(top + row) * GRID + left + column] = code[from_row * side + from_column];
                }
            }
        }
        for (cell, key) in cells.iter_mut().zip(&self.key) {
            *cell ^= key;
        }
        cells.chunks(32).fold(String::new(), |mut text, word| {
            let number = word.iter().fold(0u32, |n, &bit| n << 1 | u32::from(bit));
            let _ = write!(text, "{number:#x}");
            text
        })
    }

    /// Side and cells of a message's matrix in the clear.
    fn matrix(&self, message: &str) -> (usize, Vec<bool>) {
        let mut text = Vec::new();
        let mut scratch = self.qrcode.scratch();
        // A message of [`message`] fits, so there is no error to pass on.
        let _ = self
            .qrcode
            .encode(&mut scratch, percent(message).as_bytes(), &mut text);
        let side = if message.len() <= SMALL_BYTES_MAX {
            21
        } else {
            25
        };
        let mut cells = Vec::with_capacity(side * side);
        for word in String::from_utf8_lossy(&text).split("0x").skip(1) {
            let number = u32::from_str_radix(word, 16).unwrap_or_default();
            let bits = (side * side - cells.len()).min(32);
            cells.extend((0..bits).rev().map(|bit| number >> bit & 1 == 1));
        }
        cells.resize(side * side, false);
        for (cell, key) in cells.iter_mut().zip(&self.key) {
            *cell ^= key;
        }
        (side, cells)
    }
}

/// The original place of the cell that stands at `row`, `column` after `turns` quarter turns clockwise.
fn turned(row: usize, column: usize, side: usize, turns: u64) -> (usize, usize) {
    (0..turns).fold((row, column), |(row, column), _| (side - 1 - column, row))
}

/// The logistic map's bytes, the lowest bit of each first (section 1, rule 5).
fn key_stream() -> Vec<bool> {
    let mut x = 0.1f64;
    let mut bits = Vec::with_capacity(GRID * GRID);
    while bits.len() < GRID * GRID {
        let byte = (255.0 * x).floor() as u8;
        bits.extend((0..8).map(|bit| byte >> bit & 1 == 1));
        x = 4.0 * x * (1.0 - x);
    }
    bits
}

/// Mostly six letters and digits, as clients send them; else any length that fits, now and then with
/// blanks, signs and letters beyond ASCII.
fn message(random: &mut Random) -> String {
    let odd = random.below(16) == 0;
    let bytes = match random.below(4) {
        0 => 1 + random.below(LARGE_BYTES_MAX as u64) as usize,
        _ => 6,
    };
    let mut message = String::new();
    while message.len() < bytes {
        let next = if odd {
            random.pick(&[' ', '&', '%', '+', '=', '#', 'é', 'ß', '字'])
        } else {
            letter(random)
        };
        if message.len() + next.len_utf8() > bytes {
            message.push('-');
        } else {
            message.push(next);
        }
    }
    message
}

fn letter(random: &mut Random) -> char {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char::from(random.pick(LETTERS))
}

/// Percent-encoded, blanks now and then as `+`.
fn escaped(random: &mut Random, message: &str) -> String {
    let text = percent(message);
    match random.below(2) {
        0 => text.replace("%20", "+"),
        _ => text,
    }
}

fn percent(message: &str) -> String {
    message.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stream_begins_as_the_protocol_says() {
        let key = key_stream();
        let bytes: Vec<u8> = key[..32]
            .chunks(8)
            .map(|bits| bits.iter().rev().fold(0, |n, &bit| n << 1 | u8::from(bit)))
            .collect();
        assert_eq!(bytes, [25, 91, 235, 73]);
    }

    #[test]
    fn a_matrix_in_the_clear_has_its_finders() {
        let targets = Targets::default();
        for (message, side) in [("Test", 21), ("a longer message", 25)] {
            let (found, cells) = targets.matrix(message);
            assert_eq!(found, side);
            let finder = |row: usize, column: usize| {
                (0..7)
                    .all(|at| cells[row * side + column + at] && cells[(row + at) * side + column])
            };
            assert!(finder(0, 0) && finder(0, side - 7) && finder(side - 7, 0));
        }
    }

    #[test]
    fn four_quarter_turns_are_none() {
        assert_eq!(turned(3, 5, 21, 4), (3, 5));
        // The upper right corner now holds the cell that was in the upper left one.
        assert_eq!(turned(0, 20, 21, 1), (0, 0));
    }
}
