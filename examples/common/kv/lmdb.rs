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

use super::{Error, Job, Record, Result, Tables};

/// Writes in one commit.
const GROUP_MAX: usize = 512;

/// The largest page of any Linux system: what a map's size is a multiple of.
const PAGE_BYTES: usize = 64 << 10;

/// The files.
#[derive(Clone)]
pub(super) struct Files {
    env: Env<WithTls>,
    tables: Arc<[Database<'static, Bytes, Bytes>]>,
}

impl Files {
    #[allow(unsafe_code)] // mapping a file is outside Rust's guarantees
    pub(super) fn open<const N: usize>(
        directory: &Path,
        bytes_max: usize,
        names: [&'static str; N],
    ) -> anyhow::Result<Self> {
        let open = || {
            fs::create_dir_all(directory)?;
            let mut options = EnvOpenOptions::new();
            options
                .map_size(bytes_max.next_multiple_of(PAGE_BYTES))
                .max_dbs(N as u32);
            // SAFETY: LMDB's locks are on, and nothing but LMDB opens the files for writing.
            let env = unsafe { options.open(directory)? };
            let made = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
                let tables =
                    names.map(|name| opener.create_database::<Bytes, Bytes>(txn, Some(name)));
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
            })?;
            let tables = made.commit().into_iter().flatten();
            let tables = tables.collect::<heed::Result<_>>()?;
            // The files' names must be as durable as their content.
            fs::File::open(directory)?.sync_all()?;
            anyhow::Ok(Self { env, tables })
        };
        open().with_context(|| format!("cannot open the store in {}", directory.display()))
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&mut dyn Tables) -> Result<T>) -> Result<T> {
        let txn = self.env.read_txn()?;
        let tables = &self.tables;
        work(&mut Reading { tables, txn: &txn })
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
        let result = self.attempt(&mut group);
        if result.is_err() && group.len() > 1 {
            return group.into_iter().for_each(|job| self.commit(vec![job]));
        }
        group.into_iter().for_each(|job| job.end(result.clone()));
    }

    fn attempt(&self, group: &mut [Box<dyn Job>]) -> Result<()> {
        let mut txn = self.env.write_txn()?;
        let tables = &self.tables;
        for job in group {
            job.run(&mut Writing {
                tables,
                txn: &mut txn,
            })?;
        }
        Ok(txn.commit()?)
    }
}

type Records = [Database<'static, Bytes, Bytes>];

struct Reading<'a, 'e> {
    tables: &'a Records,
    txn: &'a RoTxn<'e>,
}

struct Writing<'a, 'e> {
    tables: &'a Records,
    txn: &'a mut RwTxn<'e>,
}

impl Tables for Reading<'_, '_> {
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.tables[table].get(self.txn, key)?.map(Into::into))
    }

    fn prefixed(&mut self, table: usize, prefix: &[u8], limit: usize) -> Result<Vec<Record>> {
        let table = self.tables[table];
        // LMDB has no empty keys, so it looks for none.
        let found: Box<dyn Iterator<Item = _>> = match prefix {
            [] => Box::new(table.iter(self.txn)?),
            prefix => Box::new(table.prefix_iter(self.txn, prefix)?),
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

    fn delete(&mut self, _: usize, _: &[u8]) -> Result<()> {
        Err(Error::Failed("a read cannot write".into()))
    }
}

impl<'e> Writing<'_, 'e> {
    fn reading(&self) -> Reading<'_, 'e> {
        Reading {
            tables: self.tables,
            txn: self.txn,
        }
    }
}

impl Tables for Writing<'_, '_> {
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.reading().get(table, key)
    }

    fn prefixed(&mut self, table: usize, prefix: &[u8], limit: usize) -> Result<Vec<Record>> {
        self.reading().prefixed(table, prefix, limit)
    }

    fn put(&mut self, table: usize, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.tables[table].put(self.txn, key, value)?)
    }

    fn delete(&mut self, table: usize, key: &[u8]) -> Result<()> {
        self.tables[table].delete(self.txn, key)?;
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
