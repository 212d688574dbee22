//! The tables in LMDB files.
//!
//! A commit is on disk when it returns, so nothing that was answered can be lost. It takes about as long for a hundred
//! writes as for one: the more writes there are, the more share a commit.

use std::{fs, path::Path, sync::Arc, thread};

use anyhow::Context;
use crossbeam::channel::Receiver;
use heed::{
    CommitOrAbort, Database, Env, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithTls, types::Bytes,
};
use parking_lot::RwLock;

use super::{Error, Job, Record, Result, Tables};

/// Writes in one commit.
const GROUP_MAX: usize = 512;

/// The largest page of any Linux system: what a map's size is a multiple of.
const PAGE_BYTES: usize = 64 << 10;

/// The files.
#[derive(Clone)]
pub(super) struct Files {
    /// `None` if they could not be opened again.
    opened: Arc<RwLock<Option<Opened>>>,
    open: Arc<dyn Fn() -> anyhow::Result<Opened> + Send + Sync>,
}

struct Opened {
    env: Env<WithTls>,
    tables: Vec<Table>,
}

type Table = Database<'static, Bytes, Bytes>;

impl Files {
    pub(super) fn open<const N: usize>(
        directory: &Path,
        bytes_max: usize,
        names: [&'static str; N],
    ) -> anyhow::Result<Self> {
        let directory = directory.to_owned();
        let open = move || {
            let opened = Opened::new(&directory, bytes_max, names);
            opened.with_context(|| format!("cannot open the store in {}", directory.display()))
        };
        Ok(Self {
            opened: Arc::new(RwLock::new(Some(open()?))),
            open: Arc::new(open),
        })
    }

    pub(super) fn read<T>(&self, mut work: impl FnMut(&mut dyn Tables) -> Result<T>) -> Result<T> {
        self.within(|Opened { env, tables }| {
            let txn = env.read_txn()?;
            work(&mut (&**tables, &*txn))
        })
    }

    /// The writer: until the store is dropped, commits everything that waits.
    pub(super) fn start(self, jobs: Receiver<Box<dyn Job>>) -> anyhow::Result<()> {
        let write = move || {
            while let Ok(first) = jobs.recv() {
                let mut group = vec![first];
                group.extend(jobs.try_iter().take(GROUP_MAX - 1));
                self.commit(group);
            }
        };
        thread::Builder::new().name("writer".into()).spawn(write)?;
        Ok(())
    }

    /// Commits a group. If that fails, each write is tried alone, so that no write is refused because of another.
    fn commit(&self, mut group: Vec<Box<dyn Job>>) {
        let result = self.within(|opened| opened.attempt(&mut group));
        if result.is_err() && group.len() > 1 {
            return group.into_iter().for_each(|job| self.commit(vec![job]));
        }
        group.into_iter().for_each(|job| job.end(result.clone()));
    }

    /// Does `work` with the files. LMDB gives them up if it cannot write its metadata, for readers too; then they are
    /// opened again, and `work`, of which nothing was stored, is done again.
    fn within<T>(&self, mut work: impl FnMut(&Opened) -> Result<T>) -> Result<T> {
        if let Some(opened) = &*self.opened.read() {
            let done = work(opened);
            let given_up = |txn| matches!(txn, Err(heed::Error::Mdb(MdbError::Panic)));
            if done.is_ok() || !given_up(opened.env.read_txn()) {
                return done;
            }
        }
        let mut opened = self.opened.write();
        *opened = None; // before they are opened: LMDB must not have them twice
        let again = (self.open)().map_err(|error| Error::Failed(format!("{error:#}")))?;
        work(opened.insert(again))
    }
}

impl Opened {
    #[allow(unsafe_code)] // mapping a file is outside Rust's guarantees
    fn new<const N: usize>(
        directory: &Path,
        bytes_max: usize,
        names: [&'static str; N],
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut options = EnvOpenOptions::new();
        options
            .map_size(bytes_max.next_multiple_of(PAGE_BYTES))
            .max_dbs(N as u32);
        // SAFETY: LMDB's locks are on, and nothing but LMDB opens the files for writing.
        let env = unsafe { options.open(directory)? };
        let made = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
            let tables = names.map(|name| opener.create_database::<Bytes, Bytes>(txn, Some(name)));
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
        })?;
        let tables = made.commit().into_iter().flatten();
        let tables = tables.collect::<heed::Result<_>>()?;
        // The files' names must be as durable as their content.
        fs::File::open(directory)?.sync_all()?;
        Ok(Self { env, tables })
    }

    fn attempt(&self, group: &mut [Box<dyn Job>]) -> Result<()> {
        let mut txn = self.env.write_txn()?;
        let mut tables = (&*self.tables, &mut txn);
        group.iter_mut().try_for_each(|job| job.run(&mut tables))?;
        Ok(txn.commit()?)
    }
}

impl Tables for (&[Table], &RoTxn<'_>) {
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0[table].get(self.1, key)?.map(Into::into))
    }

    fn prefixed(&mut self, table: usize, prefix: &[u8], limit: usize) -> Result<Vec<Record>> {
        let (table, txn) = (self.0[table], self.1);
        // LMDB has no empty keys, so it looks for none.
        let found: Box<dyn Iterator<Item = _>> = match prefix {
            [] => Box::new(table.iter(txn)?),
            prefix => Box::new(table.prefix_iter(txn, prefix)?),
        };
        let record = |found: heed::Result<(&[u8], &[u8])>| {
            let (key, value) = found?;
            Ok((key.into(), value.into()))
        };
        found.take(limit).map(record).collect()
    }

    fn put(&mut self, _: usize, _: &[u8], _: &[u8]) -> Result<()> {
        Err(Error::Failed("a read cannot write".into()))
    }

    fn delete(&mut self, table: usize, key: &[u8]) -> Result<()> {
        self.put(table, key, &[])
    }
}

impl Tables for (&[Table], &mut RwTxn<'_>) {
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        (self.0, &***self.1).get(table, key)
    }

    fn prefixed(&mut self, table: usize, prefix: &[u8], limit: usize) -> Result<Vec<Record>> {
        (self.0, &***self.1).prefixed(table, prefix, limit)
    }

    fn put(&mut self, table: usize, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0[table].put(self.1, key, value)?)
    }

    fn delete(&mut self, table: usize, key: &[u8]) -> Result<()> {
        self.0[table].delete(self.1, key)?;
        Ok(())
    }
}

impl From<heed::Error> for Error {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(MdbError::MapFull) => Self::Full,
            error => Self::Failed(error.to_string()),
        }
    }
}
