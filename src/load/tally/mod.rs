//! Counts of a run.
//!
//! - [`counts`]: one worker's counts of one interval. [`collect`]: the sum of all workers, by stage and second.
//! - [`latency`]: quantiles of a histogram. [`hdr`]: histograms in a file. [`record`]: failed requests
//!   in a file.

pub(crate) mod collect;
pub(crate) mod counts;
pub(crate) mod hdr;
pub(crate) mod latency;
pub mod record;
