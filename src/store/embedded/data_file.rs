//! Writes a data file.

#![allow(unsafe_code)] // mapping a file is outside Rust's guarantees; see the SAFETY notes

use super::{
    environment::{Records, create_records, lmdb, round_to_pages},
    files::META_KEY,
};
use crate::store::{Meta, StoreError};
use heed::{Env, EnvFlags, EnvOpenOptions, PutFlags, WithoutTls};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// Map of a new data file.
const FIRST_MAP_BYTES: usize = 64 << 20;

/// Room for inner pages and the metadata record.
const MAP_SLACK_BYTES: usize = 4 << 20;

/// A data file being written in a directory that no other process uses.
pub(super) struct DataFile {
    env: Env<WithoutTls>,
    records: Records,
    path: PathBuf,
}

impl DataFile {
    /// Creates the file `name` in the directory `dir`.
    pub(super) fn create(dir: &Path, name: &str) -> Result<Self, StoreError> {
        let path = dir.join(name);
        let failed = |error| lmdb(dir, error);
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(FIRST_MAP_BYTES);
        let flags = EnvFlags::NO_LOCK | EnvFlags::NO_SYNC | EnvFlags::NO_SUB_DIR;
        // SAFETY: the directory is private to this writer until it is renamed; it is synced before.
        let env = unsafe { options.flags(flags).open(&path) }.map_err(failed)?;
        let records = create_records(&env).map_err(failed)?;
        let records = records.ok_or_else(|| StoreError::damaged(dir, "LMDB made no database"))?;
        Ok(Self { env, records, path })
    }

    /// Appends the metadata record.
    pub(super) fn append_meta(&mut self, meta: &Meta) -> Result<(), StoreError> {
        let record = serde_json::to_vec(meta)
            .map_err(|error| StoreError::damaged(&self.path, error.to_string()))?;
        self.append(record.len(), std::iter::once((META_KEY, record.as_slice())))
    }

    /// Makes everything durable.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        self.env
            .force_sync()
            .map_err(|error| lmdb(&self.path, error))?;
        self.env.prepare_for_closing().wait();
        File::open(&self.path)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("write", &self.path))
    }

    /// Appends records whose keys are above all earlier keys; `bytes` is the sum of their lengths, or
    /// of their values' lengths where those are large.
    pub(super) fn append<'v, K: AsRef<[u8]>>(
        &mut self,
        bytes: usize,
        records: impl Iterator<Item = (K, &'v [u8])>,
    ) -> Result<(), StoreError> {
        self.make_room(bytes)?;
        let failed = |error| lmdb(&self.path, error);
        let mut txn = self.env.write_txn().map_err(failed)?;
        for (key, value) in records {
            self.records
                .put_with_flags(&mut txn, PutFlags::APPEND, key.as_ref(), value)
                .map_err(failed)?;
        }
        txn.commit().map_err(failed)
    }

    /// Enlarges the map so that a batch of `bytes` fits. Virtual memory: the file grows as it fills.
    fn make_room(&mut self, bytes: usize) -> Result<(), StoreError> {
        let info = self.env.info();
        let page_bytes = self.pages_bytes();
        let used = (info.last_page_number + 1) * page_bytes;
        // A value just above half a page takes a whole page: twice its bytes. The rest is for inner pages
        // and pages that the transaction copies.
        let needed = used + 3 * bytes + MAP_SLACK_BYTES;
        if needed <= info.map_size {
            return Ok(());
        }
        let size = round_to_pages(needed.max(2 * info.map_size) as u64);
        // SAFETY: `self` is borrowed exclusively and transactions end inside its methods, so none is
        // open.
        unsafe { self.env.resize(size) }.map_err(|error| lmdb(&self.path, error))
    }

    fn pages_bytes(&self) -> usize {
        self.env.unnamed_database_stat().page_size as usize
    }
}
