//! From named inputs to blocks of whole lines.
//!
//! - [`list`](mod@list): which files are read, and which are left out.
//! - [`reader`]: one of them as blocks of lines. `walk`: reads everything other than plain lines, on a separate thread.
//! - `head`: the first bytes of a text. `format`: the kind they indicate; `layout`: how JSON is laid out in it.
//! - `names`: which names are read. `shown`: how names look in messages.
//! - `bytes`: plain or decompressed. `tar`, `zip`: archives. `encoding`: UTF-16. `documents`: JSON that is not one
//!   object per line. `blocks`: text to blocks. `budget`: how far an input may expand, and its faults.

pub(crate) mod blocks;
pub(crate) mod budget;
mod bytes;
mod documents;
mod encoding;
pub(crate) mod format;
mod head;
mod layout;
pub mod list;
pub(crate) mod names;
pub mod reader;
mod shown;
mod tar;
pub(crate) mod walk;
mod zip;
