//! Names of the files of a store, and keys of their records.

/// Name of the LMDB file in a store.
pub(super) const DATA_FILE: &str = "data.mdb";

/// Name of the LMDB file with the history.
pub(super) const HISTORY_FILE: &str = "history.mdb";

/// Key of the metadata record: above every id, because ids are below 2^63, so that it can be appended last.
pub(super) const META_KEY: &[u8] = b"\xffmeta";

/// The table of a record of the history or the updates; first byte of its key. The id follows, big-endian,
/// so that the records of a table are together, by ascending id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) enum Table {
    /// The list of excluded hashtags; its id is 0.
    Excluded = 0,
    /// Kept tweets, and empty records of deleted ones.
    Tweets = 1,
    /// States of users.
    UserStates = 2,
    /// Values, in updates only: the values of the store as built are in the data file.
    Values = 3,
}

impl Table {
    /// The key of a record.
    pub(super) fn key(self, id: u64) -> [u8; 9] {
        let [a, b, c, d, e, f, g, h] = id.to_be_bytes();
        [self as u8, a, b, c, d, e, f, g, h]
    }
}
