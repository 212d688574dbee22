//! Where the value of a user comes from: a directory written once and then only read, and what came in
//! later beside it.
//!
//! ```text
//! store/data.mdb      LMDB: one record per user, key = id as u64 big-endian, value = `model`;
//!                     and last, under a key above every id, the metadata record (JSON, [`Meta`])
//! store/history.mdb   LMDB, on request: what a store needs to take in more tweets: the excluded
//!                     hashtags, every kept tweet, what is known about every user
//! store/seal.json     length and CRC-32 of these files: they are whole and as they were written;
//!                     and an id that no other store has
//! store/updates-ID/   LMDB: values, tweets and users that changed since (`embedded::updates`)
//! ```
//!
//! [`StoreWriter`] builds a store in a directory beside its final name and renames it when it is
//! complete, synced and verified; none of these files is ever written to afterwards. So a reader
//! needs no lock, works on read-only media, and a new store takes the place of an old one by a rename
//! while the old one stays readable for whoever has it open. Never copy over a store in use: its
//! pages are mapped. Updates replace records of the files without touching them; a snapshot makes
//! one store of both.
//!
//! [`Store`] is what serves, [`Update`] what ingests; [`tools`] is what operators run. Values are handed
//! out as bytes, `model` validates them; history is records of `etl`, unread here. Only `embedded`
//! knows LMDB. [`mysql`] keeps the same values in a database.

mod embedded;
pub mod mysql;
mod place;
mod seal;
pub mod tools;
mod writer;

#[cfg(test)]
mod tests;

pub use embedded::{Reader, Store, Update};
pub use writer::StoreWriter;

use super::model;
use embedded::Table;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Version of the layout above, apart from the values, which carry [`model::VERSION`]. Version 1 knew
/// no updates.
pub const FORMAT: u32 = 2;

/// Greatest user id (`docs/protocol/twitter.md` section 1).
pub const USER_ID_MAX: u64 = i64::MAX as u64;

/// Name of the LMDB file in a store.
const DATA_FILE: &str = "data.mdb";

/// Name of the LMDB file with the history.
const HISTORY_FILE: &str = "history.mdb";

/// What a store says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// [`model::VERSION`] of its values.
    pub value_version: u8,
    /// Number of users, that is of records besides this one.
    pub users: u64,
    /// Sum of the contacts of all users.
    pub contacts: u64,
    /// Sum of the contact tweets of all contacts; a tweet counts once from either end.
    pub tweets: u64,
    /// Sum of the lengths of all values.
    pub value_bytes: u64,
    /// CRC-32 of all ids and values in order: equal for equal contents, however they were built. The
    /// version of the data.
    pub content_crc32: u32,
    /// What there is of history; `None` if the store was built without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryMeta>,
    /// Version and commit of the program that wrote it.
    pub built_by: String,
}

/// What a store says about its history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryMeta {
    /// Kept tweets.
    pub tweets: u64,
    /// Users, with or without contacts.
    pub people: u64,
    /// Sum of the lengths of all records.
    pub bytes: u64,
    /// CRC-32 of all records with their keys, in order.
    pub content_crc32: u32,
}

/// What a store with updates holds in total, in the terms of [`Meta`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatesMeta {
    /// Batches taken so far.
    pub batches: u64,
    /// Users with a value.
    pub users: u64,
    /// Contacts of all users.
    pub contacts: u64,
    /// Contact tweets of all contacts.
    pub tweets: u64,
    /// Bytes of all values.
    pub value_bytes: u64,
    /// Kept tweets and users.
    pub history: UpdatesHistory,
}

/// See [`UpdatesMeta::history`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatesHistory {
    /// Kept tweets.
    pub tweets: u64,
    /// Users, with or without contacts.
    pub people: u64,
}

impl UpdatesMeta {
    /// The sums to start from: these, or before the first batch those of the store.
    fn or_of(self, store: &Meta) -> Self {
        match self.batches {
            0 => Self::of(store),
            _ => self,
        }
    }

    fn of(store: &Meta) -> Self {
        let history = store.history.unwrap_or_default();
        Self {
            batches: 0,
            users: store.users,
            contacts: store.contacts,
            tweets: store.tweets,
            value_bytes: store.value_bytes,
            history: UpdatesHistory {
                tweets: history.tweets,
                people: history.people,
            },
        }
    }
}

impl Meta {
    /// Whether this program can read the store at `path`.
    fn check(&self, path: &Path) -> Result<(), StoreError> {
        let versions = [
            ("format", self.format, FORMAT),
            (
                "values of version",
                self.value_version.into(),
                model::VERSION.into(),
            ),
        ];
        match versions.iter().find(|(_, found, known)| found != known) {
            None => Ok(()),
            Some((what, found, known)) => Err(StoreError::Version {
                path: path.into(),
                what,
                found: *found,
                known: *known,
                built_by: self.built_by.clone(),
            }),
        }
    }
}

