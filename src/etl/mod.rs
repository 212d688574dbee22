//! From raw tweets to one stored value per user, on all cores, in bounded memory.
//!
//! ```text
//! lines → map → (by tweet) → tweets → (by user) → users → (by user) → values → build → UserSink
//!                               └→ (by tag) → tags → report
//! ```
//!
//! Rules: `docs/protocol/twitter.md` sections 2 to 5. Between the stages there are only lines in the format of
//! [`record::records`], sorted by bytes within partitions of the key. So the result depends neither on the order
//! of the input nor on the number of workers, and a cluster engine can run the same stages through [`blocks`] with its
//! own shuffles between them.
//!
//! - [`read`]: from named inputs to blocks of lines. [`record`]: from a line to a record.
//! - `shuffle`: records by key and in order. [`stage`]: what each stage does with a record.
//! - [`sink`]: the store or file that takes the values. [`run`](mod@run): a whole run with resume and report, or
//!   one stage through pipes.
//! - [`blocks`]: the stages for a cluster engine.
//! - [`update`]: more tweets for a store that keeps history.
//! - [`sample`]: the built-in store, served when no other is configured. [`progress`], [`error`].
//!
//! Arrows between the folders go one way: `read`, `record` → `shuffle` → `stage` → `run`, `update`; `sink` → `run` → `blocks`.
//! Not here: the store's files (`store`) and the command line.

pub mod blocks;
pub mod error;
pub mod progress;
pub mod read;
pub mod record;
pub mod run;
pub mod sample;
pub(crate) mod shuffle;
pub mod sink;
pub mod stage;
pub mod update;

pub use error::EtlError;
pub use run::pipeline::{Options, count_tags, run};
