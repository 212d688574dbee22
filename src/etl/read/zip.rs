//! The members of a zip archive: by its directory if it is a file, in order if it comes through a pipe or out of
//! another archive.

use crate::etl::read::budget::{Budget, LayerError};
use std::{
    fs::File,
    io::{self, BufReader, Read},
};
use zip::{
    CompressionMethod, ZipReadOptions,
    read::{Config, ZipFile, read_zipfile_from_stream},
    result::ZipError,
    unstable::read::ZipIterable,
};

const NOUN: &str = "zip archive";

/// A member, as far as it can be told without its content.
pub(super) enum Member<'r> {
    /// A file.
    File(&'r mut dyn Read),
    /// A member without text, and why.
    Other(&'static str),
    /// A member that cannot be read.
    Bad(io::Error),
}

/// Passes the members of the archive in `file` to `visit`. Its directory is not kept in memory.
pub(super) fn each<E: From<io::Error>>(
    file: File,
    budget: &Budget,
    visit: &mut dyn FnMut(&str, Member<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut archive =
        ZipIterable::try_new(BufReader::new(file), Config::default()).map_err(fault)?;
    let members = archive.files().map_err(fault)?;
    while let Some(entry) = members.next() {
        let entry = entry.map_err(fault)?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if entry.is_dir() {
            continue;
        }
        if entry.is_symlink() {
            visit(&name, Member::Other("a link"))?;
            continue;
        }
        let size = entry.size();
        let opened = supported(entry.compression()).and_then(|()| {
            let options = ZipReadOptions::default();
            entry
                .with_reader(members.reader_mut(), options)
                .map_err(fault)
        });
        match opened {
            Ok(mut file) => {
                let mut file = Checked::new(&mut file, size, budget);
                visit(&name, Member::File(&mut file))?;
            }
            Err(error) => visit(&name, Member::Bad(error))?,
        }
    }
    Ok(())
}

/// As above, for an archive that can be read only once, from its start to its end.
pub(super) fn each_in_order<E: From<io::Error>>(
    mut archive: &mut dyn Read,
    budget: &Budget,
    visit: &mut dyn FnMut(&str, Member<'_>) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(mut file) = read_zipfile_from_stream(&mut archive).map_err(fault)? {
        let name = String::from_utf8_lossy(file.name_raw()).into_owned();
        supported(file.compression())?;
        if !file.is_dir() {
            let size = file.size();
            let mut file = Checked::new(&mut file, size, budget);
            visit(&name, Member::File(&mut file))?;
            io::copy(&mut file, &mut io::sink())?;
        }
    }
    io::copy(archive, &mut io::sink())?;
    Ok(())
}

fn supported(method: CompressionMethod) -> io::Result<()> {
    if matches!(
        method,
        CompressionMethod::Stored | CompressionMethod::Deflated
    ) {
        return Ok(());
    }
    let what = format!(
        "uses compression method {method:?}; unzip it (stored and deflated members are read)"
    );
    Err(LayerError::new(NOUN, what, 0).into())
}

/// Compares a member's content with its size, and marks its errors as the archive's. Counts what it expands to, because
/// any number of members may share their bytes.
struct Checked<'f, 'r, R: Read> {
    file: &'f mut ZipFile<'r, R>,
    size: u64,
    read: u64,
    budget: &'f Budget,
}

impl<'f, 'r, R: Read> Checked<'f, 'r, R> {
    fn new(file: &'f mut ZipFile<'r, R>, size: u64, budget: &'f Budget) -> Self {
        Self {
            file,
            size,
            read: 0,
            budget,
        }
    }
}

impl<R: Read> Read for Checked<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self
            .file
            .read(out)
            .map_err(|e| LayerError::of(e, NOUN, 0))?;
        self.read += read as u64;
        self.budget.make(read)?;
        if read == 0 && !out.is_empty() && self.read != self.size {
            let what = format!(
                "is damaged: a member of {} bytes has {}",
                self.size, self.read
            );
            return Err(LayerError::new(NOUN, what, 0).into());
        }
        Ok(read)
    }
}

fn fault(error: ZipError) -> io::Error {
    let what = match error {
        ZipError::Io(error) => return LayerError::of(error, NOUN, 0),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            "is encrypted; decrypt it: unzip -P PASSWORD FILE".to_owned()
        }
        ZipError::UnsupportedArchive("The file length is not available in the local header") => {
            // The program that wrote the archive did not know the sizes.
            "cannot be read in order; unzip it, or name it as a file: the sizes of its members stand behind them".into()
        }
        error => format!("is damaged: {error}"),
    };
    LayerError::new(NOUN, what, 0).into()
}
