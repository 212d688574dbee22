//! Byte codecs shared by the endpoints: base64url, zlib, query strings, decimals, hex,
//! JSON, calendar dates.
//!
//! Pure functions of bytes and small reusable coders. Nothing here knows HTTP, an endpoint or a
//! configuration; output is appended to a buffer the caller owns.

pub mod base64url;
pub(crate) mod calendar;
pub(crate) mod decimal;
pub(crate) mod hex;
pub mod json;
pub mod query;
pub mod zlib;
