//! Which files are read: every named file, and files in named directories by their names and kinds.

use crate::etl::{
    error::EtlError,
    read::{
        format::{Unreadable, unreadable_of_name},
        names::{is_hidden, looks_like_tweets},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Those endings, for messages.
const ENDINGS_SHOWN: &str =
    ".json, .jsonl, .ndjson, .tar, .zip, .gz, .bz2, .zst, .xz, part-* and tweets.js";
/// The reason shown for a link that leads nowhere.
const DEAD_LINK: &str = "a link to nothing or to itself";
/// The reason shown for names that [`is_hidden`] recognises.
const HIDDEN: &str = "hidden or temporary";
/// Most names of left-out files in a message.
const NAMES_SHOWN: usize = 8;

/// One input, as recorded in the work directory to notice a changed list on resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file, or `-` for standard input.
    pub path: PathBuf,
    /// Length in bytes; 0 for standard input.
    pub bytes: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub modified_ns: u64,
}

impl Source {
    /// The file's name for messages.
    pub fn shown_path(&self) -> PathBuf {
        if self.is_stdin() {
            return "standard input".into();
        }
        self.path.clone()
    }

    /// Whether this is standard input.
    pub fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }
}

/// The files found in the inputs.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files to read, sorted.
    pub sources: Vec<Source>,
    /// The other files in the directories, sorted; each with the reason unless it is the name.
    pub left_out: Vec<String>,
}

impl Listing {
    /// One line about the left-out files; `None` when there are none.
    pub fn left_out_line(&self) -> Option<String> {
        if self.left_out.is_empty() {
            return None;
        }
        let shown = self.left_out.iter().take(NAMES_SHOWN);
        let names = shown.cloned().collect::<Vec<_>>().join(", ");
        let more = match self.left_out.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "not read: {names}{more} (directories stand for {ENDINGS_SHOWN}; name other files)"
        ))
    }

    /// The error if a left-out file has a format that is known by its name.
    fn unreadable(&self) -> Option<EtlError> {
        self.left_out.iter().find_map(|name| {
            let Unreadable { format, way_out } = unreadable_of_name(name)?;
            Some(EtlError::Format {
                path: name.into(),
                format,
                way_out,
            })
        })
    }
}

/// The files that `inputs` stand for, sorted: a directory stands for the files below it whose names look
/// like tweets.
pub fn list(inputs: &[PathBuf]) -> Result<Listing, EtlError> {
    list_without(inputs, &[])
}

/// Like [`list`], without the files below the directories `ours`, which need not exist.
pub fn list_without(inputs: &[PathBuf], ours: &[&Path]) -> Result<Listing, EtlError> {
    let ours = ours.iter().filter_map(|path| fs::canonicalize(path).ok());
    let mut walk = Walk {
        ours: ours.collect(),
        above: Vec::new(),
        listing: Listing::default(),
    };
    for input in inputs {
        walk.input(input)?;
    }
    let mut listing = walk.listing;
    listing.sources.sort_by(|a, b| a.path.cmp(&b.path));
    listing.sources.dedup();
    listing.left_out.sort();
    if listing.sources.is_empty() {
        if let Some(error) = listing.unreadable() {
            return Err(error);
        }
        let left_out = listing.left_out_line();
        let left_out = left_out.map_or(String::new(), |line| format!("; {line}"));
        return Err(EtlError::Usage(format!(
            "no input files: name files, or directories with files such as {ENDINGS_SHOWN}, or - for standard input{left_out}"
        )));
    }
    Ok(listing)
}

struct Walk {
    /// Directories that are skipped.
    ours: Vec<PathBuf>,
    /// The canonical paths of the directories above the current one.
    above: Vec<PathBuf>,
    listing: Listing,
}

impl Walk {
    fn input(&mut self, input: &Path) -> Result<(), EtlError> {
        if input == Path::new("-") {
            self.listing.sources.push(Source {
                path: input.to_owned(),
                bytes: 0,
                modified_ns: 0,
            });
            return Ok(());
        }
        let found =
            fs::metadata(input).map_err(|e| EtlError::io("open", input, 0, explained(input, e)))?;
        if found.is_dir() {
            self.directory(input)
        } else {
            self.source(input, &found)
        }
    }

