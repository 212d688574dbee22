//! The clock of deadlines: each thread of a model decides which time it sees.

use std::{cell::Cell, time::Duration};

pub const TICK: Duration = Duration::from_millis(250);

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
}

/// From now on the thread sees this time.
pub fn set(now_ms: u64) {
    NOW_MS.set(now_ms);
}

pub fn milliseconds() -> u64 {
    NOW_MS.get()
}

pub fn deadline_ms(timeout: Duration) -> u64 {
    deadline_after_ms(timeout.as_millis() as u64)
}

pub fn deadline_after_ms(timeout_ms: u64) -> u64 {
    milliseconds() + TICK.as_millis() as u64 + timeout_ms
}
