//! The files, on disk or in S3, and the map from keys to them.
//!
//! Every upload is a file with a new name, its version; the map says which version a key has. A file is durable before
//! the map names it, and the map is durable before the upload is answered. A file never changes, so whoever has read a
//! version from the map gets the bytes of that upload or none.

use std::{collections::HashSet, env};

use anyhow::ensure;
use uuid::Uuid;

use crate::common::{
    files::{self, Files},
    kv::{self, Error, Kv, Record},
};

/// Key → version.
const VERSIONS: usize = 0;

/// One row: the id of the map.
const MAP: usize = 1;

/// The name of the file with the id of the map that the files belong to.
const OWNER: Uuid = Uuid::nil();

/// Where the store is.
#[derive(clap::Args)]
pub struct Places {
    /// Directory of the store, made if it is not there.
    #[arg(long, default_value = "memcache.store")]
    store: String,
    /// Where the map from keys to files is: a directory, or a database as mysql://USER:PASSWORD@HOST:PORT/DATABASE. From
    /// MEMCACHE_MAP if it is not given; by default in the store.
    #[arg(long)]
    map: Option<String>,
    /// Where the files are: a directory, or s3://BUCKET/PREFIX; by default in the store.
    #[arg(long)]
    files: Option<String>,
    #[command(flatten)]
    kv: kv::Options,
}

/// An open store. No second one may be open on the same files.
pub struct Store {
    map: Kv,
    files: Box<dyn Files>,
}

impl Store {
    /// Opens the store. Files that no key names, left by an interrupted upload, are removed; so files of another map are
    /// refused.
    pub fn open(places: &Places) -> anyhow::Result<Self> {
        let map = places.map.clone().or_else(|| env::var("MEMCACHE_MAP").ok());
        let map = map.as_ref().unwrap_or(&places.store).parse()?;
        let map = Kv::open(&map, ["memcache_versions", "memcache_map"], places.kv)?;
        let below = || format!("{}/files", places.store);
        let place = places.files.clone().unwrap_or_else(below);
        let files = files::open(&place)?;
        let store = Self { map, files };
        ensure!(
            store.owns_files()?,
            "the files in {place} belong to another map, and those that this map does not name would be removed; \
             give their map with --map, or another place with --files"
        );
        let all = store.all()?;
        let named: HashSet<_> = all.iter().map(|(_, version)| version).collect();
        for found in store.files.list()? {
            if found != OWNER && !named.contains(&found) {
                store.files.remove(found)?;
            }
        }
        Ok(store)
    }

    /// Whether the files are those of this map. A place without any becomes its own.
    fn owns_files(&self) -> anyhow::Result<bool> {
        let id = self.map.write(|tables| match tables.get(MAP, b"id")? {
            Some(id) => Ok(id),
            None => {
                let id = Uuid::new_v4().into_bytes();
                tables.put(MAP, b"id", &id)?;
                Ok(id.to_vec())
            }
        })?;
        if let Some(owner) = self.files.read(OWNER)? {
            return Ok(owner == id);
        }
        let is_free = self.files.list()?.is_empty();
        if is_free {
            self.files.put(OWNER, &id)?;
        }
        Ok(is_free)
    }

    /// Stores a file under a key. Returns the version that the key had before.
    pub fn put(&self, key: &str, content: &[u8]) -> anyhow::Result<Option<Uuid>> {
        let new = Uuid::new_v4();
        let put = self.files.put(new, content);
        put.inspect_err(|_| self.remove([new]))?;
        let key = key.to_owned();
        let named = self.map.write(move |tables| {
            let old = tables.get(VERSIONS, key.as_bytes())?;
            tables.put(VERSIONS, key.as_bytes(), new.as_bytes())?;
            Ok(old.as_deref().map(version))
        });
        match named {
            Err(Error::Busy | Error::Full) => self.remove([new]),
            Ok(Some(old)) => self.remove([old]),
            _ => {} // whether a key names the file is not known; the next start knows
        }
        Ok(named?)
    }

    /// The version of a key.
    pub fn version(&self, key: &str) -> anyhow::Result<Option<Uuid>> {
        let (map, key) = (&self.map, key.to_owned());
        let found = map.read(move |tables| tables.get(VERSIONS, key.as_bytes()))?;
        Ok(found.as_deref().map(version))
    }

    /// The bytes of a version; `None` if it was replaced or deleted meanwhile.
    pub fn read(&self, version: Uuid) -> anyhow::Result<Option<Vec<u8>>> {
        self.files.read(version)
    }

    /// All keys with their versions, in order.
    pub fn all(&self) -> anyhow::Result<Vec<(String, Uuid)>> {
        let map = &self.map;
        let all = map.read(|tables| tables.prefixed(VERSIONS, b"", usize::MAX))?;
        let named = |(key, stored): Record| Ok((String::from_utf8(key)?, version(&stored)));
        all.into_iter().map(named).collect()
    }

    /// Deletes every key and its file.
    pub fn clear(&self) -> anyhow::Result<()> {
        let old = self.map.write(|tables| {
            let old = tables.prefixed(VERSIONS, b"", usize::MAX)?;
            for (key, _) in &old {
                tables.delete(VERSIONS, key)?;
            }
            Ok(old)
        })?;
        self.remove(old.iter().map(|(_, stored)| version(stored)));
        Ok(())
    }

    /// Removes files that no key names. If that fails now, the next start removes them.
    fn remove(&self, versions: impl IntoIterator<Item = Uuid>) {
        for version in versions {
            let _ = self.files.remove(version);
        }
    }
}

fn version(stored: &[u8]) -> Uuid {
    Uuid::from_slice(stored).unwrap_or_default() // only this module writes versions
}
