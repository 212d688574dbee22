//! Commands for operators: verify, stat, dump, snapshot, restore, fold.
//!
//! All of them work while a server has the store open.

use super::{
    content::{Content, add_history, compare_content},
    files::{DATA_FILE, HISTORY_FILE, Table},
    scan::Scan,
    seal::{self, Depth},
    staging::{self, IfExists, Staging},
    store::{Access, Pages, Store},
    writer::StoreWriter,
};
use crate::store::{
    Meta, StoreError, UpdatesMeta,
    value::{User, dump},
};
use serde::Serialize;
use std::{fs, io::Write, path::Path};

/// Reads every byte and checks the seal, every value with its checksum, strings, orders and scores, and the
/// sums in the metadata. Returns the metadata with updates included.
///
/// # Errors
/// The first fault.
pub fn verify(path: &Path) -> Result<Meta, StoreError> {
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    compare_content(&store, store.meta())?;
    let scan = store.scan(true)?;
    let mut content = Content::default();
    scan.values(|user_id, value| {
        User::verify(user_id, value)
            .and_then(|_| content.add(user_id, value))
            .map_err(|corrupt| StoreError::value(store.path(), user_id, corrupt))
    })?;
    add_history(&mut content, |table, each| scan.history(table, each))?;
    let found = Meta {
        built_by: store.meta().built_by.clone(),
        ..content.meta()
    };
    match scan.updates()? {
        Some(updates)
            if updates
                != (UpdatesMeta {
                    batches: updates.batches,
                    ..UpdatesMeta::of(&found)
                }) =>
        {
            let why = "its updates are not those that their metadata describes";
            Err(StoreError::damaged(store.path(), why))
        }
        _ => Ok(found),
    }
}

/// Figures of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// Its metadata.
    pub meta: Meta,
    /// Length of its data file.
    pub data_bytes: u64,
    /// Length of its history file; 0 without history.
    pub history_bytes: u64,
    /// Its sums with updates; `None` if there are none.
    pub updates: Option<UpdatesMeta>,
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
    let scan = store.scan(false)?;
    scan.values(|user_id, value| {
        let user = User::parse(value)
            .map_err(|corrupt| StoreError::value(store.path(), user_id, corrupt))?;
        contacts.push(user.contact_count() as u64);
        bytes.push(value.len() as u64);
        Ok(())
    })?;
    let length = |name: &str| {
        let path = store.path().join(name);
        let metadata = fs::metadata(&path).map_err(StoreError::io("read", &path));
        metadata.map(|metadata| metadata.len())
    };
    let history = store.meta().history;
    Ok(Stat {
        meta: store.meta().clone(),
        data_bytes: length(DATA_FILE)?,
        history_bytes: history.map_or(Ok(0), |_| length(HISTORY_FILE))?,
        updates: scan.updates()?,
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
    store.scan(false)?.values(|user_id, value| {
        if written.is_ok() {
            line.clear();
            dump::user_line(user_id, value, &mut line)
                .map_err(|corrupt| StoreError::value(store.path(), user_id, corrupt))?;
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
    /// A fault of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of the output.
    #[error("cannot write the dump: {0}; free some space, or check where the output goes")]
    Output(std::io::Error),
}

/// Copies the store `path` to `target`, compacted, even while it is in use. The files of the copy contain
/// the original's updates.
///
/// # Errors
/// The store cannot be read, `target` exists, or there is no room for it.
pub fn snapshot(path: &Path, target: &Path) -> Result<Meta, StoreError> {
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    let scan = store.scan(true)?;
    if scan.updates()?.is_some() {
        return write_folded(&scan, StoreWriter::create(target, false)?);
    }
    let staging = Staging::beside(target, IfExists::Refuse)?;
    store.copy_compacted(staging.path())?;
    copy_history(store.path(), store.meta(), &staging)?;
    publish(staging)
}

/// Copies the snapshot `path` to `target`; with `replace` it replaces an existing store. Every byte is
/// verified before `target` is touched.
///
/// # Errors
/// The snapshot is damaged, `target` exists and `replace` is not set, or there is no room for it.
pub fn restore(path: &Path, target: &Path, replace: bool) -> Result<Meta, StoreError> {
    let meta = verify(path)?;
    let store = Store::open_for(path, Access::Scan, Depth::Open)?;
    let scan = store.scan(true)?;
    if scan.updates()?.is_some() {
        return write_folded(&scan, StoreWriter::create(target, replace)?);
    }
    let staging = Staging::beside(target, IfExists::replace_if(replace))?;
    copy_file(path, DATA_FILE, &staging)?;
    copy_history(path, &meta, &staging)?;
    publish(staging)
}

/// Merges a store and its updates into one store that replaces it, even while it is in use. Batches wait
/// meanwhile and are then refused, so that none goes into the replaced store. A store without updates stays
/// unchanged.
///
/// # Errors
/// As [`snapshot`]; or the store was replaced meanwhile, and the new one stays unchanged.
pub fn fold(path: &Path) -> Result<Meta, StoreError> {
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    let meta = store.meta().clone();
    if store.updates_meta()?.batches == 0 {
        staging::remove_leftovers_beside(path); // of an earlier fold, perhaps the whole store that it replaced
        return Ok(meta);
    }
    drop(store);
    let store = Store::open_for(path, Access::Updates { bytes_max: 0 }, Depth::Open)?;
    let _held = store.hold_updates()?;
    write_folded(&store.scan(true)?, StoreWriter::in_place_of(&store)?)
}

/// Writes one store from the built records and the updates.
fn write_folded(scan: &Scan<'_>, mut writer: StoreWriter) -> Result<Meta, StoreError> {
    let mut excluded = Vec::new();
    scan.history(Table::Excluded, |_, list| {
        excluded.extend_from_slice(list);
        Ok(())
    })?;
    writer.begin_history(&excluded)?;
    for table in [Table::Tweets, Table::UserStates] {
        scan.history(table, |id, record| writer.put_history(table, id, record))?;
    }
    scan.values(|user_id, value| writer.put(user_id, value))?;
    writer.finish()
}

fn copy_history(path: &Path, meta: &Meta, staging: &Staging) -> Result<(), StoreError> {
    match meta.history {
        Some(_) => copy_file(path, HISTORY_FILE, staging),
        None => Ok(()),
    }
}

fn copy_file(path: &Path, name: &str, staging: &Staging) -> Result<(), StoreError> {
    let (from, to) = (path.join(name), staging.path().join(name));
    fs::copy(&from, &to)
        .map(drop)
        .map_err(StoreError::io("copy", &from))
}

/// Seals, verifies and publishes the copy.
fn publish(staging: Staging) -> Result<Meta, StoreError> {
    seal::write(staging.path())?;
    let meta = verify(staging.path())?;
    staging.publish()?;
    Ok(meta)
}
