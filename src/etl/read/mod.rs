//! From named inputs to blocks of whole lines.
//!
//! - [`list`](mod@list): which files are read, and which left out.
//! - [`reader`]: one of them as blocks of lines. `walk`: one that is more than lines, on a thread of its own.
//! - `head`: the first bytes of a text. `format`: what they say it is; `layout`: how JSON lies in it.
//! - `names`: what is read by its name. `shown`: how names look in messages.
//! - `bytes`: plain or decompressed. `tar`, `zip`: archives. `encoding`: UTF-16. `documents`: JSON that is not one object per
//!   line. `blocks`: text to blocks. `budget`: what an input may expand to, and what is wrong with it.

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
