//! Why a stream was not inflated.

/// Why a stream was not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// Not a complete zlib stream, or its checksum is wrong.
    Malformed,
    /// Inflates to more than the bound, or has more than `HEADERS_MAX` dynamic blocks.
    TooLarge,
}
