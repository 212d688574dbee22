//! A directory that gets its name when it is complete.

use super::files::{DATA_FILE, HISTORY_FILE, SEAL_FILE, foreign, foreign_entry};
use crate::store::StoreError;
use rustix::fs::{AtFlags, CWD, Gid, RenameFlags, Uid, chownat, renameat_with};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    mem,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, fchown},
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Suffix of the names of unfinished directories.
const SUFFIX: &str = ".building";

/// What to do with an existing store of the name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfExists {
    /// Keep it and fail at once.
    Refuse,
    /// Keep it, but fail only at the end.
    RefuseAtEnd,
    /// Replace it in one step.
    Replace,
    /// Replace it, but only this store.
    ReplaceOnly(Identity),
}

impl IfExists {
    pub(super) fn replace_if(replace: bool) -> Self {
        if replace { Self::Replace } else { Self::Refuse }
    }

    fn replaces(self) -> bool {
        matches!(self, Self::Replace | Self::ReplaceOnly(_))
    }
}

/// A directory beside its final name, removed unless it is published.
pub(super) struct Staging {
    path: PathBuf,
    /// Locked while a process writes; an unlocked directory is a leftover.
    lock: File,
    target: PathBuf,
    if_exists: IfExists,
}

impl Staging {
    /// Creates `.NAME.PID-N.building` beside `target`, and missing parents.
    ///
    /// A killed process leaves that directory behind. The next process that builds a store of the same name
    /// deletes it; anybody may.
    pub(super) fn beside(target: &Path, if_exists: IfExists) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // A link's target is replaced, not the link.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.into());
        if if_exists == IfExists::Refuse && target.symlink_metadata().is_ok() {
            return Err(StoreError::Exists(target));
        }
        if if_exists.replaces() {
            refuse_foreign(&target)?;
        }
        let name = target.file_name().ok_or_else(|| StoreError::Io {
            action: "make",
            path: target.clone(),
            source: io::Error::new(ErrorKind::InvalidInput, "not the name of a directory"),
        })?;
        let prefix = prefix(name);
        let parent = parent(&target);
        make_parents(parent).map_err(StoreError::io("make", parent))?;
        remove_leftovers(parent, prefix.as_bytes());
        loop {
            let mut staged = prefix.clone();
            let number = NEXT.fetch_add(1, Relaxed);
            staged.push(format!("{}-{number}{SUFFIX}", process::id()));
            let path = parent.join(staged);
            match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made.map_err(StoreError::io("make", &path))?,
            }
            // Between the two calls another process may delete the directory as a leftover: then opening
            // fails, or the name is gone once we have the lock.
            // Without locks no directory counts as a leftover either.
            let held = File::open(&path).and_then(|lock| {
                let _ = lock.lock();
                Ok(path.try_exists()?.then_some(lock))
            });
            match held {
                Ok(Some(lock)) => {
                    return Ok(Self {
                        path,
                        lock,
                        target,
                        if_exists,
                    });
                }
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let _ = fs::remove_dir(&path); // it is empty
                    return Err(StoreError::io("open", &path)(error));
                }
            }
        }
    }

    /// The path to write to until then.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory its final name. Its files must have been synced.
    pub(super) fn publish(self) -> Result<(), StoreError> {
        self.rename().map_err(|error| self.discard(error))
        // Dropping removes the temporary name: nothing, or the replaced store.
    }

    /// Removes the directory after `error`, which then names it if that fails too.
    pub(super) fn discard(self, error: StoreError) -> StoreError {
        if let StoreError::LeftBehind { .. } = error {
            mem::forget(self); // it is to stay
            return error;
        }
        match remove(&self.path) {
            Ok(()) => error,
            Err(source) => StoreError::LeftBehind {
                error: error.into(),
                path: self.path.clone(),
                why: format!("cannot remove it: {source}; delete it"),
            },
        }
    }

    fn rename(&self) -> Result<(), StoreError> {
        if self.if_exists.replaces() {
            refuse_foreign(&self.target)?; // what has come since the start
            self.give_away();
        }
        sync(&self.path)?;
        let renamed = match self.if_exists {
            // Nearly always enough, and a crash at any moment loses neither store.
            IfExists::ReplaceOnly(expected) if identity(&self.target).ok() != Some(expected) => {
                return Err(self.refused());
            }
            IfExists::ReplaceOnly(expected) => return self.exchange_only(expected),
            IfExists::Replace if self.target.exists() => exchange(&self.path, &self.target),
            _ => fs::rename(&self.path, &self.target),
        };
        renamed.map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                StoreError::Exists(self.target.clone())
            }
            _ => StoreError::io("write", &self.target)(error),
        })?;
        sync(parent(&self.target))
    }

    /// Gives directory and files to the owner of the replaced store, so that a server that could write
    /// updates before can do so after root has rebuilt the store. Without the permission, ownership stays
    /// unchanged.
    fn give_away(&self) {
        let (Ok(old), Ok(new)) = (fs::metadata(&self.target), self.lock.metadata()) else {
            return;
        };
        if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
            return;
        }
        for name in [DATA_FILE, HISTORY_FILE, SEAL_FILE] {
            let _ = chown_in(&self.lock, name, &old);
        }
        let _ = fchown(&self.lock, Some(old.uid()), Some(old.gid()));
    }

    /// Replaces the store `expected` only. A different store may have taken its name meanwhile, and
    /// deleting that one would lose data. The store that the exchange returns shows which one had the name.
    fn exchange_only(&self, expected: Identity) -> Result<(), StoreError> {
        let swap =
            || exchange(&self.path, &self.target).map_err(StoreError::io("write", &self.target));
        swap()?;
        if identity(&self.path).ok() == Some(expected) {
            return sync(parent(&self.target));
        }
        Err(match swap() {
            Ok(()) => self.refused(),
            Err(error) => StoreError::LeftBehind {
                error: error.into(),
                path: self.path.clone(),
                why: "it is the store that had this name; give it the name again".into(),
            },
        })
    }

    fn refused(&self) -> StoreError {
        StoreError::ReplacedWhile {
            path: self.target.clone(),
            action: "folded",
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

/// Device and inode of a data file: they identify the file.
pub(super) type Identity = (u64, u64);

/// Which store is in `dir` now.
pub(super) fn identity(dir: &Path) -> Result<Identity, StoreError> {
    let path = dir.join(DATA_FILE);
    let metadata = fs::metadata(&path).map_err(StoreError::io("open", &path))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Only a store, or an empty directory, may be replaced: what has its name is deleted in the end.
fn refuse_foreign(target: &Path) -> Result<(), StoreError> {
    match foreign(target) {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(StoreError::Foreign {
            path: target.into(),
            why,
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(StoreError::Foreign {
            path: target.into(),
            why: "it is a file".to_owned(),
        }),
        Err(error) => Err(StoreError::io("open", target)(error)),
    }
}

/// Deletes the store in `dir`, complete or not, if it is there. A directory that holds anything else stays.
fn remove(dir: &Path) -> io::Result<()> {
    let removed = match foreign_entry(dir) {
        Ok(None) => fs::remove_dir_all(dir),
        Ok(Some(entry)) => Err(io::Error::other(format!("it holds {}", entry.display()))),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Deletes what processes that were killed, or could not delete, have left beside `target`.
pub(super) fn remove_leftovers_beside(target: &Path) {
    let target = fs::canonicalize(target).unwrap_or_else(|_| target.into());
    if let Some(name) = target.file_name() {
        remove_leftovers(parent(&target), prefix(name).as_bytes());
    }
}

/// How the names of unfinished directories for a store of this name begin.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

/// Deletes leftover directories in `parent` whose names begin with `prefix`. A directory that cannot be
/// deleted does no harm.
fn remove_leftovers(parent: &Path, prefix: &[u8]) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let unfinished = name
            .as_bytes()
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()))
            .is_some_and(|number| number.iter().all(|b| b.is_ascii_digit() || *b == b'-'));
        if unfinished
            && let Ok(lock) = File::open(entry.path())
            && lock.try_lock().is_ok()
        {
            let _ = remove(&entry.path());
        }
    }
}

/// The directory that holds the entry `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory and those above it that are missing, and makes their names durable: a store that is synced is lost
/// in a power cut if the directory around it is.
fn make_parents(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = parent(directory);
    make_parents(above)?;
    match fs::create_dir(directory) {
        // By another process, which may not have synced it yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    File::open(above)?.sync_all()
}

/// Syncs the entries of a directory.
fn sync(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io("sync", directory))
}

/// Swaps two directories in one step, so that the name `b` always exists.
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

/// Changes the owner of the file `name` in an open directory. Not by path: in a directory of another owner
/// the path may lead elsewhere by now.
fn chown_in(directory: &File, name: &str, owner: &Metadata) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(chownat(
        directory,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_deleted_and_what_is_under_way_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let names = || {
            let entries = fs::read_dir(parent).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        let leftover = parent.join(".store.1-0.building");
        let others = [
            ".other.1-0.building",
            ".store.building",
            ".store.mine.building",
        ];
        for name in others {
            fs::create_dir_all(parent.join(name)).unwrap();
        }
        fs::create_dir(&leftover).unwrap();
        fs::write(leftover.join("data.mdb"), "half").unwrap();
        let one = Staging::beside(&parent.join("store"), IfExists::Refuse).unwrap();
        let two = Staging::beside(&parent.join("store"), IfExists::Refuse).unwrap();
        assert!(!leftover.exists() && one.path().exists() && two.path().exists());
        assert_eq!(names().len(), others.len() + 2);
        one.publish().unwrap();
        drop(two);
        assert_eq!(names().len(), others.len() + 1);
    }

    #[test]
    fn a_name_that_was_taken_leaves_nothing_or_says_what() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let target = parent.join("store");
        let staging = Staging::beside(&target, IfExists::Refuse).unwrap();
        fs::create_dir_all(target.join("of somebody")).unwrap();
        let error = staging.publish().unwrap_err();
        assert!(matches!(error, StoreError::Exists(_)), "{error}");
        assert_eq!(fs::read_dir(parent).unwrap().count(), 1);
        let staging = Staging::beside(&target, IfExists::RefuseAtEnd).unwrap();
        let path = staging.path().to_owned();
        fs::write(path.join("notes"), "foreign").unwrap();
        let error = staging.publish().unwrap_err();
        assert!(matches!(error.cause(), StoreError::Exists(_)), "{error}");
        let text = error.to_string();
        let said = format!(
            "{} stays behind: cannot remove it: it holds notes",
            path.display()
        );
        assert!(path.exists() && text.contains(&said), "{text}");
    }

    #[test]
    fn what_was_not_expected_is_put_back() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let target = parent.join("store");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join(DATA_FILE), "restored").unwrap();
        fs::write(target.join(SEAL_FILE), "{}").unwrap();
        let text = || fs::read_to_string(target.join(DATA_FILE)).unwrap();
        let staging = |taken| {
            let staging = Staging::beside(&target, taken).unwrap();
            fs::write(staging.path().join(DATA_FILE), "folded").unwrap();
            staging
        };
        let other = (0, 0);
        // With and without an earlier check.
        let if_exists = IfExists::ReplaceOnly(other);
        staging(if_exists).publish().unwrap_err();
        staging(if_exists).exchange_only(other).unwrap_err();
        assert_eq!(text(), "restored");
        let if_exists = IfExists::ReplaceOnly(identity(&target).unwrap());
        staging(if_exists).publish().unwrap();
        assert_eq!(text(), "folded");
        assert_eq!(fs::read_dir(parent).unwrap().count(), 1);
    }
}
