//! `/qrcode`: the simplified code, encoded and found again. docs/protocol/qrcode.md, sections in
//! brackets.

use std::{fmt::Write, sync::LazyLock};

/// Square of cells in row-major order; `true` is black.
#[derive(Clone, PartialEq)]
struct Matrix {
    size: usize,
    cells: Vec<bool>,
}

/// What is the same for every code of one size.
struct Layout {
    /// Fixed cells set, payload cells white.
    template: Matrix,
    /// Payload cells in filling order, as (row, column).
    order: Vec<(usize, usize)>,
    /// Most message bytes.
    capacity: usize,
}

static SMALL: LazyLock<Layout> = LazyLock::new(|| Layout::new(21, 13));
static LARGE: LazyLock<Layout> = LazyLock::new(|| Layout::new(25, 22));
/// Key stream for the largest grid, 32x32 [1.5].
static KEY_STREAM: LazyLock<Vec<bool>> = LazyLock::new(|| key_stream(GRID * GRID));
/// Side of the grid a decode request carries.
const GRID: usize = 32;
const FINDER: usize = 7;

/// The encrypted matrix of a message as text, or `None` if it is too long.
pub fn encode(message: &[u8]) -> Option<String> {
    let mut matrix = matrix(message)?;
    apply_key_stream(&mut matrix);
    Some(to_words(&matrix.cells))
}

/// The message hidden in a 32x32 grid, or `None` if there is none.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut grid = Matrix {
        size: GRID,
        cells: from_words(text, GRID * GRID)?,
    };
    apply_key_stream(&mut grid);
    [&*SMALL, &*LARGE]
        .into_iter()
        .find_map(|layout| find(&grid, layout))
}

impl Matrix {
    fn white(size: usize) -> Self {
        Self {
            size,
            cells: vec![false; size * size],
        }
    }

    fn get(&self, row: usize, col: usize) -> bool {
        self.cells[row * self.size + col]
    }

    fn set(&mut self, row: usize, col: usize, black: bool) {
        self.cells[row * self.size + col] = black;
    }

    fn part(&self, row: usize, col: usize, size: usize) -> Self {
        let rows = (row..row + size).map(|r| r * self.size + col);
        Self {
            size,
            cells: rows
                .flat_map(|start| self.cells[start..start + size].to_vec())
                .collect(),
        }
    }

    fn turned_clockwise(&self) -> Self {
        let mut turned = Self::white(self.size);
        for row in 0..self.size {
            for col in 0..self.size {
                turned.set(col, self.size - 1 - row, self.get(row, col));
            }
        }
        turned
    }
}

impl Layout {
    fn new(size: usize, capacity: usize) -> Self {
        let mut template = Matrix::white(size);
        let mut fixed = Matrix::white(size);
        for (top, left) in [(0, 0), (0, size - FINDER), (size - FINDER, 0)] {
            for row in top.saturating_sub(1)..(top + FINDER + 1).min(size) {
                for col in left.saturating_sub(1)..(left + FINDER + 1).min(size) {
                    let ring = row.abs_diff(top + 3).max(col.abs_diff(left + 3));
                    template.set(row, col, finder_is_black(ring));
                    fixed.set(row, col, true);
                }
            }
        }
        for k in 8..size - 8 {
            for (row, col) in [(6, k), (k, 6)] {
                template.set(row, col, k % 2 == 0);
                fixed.set(row, col, true);
            }
        }
        if size == 25 {
            for row in 16..=20_usize {
                for col in 16..=20_usize {
                    let ring = row.abs_diff(18).max(col.abs_diff(18));
                    template.set(row, col, ring != 1);
                    fixed.set(row, col, true);
                }
            }
        }
        Self {
            order: filling_order(&fixed),
            template,
            capacity,
        }
    }
}

fn finder_is_black(ring: usize) -> bool {
    matches!(ring, 0 | 1 | 3)
}

/// Column pairs from the right, the first upwards; a row counts only if both cells are free [1.4].
fn filling_order(fixed: &Matrix) -> Vec<(usize, usize)> {
    let size = fixed.size;
    let mut order = Vec::new();
    let rights = (1..size).rev().filter(|right| match right {
        7.. => (size - 1 - right).is_multiple_of(2),
        _ => right % 2 == 1,
    });
    for (pair, right) in rights.enumerate() {
        for step in 0..size {
            let row = if pair % 2 == 0 { size - 1 - step } else { step };
            if !fixed.get(row, right) && !fixed.get(row, right - 1) {
                order.extend([(row, right), (row, right - 1)]);
            }
        }
    }
    order
}

