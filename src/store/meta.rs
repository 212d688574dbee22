//! The metadata of a store: versions, sums, checksum.

use super::{StoreError, value};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the layout in [`super`]; values have [`value::VERSION`]. Version 1 had no updates.
pub const FORMAT: u32 = 2;

/// Version and commit of this program.
pub const BUILT_BY: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_ID"), ")");

/// The metadata of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// [`value::VERSION`] of its values.
    pub value_version: u8,
    /// Number of users: of all records but this one.
    pub users: u64,
    /// Sum of the contacts of all users.
    pub contacts: u64,
    /// Sum of the contact tweets of all contacts; a tweet counts once for each of its two users.
    pub tweets: u64,
    /// Sum of the lengths of all values.
    pub value_bytes: u64,
    /// CRC-32 of all ids and values in order: equal for equal contents, however they were built. It is the
    /// version of the data.
    pub content_crc32: u32,
    /// The history; `None` if the store was built without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryMeta>,
    /// Version and commit of the program that wrote it.
    pub built_by: String,
}

/// Metadata of a store's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryMeta {
    /// Kept tweets.
    pub tweets: u64,
    /// Users, with or without contacts.
    #[serde(rename = "people")]
    pub user_states: u64,
    /// Deleted tweets; their ids are kept so that they stay deleted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deletions: u64,
    /// Sum of the lengths of all records.
    pub bytes: u64,
    /// CRC-32 of all records with their keys, in order.
    pub content_crc32: u32,
}

/// Sums of a store with its updates, in the terms of [`Meta`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatesMeta {
    /// Batches stored so far.
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
    #[serde(rename = "people")]
    pub user_states: u64,
    /// Deleted tweets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deletions: u64,
}

/// A store without deletions has the metadata that it had before there were any.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl UpdatesMeta {
    /// The sums to start from: these, or the store's sums before the first batch.
    pub(super) fn or_of(self, store: &Meta) -> Self {
        match self.batches {
            0 => Self::of(store),
            _ => self,
        }
    }

    pub(super) fn of(store: &Meta) -> Self {
        let history = store.history.unwrap_or_default();
        Self {
            batches: 0,
            users: store.users,
            contacts: store.contacts,
            tweets: store.tweets,
            value_bytes: store.value_bytes,
            history: UpdatesHistory {
                tweets: history.tweets,
                user_states: history.user_states,
                deletions: history.deletions,
            },
        }
    }
}

impl Meta {
    /// Whether this program can read the store at `path`.
    pub(super) fn check(&self, path: &Path) -> Result<(), StoreError> {
        let versions = [
            ("format", self.format, FORMAT),
            (
                "values of version",
                self.value_version.into(),
                value::VERSION.into(),
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
