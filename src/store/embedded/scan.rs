//! Reads all records of a store in order; an update replaces the built record of the same id.

#![allow(unsafe_code)] // says what is mapped from a file; see the SAFETY note

use super::{
    environment::{Records, lmdb},
    files::{META_KEY, Table},
    mapping::Behind,
    store::Store,
    updates::Updates,
};
use crate::store::{StoreError, UpdatesMeta};
use heed::{RoTxn, WithoutTls};
use std::cmp::Ordering;

/// A snapshot of a store for reading; later changes do not show.
pub(in crate::store) struct Scan<'s> {
    store: &'s Store,
    base: RoTxn<'s, WithoutTls>,
    updates: Option<(&'s Updates, RoTxn<'s, WithoutTls>)>,
    history: Option<(Records, RoTxn<'static, WithoutTls>)>,
}

/// A value in the mapped file.
pub(super) struct Mapped<'m> {
    value: &'m [u8],
    behind: &'m mut Behind,
}

impl Mapped<'_> {
    pub(super) fn bytes(&self) -> u64 {
        self.value.len() as u64
    }

    /// Calls `each` with one piece after another; after each call the piece's pages go back to the kernel.
    pub(super) fn each_piece<E>(
        self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in self.value.chunks(PIECE_BYTES) {
            each(piece)?;
            self.behind.read(piece);
        }
        Ok(())
    }
}

/// Bytes of a value that are read at once.
const PIECE_BYTES: usize = 1 << 20;

type Record<'t> = heed::Result<(&'t [u8], &'t [u8])>;

impl Store {
    /// The present state; with `history` also tweets and states of users, if the store keeps them.
    pub(in crate::store) fn scan(&self, history: bool) -> Result<Scan<'_>, StoreError> {
        let failed = |error| lmdb(&self.path, error);
        let history = (history && self.meta.history.is_some()).then(|| self.history());
        let updates = match &self.updates {
            None => None,
            Some(updates) => Some((updates, updates.read().map_err(failed)?)),
        };
        Ok(Scan {
            store: self,
            base: self.env.read_txn().map_err(failed)?,
            updates,
            history: history.transpose()?,
        })
    }
}

impl Scan<'_> {
    /// The sums with updates; `None` if there are none.
    pub(in crate::store) fn updates(&self) -> Result<Option<UpdatesMeta>, StoreError> {
        let meta = match &self.updates {
            Some((updates, txn)) => updates.meta_in(txn)?,
            None => UpdatesMeta::default(),
        };
        Ok((meta.batches > 0).then_some(meta))
    }

    /// Calls `each` with every user's id and value.
    pub(in crate::store) fn values(
        &self,
        each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.merge(self.built_values()?, Table::Values, each)
    }

    /// Like [`values`](Self::values), of the store as built, in little memory.
    pub(super) fn values_as_built(
        &self,
        mut each: impl FnMut(u64, Mapped<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // SAFETY: all values as built are of the data file, which is mapped read-only and shared as long as `self.base`.
        let mut behind = unsafe { Behind::of_one_file() };
        for record in self.built_values()? {
            let (id, value) = self.id_and_value(record)?;
            let behind = &mut behind;
            each(id, Mapped { value, behind })?;
        }
        Ok(())
    }

    /// Calls `each` with every record of a table of the history.
    pub(in crate::store) fn history(
        &self,
        table: Table,
        each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some((records, txn)) = &self.history else {
            return Ok(());
        };
        let built = records.prefix_iter(txn, &[table as u8]);
        let built = built.map_err(|error| lmdb(&self.store.path, error))?;
        self.merge(built, table, each)
    }

    /// Like [`history`](Self::history), of the store as built.
    pub(in crate::store) fn history_as_built(
        &self,
        table: Table,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some((records, txn)) = &self.history else {
            return Ok(());
        };
        let built = records.prefix_iter(txn, &[table as u8]);
        for record in built.map_err(|error| lmdb(&self.store.path, error))? {
            let (id, record) = self.id_and_value(record)?;
            each(id, record)?;
        }
        Ok(())
    }

    fn built_values(&self) -> Result<impl Iterator<Item = Record<'_>>, StoreError> {
        let records = self.store.users.iter(&self.base);
        let records = records.map_err(|error| lmdb(&self.store.path, error))?;
        Ok(records.filter(|record| !matches!(record, Ok((META_KEY, _)))))
    }

    /// Merges both in ascending order; of two records with one id the update wins, and an empty update
    /// removes the record, except that of a tweet: there it is a record too, of a deletion.
    fn merge<'t>(
        &'t self,
        mut built: impl Iterator<Item = Record<'t>>,
        table: Table,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |error| lmdb(&self.store.path, error);
        let mut later = match &self.updates {
            Some((updates, txn)) => Some(updates.records(txn, table).map_err(failed)?),
            None => None,
        };
        let mut next_built = || built.next().map(|r| self.id_and_value(r)).transpose();
        let mut next_later = || {
            let next = later.as_mut().and_then(Iterator::next);
            next.map(|r| self.id_and_value(r)).transpose()
        };
        let (mut old, mut new) = (next_built()?, next_later()?);
        loop {
            let order = match (&old, &new) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let gone = |(_, value): &(u64, &[u8])| value.is_empty() && table != Table::Tweets;
            let taken = if order.is_lt() {
                old
            } else {
                new.filter(|record| !gone(record))
            };
            if let Some((id, value)) = taken {
                each(id, value)?;
            }
            if order.is_le() {
                old = next_built()?;
            }
            if order.is_ge() {
                new = next_later()?;
            }
        }
    }

    /// The id is the last eight bytes of a key.
    fn id_and_value<'t>(&self, record: Record<'t>) -> Result<(u64, &'t [u8]), StoreError> {
        let (key, value) = record.map_err(|error| lmdb(&self.store.path, error))?;
        match key.last_chunk() {
            Some(id) if key.len() <= 9 => Ok((u64::from_be_bytes(*id), value)),
            _ => Err(StoreError::damaged(&self.store.path, "a key that is no id")),
        }
    }
}
