//! Where the value of a user comes from: a directory written once and then only read.
//!
//! ```text
//! store/data.mdb    LMDB: one record per user, key = id as u64 big-endian, value = `model`;
//!                   and last, under a key above every id, the metadata record (JSON, [`Meta`])
//! store/seal.json   length and CRC-32 of data.mdb: the file is whole and as it was written
//! ```
//!
//! [`StoreWriter`] builds a store in a directory beside its final name and renames it when it is
//! complete, synced and verified; nothing that carries the final name is ever written to. So a reader
//! needs no lock, works on read-only media, and a new store takes the place of an old one by a rename
//! while the old one stays readable for whoever has it open. Never copy over a store in use: its
//! pages are mapped.
//!
//! [`Store`] is what serves; [`tools`] is what operators run. Values are handed out as bytes, `model`
//! validates them. Only `embedded` knows LMDB.

mod embedded;
mod place;
mod seal;
pub mod tools;
mod writer;

#[cfg(test)]
mod tests;

pub use embedded::{Reader, Store};
pub use writer::StoreWriter;

use super::model;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Version of the layout above, apart from the values, which carry [`model::VERSION`].
pub const FORMAT: u32 = 1;

/// Greatest user id (`docs/protocol/twitter.md` section 1).
pub const USER_ID_MAX: u64 = i64::MAX as u64;

/// Name of the LMDB file in a store.
const DATA_FILE: &str = "data.mdb";

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
    /// Version and commit of the program that wrote it.
    pub built_by: String,
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
    /// The final name is taken.
    #[error("{} exists already; choose another name, or replace it explicitly", .0.display())]
    Exists(PathBuf),
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
}

/// CRC-32 over ids and values, see [`Meta::content_crc32`].
#[derive(Default)]
struct Content {
    hasher: crc32fast::Hasher,
    meta: Counts,
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

    fn meta(self) -> Meta {
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
            built_by: concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_ID"), ")").into(),
        }
    }
}
