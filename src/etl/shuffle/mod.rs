//! Between two stages: records by the partition of their key, and sorted within it.
//!
//! - [`spill`]: the partition files, written and read. [`sort`]: sorting within a bound of memory.

pub(crate) mod sort;
pub(crate) mod spill;
