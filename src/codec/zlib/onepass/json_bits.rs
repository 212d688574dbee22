//! Code lengths of the JSON code, in bits by symbol. Only a table; see [`super::code`].
//!
//! They were fitted offline to the literals and matches that this encoder makes of 600 generated chains of the
//! real shape, block header included, under these rules: at most eight bits for a literal, which is what a
//! vector register's byte holds; every length and distance that the encoder uses present; letters that no key
//! has present where that makes the header shorter (32 bytes). Refit when the shape of the texts or the matcher
//! changes; any complete code is correct.

/// Literals 0..=255, end of block, lengths 257..=278.
#[rustfmt::skip]
pub const JSON_LITERAL_BITS: [u8; 279] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 4, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 6, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 6, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 6, 6, 6,
    6, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,
    8, 8, 8, 8, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 11, 11, 11,
    11, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 12, 12, 12, 12, 12, 12,
];

/// Distance symbols.
#[rustfmt::skip]
pub const JSON_DISTANCE_BITS: [u8; 24] = [
    4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4, 2, 7, 2, 4, 4, 8,
    8, 8, 8, 8,
];

/// The code for the lengths above.
#[rustfmt::skip]
pub const JSON_LENGTH_BITS: [u8; 19] = [
    0, 0, 5, 0, 3, 0, 4, 5, 3, 0, 0, 6, 6, 0, 0, 0, 1, 5, 4,
];
