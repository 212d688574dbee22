//! `updates-ID/`: records changed after the store was built, in an LMDB environment with locks.
//!
//! ```text
//! 1 tweet id   kept tweet, in the place of the one in history.mdb; empty: deleted, as there
//! 2 user id    what is known about a user; empty: nothing any more
//! 3 user id    value of a user, in the place of the one in data.mdb; empty: no contacts any more
//! ff meta      [`UpdatesMeta`], JSON
//! ```
//!
//! A batch is one transaction, synced before [`Update::commit`](super::Update::commit) returns: it is stored completely
//! or not at all, and a killed process loses no acknowledged batch. Readers see the state before or after it and never
//! wait. LMDB's locks let several processes read and write.
//!
//! The name contains the store's id: LMDB must not open a file twice in a process, the wrapper checks this
//! by path, and a store that replaces another has the same path.

#![allow(unsafe_code)] // mapping a file is outside Rust's guarantees; see the SAFETY note

use super::{
    environment::{Records, create_records, lmdb, open_records, patiently, round_to_pages},
    files::{
        DATA_FILE, HISTORY_FILE, LOCK_FILE, META_KEY, Table, UPDATES_BUILDING_PREFIX,
        UPDATES_PREFIX, exists,
    },
    seal,
};
use crate::store::{StoreError, UpdatesMeta};
use heed::{Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};
use rustix::{fs::FallocateFlags, io::Errno};
use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    process,
};

/// Concurrent reads of all processes; a request is one read, and a worker serves one request at a time.
const READERS_MAX: u32 = 1024;

/// Room for LMDB's table of that many readers, a cache line each, and its head.
const LOCK_BYTES: u64 = (READERS_MAX as u64 + 64) * 64;

/// How much the file may grow while a process without its own limit has it open.
const GROWTH_BYTES: u64 = 64 << 30;

/// Pages of LMDB's metadata: the first of every file.
const META_PAGES: u64 = 2;

/// LMDB takes the operating system's size, and Linux has none below this.
const PAGE_BYTES_MIN: u64 = 4096;

/// An open environment.
pub(super) struct Updates {
    pub(super) env: Env<WithoutTls>,
    pub(super) records: Records,
    pub(super) dir: PathBuf,
    pub(super) bytes_max: u64,
    pub(super) writable: bool,
}

/// Whether the store in `dir` has taken updates.
pub(super) fn exist_in(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name())
        .any(|name| name.to_string_lossy().starts_with(UPDATES_PREFIX))
}

impl Updates {
    /// Opens the updates of the store `id` in `store_dir`; `None` if there are none. With `bytes_max` they
    /// are writable, and created if the store keeps history.
    pub(super) fn open(
        store_dir: &Path,
        id: &str,
        bytes_max: Option<u64>,
    ) -> Result<Option<Self>, StoreError> {
        let dir = store_dir.join(format!("{UPDATES_PREFIX}{id}"));
        let writable = bytes_max.is_some() && exists(&store_dir.join(HISTORY_FILE))?;
        let bytes_max = bytes_max.unwrap_or(0);
        if !exists(&dir)? {
            if !writable {
                return Ok(None);
            }
            create(store_dir, &dir, bytes_max)?;
        }
        let bytes = length_of_at_least(&dir, META_PAGES * PAGE_BYTES_MIN)?;
        let growth = if bytes_max > 0 { 0 } else { GROWTH_BYTES };
        let map_bytes = bytes_max.max(bytes.saturating_add(growth));
        let flags = if writable {
            EnvFlags::empty()
        } else {
            EnvFlags::READ_ONLY
        };
        let failed = |error| lmdb(&dir, error);
        allocate_lock_file(&dir)?;
        let env = patiently(|| open_env(&dir, map_bytes, flags | EnvFlags::NO_READ_AHEAD));
        let env = env.map_err(failed)?;
        check_length(&env, &dir)?;
        env.clear_stale_readers().map_err(failed)?;
        let records = open_records(&env).map_err(failed)?;
        let records =
            records.ok_or_else(|| StoreError::damaged(&dir, "LMDB finds no database in it"))?;
        Ok(Some(Self {
            env,
            records,
            dir,
            bytes_max,
            writable,
        }))
    }

