//! Code lengths of the JSON code, in bits by symbol. Only a table; see [`super::code`].
//!
//! They were fitted by annealing to the literals and matches that this encoder makes of some 600
//! generated chains of the real shape, block header included, under these rules: ten digits of four
//! bits each; at most eight bits for a literal, which is what a vector register's byte holds; every
//! length and distance present; equal neighbours where it shortens the header (39 bytes). Refit
//! when the shape of the texts changes; any complete code is correct.

/// Literals 0..=255, end of block, lengths 257..=285.
#[rustfmt::skip]
pub const JSON_LITERAL_BITS: [u8; 286] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 4, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 6, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 6, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 8, 0, 8, 0, 6, 6, 6,
    6, 6, 6, 8, 8, 8, 0, 0, 8, 8, 8, 8, 8, 0, 8, 8, 8, 0, 8, 8,
    8, 0, 0, 8, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9,
    9, 6, 8, 6, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    9, 9, 9, 9, 9, 9,
];

/// Distance symbols.
#[rustfmt::skip]
pub const JSON_DISTANCE_BITS: [u8; 30] = [
    9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 4, 8, 8, 3, 1, 8, 2, 7, 9, 9,
    9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
];

/// The code for the lengths above.
#[rustfmt::skip]
pub const JSON_LENGTH_BITS: [u8; 19] = [
    3, 6, 6, 6, 4, 0, 3, 6, 2, 4, 0, 0, 0, 0, 0, 0, 2, 5, 5,
];
