//! Between two stages: records by the partition of their key, and sorted within it.
//!
//! - [`spill`]: the partition files, written and read. [`sort`]: sorting within a bound of memory.

pub mod sort;
pub mod spill;
