//! Sums and checksum over all records of a store, in order of keys.

use super::{files::Table, store::Store};
use crate::store::{
    BUILT_BY, FORMAT, HistoryMeta, Meta, StoreError,
    value::{self, Corrupt, Pieces, User},
};

/// CRC-32 over ids and values, see [`Meta::content_crc32`].
#[derive(Default)]
pub(in crate::store) struct Content {
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
    pub(in crate::store) fn add(&mut self, user_id: u64, value: &[u8]) -> Result<(), Corrupt> {
        let user = User::parse(value)?;
        self.meta.users += 1;
        self.meta.contacts += user.contact_count() as u64;
        self.meta.tweets += user.tweet_count() as u64;
        self.meta.value_bytes += value.len() as u64;
        self.hasher.update(&user_id.to_be_bytes());
        self.hasher.update(&(value.len() as u64).to_le_bytes());
        self.hasher.update(value);
        Ok(())
    }

    /// Begins a record whose value of `bytes` bytes comes in pieces.
    pub(super) fn begin(&mut self, user_id: u64, bytes: u64) -> Incoming<'_> {
        self.hasher.update(&user_id.to_be_bytes());
        self.hasher.update(&bytes.to_le_bytes());
        self.meta.users += 1;
        self.meta.value_bytes += bytes;
        Incoming {
            pieces: Pieces::of(user_id),
            content: self,
        }
    }

    /// Adds one record of the history, in ascending order of keys.
    pub(in crate::store) fn add_history(&mut self, table: Table, id: u64, record: &[u8]) {
        let History { hasher, meta } = self.history.get_or_insert_default();
        match table {
            Table::Tweets if record.is_empty() => meta.deletions += 1,
            Table::Tweets => meta.tweets += 1,
            Table::UserStates => meta.user_states += 1,
            Table::Excluded | Table::Values => {}
        }
        meta.bytes += record.len() as u64;
        hasher.update(&table.key(id));
        hasher.update(&(record.len() as u64).to_le_bytes());
        hasher.update(record);
    }

    pub(in crate::store) fn meta(self) -> Meta {
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
            value_version: value::VERSION,
            users,
            contacts,
            tweets,
            value_bytes,
            content_crc32: self.hasher.finalize(),
            history,
            built_by: BUILT_BY.into(),
        }
    }
}

/// A value that comes in pieces.
pub(super) struct Incoming<'c> {
    pieces: Pieces,
    content: &'c mut Content,
}

impl Incoming<'_> {
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), Corrupt> {
        self.content.hasher.update(piece);
        self.pieces.add(piece)
    }

    /// Checks the value, checksum included, and counts what is in it.
    pub(super) fn end(self) -> Result<(), Corrupt> {
        let (contacts, tweets) = self.pieces.end()?;
        self.content.meta.contacts += contacts;
        self.content.meta.tweets += tweets;
        Ok(())
    }
}

/// Compares all records of the store as built with the sums in `meta`.
pub(super) fn compare_content(store: &Store, meta: &Meta) -> Result<(), StoreError> {
    let mut content = Content::default();
    let scan = store.scan(true)?;
    scan.values_as_built(|user_id, value| {
        let mut incoming = content.begin(user_id, value.bytes());
        let added = value.each_piece(|piece| incoming.add(piece));
        added
            .and_then(|()| incoming.end())
            .map_err(|corrupt| StoreError::value(store.path(), user_id, corrupt))
    })?;
    add_history(&mut content, |table, each| {
        scan.history_as_built(table, each)
    })?;
    let found = Meta {
        built_by: meta.built_by.clone(),
        ..content.meta()
    };
    if found == *meta {
        Ok(())
    } else {
        let why = "its records are not those that its metadata describes";
        Err(StoreError::damaged(store.path(), why))
    }
}

/// Tables of the history in the order of their keys.
const HISTORY: [Table; 3] = [Table::Excluded, Table::Tweets, Table::UserStates];

type Each<'e> = &'e mut dyn FnMut(u64, &[u8]) -> Result<(), StoreError>;

/// Adds all tables of a history.
pub(in crate::store) fn add_history(
    content: &mut Content,
    records: impl Fn(Table, Each<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for table in HISTORY {
        records(table, &mut |id, record| {
            content.add_history(table, id, record);
            Ok(())
        })?;
    }
    Ok(())
}
