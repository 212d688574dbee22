//! A directory of its own for one test, removed at its end.

use std::{fs, ops::Deref, path::Path};

/// See the file's first line.
pub struct TempDir(tempfile::TempDir);

impl TempDir {
    pub fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    /// A path in it as an argument of a command.
    pub fn path(&self, name: &str) -> String {
        self.join(name).into_os_string().into_string().unwrap()
    }

    /// A file with `text` in it; its path as an argument.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Deref for TempDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.path()
    }
}
