//! From named inputs to blocks of whole lines.
//!
//! - [`list`](mod@list): which files are read, and which are left out.
//! - [`reader`]: one of them as blocks of lines. `bytes`: plain or inflated. `format`: what is no lines.

pub(crate) mod bytes;
pub(crate) mod format;
pub mod list;
pub mod reader;
