//! The files on disk and the map from keys to them in LMDB.
//!
//! Every upload is a file with a new name, its version; the map says which version a key has. A file is on disk before
//! the map names it, and the map is on disk before the upload is answered. A file never changes, so whoever has read a
//! version from the map gets the bytes of that upload or none.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use heed::{
    CommitOrAbort, Database, Env, EnvOpenOptions, WithTls,
    types::{Bytes, Str},
};
use uuid::Uuid;

/// Longest key in bytes: LMDB's own limit.
pub const KEY_BYTES_MAX: usize = 511;

/// Most bytes of the map: some ten million keys. Address space, not memory.
const MAP_BYTES_MAX: usize = 4 << 30;

/// An open store.
pub struct Store {
    env: Env<WithTls>,
    versions: Database<'static, Str, Bytes>,
    files: PathBuf,
}

impl Store {
    /// Opens the store in `directory`, which is created if it does not exist. Files that no key names, left by an
    /// interrupted upload, are removed.
    #[allow(unsafe_code)] // mapping a file is outside Rust's guarantees
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let files = directory.join("files");
        let open = || {
            fs::create_dir_all(&files)?;
            // SAFETY: LMDB's locks are on, and nothing but LMDB opens the files for writing.
            let env = unsafe {
                EnvOpenOptions::new()
                    .map_size(MAP_BYTES_MAX)
                    .open(directory)?
            };
            let made = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
                let versions = opener.create_database::<Str, Bytes>(txn, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(versions))
            })?;
            let versions = made.commit().context("its map cannot be made")?;
            File::open(directory)?.sync_all()?;
            let store = Self {
                env,
                versions,
                files: files.clone(),
            };
            store.remove_unnamed()?;
            anyhow::Ok(store)
        };
        open().with_context(|| format!("cannot open the store in {}", directory.display()))
    }

    fn remove_unnamed(&self) -> anyhow::Result<()> {
        let txn = self.env.read_txn()?;
        let named = self
            .versions
            .iter(&txn)?
            .map(|entry| Ok(self.path(version(entry?.1))));
        let named: HashSet<_> = named.collect::<heed::Result<_>>()?;
        for file in fs::read_dir(&self.files)? {
            let path = file?.path();
            if !named.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Stores a file under a key. Returns the version that the key had before.
    pub fn put(&self, key: &str, content: &[u8]) -> anyhow::Result<Option<Uuid>> {
        let new = Uuid::new_v4();
        let mut file = File::create_new(self.path(new))?;
        let mut commit = || {
            file.write_all(content)?;
            file.sync_all()?;
            File::open(&self.files)?.sync_all()?;
            let mut txn = self.env.write_txn()?;
            let old = self.versions.get(&txn, key)?.map(version);
            self.versions.put(&mut txn, key, new.as_bytes())?;
            txn.commit()?;
            anyhow::Ok(old)
        };
        // The file that is no longer needed: the old one, or the new one if the map could not name it.
        let old = commit().inspect_err(|_| self.remove(new))?;
        old.into_iter().for_each(|old| self.remove(old));
        Ok(old)
    }

    /// The version of a key.
    pub fn version(&self, key: &str) -> anyhow::Result<Option<Uuid>> {
        let txn = self.env.read_txn()?;
        Ok(self.versions.get(&txn, key)?.map(version))
    }

    /// The bytes of a version; `None` if it was replaced or deleted meanwhile.
    pub fn read(&self, version: Uuid) -> anyhow::Result<Option<Vec<u8>>> {
        match fs::read(self.path(version)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All keys, in order.
    pub fn keys(&self) -> anyhow::Result<Vec<String>> {
        let txn = self.env.read_txn()?;
        let keys = self.versions.iter(&txn)?.map(|entry| Ok(entry?.0.into()));
        Ok(keys.collect::<heed::Result<_>>()?)
    }

    /// Deletes every key and its file.
    pub fn clear(&self) -> anyhow::Result<()> {
        let mut txn = self.env.write_txn()?;
        let old = self.versions.iter(&txn)?.map(|entry| Ok(version(entry?.1)));
        let old: Vec<_> = old.collect::<heed::Result<_>>()?;
        self.versions.clear(&mut txn)?;
        txn.commit()?;
        old.into_iter().for_each(|old| self.remove(old));
        Ok(())
    }

    /// Removes a file that no key names. If that fails now, the next start removes it.
    fn remove(&self, version: Uuid) {
        let _ = fs::remove_file(self.path(version));
    }

    fn path(&self, version: Uuid) -> PathBuf {
        self.files.join(version.to_string())
    }
}

fn version(stored: &[u8]) -> Uuid {
    Uuid::from_slice(stored).unwrap_or_default() // only this module writes versions
}
