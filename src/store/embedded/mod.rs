//! LMDB, and nothing but LMDB: opening, looking up, walking, writing batches, copying.
//!
//! What was built is immutable once it has its name, so it is opened read-only and without LMDB's
//! lock file: a transaction is then two loads, there is no table of readers that could fill up, and a
//! store on read-only media or owned by somebody else can be served. Read transactions are not tied to
//! threads, because connections are coroutines. Later tweets go into an environment of their own with
//! LMDB's locks ([`updates`]); a store that never took any does not pay for it.

#![allow(unsafe_code)] // mapping a file is outside Rust's guarantees; see the SAFETY notes

mod content;
pub mod maintenance;
mod scan;
mod seal;
mod staging;
mod updates;
mod writer;

pub(super) use content::Content;
pub(super) use scan::Scan;
pub(super) use seal::Depth;
pub use updates::Update;
pub use writer::StoreWriter;

use super::{Meta, StoreError, UpdatesMeta};
use heed::{
    CommitOrAbort, CompactionOption, Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn,
    WithoutTls, types::Bytes,
};
use staging::{Identity, identity};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Name of the LMDB file in a store.
const DATA_FILE: &str = "data.mdb";

/// Name of the LMDB file with the history.
const HISTORY_FILE: &str = "history.mdb";

/// Key of the metadata record: above every id, which are below 2^63, so that it can be appended.
const META_KEY: &[u8] = b"\xffmeta";

/// How long to wait for the end of the reads on a store that has to be closed first.
const CLOSING_PATIENCE: Duration = Duration::from_secs(10);

/// How often a store may be replaced while it is opened before that is given up.
const OPENINGS_MAX: u32 = 3;

type Records = Database<'static, Bytes, Bytes>;

/// An open store.
pub struct Store {
    env: Env<WithoutTls>,
    users: Records,
    updates: Option<updates::Updates>,
    meta: Meta,
    path: PathBuf,
    /// `None` never is that of a path.
    identity: Option<Identity>,
}

/// What the pages of a store will be read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Single records: reading ahead would only read in vain.
    Lookups,
    /// All records in order.
    Scan,
    /// Single records, and updates of up to so many bytes on disk.
    Updates {
        /// Size of the map of the updates.
        bytes_max: u64,
    },
}

