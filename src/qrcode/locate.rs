//! Finds codes in the decrypted 32x32 grid (docs/protocol/qrcode.md §2.3).
//!
//! A row of the grid is a `u32`, first column highest. Finders are sought in all columns of a row at once;
//! three of them at the corners of a square make a candidate, which the caller verifies. Noise makes false
//! finders about once in 10^12 grids. A hostile grid can hold at most 25, because finders share only their
//! outermost cells.

use super::layout::Symbol;

/// The grid, or a square cut out of it: a word per row, first column highest.
pub(super) type Rows = [u32; 32];

/// The clockwise rotation of a candidate; the corner without a finder shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Not at all: the bottom right corner is missing.
    None,
    /// 90 degrees: bottom left.
    Quarter,
    /// 180 degrees: top left.
    Half,
    /// 270 degrees: top right.
    ThreeQuarters,
}

/// The first result `accept` gives for a candidate, which it gets turned upright with the cells
/// around it cleared. Candidates come smaller symbol first, then by row, then by column.
pub(super) fn find<T>(
    grid: &Rows,
    mut accept: impl FnMut(Symbol, &Rows) -> Option<T>,
) -> Option<T> {
    let finders = finders(grid);
    for symbol in Symbol::ALL {
        let step = symbol.side() - 7;
        for row in 0..=32 - symbol.side() {
            let (top, bottom) = (finders[row], finders[row + step]);
            let corners = [top, top << step, bottom, bottom << step];
            let mut candidates = exactly_three(corners);
            while candidates != 0 {
                let column = candidates.leading_zeros() as usize;
                let bit = 1 << (31 - column);
                candidates ^= bit;
                let turn = turn(corners.map(|finders| finders & bit != 0));
                let square = upright(grid, symbol.side(), row, column, turn);
                if let Some(found) = accept(symbol, &square) {
                    return Some(found);
                }
            }
        }
    }
    None
}

/// For every row, the columns at which the top left cell of a finder is. The last six are empty.
pub(super) fn finders(grid: &Rows) -> Rows {
    let mut full = [0; 32]; // 1111111
    let mut ring = [0; 32]; // 1000001
    let mut core = [0; 32]; // 1011101
    for row in 0..32 {
        // Bit of column c in cells[k]: the cell at column c + k. Beyond the edge all is white,
        // and all three patterns end in black.
        let cells: [u32; 7] = std::array::from_fn(|k| grid[row] << k);
        let edges = cells[0] & cells[6];
        let inner = cells[2] & cells[3] & cells[4];
        full[row] = edges & inner & cells[1] & cells[5];
        ring[row] = edges & !(cells[1] | cells[2] | cells[3] | cells[4] | cells[5]);
        core[row] = edges & inner & !(cells[1] | cells[5]);
    }
    let mut finders = [0; 32];
    for row in 0..26 {
        let rim = full[row] & ring[row + 1] & ring[row + 5] & full[row + 6];
        finders[row] = rim & core[row + 2] & core[row + 3] & core[row + 4];
    }
    finders
}

/// Bits set in exactly three of the four words. A code with a fourth finder is invalid: its length would be
/// over 191.
fn exactly_three([a, b, c, d]: [u32; 4]) -> u32 {
    a & b & (c ^ d) | c & d & (a ^ b)
}

/// The turn, from which of top left, top right, bottom left and bottom right has a finder.
fn turn(corners: [bool; 4]) -> Turn {
    match corners {
        [false, ..] => Turn::Half,
        [_, false, ..] => Turn::ThreeQuarters,
        [_, _, false, _] => Turn::Quarter,
        _ => Turn::None,
    }
}

/// Cuts the square of `side` cells at (`row`, `column`) out of `grid` and turns it back.
fn upright(grid: &Rows, side: usize, row: usize, column: usize, turn: Turn) -> Rows {
    let mask = u32::MAX << (32 - side);
    let mut square = [0; 32];
    for (cut, cells) in square.iter_mut().zip(&grid[row..row + side]) {
        *cut = cells << column & mask;
    }
    match turn {
        Turn::None => {}
        Turn::Quarter => {
            transpose(&mut square);
            square[..side].reverse();
        }
        Turn::Half => {
            square[..side].reverse();
            square = square.map(|cells| cells.reverse_bits() << (32 - side));
        }
        Turn::ThreeQuarters => {
            square[..side].reverse();
            transpose(&mut square);
        }
    }
    square
}

