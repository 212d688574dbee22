//! The stages for a cluster engine: what moves between them are blocks of records, not records.
//!
//! ```text
//! objects → map → (by tweet) → reduce → (by user) → reduce → (by user) → values → files → build
//! ```
//!
//! The engine moves a block to the task of its bucket and knows nothing else of it; a row per record would cost it
//! more than all stages. Hashtags, long lists of hashtags and what the report says travel as blocks of their own kinds,
//! so a task that is run twice counts once.
//!
//! - [`frame`]: a block as bytes, with checksum, and the closing frame. [`writer`]: the blocks that a stage writes.
//! - `spool`: blocks that wait in a file. [`stages`]: `map`, `reduce` and `values`. `history`: records for later
//!   updates, in a file of frames.
//! - [`merge`]: files of values to one store.
//!
//! Not here: the engine's job (`scripts/spark/trident_etl.py`) and the form for people ([`crate::etl::run::pipe`]).

pub mod frame;
mod history;
pub mod merge;
mod spool;
pub mod stages;
pub mod writer;