impl Store {
    /// Opens the store in the directory `path` for lookups.
    ///
    /// # Errors
    /// It is not a store, not whole, or of another version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_for(path, Access::Lookups, Depth::Open)
    }

    /// Opens the store for lookups and, if it keeps history, for updates of up to `bytes_max` on disk.
    ///
    /// # Errors
    /// As [`Store::open`]; or nothing can be written beside it.
    pub fn open_for_updates(path: &Path, bytes_max: u64) -> Result<Self, StoreError> {
        Self::open_for(path, Access::Updates { bytes_max }, Depth::Open)
    }

    pub(super) fn open_for(path: &Path, access: Access, depth: Depth) -> Result<Self, StoreError> {
        for _ in 0..OPENINGS_MAX {
            let path = fs::canonicalize(path).map_err(StoreError::io("open store", path))?;
            // Before anything is read and after everything was: in between it may be replaced, and then
            // seal, records and updates would be of two stores, or seem damaged.
            let before = identity(&path).ok();
            let opened = Self::open_as(path.clone(), before, access, depth);
            if identity(&path).ok() == before {
                return opened;
            }
        }
        Err(StoreError::ReplacedWhile {
            path: path.into(),
            action: "opened",
        })
    }

    fn open_as(
        path: PathBuf,
        identity: Option<Identity>,
        access: Access,
        depth: Depth,
    ) -> Result<Self, StoreError> {
        let id = seal::check(&path, depth)?;
        let env = open_env(&path, access)?;
        if self::identity(&path).ok() != identity {
            // No updates of this store are to be begun in the directory of another.
            return Err(StoreError::Replaced(path));
        }
        let updates = updates::Updates::open(&path, &id, access)?;
        let users = open_records(&env).map_err(|error| lmdb(&path, error))?;
        let users =
            users.ok_or_else(|| StoreError::damaged(&path, "LMDB finds no database in it"))?;
        let meta = read_meta(&env, users, &path)?;
        meta.check(&path)?;
        Ok(Self {
            env,
            users,
            updates,
            meta,
            path,
            identity,
        })
    }

    /// What the store as it was built says about itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What was added since; all zero if nothing was, or on a store that takes no updates.
    ///
    /// # Errors
    /// LMDB reports one.
    pub fn updates_meta(&self) -> Result<UpdatesMeta, StoreError> {
        match &self.updates {
            Some(updates) => updates.meta(),
            None => Ok(UpdatesMeta::default()),
        }
    }

    /// The directory, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` now names another store than this one, or one that another process has begun to
    /// update.
    pub fn is_replaced_at(&self, path: &Path) -> bool {
        let unseen_updates = || self.updates.is_none() && updates::exist_in(&self.path);
        !self.is_at(path) || unseen_updates()
    }

    /// What it was when it was opened.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether `path` names the directory that is open.
    fn is_at(&self, path: &Path) -> bool {
        fs::canonicalize(path)
            .map_err(StoreError::io("open store", path))
            .and_then(|path| identity(&path))
            .is_ok_and(|identity| Some(identity) == self.identity)
    }

    /// Starts reading. Must end before the caller may suspend.
    #[inline]
    pub fn read(&self) -> Result<Reader<'_>, StoreError> {
        let failed = |error| lmdb(&self.path, error);
        let txn = self.env.read_txn().map_err(failed)?;
        let updates = match &self.updates {
            None => None,
            Some(updates) => Some((updates, updates.read().map_err(failed)?)),
        };
        Ok(Reader {
            txn,
            updates,
            store: self,
        })
    }

    /// Pages by kind, and depth of the tree.
    pub(super) fn pages(&self) -> Pages {
        let stat = self.env.unnamed_database_stat();
        Pages {
            page_bytes: stat.page_size.into(),
            depth: stat.depth.into(),
            branch: stat.branch_pages as u64,
            leaf: stat.leaf_pages as u64,
            overflow: stat.overflow_pages as u64,
        }
    }

    /// Writes a copy without free pages into the directory `to`.
    pub(super) fn copy_compacted(&self, to: &Path) -> Result<(), StoreError> {
        let path = to.join(DATA_FILE);
        let copied = self.env.copy_to_path(&path, CompactionOption::Enabled);
        let file = copied.map_err(|error| lmdb(&self.path, error))?;
        file.sync_all().map_err(StoreError::io("write", &path))
    }
}

/// A read transaction.
pub struct Reader<'s> {
    txn: RoTxn<'s, WithoutTls>,
    updates: Option<(&'s updates::Updates, RoTxn<'s, WithoutTls>)>,
    store: &'s Store,
}

impl Reader<'_> {
    /// The value of a user, in the mapped file; unchecked bytes.
    #[inline]
    pub fn get(&self, user_id: u64) -> Result<Option<&[u8]>, StoreError> {
        let failed = |error| lmdb(&self.store.path, error);
        if let Some((updates, txn)) = &self.updates
            && let Some(value) = updates.get(txn, Table::Values, user_id).map_err(failed)?
        {
            return Ok((!value.is_empty()).then_some(value));
        }
        let value = self.store.users.get(&self.txn, &user_id.to_be_bytes());
        value.map_err(failed)
    }
}

/// What a record of the history or of the updates is about; first byte of its key. The id follows,
/// big-endian, so that the records of a table stand together by ascending id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The list of excluded hashtags; its id is 0.
    Excluded = 0,
    /// Kept tweets.
    Tweets = 1,
    /// Users with what is known about them.
    People = 2,
    /// Values, of updates only: those of the store as it was built are in the data file.
    Values = 3,
}