/// Exchanges rows and columns: in five steps, quarters of ever smaller squares change places.
fn transpose(square: &mut Rows) {
    let mut mask = 0x0000_ffffu32;
    for shift in [16, 8, 4, 2, 1] {
        for block in square.chunks_exact_mut(2 * shift) {
            let (upper, lower) = block.split_at_mut(shift);
            for (upper, lower) in upper.iter_mut().zip(lower) {
                let change = (*upper ^ *lower >> shift) & mask;
                *upper ^= change;
                *lower ^= change << shift;
            }
        }
        mask ^= mask << (shift / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FINDER: [u32; 7] = [
        0b1111111, 0b1000001, 0b1011101, 0b1011101, 0b1011101, 0b1000001, 0b1111111,
    ];

    fn put_finder(grid: &mut Rows, row: usize, column: usize) {
        for (cells, pattern) in grid[row..].iter_mut().zip(FINDER) {
            let shift = 25 - column;
            *cells = *cells & !(0x7f << shift) | pattern << shift;
        }
    }

    fn is_finder(grid: &Rows, row: usize, column: usize) -> bool {
        (0..7).all(|k| grid[row + k] >> (25 - column) & 0x7f == FINDER[k])
    }

    #[test]
    fn a_finder_is_seen_at_every_place() {
        for background in [0, u32::MAX] {
            for (row, column) in (0..26).flat_map(|row| (0..26).map(move |column| (row, column))) {
                let mut grid = [background; 32];
                put_finder(&mut grid, row, column);
                let mut expected = [0; 32];
                expected[row] = 1 << (31 - column);
                assert_eq!(finders(&grid), expected, "{row},{column}");
            }
        }
    }

    /// Hence 25 at most in a grid: of the cells (5 + 6i, 5 + 6j) each finder's first six rows and
    /// columns hold exactly one.
    #[test]
    fn finders_share_their_outermost_cells_at_most() {
        for down in 0..=6i32 {
            for right in -6..=6i32 {
                let (mut grid, row, column) = ([0; 32], 10, 10);
                put_finder(&mut grid, row, column);
                let (row2, column2) = ((10 + down) as usize, (10 + right) as usize);
                put_finder(&mut grid, row2, column2);
                let both = is_finder(&grid, row, column) && is_finder(&grid, row2, column2);
                assert_eq!(
                    both,
                    (down, right) == (0, 0) || down == 6 || right.abs() == 6
                );
            }
        }
    }

    #[test]
    fn three_corners_make_a_candidate_and_tell_its_turn() {
        let turns = [Turn::Half, Turn::ThreeQuarters, Turn::Quarter, Turn::None];
        for symbol in Symbol::ALL {
            let step = symbol.side() - 7;
            let corners = [(0, 0), (0, step), (step, 0), (step, step)];
            for (missing, expected) in turns.into_iter().enumerate() {
                assert_eq!(
                    turn(std::array::from_fn(|corner| corner != missing)),
                    expected
                );
                let mut grid = [0; 32];
                for (corner, (row, column)) in corners.into_iter().enumerate() {
                    if corner != missing {
                        put_finder(&mut grid, 3 + row, 5 + column);
                    }
                }
                let mut seen = Vec::new();
                let none: Option<()> = find(&grid, |symbol, rows| {
                    seen.push((symbol, *rows));
                    None
                });
                assert_eq!(none, None);
                // Turned upright, finders are everywhere but at the bottom right.
                let mut rows = [0; 32];
                for (row, column) in &corners[..3] {
                    put_finder(&mut rows, *row, *column);
                }
                assert_eq!(seen, [(symbol, rows)]);
            }
        }
    }

    /// The grid of the bench `qrcode/hostile/many_candidates`.
    #[test]
    fn a_lattice_of_finders_makes_a_few_candidates() {
        let mut grid = [0; 32];
        for (row, column) in [0, 6, 14, 20]
            .map(|row| [0, 6, 14, 20].map(|c| (row, c)))
            .concat()
        {
            if row < 14 || column >= 14 {
                put_finder(&mut grid, row, column);
            }
        }
        let mut candidates = 0;
        let none: Option<()> = find(&grid, |symbol, _| {
            assert_eq!(symbol, Symbol::V1);
            candidates += 1;
            None
        });
        assert_eq!((none, candidates), (None, 4));
    }

    #[test]
    fn two_or_four_corners_make_none() {
        let mut grid = [0; 32];
        for (row, column) in [(0, 0), (0, 14), (14, 0), (14, 14)] {
            put_finder(&mut grid, row, column);
        }
        assert!(find(&grid, |_, _| Some(())).is_none());
        grid[0] = 0;
        assert!(find(&grid, |_, _| Some(())).is_none());
    }

    proptest! {
        #[test]
        fn finders_are_those_seen_cell_by_cell(
            noise in any::<[u32; 32]>(),
            places in prop::collection::vec((0usize..26, 0usize..26), 0..12),
        ) {
            let mut grid = noise;
            for (row, column) in places {
                put_finder(&mut grid, row, column);
            }
            let mut expected = [0; 32];
            for (row, expected) in expected[..26].iter_mut().enumerate() {
                for column in (0..26).filter(|&column| is_finder(&grid, row, column)) {
                    *expected |= 1 << (31 - column);
                }
            }
            prop_assert_eq!(finders(&grid), expected);
        }

        #[test]
        fn transposing_exchanges_rows_and_columns(rows in any::<[u32; 32]>()) {
            let mut square = rows;
            transpose(&mut square);
            let bit = |rows: &Rows, row: usize, column: usize| rows[row] >> (31 - column) & 1;
            for (row, column) in (0..32).flat_map(|row| (0..32).map(move |column| (row, column))) {
                prop_assert_eq!(bit(&square, row, column), bit(&rows, column, row));
            }
        }
    }
}
