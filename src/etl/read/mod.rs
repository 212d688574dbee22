//! From named inputs to blocks of whole lines.
//!
//! - [`input`]: which files are read, and how: plain or gzip, files, directories or standard input.

pub mod input;
