//! Byte codecs shared by the endpoints: base64url, zlib, query strings, decimals, hex,
//! JSON, calendar dates.
//!
//! Pure functions of bytes and small reusable coders. They do not know HTTP, endpoints or configuration;
//! output is appended to the caller's buffer.
//!
//! A file or folder each: `base64url`, `zlib`, `query`, `decimal`, `hex`, `json`, `calendar`; `word` is what three of
//! them share.

pub mod base64url;
pub(crate) mod calendar;
pub(crate) mod decimal;
pub(crate) mod hex;
pub mod json;
pub mod query;
mod word;
pub mod zlib;
