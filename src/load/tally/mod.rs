//! What was counted.
//!
//! - [`counts`]: one worker's counts of one interval. [`collect`]: the sum of all workers, by stage and second.
//! - [`record`]: failed requests in a file.

pub mod collect;
pub mod counts;
pub mod record;
