//! The built-in store, served when no other is configured; built on the first start from tweets in the
//! program.
//!
//! Its name contains the data's checksum and the versions, so that another version of the program builds
//! its own. It is kept in the first usable directory of [`directories`]. Two processes that start at once
//! build one each; the first to finish gives its store the name.

use crate::etl::{
    error::EtlError,
    progress::Silent,
    run::pipeline::{Options, run},
    sink::store::StoreSink,
};
use crate::store::{self, Store, StoreError, value};
use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process,
};
use thiserror::Error;

/// Synthetic tweets (`trident gen tweets`), JSON lines, gzip.
const TWEETS: &[u8] = include_bytes!("../../data/sample-tweets.jsonl.gz");

/// Where a package keeps the program's state.
const STATE_DIRECTORY: &str = "/var/lib/trident";

/// Least memory: the tweets are few.
const MEMORY_BYTES: usize = 64 << 20;

/// No directory was usable.
#[derive(Debug, Error)]
#[error("no place for the sample store: {}", .0.join("; "))]
pub struct NoCacheDirectory(Vec<String>);

/// Why the store was not built.
#[derive(Debug, Error)]
pub enum Failure {
    /// A directory cannot be made or written to.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory, or a file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store's files, or a store of that name exists.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run over the tweets.
    #[error(transparent)]
    Etl(#[from] EtlError),
}

/// A directory that may keep the sample store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheDirectory {
    path: PathBuf,
    /// Anybody can create a directory of this name, so it must belong to us and be writable by us only.
    shared_parent: bool,
}

