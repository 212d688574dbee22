//! From raw tweets to one stored value per user, on all cores, in bounded memory.
//!
//! ```text
//! lines → map → (by tweet) → tweets → (by user) → users → (by user) → values → build → UserSink
//!                               └→ (by tag) → tags → report
//! ```
//!
//! Rules: `docs/protocol/twitter.md` sections 2 to 5. Everything between the stages is lines in the
//! format of [`record`], sorted by bytes within partitions of the key, so the result depends neither on
//! the order of the input nor on the number of workers, and a cluster engine can run the same
//! stages through [`pipe`] with its own shuffles between them.
//!
//! - [`run()`]: a whole run with resume and report. [`workdir`], [`stages`]: its files and stages.
//! - [`input`], [`json`], [`extract`], [`created_at`], [`text`]: from bytes to fields.
//! - [`map`], [`tweets`], [`users`], [`values`], [`tag_list`]: what each stage does to a record.
//! - [`sort`], [`spill`], [`workers`]: sorting, partition files, threads.
//! - [`sink`]: where values go. [`tags`], [`plot`], [`report`], [`progress`], [`exclude`], [`error`].
//!
//! - [`update`]: more tweets for a store that keeps history.
//! - [`store_sink`]: the embedded store as a sink. [`sample`]: the store that serves when none is given.
//!
//! Not here: the store's files (`twitter::store`) and the command line.

pub mod created_at;
pub mod error;
pub mod exclude;
pub mod extract;
pub mod input;
pub mod json;
pub mod map;
pub mod pipe;
pub mod plot;
pub mod progress;
pub mod record;
pub mod report;
pub mod run;
pub mod sample;
pub mod sink;
pub mod sort;
pub mod spill;
pub mod stages;
pub mod store_sink;
pub mod tag_list;
pub mod tags;
pub mod text;
pub mod tweets;
pub mod update;
pub mod users;
pub mod values;
pub mod workdir;
pub mod workers;

pub use error::EtlError;
pub use run::{Options, count_tags, run};
