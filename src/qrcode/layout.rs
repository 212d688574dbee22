//! Where everything is in the two symbols: fixed cells and the order in which payload fills the
//! rest (docs/protocol/qrcode.md §1.3 and §1.4).
//!
//! The rules as written, run once at start to build the tables of `matrix`. A cell is
//! (row, column), both from 0 at the top left.

/// A cell: row, column.
pub(super) type Cell = (usize, usize);

/// One of the two symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// 21x21, up to 13 bytes.
    V1,
    /// 25x25, 14 to 22 bytes.
    V2,
}

impl Symbol {
    /// Both, smallest first.
    pub(super) const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Cells per side.
    pub(super) const fn side(self) -> usize {
        match self {
            Self::V1 => 21,
            Self::V2 => 25,
        }
    }

    /// Fewest bytes a message in this symbol has; fewer are encoded in the smaller one.
    pub(super) const fn bytes_min(self) -> usize {
        match self {
            Self::V1 => 0,
            Self::V2 => Self::V1.bytes_max() + 1,
        }
    }

    /// Most bytes a message in this symbol has.
    pub(super) const fn bytes_max(self) -> usize {
        match self {
            Self::V1 => 13,
            Self::V2 => 22,
        }
    }

    /// The value of `cell` if it never carries payload; `None` if it is free for payload.
    pub(super) fn fixed(self, (row, column): Cell) -> Option<bool> {
        let side = self.side();
        let corners = [(0, 0), (0, side - 7), (side - 7, 0)];
        for (top, left) in corners {
            // Distance from the finder's centre: 0, 1 and 3 are black, 4 is the separator.
            let ring = (row.abs_diff(top + 3)).max(column.abs_diff(left + 3));
            if ring <= 4 {
                return Some(matches!(ring, 0 | 1 | 3));
            }
        }
        if self == Self::V2 {
            let ring = row.abs_diff(18).max(column.abs_diff(18));
            if ring <= 2 {
                return Some(ring != 1);
            }
        }
        if row == 6 || column == 6 {
            return Some((row + column) % 2 == 0);
        }
        None
    }

    /// The payload cells in the order they are filled: pairs of columns from the right edge, the
    /// first upwards, the next downwards and so on; in every row the right cell, then the left one,
    /// and only if both are free. Column 6 belongs to no pair.
    pub(super) fn filling_order(self) -> Vec<Cell> {
        let side = self.side();
        let pairs = (7..side).rev().step_by(2).chain([5, 3, 1]);
        let mut order = Vec::new();
        for (index, right) in pairs.enumerate() {
            for step in 0..side {
                let row = if index % 2 == 0 {
                    side - 1 - step
                } else {
                    step
                };
                let cells = [(row, right), (row, right - 1)];
                if cells.iter().all(|&cell| self.fixed(cell).is_none()) {
                    order.extend(cells);
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (right column, rows in filling order) of the table in §1.4, and the last bit of each line.
    type Line = (usize, &'static [(usize, usize)], usize);

    const TABLE_21: &[Line] = &[
        (20, &[(20, 8)], 25),
        (18, &[(8, 20)], 51),
        (16, &[(20, 8)], 77),
        (14, &[(8, 20)], 103),
        (12, &[(20, 7), (5, 0)], 143),
        (10, &[(0, 5), (7, 20)], 183),
        (8, &[(12, 8)], 193),
        (5, &[(8, 12)], 203),
        (3, &[(12, 8)], 213),
        (1, &[(8, 12)], 223),
    ];

    const TABLE_25: &[Line] = &[
        (24, &[(24, 8)], 33),
        (22, &[(8, 24)], 67),
        (20, &[(24, 21), (15, 8)], 91),
        (18, &[(8, 15), (21, 24)], 115),
        (16, &[(24, 21), (15, 7), (5, 0)], 153),
        (14, &[(0, 5), (7, 24)], 201),
        (12, &[(24, 7), (5, 0)], 249),
        (10, &[(0, 5), (7, 24)], 297),
        (8, &[(16, 8)], 315),
        (5, &[(8, 16)], 333),
        (3, &[(16, 8)], 351),
        (1, &[(8, 16)], 369),
    ];

    fn cells_of(table: &[Line]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &(right, ranges, last_bit) in table {
            for &(from, to) in ranges {
                let rows: Vec<usize> = if from <= to {
                    (from..=to).collect()
                } else {
                    (to..=from).rev().collect()
                };
                cells.extend(
                    rows.into_iter()
                        .flat_map(|row| [(row, right), (row, right - 1)]),
                );
            }
            assert_eq!(cells.len() - 1, last_bit, "columns {right},{}", right - 1);
        }
        cells
    }

    #[test]
    fn the_filling_order_is_the_documented_table() {
        assert_eq!(Symbol::V1.filling_order(), cells_of(TABLE_21));
        assert_eq!(Symbol::V2.filling_order(), cells_of(TABLE_25));
        assert_eq!(Symbol::V1.filling_order().len(), 224);
        assert_eq!(Symbol::V2.filling_order().len(), 370);
    }

    #[test]
    fn a_full_message_fits_each_symbol() {
        for symbol in Symbol::ALL {
            assert!(8 + 16 * symbol.bytes_max() <= symbol.filling_order().len());
            assert!(8 + 16 * (symbol.bytes_max() + 1) > symbol.filling_order().len());
        }
    }

    #[test]
    fn fixed_cells_look_like_a_qr_code() {
        let rows: Vec<String> = (0..25)
            .map(|row| {
                let letter = |column| match Symbol::V2.fixed((row, column)) {
                    Some(true) => '#',
                    Some(false) => '.',
                    None => ' ',
                };
                (0..25).map(letter).collect()
            })
            .collect();
        assert_eq!(rows[0], "#######.         .#######");
        assert_eq!(rows[1], "#.....#.         .#.....#");
        assert_eq!(rows[2], "#.###.#.         .#.###.#");
        assert_eq!(rows[6], "#######.#.#.#.#.#.#######");
        assert_eq!(rows[7], "........         ........");
        assert_eq!(rows[8], "      #                  ");
        assert_eq!(rows[9], "      .                  ");
        assert_eq!(rows[16], "      #         #####    ");
        assert_eq!(rows[17], "........        #...#    ");
        assert_eq!(rows[18], "#######.        #.#.#    ");
        assert_eq!(rows[24], "#######.                 ");
    }
}
