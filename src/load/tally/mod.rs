//! Counts of a run.
//!
//! - [`counts`]: one worker's counts of one interval. [`collect`]: the sum of all workers, by stage and second.
//! - [`latency`]: quantiles of a histogram. [`hdr`]: histograms in a file. [`record`]: failed requests
//!   in a file.

pub mod collect;
pub mod counts;
pub mod hdr;
pub mod latency;
pub mod record;
