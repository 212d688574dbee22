//! The literal codes of a block, laid out for look-ups within vector registers (`x86`).

/// Literal codes by the high half of the byte, for table look-ups within vector registers.
pub struct Rows {
    /// For each of [`ROW_HIGHS`], by the low half of the byte: the code's bits, then a mask of as
    /// many ones as the code has. Zero outside the alphabet.
    pub tables: [RowTable; 5],
    /// Whether the tables hold the whole alphabet, each code in at most 8 bits.
    pub complete: bool,
}

/// One row's codes and masks.
#[repr(align(32))]
pub struct RowTable(pub [u8; 32]);

/// High halves of the bytes in the JSON alphabet.
pub const ROW_HIGHS: [u8; 5] = [2, 3, 5, 6, 7];

impl Rows {
    pub const fn new<const N: usize>(symbols: &[u32; N]) -> Self {
        let mut rows = Self {
            tables: [const { RowTable([0; 32]) }; 5],
            complete: true,
        };
        let mut byte = 0;
        while byte < 256 {
            let entry = symbols[byte];
            let mut row = 0;
            while row < 5 && ROW_HIGHS[row] as usize != byte >> 4 {
                row += 1;
            }
            if row < 5 && entry >> 24 <= 8 {
                rows.tables[row].0[byte & 15] = entry as u8;
                rows.tables[row].0[16 + (byte & 15)] = ((1 << (entry >> 24)) - 1) as u8;
            } else if entry != 0 {
                rows.complete = false;
            }
            byte += 1;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_codes_and_other_bytes_do_not_fit() {
        for (byte, bits, fits) in [(b'a', 8, true), (b'a', 9, false), (b'A', 8, false)] {
            let mut symbols = [0; 256];
            symbols[usize::from(byte)] = bits << 24 | 5;
            let rows = Rows::new(&symbols);
            assert_eq!(rows.complete, fits, "{byte} {bits}");
            let table = &rows.tables[3].0;
            let expected = if fits { (5, 0xff) } else { (0, 0) };
            assert_eq!((table[1], table[17]), expected, "{byte} {bits}");
        }
    }
}
