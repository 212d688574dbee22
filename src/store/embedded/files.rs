//! Names of the files of a store, and keys of their records.

use crate::store::StoreError;
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Name of the LMDB file in a store.
pub(super) const DATA_FILE: &str = "data.mdb";

/// Name of the LMDB file with the history.
pub(super) const HISTORY_FILE: &str = "history.mdb";

/// Name of the seal in a store.
pub(super) const SEAL_FILE: &str = "seal.json";

/// LMDB's lock file. A store's own are in its updates; other programs that read LMDB files put one beside the data file.
pub(super) const LOCK_FILE: &str = "lock.mdb";

/// Name of the directory with the updates of the store ID: `updates-ID`.
pub(super) const UPDATES_PREFIX: &str = "updates-";

/// The prefix of a directory of updates that has not got its name yet.
pub(super) const UPDATES_BUILDING_PREFIX: &str = ".updates.";

/// Whether there is such a file or directory. One that cannot be looked at is an error: without its updates or its history
/// a store would be another.
pub(super) fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(StoreError::io("open", path))
}

/// Why the directory `dir` may not be replaced and deleted, if it may not: only a store, which its seal shows, and an
/// empty directory may be. Other programs have LMDB files too.
pub(super) fn foreign(dir: &Path) -> io::Result<Option<String>> {
    if let Some(entry) = foreign_entry(dir)? {
        return Ok(Some(format!("it holds {}", entry.display())));
    }
    let is_store = dir.join(SEAL_FILE).is_file();
    if is_store || fs::read_dir(dir)?.next().is_none() {
        return Ok(None);
    }
    Ok(Some(format!(
        "it has no {SEAL_FILE}, which every store has"
    )))
}

/// The path in the directory `dir` of the first file that is not part of a store, if there is one.
pub(super) fn foreign_entry(dir: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (name, is_dir) = (entry.file_name(), entry.file_type()?.is_dir());
        let text = name.to_string_lossy();
        if !is_dir {
            if ![DATA_FILE, HISTORY_FILE, SEAL_FILE, LOCK_FILE].contains(&&*text) {
                return Ok(Some(name.into()));
            }
        } else if !text.starts_with(UPDATES_PREFIX) && !text.starts_with(UPDATES_BUILDING_PREFIX) {
            return Ok(Some(name.into()));
        } else if let Some(inner) = foreign_update(&entry.path())? {
            return Ok(Some(Path::new(&name).join(inner)));
        }
    }
    Ok(None)
}

/// The first entry of a directory of updates that is none of LMDB's two files.
fn foreign_update(dir: &Path) -> io::Result<Option<OsString>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir()
            || ![DATA_FILE, LOCK_FILE].contains(&&*name.to_string_lossy())
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

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
