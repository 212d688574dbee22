//! Which part of the keys a key belongs to. Partition i belongs to node i mod n.

use md5::{Digest, Md5};

/// Equal parts of the range of MD5.
pub const PARTITIONS: usize = 16;

/// The partition of a key: the first four bits of its MD5.
pub fn partition(key: &str) -> usize {
    usize::from(Md5::digest(key)[0]) * PARTITIONS / 256
}
