//! How long the waiting batches will take: what `Retry-After` of a full queue says.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Seconds after which to try again if the cause is not the queue.
pub(super) const RETRY_AFTER_S: u64 = 1;

/// Most seconds that a client is told to wait.
const RETRY_AFTER_S_MAX: u64 = 60;

/// The time that batches take, averaged; each new batch weighs a quarter.
#[derive(Default)]
pub(super) struct Pace {
    batch_us: AtomicU64,
}

impl Pace {
    /// Only the thread that writes batches calls it.
    pub(super) fn note(&self, taken: Duration) {
        let taken = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        let average = match self.batch_us.load(Relaxed) {
            0 => taken,
            before => (before - before / 4).saturating_add(taken / 4),
        };
        self.batch_us.store(average, Relaxed);
    }

    /// Whole seconds that `batches` will take.
    pub(super) fn seconds_for(&self, batches: usize) -> u64 {
        let us = self.batch_us.load(Relaxed).saturating_mul(batches as u64);
        us.div_ceil(1_000_000)
            .clamp(RETRY_AFTER_S, RETRY_AFTER_S_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_when_the_queue_has_been_written() {
        let pace = Pace::default();
        assert_eq!(pace.seconds_for(17), RETRY_AFTER_S);
        pace.note(Duration::from_millis(400));
        assert_eq!([1, 2, 3, 17].map(|n| pace.seconds_for(n)), [1, 1, 2, 7]);
        (0..40).for_each(|_| pace.note(Duration::from_secs(2)));
        assert!((19..=20).contains(&pace.seconds_for(10)));
        assert_eq!(pace.seconds_for(10_000), RETRY_AFTER_S_MAX);
        pace.note(Duration::MAX);
        assert_eq!(pace.seconds_for(usize::MAX), RETRY_AFTER_S_MAX);
    }
}
