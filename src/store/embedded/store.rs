//! The open store: looks users up.

use super::{
    environment::{Users, lmdb, open_env, open_users, read_meta},
    files::{DATA_FILE, Table},
    seal::{self, Depth},
    staging::{self, Identity, identity},
    updates::{self, Updates},
};
use crate::store::{Meta, StoreError, UpdatesMeta};
use heed::{CompactionOption, Env, MdbError, RoTxn, WithoutTls};
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Attempts to open a store that is replaced meanwhile.
const OPENINGS_MAX: u32 = 3;

/// An open store.
pub struct Store {
    pub(super) env: Env<WithoutTls>,
    pub(super) users: Users,
    pub(super) updates: Option<Updates>,
    pub(super) meta: Meta,
    pub(super) path: PathBuf,
    snapshots: Snapshots,
    /// `None` never equals the identity of a path.
    identity: Option<Identity>,
}

/// How the pages of a store will be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Access {
    /// Single records: read-ahead would be wasted.
    Lookups,
    /// All records in order.
    Scan,
    /// Single records, and updates of up to so many bytes on disk.
    Updates {
        /// Size of the map of the updates.
        bytes_max: u64,
    },
}

impl Access {
    fn updates_bytes_max(self) -> Option<u64> {
        match self {
            Self::Updates { bytes_max } => Some(bytes_max),
            Self::Lookups | Self::Scan => None,
        }
    }
}

impl Store {
    /// Opens the store in the directory `path` for lookups.
    ///
    /// # Errors
    /// The directory is not a store, or the store is incomplete or of another version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_for(path, Access::Lookups, Depth::Open)
    }

    /// Opens the store for lookups and, if it keeps history, for updates of up to `bytes_max` on disk.
    ///
    /// # Errors
    /// As [`Store::open`]; or updates cannot be written beside the store.
    pub fn open_for_updates(path: &Path, bytes_max: u64) -> Result<Self, StoreError> {
        Self::open_for(path, Access::Updates { bytes_max }, Depth::Open)
    }

    pub(in crate::store) fn open_for(
        path: &Path,
        access: Access,
        depth: Depth,
    ) -> Result<Self, StoreError> {
        for _ in 0..OPENINGS_MAX {
            let path = fs::canonicalize(path).map_err(StoreError::io("open store", path))?;
            // Compared before and after reading: if the store is replaced in between, seal, records and
            // updates would mix two stores or seem damaged.
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
        let env = open_env(&path, access == Access::Scan)?;
        if staging::identity(&path).ok() != identity {
            // Updates of this store must not begin in the directory of another.
            return Err(StoreError::Replaced(path));
        }
        let updates = Updates::open(&path, &id, access.updates_bytes_max())?;
        let users = open_users(&env).map_err(|error| lmdb(&path, error))?;
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
            snapshots: Snapshots::default(),
            identity,
        })
    }

    /// The metadata of the store as built.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Totals of the store with its updates; all zero if it has none.
    ///
    /// # Errors
    /// LMDB reports an error.
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

    /// Whether `path` now names another store, or another process has begun to update this one.
    pub fn is_replaced_at(&self, path: &Path) -> bool {
        let unseen_updates = || self.updates.is_none() && updates::exist_in(&self.path);
        !self.is_at(path) || unseen_updates()
    }

    /// Whether LMDB refuses to read and write updates until the store is opened again: a write of its metadata has
    /// failed. The file has the last batch that was taken.
    pub fn has_given_up(&self) -> bool {
        let tried = self.updates.as_ref().map(Updates::read);
        matches!(tried, Some(Err(heed::Error::Mdb(MdbError::Panic))))
    }

    /// Its identity when it was opened.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether `path` names the directory that is open.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        fs::canonicalize(path)
            .map_err(StoreError::io("open store", path))
            .and_then(|path| identity(&path))
            .is_ok_and(|identity| Some(identity) == self.identity)
    }

    /// Starts reading. The reader must be dropped before the caller suspends.
    #[inline]
    pub fn read(&self) -> Result<Reader<'_>, StoreError> {
        let failed = |error| lmdb(&self.path, error);
        let txn = match self.snapshots.lend(&self.env).map_err(failed)? {
            Some(lent) => Snapshot::Lent(lent),
            None => Snapshot::Own(self.env.read_txn().map_err(failed)?),
        };
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

/// Transactions of the built file that stay open for the next lookup. The file never changes, so a new transaction would
/// show the same data; beginning one allocates.
#[derive(Default)]
struct Snapshots(Box<[Slot; SNAPSHOTS]>);

/// Most transactions that stay open: a thread has its own unless there are more threads.
const SNAPSHOTS: usize = 32;

/// A transaction on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Slot(Mutex<Option<RoTxn<'static, WithoutTls>>>);

impl Snapshots {
    /// The transaction of this thread; `None` while another thread has it.
    #[inline]
    fn lend(&self, env: &Env<WithoutTls>) -> heed::Result<Option<Lent<'_>>> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Relaxed) % SNAPSHOTS;
        }
        let slot = THREAD.with(|thread| &self.0[*thread]);
        let Some(mut txn) = slot.0.try_lock() else {
            return Ok(None);
        };
        if txn.is_none() {
            *txn = Some(env.clone().static_read_txn()?);
        }
        Ok(MutexGuard::try_map(txn, Option::as_mut).ok())
    }
}

type Lent<'s> = MappedMutexGuard<'s, RoTxn<'static, WithoutTls>>;

/// A transaction of the built file.
enum Snapshot<'s> {
    Lent(Lent<'s>),
    Own(RoTxn<'s, WithoutTls>),
}

/// A read transaction.
pub struct Reader<'s> {
    txn: Snapshot<'s>,
    updates: Option<(&'s Updates, RoTxn<'s, WithoutTls>)>,
    store: &'s Store,
}

impl Reader<'_> {
    /// The value of a user, in the mapped file; its bytes are not validated.
    #[inline]
    pub fn get(&self, user_id: u64) -> Result<Option<&[u8]>, StoreError> {
        let failed = |error| lmdb(&self.store.path, error);
        if let Some((updates, txn)) = &self.updates
            && let Some(value) = updates.get(txn, Table::Values, user_id).map_err(failed)?
        {
            return Ok((!value.is_empty()).then_some(value));
        }
        let txn = match &self.txn {
            Snapshot::Lent(txn) => txn,
            Snapshot::Own(txn) => txn,
        };
        let value = self.store.users.get(txn, &user_id.to_be_bytes());
        value.map_err(failed)
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