    fn directory(&mut self, directory: &Path) -> Result<(), EtlError> {
        let failed = |e| EtlError::io("list", directory, 0, e);
        let real = fs::canonicalize(directory).map_err(failed)?;
        if self.ours.contains(&real) {
            return Ok(());
        }
        if self.above.contains(&real) {
            self.leave_out(directory, Some("a link to a directory above it"));
            return Ok(());
        }
        self.above.push(real);
        for entry in fs::read_dir(directory).map_err(failed)? {
            self.entry(&entry.map_err(failed)?.path())?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, path: &Path) -> Result<(), EtlError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_hidden(&name) {
            self.leave_out(path, Some(HIDDEN));
            return Ok(());
        }
        let found = match fs::metadata(path) {
            Err(e) if is_dead_link(&e) => {
                self.leave_out(path, Some(DEAD_LINK));
                return Ok(());
            }
            found => found.map_err(|e| EtlError::io("open", path, 0, e))?,
        };
        if found.is_dir() {
            self.directory(path)
        } else if !found.is_file() {
            self.leave_out(path, Some("a FIFO, socket or device"));
            Ok(())
        } else if looks_like_tweets(&name) {
            self.source(path, &found)
        } else {
            self.leave_out(path, None);
            Ok(())
        }
    }

    fn source(&mut self, path: &Path, found: &fs::Metadata) -> Result<(), EtlError> {
        if path.to_str().is_none() {
            return Err(EtlError::Usage(format!(
                "the name of {path:?} is not UTF-8: rename it, or read it through a pipe with --input -"
            )));
        }
        let modified = found.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        self.listing.sources.push(Source {
            path: path.to_owned(),
            bytes: if found.is_file() { found.len() } else { 0 },
            modified_ns: modified.map_or(0, |time| time.as_nanos() as u64),
        });
        Ok(())
    }

    fn leave_out(&mut self, path: &Path, why: Option<&str>) {
        let why = why.map_or(String::new(), |why| format!(" ({why})"));
        self.listing
            .left_out
            .push(format!("{}{why}", path.display()));
    }
}

/// The reason why `input` cannot be opened: for a dead link the system says that there is no such file, but the link
/// exists.
fn explained(input: &Path, error: io::Error) -> io::Error {
    if is_dead_link(&error) && fs::symlink_metadata(input).is_ok() {
        return io::Error::other(DEAD_LINK);
    }
    error
}

fn is_dead_link(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_directory_stands_for_its_tweets_and_names_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("below/store")).unwrap();
        let taken = [
            "a.json",
            "b.ndjson",
            "below/part-00000",
            "below/part-1.txt",
            "d.JSON",
            "e.json.GZ",
            "f.jsonl",
        ];
        let left = [
            "._e.json.GZ",
            ".part-1.json.crc",
            "_SUCCESS",
            "a.parquet",
            "notes.txt",
        ];
        let hidden = ["_temporary/0/part-0.json", ".x/y.json"];
        let below = ["below/store/x.json"];
        fs::create_dir_all(root.join("_temporary/0")).unwrap();
        fs::create_dir_all(root.join(".x")).unwrap();
        for name in taken.iter().chain(&left).chain(&hidden).chain(&below) {
            fs::write(root.join(name), "{}\n").unwrap();
        }
        symlink(root, root.join("below/again")).unwrap();
        symlink("nowhere", root.join("dead.json")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(root.join("pipe.json"))
            .status();
        assert!(made.unwrap().success());
        let store = root.join("below/store");
        let listing = list_without(std::slice::from_ref(&root.to_path_buf()), &[&store]).unwrap();
        let names = listing
            .sources
            .iter()
            .map(|s| s.path.strip_prefix(root).unwrap());
        let names: Vec<_> = names.map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, taken);
        let left_out = listing.left_out.iter();
        let left_out = left_out.map(|name| name.replacen(&format!("{}/", root.display()), "", 1));
        let expected = [
            "._e.json.GZ (hidden or temporary)",
            ".part-1.json.crc (hidden or temporary)",
            ".x (hidden or temporary)",
            "_SUCCESS",
            "_temporary (hidden or temporary)",
            "a.parquet",
            "below/again (a link to a directory above it)",
            "dead.json (a link to nothing or to itself)",
            "notes.txt",
            "pipe.json (a FIFO, socket or device)",
        ];
        assert_eq!(left_out.collect::<Vec<_>>(), expected);
        let line = listing.left_out_line().unwrap();
        assert!(
            line.contains("a.parquet") && line.contains(" and 2 more ("),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
    }
}