/// Why a store cannot be opened, read or written. Messages name the path and what to do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as it follows "cannot".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not a directory written by [`StoreWriter`].
    #[error("{} is not a store: {why}; `trident etl` makes one", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Written by another version.
    #[error(
        "store {} has {what} {found}, this program reads {known}: build it again, or run the program \
         that wrote it ({built_by})", path.display()
    )]
    Version {
        /// The directory.
        path: PathBuf,
        /// Which of the versions differs.
        what: &'static str,
        /// The store's.
        found: u32,
        /// Ours.
        known: u32,
        /// [`Meta::built_by`].
        built_by: String,
    },
    /// The contents are not what was written.
    #[error("store {} is damaged: {why}; restore it from a snapshot or build it again", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// LMDB reports an error.
    #[error("store {}: {why}", path.display())]
    Lmdb {
        /// The directory.
        path: PathBuf,
        /// LMDB's text.
        why: String,
    },
    /// Another store has the name of the one that is open.
    #[error("another store has taken the place of {}; reload, then try again", .0.display())]
    Replaced(PathBuf),
    /// As [`StoreError::Replaced`], in the middle of something that takes one store.
    #[error("store {} was replaced by another while it was being {action}: try again", path.display())]
    ReplacedWhile {
        /// The directory.
        path: PathBuf,
        /// What was being done to it.
        action: &'static str,
    },
    /// The final name is taken.
    #[error("{} exists already; choose another name, or replace it explicitly", .0.display())]
    Exists(PathBuf),
    /// The store is in a database, and that is what is wrong.
    #[error(transparent)]
    Database(#[from] mysql::DatabaseError),
    /// A user was added that cannot be.
    #[error("user {user_id} cannot be stored: {why}")]
    Refused {
        /// The user.
        user_id: u64,
        /// Why not.
        why: String,
    },
}

impl StoreError {
    /// Adds what was tried and on what.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            why: why.into(),
        }
    }

    fn value(path: &Path, user_id: u64, corrupt: model::Corrupt) -> Self {
        Self::damaged(path, format!("user {user_id}: {corrupt}"))
    }
}

/// Why a batch of changes was not made.
#[derive(Debug, Error)]
pub enum UpdateError {
    /// There is nothing to compare new tweets with.
    #[error("the store keeps no history of its tweets; build it with `trident etl --keep-history`")]
    NoHistory,
    /// No room in the map.
    #[error(
        "updates in {} have reached {bytes_max} bytes; run `trident store fold` on the store and reload, \
         or allow more", path.display()
    )]
    Full {
        /// The directory of the updates.
        path: PathBuf,
        /// The bound.
        bytes_max: u64,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// CRC-32 over ids and values, see [`Meta::content_crc32`].
#[derive(Default)]
struct Content {
    hasher: crc32fast::Hasher,
    meta: Counts,
    history: Option<History>,
}

/// CRC-32 over the history, see [`HistoryMeta::content_crc32`].
#[derive(Default)]
struct History {
    hasher: crc32fast::Hasher,
    meta: HistoryMeta,
}

/// The sums in [`Meta`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    users: u64,
    contacts: u64,
    tweets: u64,
    value_bytes: u64,
}

impl Content {
    /// Adds one record, in ascending order of ids.
    fn add(&mut self, user_id: u64, value: &[u8]) -> Result<(), model::Corrupt> {
        let user = model::User::parse(value)?;
        self.meta.users += 1;
        self.meta.contacts += user.contact_count() as u64;
        self.meta.tweets += user.tweet_count() as u64;
        self.meta.value_bytes += value.len() as u64;
        self.hasher.update(&user_id.to_be_bytes());
        self.hasher.update(&(value.len() as u64).to_le_bytes());
        self.hasher.update(value);
        Ok(())
    }

    /// Adds one record of the history, in ascending order of keys.
    fn add_history(&mut self, table: Table, id: u64, record: &[u8]) {
        let History { hasher, meta } = self.history.get_or_insert_default();
        match table {
            Table::Tweets => meta.tweets += 1,
            Table::People => meta.people += 1,
            Table::Excluded | Table::Values => {}
        }
        meta.bytes += record.len() as u64;
        hasher.update(&table.key(id));
        hasher.update(&(record.len() as u64).to_le_bytes());
        hasher.update(record);
    }

    fn meta(self) -> Meta {
        let history = self.history.map(|History { hasher, meta }| HistoryMeta {
            content_crc32: hasher.finalize(),
            ..meta
        });
        let Counts {
            users,
            contacts,
            tweets,
            value_bytes,
        } = self.meta;
        Meta {
            format: FORMAT,
            value_version: model::VERSION,
            users,
            contacts,
            tweets,
            value_bytes,
            content_crc32: self.hasher.finalize(),
            history,
            built_by: concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_ID"), ")").into(),
        }
    }
}
