//! CPU flame graphs of the next seconds, by `pprof`: on a signal into a file, or as the answer to a control.
//!
//! During a recording, a timer interrupts the thread that uses the processor 199 times per second of processor time and
//! its stack is walked: below one per cent. Without a recording it costs nothing. Before Linux 6.4 the kernel gives
//! most of these signals to the main thread, which waits: use `perf record -g` there.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use signal_hook::{
    consts::{SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use tracing::{info, warn};

use crate::{http::clock, remedy::Trying};

/// Samples in a second of processor time; a prime, so that it does not beat with anything periodic.
const FREQUENCY_HZ: i32 = 199;

/// Longest recording in seconds.
pub const SECONDS_MAX: u64 = 300;

/// Settings of the profiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `SIGUSR1` or `SIGUSR2`: the signal that starts a recording into a file; empty = no signal does.
    pub on: String,
    /// Length of such a recording, 1 to [`SECONDS_MAX`].
    pub seconds: u64,
    /// Where its file goes; `None` = the directory for temporary files.
    pub directory: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            on: String::new(),
            seconds: 10,
            directory: None,
        }
    }
}

/// Held while a recording is under way: the process has one profiling timer.
static RECORDING: Mutex<()> = Mutex::new(());

/// Why recording failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProfileError {
    #[error("a recording is under way")]
    Busy,
    #[error("its client has gone")]
    Abandoned,
    #[error("no sample: the process used no processor time")]
    Idle,
    #[error("{0}")]
    Profiler(#[from] pprof::Error),
    #[error("cannot write {}: {source}; {}, or set profile.directory", path.display(), Trying::Write.remedy(source))]
    File { path: PathBuf, source: io::Error },
}

/// How often a recording checks whether its result is still wanted.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A flame graph of the next `seconds`, as SVG. Blocks until they are over or the result is no longer wanted.
pub(super) fn record(seconds: u64, is_wanted: &dyn Fn() -> bool) -> Result<Vec<u8>, ProfileError> {
    let _one_at_a_time = RECORDING.try_lock().ok_or(ProfileError::Busy)?;
    // A sample taken while the unwinder itself runs would enter it a second time.
    let unwinder = ["libgcc", "vdso"];
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(FREQUENCY_HZ)
        .blocklist(&unwinder)
        .build()?;
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if !is_wanted() {
            return Err(ProfileError::Abandoned);
        }
        thread::sleep(left.min(ASK_EVERY));
    }
    let report = guard.report().build()?;
    drop(guard);
    if report.data.is_empty() {
        return Err(ProfileError::Idle);
    }
    let mut svg = Vec::new();
    report.flamegraph(&mut svg)?;
    Ok(svg)
}

/// Records whenever the signal of `options` comes, if they name one, on a thread of its own.
///
/// # Errors
/// The signal cannot be caught, or no thread started.
pub fn on_signal(options: &Options) -> io::Result<()> {
    let signal = match options.on.as_str() {
        "SIGUSR1" => SIGUSR1,
        "SIGUSR2" => SIGUSR2,
        _ => return Ok(()),
    };
    let mut signals = Signals::new([signal])?;
    let seconds = options.seconds;
    let directory = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    let record_each = move || {
        for _ in signals.forever() {
            info!(seconds, "recording a flame graph");
            match record(seconds, &|| true).and_then(|svg| write(&directory, &svg)) {
                Ok(path) => info!(path = %path.display(), "flame graph written"),
                Err(error) => warn!(%error, "no flame graph"),
            }
        }
    };
    let builder = thread::Builder::new().name("profiler".into());
    builder.spawn(record_each).map(drop)
}

/// Writes a new file and refuses an existing one: the directory may be shared.
fn write(directory: &Path, svg: &[u8]) -> Result<PathBuf, ProfileError> {
    let (process, now) = (std::process::id(), clock::unix_seconds());
    let path = directory.join(format!("trident-{process}-{now}.svg"));
    let written = File::create_new(&path).and_then(|mut file| file.write_all(svg));
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(ProfileError::File { path, source }),
    }
}
