//! Refuses output files that are input files too, or that two flags name.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use trident::exit::{ExitCode, Stop};

/// Stands for standard input or standard output.
const STREAM: &str = "-";

/// A mistake if one of the files to write, each with its flag, is also one of those to read, or is written twice.
pub(crate) fn refuse<'p>(
    read: impl IntoIterator<Item = &'p Path>,
    written: impl IntoIterator<Item = (&'static str, Option<&'p PathBuf>)>,
) -> Result<(), Stop> {
    let read = read.into_iter().filter_map(File::of);
    let mut taken: Vec<(File, &str)> = read.map(|file| (file, "the input")).collect();
    for (flag, path) in written {
        let Some((path, file)) = path.and_then(|path| Some((path, File::of(path)?))) else {
            continue;
        };
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == file) {
            let message = format!(
                "{flag} {} is also the file of {other}; choose another name",
                path.display()
            );
            return Err(Stop::new(ExitCode::Usage, message));
        }
        taken.push((file, flag));
    }
    Ok(())
}

/// A file, whatever its path.
#[derive(PartialEq)]
enum File {
    /// Device and inode.
    There(u64, u64),
    /// It does not exist: its directory, if that exists, and its name.
    Missing(PathBuf),
}

impl File {
    /// None for streams and devices: they lose nothing.
    fn of(path: &Path) -> Option<Self> {
        if path == Path::new(STREAM) {
            return None;
        }
        if let Ok(metadata) = fs::metadata(path) {
            let file = Self::There(metadata.dev(), metadata.ino());
            return metadata.is_file().then_some(file);
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
        Some(Self::Missing(parent.join(path.file_name()?)))
    }
}
