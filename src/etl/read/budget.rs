//! How far one input may expand, and how its faults are described.

use crate::etl::read::shown::shown;
use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use thiserror::Error;

/// Decompressed bytes, summed over all layers, that any input may produce.
pub const EXPANSION_FREE_BYTES: u64 = 256 << 20;
/// Beyond those: decompressed bytes per byte of the file. Tweets shrink to a tenth, with xz to a thirtieth; gzip cannot
/// exceed 1,032, bzip2 and zstd exceed 10,000.
pub const EXPANSION_RATIO_MAX: u64 = 250;

/// How many bytes were read from a file, and how many they became.
#[derive(Debug, Default)]
pub(super) struct Budget {
    taken: AtomicU64,
    made: AtomicU64,
}

impl Budget {
    /// Notes that `bytes` of the file are being used.
    pub(super) fn take(&self, bytes: u64) {
        self.taken.fetch_add(bytes, Relaxed);
    }

    /// Bytes of the file used so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Notes that a layer has produced `bytes`; an error if that is more than a file of tweets would produce.
    pub(super) fn make(&self, bytes: usize) -> io::Result<()> {
        let made = self.made.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        let allowed = self.taken().saturating_mul(EXPANSION_RATIO_MAX);
        if made <= allowed.max(EXPANSION_FREE_BYTES) {
            return Ok(());
        }
        let what = format!(
            "expands more than {EXPANSION_RATIO_MAX} times, to over {made} bytes; no file of tweets does"
        );
        Err(LayerError::bomb(what).into())
    }
}

/// Counts the bytes read from a file.
pub(super) struct Metered<R> {
    inner: R,
    budget: Arc<Budget>,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R, budget: Arc<Budget>) -> Self {
        Self { inner, budget }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.budget.take(read as u64);
        Ok(read)
    }
}

/// The fault of a layer of an input. Travels inside `io::Error` through the layers above it.
#[derive(Debug, Error)]
#[error("{noun} {what}")]
pub(super) struct LayerError {
    /// `gzip stream`, `tar archive` …
    pub(super) noun: String,
    /// `is truncated`, `is damaged: …`.
    pub(super) what: String,
    /// Bytes of its own input that the layer had consumed.
    pub(super) offset: u64,
    /// The rest must not be read.
    pub(super) is_bomb: bool,
}

impl LayerError {
    pub(super) fn new(noun: impl Into<String>, what: impl Into<String>, offset: u64) -> Self {
        Self {
            noun: noun.into(),
            what: what.into(),
            offset,
            is_bomb: false,
        }
    }

    fn bomb(what: String) -> Self {
        Self {
            is_bomb: true,
            ..Self::new("the input", what, 0)
        }
    }

    /// The meaning of `error` of a layer called `noun`. Errors of the system and of the layers below stay unchanged.
    pub(super) fn of(error: io::Error, noun: &str, offset: u64) -> io::Error {
        let said = error.get_ref().is_some_and(|inner| inner.is::<Self>());
        if said || error.raw_os_error().is_some() {
            return error;
        }
        let what = match error.kind() {
            io::ErrorKind::UnexpectedEof => "is truncated".to_owned(),
            // Libraries quote the bytes that they found.
            _ => format!("is damaged: {}", shown(&error.to_string())),
        };
        Self::new(noun, what, offset).into()
    }
}

impl From<LayerError> for io::Error {
    fn from(fault: LayerError) -> Self {
        Self::other(fault)
    }
}

/// Whether `error` says that an input expands without end.
pub(super) fn is_bomb(error: &io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<LayerError>());
    inner.is_some_and(|fault| fault.is_bomb)
}
