//! The coarse clock: two atomics that one thread refreshes and all threads read.
//!
//! The clock of deadlines never runs ahead: it counts at most [`TICK`] for each refresh. So if its thread was kept from
//! the processor, a deadline is late and never early.
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
pub const TICK: Duration = Duration::from_millis(TICK_MS);
const TICK_MS: u64 = 250;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When it was last refreshed, in milliseconds since [`START`].
static REFRESHED_MS: AtomicU64 = AtomicU64::new(0);
static MILLISECONDS: AtomicU64 = AtomicU64::new(0);
static UNIX_SECONDS: AtomicU64 = AtomicU64::new(0);

/// Reads the real clocks. Called by the watcher thread on every tick.
pub fn refresh() {
    let now_ms = START.elapsed().as_millis() as u64;
    let passed_ms = now_ms.saturating_sub(REFRESHED_MS.swap(now_ms, Relaxed));
    MILLISECONDS.fetch_add(passed_ms.min(TICK_MS), Relaxed);
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UNIX_SECONDS.store(since_epoch.as_secs(), Relaxed);
}

/// Milliseconds on the clock of deadlines, as of the last tick.
pub fn milliseconds() -> u64 {
    #[cfg(test)]
    if let Some(now_ms) = simulated::NOW_MS.get() {
        return now_ms;
    }
    MILLISECONDS.load(Relaxed)
}

/// Seconds since 1970, as of the last tick.
pub fn unix_seconds() -> u64 {
    UNIX_SECONDS.load(Relaxed)
}

/// When a deadline of `timeout` from now passes on the clock of deadlines: up to a tick late. The current tick may end
/// at once, so it does not count.
pub fn deadline_ms(timeout: Duration) -> u64 {
    deadline_after_ms(timeout.as_millis() as u64)
}

/// Like [`deadline_ms`], but with a timeout in milliseconds, for what every turn does: a `Duration` would have to be
/// divided.
#[inline]
pub fn deadline_after_ms(timeout_ms: u64) -> u64 {
    (milliseconds() + TICK_MS).saturating_add(timeout_ms)
}

/// A clock of the thread's own, for tests that decide when time goes by.
#[cfg(test)]
pub(super) mod simulated {
    use std::cell::Cell;

    thread_local! {
        pub(super) static NOW_MS: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on this is the time on the clock of deadlines; `None`: the real one.
    pub fn set(now_ms: Option<u64>) {
        NOW_MS.set(now_ms);
    }
}
