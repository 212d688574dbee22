//! The stores of user values: a directory that is written once and then only read, with updates beside it,
//! or a database.
//!
//! ```text
//! store/data.mdb      LMDB: one record per user, key = id as u64 big-endian, value = `value`;
//!                     and last, under a key above every id, the metadata record (JSON, [`Meta`])
//! store/history.mdb   LMDB, on request: what a store needs to take in more tweets: the excluded
//!                     hashtags, every kept tweet, what is known about every user
//! store/seal.json     length and CRC-32 of these files: they are whole and as they were written;
//!                     and an id that no other store has
//! store/updates-ID/   LMDB: values, tweets and users that changed since (`embedded::updates`)
//! ```
//!
//! [`StoreWriter`] builds a store in a directory beside its final name and renames it when it is complete,
//! synced and verified; these files are never written to afterwards. So a reader needs no lock and works on
//! read-only media, and a rename replaces an old store while servers that have it open keep reading it.
//! Never copy over a store in use: its pages are mapped. Updates replace records of the files without
//! touching them; a snapshot makes one store of both.
//!
//! [`Store`] serves, [`Update`] ingests into either kind, [`maintenance`] has the operators' commands. Values are returned
//! as bytes and [`value`] validates them; history is records of `etl`, which this module does not read.
//! Only `embedded` knows LMDB. [`database`] keeps the same values in a database.
//!
//! `meta` is the metadata record, `update` a batch for either kind of store, `error` what may go wrong.

pub mod database;
mod embedded;
mod error;
mod meta;
mod update;
pub mod value;

pub use embedded::{Reader, Store, StoreWriter, StoredTweet, Work, maintenance};
pub use error::{StoreError, UpdateError};
pub use meta::{BUILT_BY, FORMAT, HistoryMeta, Meta, UpdatesHistory, UpdatesMeta};
pub use update::Update;

use std::{path::PathBuf, str::FromStr};

/// Greatest user id (`docs/protocol/twitter.md` section 1).
pub const USER_ID_MAX: u64 = i64::MAX as u64;

/// The location of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a directory of this machine.
    Directory(PathBuf),
    /// In a database.
    Database(database::Address),
}

impl FromStr for Location {
    type Err = database::BadAddress;

    fn from_str(text: &str) -> Result<Self, database::BadAddress> {
        if database::Address::is_meant_by(text) {
            return database::Address::parse(text).map(Self::Database);
        }
        Ok(Self::Directory(text.into()))
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Directory(path)
    }
}
