//! One batch of changes to a store that keeps history.

use super::{
    environment::{Records, lmdb, open_path, open_records, patiently},
    files::{HISTORY_FILE, META_KEY, Table},
    store::Store,
    updates::Updates,
};
use crate::store::{StoreError, UpdateError, UpdatesMeta, value::User};
use heed::{EnvFlags, MdbError, RoTxn, RwTxn, WithoutTls};
use serde::Serialize;
use std::cell::Cell;

/// How much a batch read from the store and wrote into it. Its time follows from these numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Records looked up and found; a record looked up twice counts twice.
    pub records_read: u64,
    /// Their bytes.
    pub bytes_read: u64,
    /// Records written.
    pub records_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
}

/// A batch of changes: invisible before it is committed, undone when it is dropped.
pub struct Update<'s> {
    store: &'s Store,
    updates: &'s Updates,
    txn: RwTxn<'s>,
    base: RoTxn<'s, WithoutTls>,
    history: RoTxn<'static, WithoutTls>,
    history_records: Records,
    meta: UpdatesMeta,
    work: Cell<Work>,
}

/// What a store with history knows of a tweet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredTweet<'t> {
    /// Its record.
    Kept(&'t [u8]),
    /// It is deleted, and stays so.
    Deleted,
}

impl<'t> StoredTweet<'t> {
    /// The record of a deletion.
    pub(in crate::store) const DELETED: &'static [u8] = b"";

    /// What a record in the table of tweets says.
    pub(in crate::store) fn of(record: &'t [u8]) -> Self {
        match record {
            [] => Self::Deleted,
            record => Self::Kept(record),
        }
    }
}

impl Store {
    /// Begins a batch; waits while another process has one open.
    ///
    /// # Errors
    /// The store keeps no history, was not opened for updates, or was replaced.
    pub(in crate::store) fn begin_update(&self) -> Result<Update<'_>, UpdateError> {
        let updates = self.takes_updates()?;
        let failed = |error| UpdateError::Store(lmdb(&updates.dir, error));
        // Otherwise a process killed while reading would keep pages from being reused forever.
        updates.env.clear_stale_readers().map_err(failed)?;
        let txn = updates.env.write_txn().map_err(failed)?;
        let meta = updates.meta_in(&txn).map_err(UpdateError::Store)?;
        let meta = meta.or_of(self.meta());
        let (history_records, history) = self.history().map_err(UpdateError::Store)?;
        Ok(Update {
            store: self,
            updates,
            txn,
            base: self.env.read_txn().map_err(failed)?,
            history,
            history_records,
            meta,
            work: Cell::default(),
        })
    }

    /// Says whether there can be a batch, without beginning one.
    ///
    /// # Errors
    /// The store keeps no history, was not opened for updates, or was replaced.
    pub fn check_updates(&self) -> Result<(), UpdateError> {
        self.takes_updates()?;
        if self.is_at(&self.path) {
            Ok(())
        } else {
            Err(StoreError::Replaced(self.path.clone()).into())
        }
    }

    fn takes_updates(&self) -> Result<&Updates, UpdateError> {
        let updates = self.updates.as_ref().filter(|updates| updates.writable);
        updates.ok_or(UpdateError::NoHistory)
    }

    /// Blocks batches of all processes until the returned transaction is dropped.
    pub(super) fn hold_updates(&self) -> Result<Option<RwTxn<'_>>, StoreError> {
        let updates = self.updates.as_ref().filter(|updates| updates.writable);
        let held = updates.map(|updates| updates.env.write_txn()).transpose();
        held.map_err(|error| lmdb(&self.path, error))
    }

    /// The history as built. Each batch opens it again, because the path may name another store by now, and
    /// the two must not mix.
    pub(super) fn history(&self) -> Result<(Records, RoTxn<'static, WithoutTls>), StoreError> {
        let path = self.path.join(HISTORY_FILE);
        let failed = |error| lmdb(&self.path, error);
        let flags = EnvFlags::READ_ONLY | EnvFlags::NO_LOCK | EnvFlags::NO_READ_AHEAD;
        let env = patiently(|| open_path(&path, &path, flags | EnvFlags::NO_SUB_DIR));
        let env = env.map_err(failed)?;
        let records = open_records(&env).map_err(failed)?;
        let records = records
            .ok_or_else(|| StoreError::damaged(&self.path, "LMDB finds no database in history"))?;
        let txn = env.static_read_txn().map_err(failed)?;
        if self.is_at(&self.path) {
            Ok((records, txn))
        } else {
            Err(StoreError::Replaced(self.path.clone()))
        }
    }
}

