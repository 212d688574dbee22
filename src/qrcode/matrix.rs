//! The image of a message: all cells of its symbol, encrypted, as the words of the answer.
//!
//! Encoding is linear over XOR: every payload bit flips its own cell, and a byte's parity is the XOR
//! of its bits. So the image is the image of the message's length (fixed cells, length, fill and key
//! stream together) XORed with one row of a table for each half of each byte. Tables by half byte
//! are 80 KB for both symbols and stay in the second-level cache beside everything else a request
//! touches; tables by whole byte would be 640 KB for half the XORs.

use super::layout::{Cell, Symbol};

/// All cells in row-major order, 32 per word, first cell highest; the last word holds the cells
/// left over, right-aligned.
pub(super) type Image<const WORDS: usize> = [u32; WORDS];

/// Words of a 21x21 image: 441 = 13 x 32 + 25 cells.
pub(super) const WORDS_V1: usize = 14;

/// Words of a 25x25 image: 625 = 19 x 32 + 17 cells.
pub(super) const WORDS_V2: usize = 20;

/// The payload after the message: these bits repeated, highest first.
const FILL: u16 = 0b1110_1100_0001_0001;

/// Tables of one symbol.
pub(super) struct Tables<const WORDS: usize> {
    symbol: Symbol,
    /// Image of the key stream alone.
    key: Image<WORDS>,
    /// Image without the message's bytes, by message length minus `bytes_min`.
    by_length: Vec<Image<WORDS>>,
    /// What a byte at a position adds: 16 rows for its high half, then 16 for its low half.
    by_byte: Vec<[Image<WORDS>; 32]>,
    /// Where the byte at each position is read from; the length comes first.
    readings: Vec<Reading>,
}

/// Where the eight bits of a payload byte are: four pairs of neighbouring cells, as (row, right
/// shift that brings the pair to the bottom of a left-aligned row).
type Reading = [(u8, u8); 4];

impl<const WORDS: usize> Tables<WORDS> {
    /// Builds the tables from the rules of `layout` and the key stream of `key_stream`.
    pub(super) fn new(symbol: Symbol, key: &[u32; 32]) -> Self {
        let order = symbol.filling_order();
        let key = key_image(symbol, key);
        let by_length = (symbol.bytes_min()..=symbol.bytes_max())
            .map(|length| length_image(symbol, &order, key, length))
            .collect();
        let by_byte = (0..symbol.bytes_max())
            .map(|position| byte_images(symbol, &order[8 + 16 * position..][..16]))
            .collect();
        let starts = std::iter::once(0).chain((0..symbol.bytes_max()).map(|n| 8 + 16 * n));
        let readings = starts.map(|start| reading(&order[start..][..8])).collect();
        Self {
            symbol,
            key,
            by_length,
            by_byte,
            readings,
        }
    }

    /// Cells per side.
    pub(super) fn side(&self) -> usize {
        self.symbol.side()
    }

    /// The encrypted image of `message`; `None` unless its length belongs to this symbol.
    pub(super) fn image(&self, message: &[u8]) -> Option<Image<WORDS>> {
        let length = message.len().checked_sub(self.symbol.bytes_min())?;
        let mut image = *self.by_length.get(length)?;
        for (rows, &byte) in self.by_byte.iter().zip(message) {
            let high = &rows[usize::from(byte >> 4)];
            let low = &rows[16 + usize::from(byte & 15)];
            for ((word, high), low) in image.iter_mut().zip(high).zip(low) {
                *word ^= high ^ low;
            }
        }
        Some(image)
    }

