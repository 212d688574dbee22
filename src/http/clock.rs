//! The coarse clock: two atomics that one thread refreshes and all threads read.
//!
//! Timeouts are seconds long and `Date` has a resolution of one second, so a clock that lags by up
//! to [`TICK`] is enough, and a request reads memory instead of calling the kernel.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How often the clock is refreshed, hence the resolution of every timeout.
pub const TICK: Duration = Duration::from_millis(250);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static MILLISECONDS: AtomicU64 = AtomicU64::new(0);
static UNIX_SECONDS: AtomicU64 = AtomicU64::new(0);

/// Reads the real clocks. Called by the watcher thread on every tick.
pub fn refresh() {
    MILLISECONDS.store(START.elapsed().as_millis() as u64, Relaxed);
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UNIX_SECONDS.store(since_epoch.as_secs(), Relaxed);
}

/// Milliseconds since the process first read the clock, as of the last tick.
pub fn milliseconds() -> u64 {
    MILLISECONDS.load(Relaxed)
}

/// Seconds since 1970, as of the last tick.
pub fn unix_seconds() -> u64 {
    UNIX_SECONDS.load(Relaxed)
}