impl Update<'_> {
    /// What has been read and written so far.
    pub fn work(&self) -> Work {
        self.work.get()
    }

    /// The excluded hashtags of the store, as given when it was built.
    pub fn excluded(&self) -> Result<&[u8], StoreError> {
        let found = self
            .history_records
            .get(&self.history, &Table::Excluded.key(0));
        Ok(found.map_err(|e| self.failed(e))?.unwrap_or_default())
    }

    /// What the store knows of a tweet.
    pub fn tweet(&self, id: u64) -> Result<Option<StoredTweet<'_>>, StoreError> {
        let found = self.historical(Table::Tweets, id)?;
        Ok(found.map(StoredTweet::of))
    }

    /// The state of a user.
    pub fn user_state(&self, id: u64) -> Result<Option<&[u8]>, StoreError> {
        let found = self.historical(Table::UserStates, id)?;
        Ok(found.filter(|record| !record.is_empty()))
    }

    /// The value of a user.
    pub fn value(&self, id: u64) -> Result<Option<&[u8]>, StoreError> {
        let found = match self.changed(Table::Values, id)? {
            None => self.store.users.get(&self.base, &id.to_be_bytes()),
            found => Ok(found),
        };
        let found = found.map_err(|e| self.failed(e))?;
        Ok(self.count(found.filter(|value| !value.is_empty())))
    }

    /// Stores a tweet; it replaces a tweet with the same id.
    pub fn put_tweet(&mut self, id: u64, record: &[u8]) -> Result<(), UpdateError> {
        self.replace_tweet(id)?;
        self.meta.history.tweets += 1;
        self.put(Table::Tweets, id, record)
    }

    /// Notes that a tweet is deleted, in the place of the tweet if it is stored.
    pub fn put_deletion(&mut self, id: u64) -> Result<(), UpdateError> {
        self.replace_tweet(id)?;
        self.meta.history.deletions += 1;
        self.put(Table::Tweets, id, StoredTweet::DELETED)
    }

    /// Takes what is stored of a tweet out of the sums.
    fn replace_tweet(&mut self, id: u64) -> Result<(), StoreError> {
        let (kept, deleted) = match self.tweet(id)? {
            None => (0, 0),
            Some(StoredTweet::Kept(_)) => (1, 0),
            Some(StoredTweet::Deleted) => (0, 1),
        };
        let history = &mut self.meta.history;
        history.tweets = history.tweets.saturating_sub(kept);
        history.deletions = history.deletions.saturating_sub(deleted);
        Ok(())
    }

    /// Stores the state of a user; `None`: no tweet mentions the user any more.
    pub fn put_person(&mut self, id: u64, record: Option<&[u8]>) -> Result<(), UpdateError> {
        let was_known = self.user_state(id)?.is_some();
        let user_states = &mut self.meta.history.user_states;
        *user_states = *user_states + u64::from(record.is_some()) - u64::from(was_known);
        self.put(Table::UserStates, id, record.unwrap_or_default())
    }

    /// Stores the value of a user; `None`: the user has no contacts any more.
    pub fn put_value(&mut self, id: u64, value: Option<&[u8]>) -> Result<(), UpdateError> {
        let size = |value: Option<&[u8]>| match value.map(User::parse) {
            None => Ok([0; 4]),
            Some(Err(corrupt)) => Err(StoreError::value(&self.store.path, id, corrupt)),
            Some(Ok(user)) => {
                let bytes = value.map_or(0, <[u8]>::len);
                Ok([1, user.contact_count(), user.tweet_count(), bytes].map(|n| n as u64))
            }
        };
        let (before, after) = (size(self.value(id)?)?, size(value)?);
        let meta = &mut self.meta;
        let sums = [
            &mut meta.users,
            &mut meta.contacts,
            &mut meta.tweets,
            &mut meta.value_bytes,
        ];
        for (sum, (before, after)) in sums.into_iter().zip(before.into_iter().zip(after)) {
            *sum = sum.wrapping_add(after).wrapping_sub(before);
        }
        self.put(Table::Values, id, value.unwrap_or_default())
    }

    /// Makes the batch durable and visible.
    ///
    /// # Errors
    /// Nothing was changed, except if the store was replaced meanwhile: then the change is in the replaced
    /// store.
    pub fn commit(mut self) -> Result<UpdatesMeta, UpdateError> {
        self.meta.batches += 1;
        let record = serde_json::to_vec(&self.meta)
            .map_err(|error| StoreError::damaged(&self.updates.dir, error.to_string()))?;
        let path = &self.store.path;
        if !self.store.is_at(path) {
            return Err(StoreError::Replaced(path.clone()).into());
        }
        let put = self
            .updates
            .records
            .put(&mut self.txn, META_KEY, record.as_slice());
        put.map_err(|error| write_failed(self.updates, error))?;
        let committed = self.txn.commit();
        committed.map_err(|error| write_failed(self.updates, error))?;
        if !self.store.is_at(path) {
            return Err(StoreError::Replaced(path.clone()).into());
        }
        Ok(self.meta)
    }

    fn put(&mut self, table: Table, id: u64, record: &[u8]) -> Result<(), UpdateError> {
        let work = self.work.get_mut();
        work.records_written += 1;
        work.bytes_written += record.len() as u64;
        let records = self.updates.records;
        let put = records.put(&mut self.txn, &table.key(id), record);
        put.map_err(|error| write_failed(self.updates, error))
    }

    fn historical(&self, table: Table, id: u64) -> Result<Option<&[u8]>, StoreError> {
        let found = match self.changed(table, id)? {
            None => self.history_records.get(&self.history, &table.key(id)),
            found => Ok(found),
        };
        let found = found.map_err(|e| self.failed(e))?;
        Ok(self.count(found))
    }

    fn count<'r>(&self, found: Option<&'r [u8]>) -> Option<&'r [u8]> {
        if let Some(record) = found {
            let mut work = self.work.get();
            work.records_read += 1;
            work.bytes_read += record.len() as u64;
            self.work.set(work);
        }
        found
    }

    fn changed(&self, table: Table, id: u64) -> Result<Option<&[u8]>, StoreError> {
        let found = self.updates.get(&self.txn, table, id);
        found.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: heed::Error) -> StoreError {
        lmdb(&self.store.path, error)
    }
}

fn write_failed(updates: &Updates, error: heed::Error) -> UpdateError {
    match error {
        heed::Error::Mdb(MdbError::MapFull) => UpdateError::Full {
            path: updates.dir.clone(),
            bytes_max: updates.bytes_max,
        },
        heed::Error::Io(error) => StoreError::io("write", &updates.dir)(error).into(),
        error => lmdb(&updates.dir, error).into(),
    }
}