/// The directories to try, in order: `$CACHE_DIRECTORY` (set by systemd), `$XDG_CACHE_HOME/trident`,
/// `$HOME/.cache/trident`, `/var/lib/trident` if it exists, and `trident-UID` among the temporary
/// files.
pub fn directories(environment: impl Fn(&str) -> Option<OsString>) -> Vec<CacheDirectory> {
    let path = |name| {
        environment(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let own = [
        path("CACHE_DIRECTORY"),
        path("XDG_CACHE_HOME").map(|path| path.join("trident")),
        path("HOME").map(|path| path.join(".cache/trident")),
        Some(STATE_DIRECTORY.into()).filter(|path: &PathBuf| path.is_dir()),
    ];
    let temporary = path("TMPDIR").unwrap_or_else(|| "/tmp".into());
    let temporary = own_uid().map(|uid| CacheDirectory {
        path: temporary.join(format!("trident-{uid}")),
        shared_parent: true,
    });
    let own = own.into_iter().flatten().map(|path| CacheDirectory {
        path,
        shared_parent: false,
    });
    own.chain(temporary).collect()
}

/// The path of the sample store, which is built if it is missing or incomplete.
///
/// # Errors
/// Why each directory was not usable.
pub fn prepare(directories_to_try: &[CacheDirectory]) -> Result<PathBuf, NoCacheDirectory> {
    let mut failures = Vec::new();
    for directory in directories_to_try {
        match prepare_in(directory) {
            Ok(path) => return Ok(path),
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    Err(NoCacheDirectory(failures))
}

fn prepare_in(directory: &CacheDirectory) -> Result<PathBuf, Failure> {
    directory.make()?;
    let (data, format, values) = (crc32fast::hash(TWEETS), store::FORMAT, value::VERSION);
    let target = directory
        .path
        .join(format!("sample-{data:08x}-{format}.{values}"));
    if Store::open(&target).is_ok() {
        return Ok(target);
    }
    // An incomplete store of this name is replaced; a store that another process has just built is not.
    match build(&directory.path, &target, target.exists()) {
        // Another process was faster.
        Err(_) if Store::open(&target).is_ok() => Ok(target),
        Err(failure) => Err(failure),
        Ok(()) => Ok(target),
    }
}

impl CacheDirectory {
    fn make(&self) -> Result<(), Failure> {
        let failed = |source| Failure::Directory {
            path: self.path.clone(),
            source,
        };
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path);
        made.map_err(failed)?;
        if self.shared_parent {
            let metadata = fs::symlink_metadata(&self.path).map_err(failed)?;
            let ours = Some(metadata.uid()) == own_uid() && metadata.mode() & 0o022 == 0;
            if !(ours && metadata.is_dir()) {
                return Err(failed(io::Error::other("it belongs to somebody else")));
            }
        }
        Ok(())
    }
}

/// Builds the store under a name of the caller's choice: the store that the built-in corpus of `trident load` is about.
///
/// # Errors
/// A store of that name exists and `replace` is not set, or a directory cannot be written to.
pub fn write(target: &Path, replace: bool) -> Result<(), Failure> {
    let parent = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    build(parent.unwrap_or(Path::new(".")), target, replace)
}

fn build(directory: &Path, target: &Path, replace: bool) -> Result<(), Failure> {
    let mut sink = StoreSink::create(target, replace)?;
    let work = Work(directory.join(format!(".sample-{}.work", process::id())));
    let tweets = work.0.join("tweets.jsonl.gz");
    let written = fs::create_dir_all(&work.0).and_then(|()| fs::write(&tweets, TWEETS));
    written.map_err(|source| Failure::Directory {
        path: tweets.clone(),
        source,
    })?;
    let mut options = Options::new(vec![tweets], work.0.join("stages"));
    options.memory_bytes = MEMORY_BYTES;
    // So that POST /twitter/tweets can be tried at once.
    options.history = true;
    run(&options, &mut sink, &Silent)?;
    Ok(())
}

/// A directory that is removed at the end.
struct Work(PathBuf);

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The user that this process runs as.
fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|process| process.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::maintenance;
    use std::{os::unix::fs::symlink, thread};

    /// A directory that is removed at the end.
    fn scratch(name: &str) -> Work {
        let path = std::env::temp_dir().join(format!("trident-sample-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Work(path)
    }

    fn cache_directory(path: &Path, shared_parent: bool) -> CacheDirectory {
        CacheDirectory {
            path: path.into(),
            shared_parent,
        }
    }

    #[test]
    fn the_first_directory_that_is_named_is_tried_first() {
        let named = |names: &[(&str, &str)]| -> Vec<String> {
            let find = |name: &str| {
                let found = names.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let directories_to_try = directories(find).into_iter();
            directories_to_try
                .map(|directory| directory.path.display().to_string())
                .filter(|path| path != STATE_DIRECTORY)
                .collect()
        };
        let temporary = format!("/t/trident-{}", own_uid().unwrap());
        assert_eq!(
            named(&[
                ("TMPDIR", "/t"),
                ("HOME", "/h"),
                ("XDG_CACHE_HOME", "/x"),
                ("CACHE_DIRECTORY", "/c")
            ]),
            ["/c", "/x/trident", "/h/.cache/trident", &temporary]
        );
        assert_eq!(named(&[("TMPDIR", "/t"), ("HOME", "")]), [temporary]);
    }

    #[test]
    fn it_is_built_once_and_again_when_damaged() {
        let scratch = scratch("once");
        let directories_to_try = [cache_directory(&scratch.0.join("made/on/demand"), false)];
        let path = prepare(&directories_to_try).unwrap();
        let meta = maintenance::verify(&path).unwrap();
        assert!(meta.users > 400 && meta.contacts > 2000, "{meta:?}");
        assert!(meta.history.is_some_and(|history| history.tweets > 2000));
        let seal = path.join("seal.json");
        let made = fs::metadata(&seal).unwrap().ino();
        assert_eq!(prepare(&directories_to_try).unwrap(), path);
        assert_eq!(fs::metadata(&seal).unwrap().ino(), made);
        fs::write(&seal, "x").unwrap();
        assert_eq!(prepare(&directories_to_try).unwrap(), path);
        assert_eq!(maintenance::verify(&path).unwrap(), meta);
        // nothing but the store stays behind
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn two_at_once_end_with_one_store() {
        let scratch = scratch("two");
        let directories_to_try = [cache_directory(&scratch.0, false)];
        // Real callers are processes: each has its own working directory.
        let path = prepare(&directories_to_try).unwrap();
        fs::remove_dir_all(&path).unwrap();
        let work = |n: usize| scratch.0.join(format!("work{n}"));
        let outcomes: Vec<bool> = thread::scope(|scope| {
            let builders: Vec<_> = (0..2)
                .map(|n| {
                    fs::create_dir_all(work(n)).unwrap();
                    let path = &path;
                    scope.spawn(move || build(&work(n), path, false).is_ok())
                })
                .collect();
            builders
                .into_iter()
                .map(|builder| builder.join().unwrap())
                .collect()
        });
        assert!(outcomes.contains(&true));
        assert!(maintenance::verify(&path).unwrap().users > 0);
    }

    #[test]
    fn a_directory_that_will_not_do_is_passed_over_with_a_reason() {
        let scratch = scratch("passed");
        let (file, link, good) = ("file", "link", "good");
        let at = |name: &str| scratch.0.join(name);
        fs::write(at(file), "").unwrap();
        fs::create_dir(at("elsewhere")).unwrap();
        symlink("elsewhere", at(link)).unwrap();
        let bad = [
            cache_directory(&at(file), false),
            cache_directory(&at(link), true),
        ];
        let text = prepare(&bad).unwrap_err().to_string();
        assert!(
            text.contains("file: ") && text.contains("belongs to somebody else"),
            "{text}"
        );
        let directories_to_try = [&bad[..], &[cache_directory(&at(good), true)]].concat();
        assert!(prepare(&directories_to_try).unwrap().starts_with(at(good)));
    }
}
