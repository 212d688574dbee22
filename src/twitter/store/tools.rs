//! What operators do with stores: verify, stat, dump, snapshot, restore.
//!
//! All of them work while a server has the store open.

use super::{
    Content, Meta, StoreError,
    embedded::{Access, Pages, Store},
    place::Staging,
    seal::{self, Depth},
};
use crate::twitter::{dump, model::User};
use serde::Serialize;
use std::{fs, io::Write, path::Path};

/// Reads every byte and checks whatever can be checked: the seal, every value with its checksum,
/// strings, orders and scores, and the sums in the metadata.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(path: &Path) -> Result<Meta, StoreError> {
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    store.for_each(|user_id, value| match User::verify(value) {
        Ok(_) => Ok(()),
        Err(corrupt) => Err(value_damaged(&store, user_id, corrupt)),
    })?;
    compare_content(&store, store.meta())?;
    Ok(store.meta().clone())
}

/// Compares all records with what `meta` says about them.
pub(super) fn compare_content(store: &Store, meta: &Meta) -> Result<(), StoreError> {
    let mut content = Content::default();
    store.for_each(|user_id, value| {
        content
            .add(user_id, value)
            .map_err(|corrupt| value_damaged(store, user_id, corrupt))
    })?;
    let found = Meta {
        built_by: meta.built_by.clone(),
        ..content.meta()
    };
    if found == *meta {
        Ok(())
    } else {
        let why = "its records are not those its metadata tells of";
        Err(StoreError::damaged(store.path(), why))
    }
}

fn value_damaged(
    store: &Store,
    user_id: u64,
    corrupt: crate::twitter::model::Corrupt,
) -> StoreError {
    StoreError::damaged(store.path(), format!("user {user_id}: {corrupt}"))
}

/// Figures of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// What it says about itself.
    pub meta: Meta,
    /// Length of its data file.
    pub data_bytes: u64,
    /// Its pages.
    pub pages: Pages,
    /// Contacts per user: least, median, 99th percentile, greatest.
    pub contacts_per_user: [u64; 4],
    /// Bytes of a value: least, median, 99th percentile, greatest.
    pub value_bytes: [u64; 4],
}

/// Collects [`Stat`], reading the head of every value.
pub fn stat(path: &Path) -> Result<Stat, StoreError> {
    let store = Store::open_for(path, Access::Scan, Depth::Open)?;
    let (mut contacts, mut bytes) = (Vec::new(), Vec::new());
    store.for_each(|user_id, value| {
        let user = User::parse(value).map_err(|corrupt| value_damaged(&store, user_id, corrupt))?;
        contacts.push(user.contact_count() as u64);
        bytes.push(value.len() as u64);
        Ok(())
    })?;
    let data = store.path().join(super::DATA_FILE);
    let data_bytes = fs::metadata(&data)
        .map_err(StoreError::io("read", &data))?
        .len();
    Ok(Stat {
        meta: store.meta().clone(),
        data_bytes,
        pages: store.pages(),
        contacts_per_user: quantiles(contacts),
        value_bytes: quantiles(bytes),
    })
}

/// Least, median, 99th percentile and greatest.
fn quantiles(mut values: Vec<u64>) -> [u64; 4] {
    values.sort_unstable();
    let at = |hundredths: usize| {
        let last = values.len().saturating_sub(1);
        values.get(last * hundredths / 100).copied().unwrap_or(0)
    };
    [at(0), at(50), at(99), at(100)]
}

/// Writes one line of JSON per user to `out`, by ascending id (`dump`).
pub fn dump(path: &Path, out: &mut impl Write) -> Result<(), DumpError> {
    let store = Store::open_for(path, Access::Scan, Depth::Open)?;
    let mut line = String::new();
    let mut written = Ok(());
    store.for_each(|user_id, value| {
        if written.is_ok() {
            line.clear();
            dump::user_line(user_id, value, &mut line)
                .map_err(|corrupt| value_damaged(&store, user_id, corrupt))?;
            written = out.write_all(line.as_bytes());
        }
        Ok(())
    })?;
    written
        .and_then(|()| out.flush())
        .map_err(DumpError::Output)
}

/// Why a dump ended early.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Where it is written to.
    #[error("cannot write the dump: {0}")]
    Output(std::io::Error),
}

/// Copies the store `path` to `target`, compacted, while it may be in use. The copy is a store.
///
/// # Errors
/// The store cannot be read, `target` exists, or there is no room for it.
pub fn snapshot(path: &Path, target: &Path) -> Result<Meta, StoreError> {
    let staging = Staging::beside(target, false)?;
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    store.copy_compacted(staging.path())?;
    publish(staging)
}

/// Puts a copy of the snapshot `path` at `target`, with `replace` in the place of the store that is
/// there. Every byte is verified before `target` is touched.
///
/// # Errors
/// The snapshot is damaged, `target` exists and is not to be replaced, or there is no room for it.
pub fn restore(path: &Path, target: &Path, replace: bool) -> Result<Meta, StoreError> {
    let staging = Staging::beside(target, replace)?;
    verify(path)?;
    let (from, to) = (
        path.join(super::DATA_FILE),
        staging.path().join(super::DATA_FILE),
    );
    fs::copy(&from, &to).map_err(StoreError::io("copy", &from))?;
    publish(staging)
}

/// Seals, verifies and publishes what was copied.
fn publish(staging: Staging) -> Result<Meta, StoreError> {
    seal::write(staging.path())?;
    let meta = verify(staging.path())?;
    staging.publish()?;
    Ok(meta)
}