impl Table {
    /// The key of a record.
    pub(super) fn key(self, id: u64) -> [u8; 9] {
        let [a, b, c, d, e, f, g, h] = id.to_be_bytes();
        [self as u8, a, b, c, d, e, f, g, h]
    }
}

/// See [`Store::pages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pages {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Levels of the tree.
    pub depth: u64,
    /// Inner pages.
    pub branch: u64,
    /// Pages of records.
    pub leaf: u64,
    /// Pages of values that are larger than half a page.
    pub overflow: u64,
}

#[cold]
fn lmdb(path: &Path, error: heed::Error) -> StoreError {
    StoreError::Lmdb {
        path: path.into(),
        why: error.to_string(),
    }
}

/// Opens the environment in `dir`, also while one that had this name before is still being read.
///
/// The wrapper refuses a path that it has open, because LMDB's file locks do not bear it; without
/// locks two openings do not know of each other. A path has two spellings, directory and file: if the
/// old store has one the new store takes the other.
fn open_env(dir: &Path, access: Access) -> Result<Env<WithoutTls>, StoreError> {
    let file = dir.join(DATA_FILE);
    let mut flags = EnvFlags::READ_ONLY | EnvFlags::NO_LOCK;
    if access != Access::Scan {
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

/// Tries again while another opening of the same path in this process is being closed.
fn patiently(
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

fn open_path(path: &Path, file: &Path, flags: EnvFlags) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // The whole file and not the size the writer had reserved.
    options.map_size(round_to_pages(fs::metadata(file)?.len()));
    // SAFETY: the file is not modified while it is mapped: it was complete before it got its name and
    // nothing of ours opens it for writing afterwards (`writer`, `staging`). No lock is needed for the
    // same reason. It is as its writer left it (`seal::check`).
    unsafe { options.flags(flags).open(path) }
}

fn round_to_pages(bytes: u64) -> usize {
    /// The largest page size of any Linux system, so a multiple of all of them.
    const PAGE_BYTES: u64 = 64 << 10;
    bytes.max(1).next_multiple_of(PAGE_BYTES) as usize
}

fn open_records(env: &Env<WithoutTls>) -> heed::Result<Option<Records>> {
    let opened = env.open_databases_and_commit(env.read_txn()?, |opener, txn| {
        let users = opener.open_database::<Bytes, Bytes>(txn, None)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(users))
    })?;
    Ok(opened.commit().flatten())
}

fn create_records(env: &Env<WithoutTls>) -> heed::Result<Option<Records>> {
    let created = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
        let records = opener.create_database::<Bytes, Bytes>(txn, None)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(records))
    })?;
    Ok(created.commit())
}

fn read_meta(env: &Env<WithoutTls>, users: Records, path: &Path) -> Result<Meta, StoreError> {
    let failed = |error| lmdb(path, error);
    let txn = env.read_txn().map_err(failed)?;
    let record = users.get(&txn, META_KEY).map_err(failed)?;
    let record = record.ok_or_else(|| StoreError::damaged(path, "it has no metadata record"))?;
    serde_json::from_slice(record)
        .map_err(|error| StoreError::damaged(path, format!("metadata record: {error}")))
}

/// A data file being written in a directory that nobody else knows of.
pub(super) struct Writing {
    env: Env<WithoutTls>,
    records: Records,
    path: PathBuf,
}

impl Writing {
    /// Makes the file `name` in the directory `dir`.
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

    /// Appends records with keys above all before; `bytes` is the sum of the lengths of their values.
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
        // A value just above half a page takes a page of its own: twice its bytes; the rest is inner
        // pages and those that the transaction copies.
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

/// Map of a new data file.
const FIRST_MAP_BYTES: usize = 64 << 20;

/// Room for inner pages and the metadata record.
const MAP_SLACK_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests;
