//! Opens LMDB environments.
//!
//! A built file never changes once it has its name. So it is opened read-only and without LMDB's lock file:
//! a transaction is two loads, no table of readers can fill up, and a store on read-only media or of
//! another owner can be served. Read transactions are not tied to threads, because connections are
//! coroutines.

#![allow(unsafe_code)] // mapping a file is outside Rust's guarantees; see the SAFETY notes

use super::files::{DATA_FILE, META_KEY};
use crate::store::{Meta, StoreError};
use heed::{
    CommitOrAbort, Comparator, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls, types::Bytes,
};
use std::{
    cmp::Ordering,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long to wait for the reads on an old store that must be closed first.
const CLOSING_PATIENCE: Duration = Duration::from_secs(10);

/// The records of one LMDB file.
pub(super) type Records = Database<'static, Bytes, Bytes>;

/// The values of a built store, by user id.
pub(super) type Users = Database<'static, Bytes, Bytes, ById>;

/// LMDB's own order of keys. It calls `memcmp` for each of the dozen keys that a lookup compares, and ids are eight bytes.
pub(super) enum ById {}

impl Comparator for ById {
    #[inline]
    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        match (<&[u8; 8]>::try_from(a), <&[u8; 8]>::try_from(b)) {
            (Ok(a), Ok(b)) => u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b)),
            _ => a.cmp(b), // one is the metadata's
        }
    }
}

#[cold]
pub(super) fn lmdb(path: &Path, error: heed::Error) -> StoreError {
    StoreError::Lmdb {
        path: path.into(),
        why: error.to_string(),
    }
}

/// Opens the environment in `dir`, even while an earlier store of this name is still being read.
///
/// The wrapper refuses a path that is already open, because LMDB's file locks break then; without locks two
/// openings do not affect each other. A path has two spellings, directory and file: if the old store uses
/// one, the new store takes the other.
pub(super) fn open_env(dir: &Path, reads_ahead: bool) -> Result<Env<WithoutTls>, StoreError> {
    let file = dir.join(DATA_FILE);
    let mut flags = EnvFlags::READ_ONLY | EnvFlags::NO_LOCK;
    if !reads_ahead {
        flags |= EnvFlags::NO_READ_AHEAD;
    }
    patiently(|| {
        let opened = open_path(dir, &file, flags);
        match opened {
            Err(heed::Error::EnvAlreadyOpened) => {
                open_path(&file, &file, flags | EnvFlags::NO_SUB_DIR)
            }
            opened => opened,
        }
    })
    .map_err(|error| lmdb(dir, error))
}

/// Retries while this process is closing another opening of the same path.
pub(super) fn patiently(
    mut open: impl FnMut() -> heed::Result<Env<WithoutTls>>,
) -> heed::Result<Env<WithoutTls>> {
    let give_up = Instant::now() + CLOSING_PATIENCE;
    loop {
        match open() {
            Err(heed::Error::EnvAlreadyOpened) if Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

pub(super) fn open_path(
    path: &Path,
    file: &Path,
    flags: EnvFlags,
) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // Maps the whole file, not the size that the writer had reserved.
    options.map_size(round_to_pages(fs::metadata(file)?.len()));
    // SAFETY: the file is not modified while it is mapped: it was complete before it got its name and
    // nothing of ours opens it for writing afterwards (`writer`, `staging`). No lock is needed for the
    // same reason. It is as its writer left it (`seal::check`).
    unsafe { options.flags(flags).open(path) }
}

pub(super) fn round_to_pages(bytes: u64) -> usize {
    /// The largest page size of any Linux system, so a multiple of all of them.
    const PAGE_BYTES: u64 = 64 << 10;
    bytes.max(1).next_multiple_of(PAGE_BYTES) as usize
}

pub(super) fn open_users(env: &Env<WithoutTls>) -> heed::Result<Option<Users>> {
    let opened = env.open_databases_and_commit(env.read_txn()?, |opener, txn| {
        let options = opener.database_options().types().key_comparator();
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(options.open(txn)?))
    })?;
    Ok(opened.commit().flatten())
}

pub(super) fn open_records(env: &Env<WithoutTls>) -> heed::Result<Option<Records>> {
    let opened = env.open_databases_and_commit(env.read_txn()?, |opener, txn| {
        let users = opener.open_database::<Bytes, Bytes>(txn, None)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(users))
    })?;
    Ok(opened.commit().flatten())
}

pub(super) fn create_records(env: &Env<WithoutTls>) -> heed::Result<Option<Records>> {
    let created = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
        let records = opener.create_database::<Bytes, Bytes>(txn, None)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(records))
    })?;
    Ok(created.commit())
}

pub(super) fn read_meta(
    env: &Env<WithoutTls>,
    users: Users,
    path: &Path,
) -> Result<Meta, StoreError> {
    let failed = |error| lmdb(path, error);
    let txn = env.read_txn().map_err(failed)?;
    let record = users.get(&txn, META_KEY).map_err(failed)?;
    let record = record.ok_or_else(|| StoreError::damaged(path, "it has no metadata record"))?;
    serde_json::from_slice(record)
        .map_err(|error| StoreError::damaged(path, format!("metadata record: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_by_id_is_that_of_the_bytes() {
        let ids = [0, 1, 255, 256, 1 << 32, i64::MAX as u64, u64::MAX].map(u64::to_be_bytes);
        let mut keys: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
        keys.extend([META_KEY, b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"]);
        for a in &keys {
            for b in &keys {
                assert_eq!(ById::compare(a, b), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_map_is_whole_pages_of_every_linux() {
        for page_bytes in [4 << 10, 16 << 10, 64 << 10] {
            for bytes in [0, 1, page_bytes - 1, page_bytes, page_bytes + 1, 5 << 30] {
                let map = round_to_pages(bytes) as u64;
                assert!(map >= bytes && map > 0 && map.is_multiple_of(page_bytes));
            }
        }
    }
}
