//! From named inputs to blocks of whole lines.
//!
//! - [`list`](mod@list): which files are read, and which left out.
//! - [`reader`]: a file as blocks of lines. `bytes`: plain or decompressed. `format`: other formats,
//!   recognised.

pub(crate) mod bytes;
pub(crate) mod format;
pub mod list;
pub mod reader;