    /// Reads the message out of upright, clear `rows` (left-aligned, first column highest) into `message`; `None` if
    /// the length written there is not one of this symbol. Nothing else is checked.
    pub(super) fn read<'m>(
        &self,
        rows: &[u32; 32],
        message: &'m mut [u8; Symbol::V2.bytes_max()],
    ) -> Option<&'m [u8]> {
        let (length, bytes) = self.readings.split_first()?;
        let length = usize::from(read_byte(rows, length));
        if !(self.symbol.bytes_min()..=self.symbol.bytes_max()).contains(&length) {
            return None;
        }
        let message = message.get_mut(..length)?;
        for (byte, reading) in message.iter_mut().zip(bytes) {
            *byte = read_byte(rows, reading);
        }
        Some(message)
    }

    /// The image of upright, clear `rows` (left-aligned, first column highest).
    pub(super) fn encrypt(&self, rows: &[u32; 32]) -> Image<WORDS> {
        let side = self.symbol.side();
        let mut image = self.key;
        let mut words = image.iter_mut();
        let mut pending = 0u64;
        let mut pending_bits = 0;
        for row in &rows[..side] {
            pending = pending << side | u64::from(row >> (32 - side));
            pending_bits += side;
            if pending_bits >= 32 {
                pending_bits -= 32;
                if let Some(word) = words.next() {
                    *word ^= (pending >> pending_bits) as u32;
                }
            }
        }
        if let Some(word) = words.next() {
            *word ^= pending as u32 & ((1 << pending_bits) - 1);
        }
        image
    }
}

fn read_byte(rows: &[u32; 32], reading: &Reading) -> u8 {
    let mut byte = 0;
    for &(row, shift) in reading {
        byte = byte << 2 | (rows[usize::from(row & 31)] >> (shift & 31)) & 3;
    }
    // A pair is filled right cell first, and a row holds the left cell higher: swap all pairs.
    ((byte & 0x55) << 1 | byte >> 1 & 0x55) as u8
}

fn reading(cells: &[Cell]) -> Reading {
    std::array::from_fn(|pair| {
        let (row, right) = cells[2 * pair];
        (row as u8, (31 - right) as u8)
    })
}

/// Flips `cell` in `image`.
fn flip<const WORDS: usize>(symbol: Symbol, image: &mut Image<WORDS>, (row, column): Cell) {
    let index = row * symbol.side() + column;
    let cells_left = symbol.side().pow(2) - index / 32 * 32;
    image[index / 32] ^= 1 << (cells_left.min(32) - 1 - index % 32);
}

/// The key stream over all cells of `symbol`.
fn key_image<const WORDS: usize>(symbol: Symbol, key: &[u32; 32]) -> Image<WORDS> {
    let cells_left = symbol.side().pow(2) % 32;
    let mut image = std::array::from_fn(|word| key[word]);
    image[WORDS - 1] >>= 32 - cells_left;
    image
}

/// Fixed cells, length, fill and key stream of a message of `length` bytes.
fn length_image<const WORDS: usize>(
    symbol: Symbol,
    order: &[Cell],
    key: Image<WORDS>,
    length: usize,
) -> Image<WORDS> {
    let mut image = key;
    let side = symbol.side();
    for cell in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
        if symbol.fixed(cell) == Some(true) {
            flip(symbol, &mut image, cell);
        }
    }
    let (length_cells, rest) = order.split_at(8);
    for (bit, &cell) in length_cells.iter().enumerate() {
        if length >> (7 - bit) & 1 == 1 {
            flip(symbol, &mut image, cell);
        }
    }
    for (bit, &cell) in rest[16 * length..].iter().enumerate() {
        if FILL >> (15 - bit % 16) & 1 == 1 {
            flip(symbol, &mut image, cell);
        }
    }
    image
}

/// The rows a byte in `cells` chooses from: every set bit flips its own cell and the parity's.
fn byte_images<const WORDS: usize>(symbol: Symbol, cells: &[Cell]) -> [Image<WORDS>; 32] {
    std::array::from_fn(|row| {
        let byte = if row < 16 { row << 4 } else { row & 15 };
        let mut image = [0; WORDS];
        for bit in (0..8).filter(|bit| byte >> (7 - bit) & 1 == 1) {
            flip(symbol, &mut image, cells[bit]);
            flip(symbol, &mut image, cells[15]);
        }
        image
    })
}
