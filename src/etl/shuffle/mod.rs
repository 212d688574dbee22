//! Between two stages: partitions records by key, and sorts them within a partition.
//!
//! - [`spill`]: the partition files, written and read. [`sort`]: sorting within a bound of memory.

pub(crate) mod sort;
pub(crate) mod spill;
