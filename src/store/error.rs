//! Errors of a store. Messages name the path and what to do.

use super::{database::DatabaseError, value::Corrupt};
use crate::remedy::Trying;
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a store cannot be opened, read or written. Messages name the path and what to do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}; {}", path.display(), Trying::to(action).remedy(source))]
    Io {
        /// What was tried, as text after "cannot".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Not a directory written by [`StoreWriter`](super::StoreWriter).
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
        /// Which version differs.
        what: &'static str,
        /// The version of the store.
        found: u32,
        /// The version of this program.
        known: u32,
        /// [`Meta::built_by`](crate::store::Meta::built_by).
        built_by: String,
    },
    /// The contents have changed since they were written.
    #[error("store {} is damaged: {why}; restore it from a snapshot or build it again", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// The inconsistency.
        why: String,
    },
    /// LMDB reports an error.
    #[error(
        "store {}: {why}; `trident store verify` tells whether it is damaged: then restore it from a snapshot or build it \
         again", path.display()
    )]
    Lmdb {
        /// The directory.
        path: PathBuf,
        /// LMDB's text.
        why: String,
    },
    /// Another store now has the name of the open one.
    #[error("another store has taken the place of {}; reload, then try again", .0.display())]
    Replaced(PathBuf),
    /// As [`StoreError::Replaced`], during an operation on one store.
    #[error("store {} was replaced by another while it was being {action}: try again", path.display())]
    ReplacedWhile {
        /// The directory.
        path: PathBuf,
        /// The operation.
        action: &'static str,
    },
    /// The final name is taken.
    #[error("{} exists already; choose another name, or give --replace to replace it", .0.display())]
    Exists(PathBuf),
    /// What is to be replaced is not a store.
    #[error(
        "{} is not a store: {why}; nothing was replaced: choose another name, or move it away", path.display()
    )]
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// What shows it.
        why: String,
    },
    /// An error after which a directory stays that nobody expects.
    #[error("{error}; {} stays behind: {why}", path.display())]
    LeftBehind {
        /// The error itself.
        error: Box<StoreError>,
        /// The directory.
        path: PathBuf,
        /// Why, and what to do with it.
        why: String,
    },
    /// The store has no history, but the history was asked for.
    #[error("store {} keeps no history; build it with `trident etl --keep-history`", .0.display())]
    WithoutHistory(PathBuf),
    /// The store is in a database, which has a fault.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A user cannot be stored.
    #[error("user {user_id} does not fit into a store: {why}")]
    Refused {
        /// The user.
        user_id: u64,
        /// The reason.
        why: String,
    },
}

impl StoreError {
    /// The error without what it has left behind.
    pub fn cause(&self) -> &Self {
        match self {
            Self::LeftBehind { error, .. } => error,
            error => error,
        }
    }

    /// Adds the action and the path to an I/O error.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            why: why.into(),
        }
    }

    pub(super) fn value(path: &Path, user_id: u64, corrupt: Corrupt) -> Self {
        Self::damaged(path, format!("user {user_id}: {corrupt}"))
    }
}

/// Why a batch of changes failed.
#[derive(Debug, Error)]
pub enum UpdateError {
    /// The store has no history to compare new tweets with.
    #[error("the store keeps no history of its tweets; build it with `trident etl --keep-history`")]
    NoHistory,
    /// The database has no history either.
    #[error(
        "the database keeps no history of its tweets; load it with `trident etl import --keep-history`"
    )]
    NoHistoryInDatabase,
    /// The map is full.
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
