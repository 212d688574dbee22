//! `seal.json`: that the data file is whole and as it was written.
//!
//! LMDB trusts its pages: a damaged offset in one of them makes it read outside the file's mapping,
//! which ends the process. So the file is compared with its seal before LMDB sees it. What happens to
//! the file afterwards, under the mapping, nothing in this process can guard against.

use super::{DATA_FILE, StoreError};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    path::Path,
};

const SEAL_FILE: &str = "seal.json";

/// Data files up to this size are compared in full whenever they are opened: about half a second from
/// the page cache. Of larger ones the length is compared; `trident store verify` does the rest.
const OPEN_BYTES_MAX: u64 = 1 << 30;

const READ_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Seal {
    data_bytes: u64,
    data_crc32: u32,
}

/// How much of the data file to compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What can be afforded on every start.
    Open,
    /// Every byte.
    Full,
}

/// Writes the seal of the data file in `dir` and syncs both.
pub(super) fn write(dir: &Path) -> Result<(), StoreError> {
    let seal = measure(dir)?;
    let path = dir.join(SEAL_FILE);
    let text = format!(
        "{{\"data_bytes\":{},\"data_crc32\":{}}}\n",
        seal.data_bytes, seal.data_crc32
    );
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // LMDB makes its file readable for its owner only; the umask decides for both.
        let data = dir.join(DATA_FILE);
        fs::set_permissions(&data, file.metadata()?.permissions())?;
        File::open(&data)?.sync_all()
    });
    written.map_err(StoreError::io("write", &path))
}

/// Compares the data file in `dir` with its seal.
pub(super) fn check(dir: &Path, depth: Depth) -> Result<(), StoreError> {
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
    let data = dir.join(DATA_FILE);
    let bytes = fs::metadata(&data)
        .map_err(StoreError::io("read", &data))?
        .len();
    if bytes != seal.data_bytes {
        let why = format!(
            "{DATA_FILE} has {bytes} bytes instead of {}",
            seal.data_bytes
        );
        return Err(StoreError::damaged(dir, why));
    }
    if depth == Depth::Open && bytes > OPEN_BYTES_MAX {
        return Ok(());
    }
    if measure(dir)? != seal {
        let why = format!("the checksum of {DATA_FILE} is wrong");
        return Err(StoreError::damaged(dir, why));
    }
    Ok(())
}

fn measure(dir: &Path) -> Result<Seal, StoreError> {
    let path = dir.join(DATA_FILE);
    let measured = File::open(&path).and_then(|mut file| {
        let mut buffer = vec![0; READ_BYTES];
        let mut hasher = crc32fast::Hasher::new();
        let mut data_bytes = 0;
        loop {
            let n = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(buffer.get(..n).unwrap_or_default());
            data_bytes += n as u64;
        }
        Ok(Seal {
            data_bytes,
            data_crc32: hasher.finalize(),
        })
    });
    measured.map_err(StoreError::io("read", &path))
}
