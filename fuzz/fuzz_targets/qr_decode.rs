//! `/qrcode`: any text as a grid, any 32 words as a grid, and any message encoded, put somewhere
//! into a grid and found again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{fmt::Write, sync::LazyLock};
use trident::qrcode::QrCode;

static QR: LazyLock<QrCode> = LazyLock::new(QrCode::new);

/// The key stream as 32 words (docs/protocol/qrcode.md §1.5).
static KEY: LazyLock<[u32; 32]> = LazyLock::new(|| {
    let mut x = 0.1f64;
    std::array::from_fn(|_| {
        (0..4).fold(0, |word, _| {
            let byte = (255.0 * x) as u8;
            x = 4.0 * x * (1.0 - x);
            word << 8 | u32::from(byte.reverse_bits())
        })
    })
});

/// The text of the grid with these clear rows, encrypted.
fn text(rows: &[u32; 32]) -> String {
    let mut text = String::new();
    for (row, key) in rows.iter().zip(&*KEY) {
        write!(text, "0x{:x}", row ^ key).unwrap();
    }
    text
}

/// The cells of an encoded message, in the clear: row by row, and how many there are in a row.
fn cells(encoded: &[u8]) -> (Vec<bool>, usize) {
    let text = std::str::from_utf8(encoded).unwrap();
    let words = text
        .split("0x")
        .skip(1)
        .map(|w| u32::from_str_radix(w, 16).unwrap());
    let words: Vec<u32> = words.collect();
    let side: usize = if words.len() == 14 { 21 } else { 25 };
    let cell = |at: usize| {
        // The last word is right-aligned in the answer, its key is not.
        let bits = (side * side - at / 32 * 32).min(32);
        let key = KEY[at / 32] >> (32 - bits);
        (words[at / 32] ^ key) >> (bits - 1 - at % 32) & 1 == 1
    };
    ((0..side * side).map(cell).collect(), side)
}

/// The grid with the square at a place, its first row on the side given by `turn`.
fn grid(cells: &[bool], side: usize, [row, column, turn]: [u8; 3]) -> [u32; 32] {
    let mut rows = [0; 32];
    let [top, left] = [row, column].map(|place| usize::from(place) % (33 - side));
    for (at, _) in cells.iter().enumerate().filter(|cell| *cell.1) {
        let (mut row, mut column) = (at / side, at % side);
        for _ in 0..turn % 4 {
            (row, column) = (column, side - 1 - row);
        }
        rows[top + row] |= 1 << (31 - left - column);
    }
    rows
}

fuzz_target!(|input: &[u8]| {
    let mut scratch = QR.scratch();
    let _ = QR.decode(&mut scratch, input);
    if let (words, _) = input.as_chunks::<4>()
        && let Some(words) = words.first_chunk::<32>()
    {
        let _ = QR.decode(
            &mut scratch,
            text(&words.map(u32::from_be_bytes)).as_bytes(),
        );
    }
    let mut out = b"kept".to_vec();
    let Some((place, message)) = input.split_first_chunk::<3>() else {
        return;
    };
    let message = &message[..message.len().min(22)];
    let escaped: String = message.iter().map(|byte| format!("%{byte:02x}")).collect();
    QR.encode(&mut scratch, escaped.as_bytes(), &mut out)
        .unwrap();
    let (cells, side) = cells(out.strip_prefix(b"kept").unwrap());
    let hidden = text(&grid(&cells, side, *place));
    let found = QR.decode(&mut scratch, hidden.as_bytes()).unwrap();
    assert_eq!(
        found.as_bytes(),
        String::from_utf8_lossy(message).as_bytes()
    );
});
