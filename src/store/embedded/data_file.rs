//! Writes a data file.

#![allow(unsafe_code)] // mapping a file is outside Rust's guarantees; see the SAFETY notes

use super::{
    environment::{Records, create_records, lmdb, round_to_pages},
    files::META_KEY,
    mapping,
};
use crate::store::{Meta, StoreError};
use heed::{Env, EnvFlags, EnvOpenOptions, PutFlags, WithoutTls};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Map of a new data file.
const FIRST_MAP_BYTES: usize = 64 << 20;

/// Bytes of a large value that are copied at once.
const COPY_BYTES: usize = 1 << 20;

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

    /// Appends a record whose value has `bytes` bytes; `fill` fills piece after piece.
    ///
    /// LMDB keeps what a transaction writes in memory, so it only makes room for the value, in pages of memory that
    /// nobody touches. When these are in the file, the value is written over them there.
    pub(super) fn append_from(
        &mut self,
        key: &[u8],
        bytes: usize,
        mut fill: impl FnMut(&mut [u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut at = self.reserve(key, bytes)?;
        let failed = |error| StoreError::io("write", &self.path)(error);
        let file = File::options().write(true).open(&self.path);
        let file = file.map_err(failed)?;
        let mut buffer = vec![0; COPY_BYTES.min(bytes)];
        let mut left = bytes;
        while left > 0 {
            let piece_bytes = left.min(buffer.len());
            let piece = &mut buffer[..piece_bytes];
            fill(piece)?;
            file.write_all_at(piece, at).map_err(failed)?;
            left -= piece_bytes;
            at += piece_bytes as u64;
        }
        Ok(())
    }

    /// Appends a record of `bytes` bytes of no meaning; where in the file they are.
    fn reserve(&mut self, key: &[u8], bytes: usize) -> Result<u64, StoreError> {
        self.make_room(bytes)?;
        let failed = |error| lmdb(&self.path, error);
        let mut txn = self.env.write_txn().map_err(failed)?;
        let reserved = self.records.get_or_put_reserved_with_flags(
            &mut txn,
            PutFlags::APPEND,
            key,
            bytes,
            |room| {
                // SAFETY: nothing in this process reads these bytes. LMDB gives them to the kernel, and
                // `append_from` replaces them in the file; if it fails, the file is deleted.
                unsafe { room.assume_written(bytes) };
                Ok(())
            },
        );
        reserved.map_err(failed)?;
        txn.commit().map_err(failed)?;
        let txn = self.env.read_txn().map_err(failed)?;
        let value = self.records.get(&txn, key).map_err(failed)?;
        let value = value.ok_or_else(|| StoreError::damaged(&self.path, "LMDB lost a record"))?;
        mapping::offset_in_file(value).map_err(StoreError::io("read", Path::new(mapping::MAPS)))
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