    #[inline]
    pub(super) fn read(&self) -> heed::Result<RoTxn<'_, WithoutTls>> {
        self.env.read_txn()
    }

    #[inline]
    pub(super) fn get<'t>(
        &self,
        txn: &'t RoTxn<'_, WithoutTls>,
        table: Table,
        id: u64,
    ) -> heed::Result<Option<&'t [u8]>> {
        self.records.get(txn, &table.key(id))
    }

    /// The records of a table by ascending id.
    pub(super) fn records<'t>(
        &self,
        txn: &'t RoTxn<'_, WithoutTls>,
        table: Table,
    ) -> heed::Result<impl Iterator<Item = heed::Result<(&'t [u8], &'t [u8])>> + use<'t>> {
        self.records.prefix_iter(txn, &[table as u8])
    }

    pub(super) fn meta(&self) -> Result<UpdatesMeta, StoreError> {
        let txn = self.read().map_err(|error| lmdb(&self.dir, error))?;
        self.meta_in(&txn)
    }

    pub(super) fn meta_in(&self, txn: &RoTxn<'_, WithoutTls>) -> Result<UpdatesMeta, StoreError> {
        let record = self.records.get(txn, META_KEY);
        match record.map_err(|error| lmdb(&self.dir, error))? {
            None => Ok(UpdatesMeta::default()),
            Some(record) => serde_json::from_slice(record)
                .map_err(|error| StoreError::damaged(&self.dir, format!("metadata: {error}"))),
        }
    }
}

/// Creates an empty environment in a temporary directory and gives it its name.
fn create(store_dir: &Path, dir: &Path, bytes_max: u64) -> Result<(), StoreError> {
    let building = store_dir.join(format!(
        "{UPDATES_BUILDING_PREFIX}{}.building",
        process::id()
    ));
    let _ = fs::remove_dir_all(&building);
    fs::create_dir(&building).map_err(StoreError::io("make", &building))?;
    fill(&building, bytes_max).inspect_err(|_| {
        let _ = fs::remove_dir_all(&building);
    })?;
    let renamed = match fs::rename(&building, dir) {
        // Another process created it first.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
            ) =>
        {
            fs::remove_dir_all(&building)
        }
        renamed => renamed,
    };
    renamed
        .and_then(|()| File::open(store_dir)?.sync_all())
        .map_err(StoreError::io("make", dir))
}

/// Gives LMDB's lock file its bytes on disk. LMDB makes it sparse and maps it: on a full disk the first page that it
/// touches would end the process. A lock file that cannot be written at all is left to LMDB, which may do without.
///
/// A file that this process has open already has that length and must not be touched: closing a second descriptor of it
/// would drop the locks of the first (fcntl(2)).
fn allocate_lock_file(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(LOCK_FILE);
    if fs::metadata(&path).is_ok_and(|file| file.len() >= LOCK_BYTES) {
        return Ok(());
    }
    let options = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let Ok(file) = options else {
        return Ok(());
    };
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, LOCK_BYTES) {
        Err(Errno::NOSPC | Errno::DQUOT) => {
            let error = std::io::Error::from(ErrorKind::StorageFull);
            Err(StoreError::io("write", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Compares the file's length with the pages in use, before any but the two of LMDB's metadata is read: one that was cut
/// would end the process. Pages at the end that are free need not be in the file.
fn check_length(env: &Env<WithoutTls>, dir: &Path) -> Result<(), StoreError> {
    let stat = env.unnamed_database_stat();
    let pages_bytes = META_PAGES * u64::from(stat.page_size) + stat.non_free_page_size() as u64;
    // After the figures: the file of another process's batch only grows.
    length_of_at_least(dir, pages_bytes).map(drop)
}

/// The file's length, which is at least `least`.
fn length_of_at_least(dir: &Path, least: u64) -> Result<u64, StoreError> {
    let bytes = seal::length(dir, DATA_FILE)?;
    if bytes >= least {
        return Ok(bytes);
    }
    let why = format!("{DATA_FILE} has {bytes} bytes instead of {least} or more");
    Err(StoreError::damaged(dir, why))
}

fn fill(building: &Path, bytes_max: u64) -> Result<(), StoreError> {
    let failed = |error| lmdb(building, error);
    allocate_lock_file(building)?;
    let env = open_env(building, bytes_max, EnvFlags::empty()).map_err(failed)?;
    create_records(&env).map_err(failed)?;
    // A transaction that writes no record syncs nothing.
    env.force_sync().map_err(failed)?;
    env.prepare_for_closing().wait();
    File::open(building)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::io("sync", building))
}

fn open_env(dir: &Path, map_bytes: u64, flags: EnvFlags) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(round_to_pages(map_bytes));
    options.max_readers(READERS_MAX);
    // SAFETY: every process opens this file through LMDB with its locks, which keep pages in use by readers
    // from being written to.
    unsafe { options.flags(flags).open(dir) }
}
