//! LMDB, and nothing but LMDB: opening, looking up, walking, writing batches, copying.
//!
//! Stores are immutable once they have their name, so they are opened read-only and without LMDB's
//! lock file: a transaction is then two loads, there is no table of readers that could fill up, and a
//! store on read-only media or owned by somebody else can be served. Read transactions are not tied to
//! threads, because connections are coroutines.

#![allow(unsafe_code)] // mapping a file is outside Rust's guarantees; see the SAFETY notes

use super::{DATA_FILE, Meta, StoreError, seal, seal::Depth};
use heed::{
    CommitOrAbort, CompactionOption, Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn,
    WithoutTls, types::Bytes,
};
use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Key of the metadata record: above every id, which are below 2^63, so that it can be appended.
const META_KEY: &[u8] = b"\xffmeta";

/// How long to wait for the end of the reads on a store that has to be closed first.
const CLOSING_PATIENCE: Duration = Duration::from_secs(10);

type Users = Database<'static, Bytes, Bytes>;

/// An open store.
pub struct Store {
    env: Env<WithoutTls>,
    users: Users,
    meta: Meta,
    path: PathBuf,
    identity: Identity,
}

/// Device and inode of a data file: the same as long as it is the same file.
type Identity = (u64, u64);

/// What the pages of a store will be read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Single records: reading ahead would only read in vain.
    Lookups,
    /// All records in order.
    Scan,
}

impl Store {
    /// Opens the store in the directory `path` for lookups.
    ///
    /// # Errors
    /// It is not a store, not whole, or of another version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_for(path, Access::Lookups, Depth::Open)
    }

    pub(super) fn open_for(path: &Path, access: Access, depth: Depth) -> Result<Self, StoreError> {
        let path = fs::canonicalize(path).map_err(StoreError::io("open store", path))?;
        seal::check(&path, depth)?;
        let identity = identity(&path)?;
        let env = open_env(&path, access)?;
        if identity != self::identity(&path)? {
            return Err(StoreError::damaged(
                &path,
                "it was replaced while being opened",
            ));
        }
        let users = open_users(&env).map_err(|error| lmdb(&path, error))?;
        let users =
            users.ok_or_else(|| StoreError::damaged(&path, "LMDB finds no database in it"))?;
        let meta = read_meta(&env, users, &path)?;
        meta.check(&path)?;
        Ok(Self {
            env,
            users,
            meta,
            path,
            identity,
        })
    }

    /// What the store says about itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The directory, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` now names another store than this one.
    pub fn is_replaced_at(&self, path: &Path) -> bool {
        fs::canonicalize(path)
            .map_err(StoreError::io("open store", path))
            .and_then(|path| identity(&path))
            .map_or(true, |identity| identity != self.identity)
    }

    /// Starts reading. Must end before the caller may suspend.
    #[inline]
    pub fn read(&self) -> Result<Reader<'_>, StoreError> {
        match self.env.read_txn() {
            Ok(txn) => Ok(Reader { txn, store: self }),
            Err(error) => Err(lmdb(&self.path, error)),
        }
    }

    /// Calls `each` with every user's id and value, by ascending id.
    pub(super) fn for_each(
        &self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |error| lmdb(&self.path, error);
        let txn = self.env.read_txn().map_err(failed)?;
        for record in self.users.iter(&txn).map_err(failed)? {
            let (key, value) = record.map_err(failed)?;
            match key.as_array() {
                Some(id) => each(u64::from_be_bytes(*id), value)?,
                None if key == META_KEY => {}
                None => return Err(StoreError::damaged(&self.path, "a key that is no user id")),
            }
        }
        Ok(())
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
    store: &'s Store,
}

