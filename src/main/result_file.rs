//! A file for a result of a long run: opened before the run, so that a wrong path does not cost one.

use anyhow::Context;
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};
use trident::remedy::Trying;

/// An open file whose content is replaced when the result is there. Without a result nothing changes.
pub(crate) struct ResultFile {
    path: PathBuf,
    file: File,
    /// Made for the result, and still without it.
    is_new: bool,
}

impl ResultFile {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let (file, is_new) = open(path)
            .map_err(Trying::Write.explained())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
        })
    }

    /// Replaces the content.
    pub(crate) fn write(mut self, text: &str) -> anyhow::Result<()> {
        self.is_new = false;
        let is_file = self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file());
        let emptied = if is_file {
            self.file.set_len(0)
        } else {
            Ok(())
        };
        emptied
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(Trying::Write.explained())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        if self.is_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The open file, and whether it was made.
fn open(path: &Path) -> io::Result<(File, bool)> {
    match File::options().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Through a link to nothing as well, which `create_new` would refuse.
            let options = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path);
            Ok((options?, true))
        }
        opened => Ok((opened?, false)),
    }
}
