//! A reader of JSON text (RFC 8259) that builds no tree.
//!
//! The caller walks a [`Cursor`] through the members that it knows; [`Cursor::skip_value`] checks the syntax
//! of all other values and skips them. Nothing is copied: a string is a [`RawString`], a span of the text,
//! and is decoded only if it is used and has escapes (`RawString::pieces`). There is no recursion, and no
//! allocation below 64 levels of nesting.
//!
//! Why not a library: `/blockchain` must keep strings, numbers and whole values byte for byte as they were
//! sent, and `etl` must keep lines that serde_json, sonic-rs and simd-json reject (lone surrogate escapes,
//! bytes that are not UTF-8); both let the last of repeated keys win. A library would not be faster either: on
//! 146 MB of tweets, one core, baseline x86-64, checking everything and keeping nothing takes 1.2 GB/s here;
//! picking the fields of a tweet through serde takes 0.94 GB/s with sonic-rs 0.5, 0.85 with simd-json 0.19 and
//! 0.67 with serde_json. It reads eight bytes at a time in safe code; SSE2 with `unsafe` gained 5 % of this
//! part, less than 3 % of the map stage. `benches/etl.rs` has the ratios to serde_json.
//!
//! - `cursor`: punctuation, literals and the walk. `number`, `string`, `skip`: the kinds of values.
//! - `scan`: eight bytes at a time.

pub(crate) mod cursor;
mod number;
pub(crate) mod scan;
mod skip;
mod string;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, Syntax};
pub(crate) use number::Number;
pub(crate) use string::Piece;
pub use string::RawString;
