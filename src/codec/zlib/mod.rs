//! zlib streams (RFC 1950): a bounded inflater and a deflater, both made once per worker.
//!
//! `inflate` reads, `deflate` writes at any level; level 1 is `onepass`.

mod deflate;
mod inflate;
mod onepass;

pub use deflate::Deflater;
pub use inflate::{InflateError, Inflater};

#[cfg(test)]
mod tests;
