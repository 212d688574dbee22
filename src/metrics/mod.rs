//! Counters and latency histograms: plain arrays per thread, summed when read.
//!
//! Each thread adds to its own cells with relaxed loads and stores, so a count costs two memory
//! operations and no locked instruction; a reader sums the cells of all threads. Names, help texts
//! and labels are declared once, in `names`. `turn` measures how long requests take.
//!
//! `series` is how `names` is written, `shard` the cells of a thread, `histogram` some of them, `process` the figures
//! from `/proc`; `export` writes all for Prometheus, `reference` the page about them.

mod export;
pub(crate) mod histogram;
pub(crate) mod names;
pub(crate) mod process;
pub mod reference;
mod series;
mod shard;
pub(crate) mod turn;

pub use export::{Gauges, write_text};
pub use histogram::Distribution;
pub use names::{Counter, Endpoint, Gauge, Info, Latency, Outcome, Reason};
pub use shard::{REASONS_MAX, Totals, add, add_invalid, answers, read};
pub use turn::{Mark, answered, answered_since, mark};
