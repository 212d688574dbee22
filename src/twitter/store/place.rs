//! A directory that gets its name when it is finished.

use super::StoreError;
use std::{
    ffi::{CString, OsString},
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A directory beside its final name, removed unless it gets it.
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
    replace: bool,
}

impl Staging {
    /// Makes `.NAME.PID-N.building` beside `target`. Missing parents are made.
    ///
    /// A killed process leaves that directory behind; it can be deleted at any time.
    pub(super) fn beside(target: &Path, replace: bool) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // What a link points to is replaced, not the link.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.into());
        if !replace && target.symlink_metadata().is_ok() {
            return Err(StoreError::Exists(target));
        }
        let name = target.file_name().ok_or_else(|| StoreError::Io {
            action: "make",
            path: target.clone(),
            source: io::Error::new(ErrorKind::InvalidInput, "not the name of a directory"),
        })?;
        let mut staged = OsString::from(".");
        staged.push(name);
        staged.push(format!(
            ".{}-{}.building",
            process::id(),
            NEXT.fetch_add(1, Relaxed)
        ));
        let parent = parent(&target);
        fs::create_dir_all(parent).map_err(StoreError::io("make", parent))?;
        let path = parent.join(staged);
        // A leftover of a process that had our number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(StoreError::io("make", &path))?;
        Ok(Self {
            path,
            target,
            replace,
        })
    }

    /// Where to write until then.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory its final name. Its files must have been synced.
    pub(super) fn publish(self) -> Result<(), StoreError> {
        sync(&self.path)?;
        let renamed = if self.replace && self.target.exists() {
            exchange(&self.path, &self.target)
        } else {
            fs::rename(&self.path, &self.target)
        };
        renamed.map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                StoreError::Exists(self.target.clone())
            }
            _ => StoreError::io("write", &self.target)(error),
        })?;
        sync(parent(&self.target))
        // Dropping removes what now has the temporary name: nothing, or the replaced store.
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The directory that holds the entry `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the entries of a directory durable.
fn sync(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io("sync", directory))
}

/// Swaps two directories in one step, so that there is one under the name `b` at any time.
#[allow(unsafe_code)] // renameat2(2) has no counterpart in std
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    let from = CString::new(a.as_os_str().as_bytes())?;
    let to = CString::new(b.as_os_str().as_bytes())?;
    // SAFETY: both are NUL-terminated strings that live until the call returns.
    let result = unsafe {
        libc::renameat2(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