impl Reader<'_> {
    /// The value of a user, in the mapped file; unchecked bytes.
    #[inline]
    pub fn get(&self, user_id: u64) -> Result<Option<&[u8]>, StoreError> {
        let value = self.store.users.get(&self.txn, &user_id.to_be_bytes());
        value.map_err(|error| lmdb(&self.store.path, error))
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

fn identity(dir: &Path) -> Result<Identity, StoreError> {
    let path = dir.join(DATA_FILE);
    let metadata = fs::metadata(&path).map_err(StoreError::io("open", &path))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens the environment in `dir`, also while one that had this name before is still being read.
///
/// The wrapper refuses a path that it has open, because LMDB's file locks do not bear it; without
/// locks two openings do not know of each other. A path has two spellings, directory and file: if the
/// old store has one the new store takes the other.
fn open_env(dir: &Path, access: Access) -> Result<Env<WithoutTls>, StoreError> {
    let file = dir.join(DATA_FILE);
    let mut flags = EnvFlags::READ_ONLY | EnvFlags::NO_LOCK;
    if access == Access::Lookups {
        flags |= EnvFlags::NO_READ_AHEAD;
    }
    let give_up = Instant::now() + CLOSING_PATIENCE;
    loop {
        for (path, more) in [(dir, EnvFlags::empty()), (&file, EnvFlags::NO_SUB_DIR)] {
            match open_path(path, &file, flags | more) {
                Err(heed::Error::EnvAlreadyOpened) => {}
                opened => return opened.map_err(|error| lmdb(dir, error)),
            }
        }
        if Instant::now() >= give_up {
            return Err(lmdb(dir, heed::Error::EnvAlreadyOpened));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn open_path(path: &Path, file: &Path, flags: EnvFlags) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // The whole file and not the size the writer had reserved.
    options.map_size(round_to_pages(fs::metadata(file)?.len()));
    // SAFETY: the file is not modified while it is mapped: it was complete before it got its name and
    // nothing of ours opens it for writing afterwards (`writer`, `place`). No lock is needed for the
    // same reason. It is as its writer left it (`seal::check`).
    unsafe { options.flags(flags).open(path) }
}

fn round_to_pages(bytes: u64) -> usize {
    /// The largest page size of any Linux system, so a multiple of all of them.
    const PAGE_BYTES: u64 = 64 << 10;
    bytes.max(1).next_multiple_of(PAGE_BYTES) as usize
}

fn open_users(env: &Env<WithoutTls>) -> heed::Result<Option<Users>> {
    let opened = env.open_databases_and_commit(env.read_txn()?, |opener, txn| {
        let users = opener.open_database::<Bytes, Bytes>(txn, None)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(users))
    })?;
    Ok(opened.commit().flatten())
}

fn read_meta(env: &Env<WithoutTls>, users: Users, path: &Path) -> Result<Meta, StoreError> {
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
    users: Users,
    dir: PathBuf,
}

impl Writing {
    /// Makes the data file in the empty directory `dir`.
    pub(super) fn create(dir: &Path) -> Result<Self, StoreError> {
        let failed = |error| lmdb(dir, error);
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(FIRST_MAP_BYTES);
        let flags = EnvFlags::NO_LOCK | EnvFlags::NO_SYNC;
        // SAFETY: the directory is private to this writer until it is renamed; it is synced before.
        let env = unsafe { options.flags(flags).open(dir) }.map_err(failed)?;
        let created = env
            .write_txn()
            .and_then(|txn| {
                env.create_databases_and_commit(txn, |opener, txn| {
                    let users = opener.create_database::<Bytes, Bytes>(txn, None)?;
                    Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(users))
                })
            })
            .map_err(failed)?;
        let users = created
            .commit()
            .ok_or_else(|| StoreError::damaged(dir, "LMDB made no database"))?;
        Ok(Self {
            env,
            users,
            dir: dir.into(),
        })
    }

    /// Appends users above all before; `bytes` is the sum of the lengths of their values.
    pub(super) fn append<'v>(
        &mut self,
        bytes: usize,
        users: impl Iterator<Item = (u64, &'v [u8])>,
    ) -> Result<(), StoreError> {
        self.make_room(bytes)?;
        self.append_all(users.map(|(id, value)| (id.to_be_bytes(), value)))
    }

    /// Appends the metadata record and makes everything durable.
    pub(super) fn finish(mut self, meta: &Meta) -> Result<(), StoreError> {
        let record = serde_json::to_vec(meta)
            .map_err(|error| StoreError::damaged(&self.dir, error.to_string()))?;
        self.make_room(record.len())?;
        self.append_all(std::iter::once((META_KEY, record.as_slice())))?;
        self.env
            .force_sync()
            .map_err(|error| lmdb(&self.dir, error))?;
        self.env.prepare_for_closing().wait();
        let path = self.dir.join(DATA_FILE);
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("write", &path))
    }

    fn append_all<'v, K: AsRef<[u8]>>(
        &mut self,
        records: impl Iterator<Item = (K, &'v [u8])>,
    ) -> Result<(), StoreError> {
        let failed = |error| lmdb(&self.dir, error);
        let mut txn = self.env.write_txn().map_err(failed)?;
        for (key, value) in records {
            self.users
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
        unsafe { self.env.resize(size) }.map_err(|error| lmdb(&self.dir, error))
    }

    fn pages_bytes(&self) -> usize {
        self.env.unnamed_database_stat().page_size as usize
    }
}

/// Map of a new data file.
const FIRST_MAP_BYTES: usize = 64 << 20;

/// Room for inner pages and the metadata record.
const MAP_SLACK_BYTES: usize = 4 << 20;
