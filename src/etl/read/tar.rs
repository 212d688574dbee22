//! The members of a tar archive, in order.

use crate::etl::read::{budget::LayerError, shown::shown};
use std::{
    cell::Cell,
    io::{self, Read},
};
use tar::{Archive, Entry, EntryType};

/// Most bytes between the contents of two members: headers, long names, pax records, padding. Names are kept in memory.
const HEADER_BYTES_MAX: u64 = 8 << 20;
const RECORD_BYTES: u64 = 512;
const NOUN: &str = "tar archive";

/// A member, as far as it can be told without its content.
pub(super) enum Member<'r> {
    /// A file.
    File(&'r mut dyn Read),
    /// A member without text, and why.
    Other(&'static str),
}

/// Passes the members of `archive` with their names to `visit`. Archives may follow each other. `visit` need not read a
/// file to its end.
pub(super) fn each<E: From<io::Error>>(
    archive: &mut dyn Read,
    visit: &mut dyn FnMut(&str, Member<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let gauge = Gauge::default();
    let mut archive = Archive::new(Gauged {
        inner: archive,
        gauge: &gauge,
    });
    archive.set_ignore_zeros(true);
    for entry in archive.entries().map_err(|e| gauge.fault(e))? {
        let mut entry = entry.map_err(|e| gauge.fault(e))?;
        // The holes of a sparse file are not in the archive; its data are passed over with the next header.
        let is_sparse = is_sparse(&mut entry).map_err(|e| gauge.fault(e))?;
        let stored = entry.header().entry_size().map_err(|e| gauge.fault(e))?;
        gauge.left.set(u64::MAX);
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            _ if is_sparse => visit(&name, Member::Other("a sparse file"))?,
            EntryType::Regular | EntryType::Continuous => file(&name, &mut entry, visit, &gauge)?,
            EntryType::Directory | EntryType::XGlobalHeader => {}
            EntryType::Link | EntryType::Symlink => visit(&name, Member::Other("a link"))?,
            _ => visit(&name, Member::Other("no file"))?,
        }
        gauge.left.set(HEADER_BYTES_MAX.saturating_add(stored));
        if !is_sparse {
            io::copy(&mut entry, &mut io::sink()).map_err(|e| gauge.fault(e))?;
            gauge.left.set(HEADER_BYTES_MAX);
        }
    }
    // An archive ends with zeros, so an archive that was cut between two members is recognised.
    if gauge.zeros.get() < RECORD_BYTES {
        let what = "is truncated: it has no end mark";
        return Err(io::Error::from(LayerError::new(NOUN, what, gauge.read.get())).into());
    }
    Ok(())
}

fn file<E: From<io::Error>>(
    name: &str,
    entry: &mut Entry<'_, impl Read>,
    visit: &mut dyn FnMut(&str, Member<'_>) -> Result<(), E>,
    gauge: &Gauge,
) -> Result<(), E> {
    let size = entry.size();
    let mut measured = Measured {
        inner: entry,
        read: 0,
    };
    visit(name, Member::File(&mut measured))?;
    io::copy(&mut measured, &mut io::sink()).map_err(|e| gauge.fault(e))?;
    if measured.read < size {
        let (read, name) = (measured.read, shown(name));
        let what = format!("is truncated: {read} of {size} bytes of {name}");
        return Err(io::Error::from(LayerError::new(NOUN, what, gauge.read.get())).into());
    }
    Ok(())
}

fn is_sparse(entry: &mut Entry<'_, impl Read>) -> io::Result<bool> {
    if entry.header().entry_type().is_gnu_sparse() {
        return Ok(true);
    }
    let Some(records) = entry.pax_extensions()? else {
        return Ok(false);
    };
    let mut keys = records.filter_map(|record| record.ok()?.key().ok().map(str::to_owned));
    Ok(keys.any(|key| key.starts_with("GNU.sparse.")))
}

/// How much of an archive was read, and how much of it may be headers.
struct Gauge {
    read: Cell<u64>,
    /// Bytes that may be read before the next member is found.
    left: Cell<u64>,
    /// Zeros since the last other byte.
    zeros: Cell<u64>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            read: Cell::new(0),
            left: Cell::new(HEADER_BYTES_MAX),
            zeros: Cell::new(0),
        }
    }
}

impl Gauge {
    fn fault(&self, error: io::Error) -> io::Error {
        LayerError::of(error, NOUN, self.read.get())
    }
}

struct Gauged<'r, 'g> {
    inner: &'r mut dyn Read,
    gauge: &'g Gauge,
}

impl Read for Gauged<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let gauge = self.gauge;
        let read = self.inner.read(out)?;
        gauge.read.set(gauge.read.get() + read as u64);
        let zeros = out[..read]
            .iter()
            .rev()
            .take_while(|&&byte| byte == 0)
            .count();
        let before = if zeros == read { gauge.zeros.get() } else { 0 };
        gauge.zeros.set(before + zeros as u64);
        let Some(left) = gauge.left.get().checked_sub(read as u64) else {
            let what = format!(
                "is damaged: more than {HEADER_BYTES_MAX} bytes of headers before one member"
            );
            return Err(LayerError::new(NOUN, what, gauge.read.get()).into());
        };
        gauge.left.set(left);
        Ok(read)
    }
}

/// Counts the bytes read from a member.
struct Measured<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.read += read as u64;
        Ok(read)
    }
}
