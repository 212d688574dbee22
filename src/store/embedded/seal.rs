//! `seal.json`: proves that the files of a store are complete and unchanged.
//!
//! LMDB trusts its pages: a damaged offset in one of them makes it read outside the file's mapping, which
//! ends the process. So a file is compared with its seal before LMDB opens it. Nothing in this process can
//! guard against later changes of the mapped file.

use super::files::{DATA_FILE, HISTORY_FILE, SEAL_FILE, exists};
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

/// Files up to this size are compared in full whenever they are opened: about half a second from the page
/// cache. For larger files only the length is compared; `trident store verify` does the rest.
const OPEN_BYTES_MAX: u64 = 1 << 30;

const READ_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Seal {
    data_bytes: u64,
    data_crc32: u32,
    /// Seal of the history, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history: Option<Measure>,
    /// Id of the store, unique even among copies.
    #[serde(default)]
    id: String,
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
struct Measure {
    bytes: u64,
    crc32: u32,
}

/// How much of the data file to compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Depth {
    /// As much as every start can afford.
    Open,
    /// Every byte.
    Full,
}

/// Writes the seal of the files in `dir` and syncs all of them.
pub(super) fn write(dir: &Path) -> Result<(), StoreError> {
    let history = exists(&dir.join(HISTORY_FILE))?;
    let data = measure(dir, DATA_FILE)?;
    let seal = Seal {
        data_bytes: data.bytes,
        data_crc32: data.crc32,
        history: history.then(|| measure(dir, HISTORY_FILE)).transpose()?,
        id: new_id(),
    };
    let path = dir.join(SEAL_FILE);
    let written = serde_json::to_vec(&seal)
        .map_err(Into::into)
        .and_then(|text| {
            let mut file = File::create(&path)?;
            file.write_all(&text)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            // LMDB makes its files readable only for their owner; this applies the umask instead.
            let permissions = file.metadata()?.permissions();
            for name in [DATA_FILE, HISTORY_FILE]
                .iter()
                .take(1 + usize::from(history))
            {
                let data = dir.join(name);
                fs::set_permissions(&data, permissions.clone())?;
                File::open(&data)?.sync_all()?;
            }
            Ok(())
        });
    written.map_err(StoreError::io("write", &path))
}

/// Compares the files in `dir` with their seal. Returns the store's id.
pub(super) fn check(dir: &Path, depth: Depth) -> Result<String, StoreError> {
    let path = dir.join(SEAL_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let why = format!("there is no {SEAL_FILE} in it");
            return Err(StoreError::NotAStore {
                path: dir.into(),
                why,
            });
        }
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let seal: Seal = serde_json::from_slice(&text)
        .map_err(|error| StoreError::damaged(dir, format!("{SEAL_FILE}: {error}")))?;
    let data = Measure {
        bytes: seal.data_bytes,
        crc32: seal.data_crc32,
    };
    check_file(dir, DATA_FILE, data, depth)?;
    if let Some(history) = seal.history {
        check_file(dir, HISTORY_FILE, history, depth)?;
    }
    Ok(seal.id)
}

fn check_file(dir: &Path, name: &str, sealed: Measure, depth: Depth) -> Result<(), StoreError> {
    let bytes = length(dir, name)?;
    if bytes != sealed.bytes {
        let why = format!("{name} has {bytes} bytes instead of {}", sealed.bytes);
        return Err(StoreError::damaged(dir, why));
    }
    if depth == Depth::Open && bytes > OPEN_BYTES_MAX {
        return Ok(());
    }
    if measure(dir, name)? != sealed {
        let why = format!("the checksum of {name} is wrong");
        return Err(StoreError::damaged(dir, why));
    }
    Ok(())
}

/// Length of a file that a store of this kind has.
pub(super) fn length(dir: &Path, name: &str) -> Result<u64, StoreError> {
    let path = dir.join(name);
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(StoreError::damaged(dir, format!("{name} is missing")))
        }
        Err(error) => Err(StoreError::io("read", &path)(error)),
    }
}

/// The time in nanoseconds, the process and a number.
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let (now, process) = (now.map_or(0, |now| now.as_nanos()), process::id());
    format!("{now:x}-{process:x}-{:x}", NEXT.fetch_add(1, Relaxed))
}

fn measure(dir: &Path, name: &str) -> Result<Measure, StoreError> {
    let path = dir.join(name);
    let measured = File::open(&path).and_then(|mut file| {
        let mut buffer = vec![0; READ_BYTES];
        let mut hasher = crc32fast::Hasher::new();
        let mut bytes = 0;
        loop {
            let n = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(buffer.get(..n).unwrap_or_default());
            bytes += n as u64;
        }
        Ok(Measure {
            bytes,
            crc32: hasher.finalize(),
        })
    });
    measured.map_err(StoreError::io("read", &path))
}