/// The clear matrix of a message [1.1 to 1.4].
fn matrix(message: &[u8]) -> Option<Matrix> {
    let layout = [&*SMALL, &*LARGE]
        .into_iter()
        .find(|layout| message.len() <= layout.capacity)?;
    let mut payload = vec![message.len() as u8];
    for byte in message {
        payload.extend([*byte, (byte.count_ones() % 2) as u8]);
    }
    let bits = payload
        .into_iter()
        .chain([0b1110_1100, 0b0001_0001].into_iter().cycle())
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    let mut matrix = layout.template.clone();
    for (&(row, col), bit) in layout.order.iter().zip(bits) {
        matrix.set(row, col, bit);
    }
    Some(matrix)
}

fn key_stream(bits: usize) -> Vec<bool> {
    let mut x = 0.1_f64;
    let bytes = std::iter::from_fn(|| {
        let byte = (255.0 * x) as u8;
        x = 4.0 * x * (1.0 - x);
        Some(byte)
    });
    bytes
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
        .take(bits)
        .collect()
}

fn apply_key_stream(matrix: &mut Matrix) {
    for (cell, key) in matrix.cells.iter_mut().zip(KEY_STREAM.iter()) {
        *cell ^= key;
    }
}

/// 32 cells per word, as hex without leading zeros [1.6].
fn to_words(cells: &[bool]) -> String {
    let mut text = String::new();
    for word in cells.chunks(32) {
        let value = word
            .iter()
            .fold(0_u32, |value, &cell| value << 1 | u32::from(cell));
        write!(text, "{value:#x}").expect("a String takes everything");
    }
    text
}

fn from_words(text: &str, count: usize) -> Option<Vec<bool>> {
    let mut cells = Vec::with_capacity(count);
    for word in text.strip_prefix("0x")?.split("0x") {
        if !word.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(word, 16).ok()?;
        cells.extend((0..32).rev().map(|bit| value >> bit & 1 == 1));
    }
    (cells.len() == count).then_some(cells)
}

/// Looks for a code of one size everywhere in the grid [2.3, 2.4].
fn find(grid: &Matrix, layout: &Layout) -> Option<Vec<u8>> {
    let size = layout.template.size;
    let far = size - FINDER;
    for row in 0..=GRID - size {
        for col in 0..=GRID - size {
            let corners = [(0, 0), (0, far), (far, far), (far, 0)]
                .map(|(down, right)| is_finder(grid, row + down, col + right));
            if corners.iter().filter(|&&found| found).count() != 3 {
                continue;
            }
            let mut code = grid.part(row, col, size);
            // Empty corner at bottom right: upright. Every corner further back: one more turn.
            let empty = corners.iter().position(|found| !found).unwrap_or(2);
            for _ in 0..(6 - empty) % 4 {
                code = code.turned_clockwise();
            }
            if let Some(message) = read(&code, layout) {
                return Some(message);
            }
        }
    }
    None
}

fn is_finder(grid: &Matrix, top: usize, left: usize) -> bool {
    (0..FINDER).all(|row| {
        (0..FINDER).all(|col| {
            let ring = row.abs_diff(3).max(col.abs_diff(3));
            grid.get(top + row, left + col) == finder_is_black(ring)
        })
    })
}

/// The message of an upright code, if encoding it again gives the same code.
fn read(code: &Matrix, layout: &Layout) -> Option<Vec<u8>> {
    let bits: Vec<bool> = layout
        .order
        .iter()
        .map(|&(row, col)| code.get(row, col))
        .collect();
    let byte = |bits: &[bool]| {
        bits.iter()
            .fold(0_u8, |byte, &bit| byte << 1 | u8::from(bit))
    };
    let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    let (&length, rest) = bytes.split_first()?;
    let message: Vec<u8> = rest
        .chunks_exact(2)
        .map(|pair| pair[0])
        .take(length.into())
        .collect();
    (message.len() == usize::from(length) && matrix(&message)? == *code).then_some(message)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn filling_orders_have_the_documented_lengths() {
        assert_eq!(SMALL.order.len(), 224);
        assert_eq!(LARGE.order.len(), 370);
    }

    #[test]
    fn key_stream_has_the_documented_digest() {
        let bytes: Vec<u8> = KEY_STREAM
            .chunks(8)
            .map(|bits| {
                bits.iter()
                    .rev()
                    .fold(0, |byte, &bit| byte << 1 | u8::from(bit))
            })
            .collect();
        assert_eq!(
            hex::encode(Sha256::digest(bytes)),
            "c57bb6984cf86c1de3af323dd9231b31be10f6b8f48aa4be7874c036383bbbc6"
        );
    }
}
