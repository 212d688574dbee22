//! The cells of each thread, and their sums.

use std::{
    array,
    cell::Cell,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{
    Counter, Distribution, Endpoint, Latency,
    histogram::{Cells, bump},
};

/// Most reasons of INVALID that can be counted.
pub const REASONS_MAX: usize = 48;

/// The cells of one thread, on cache lines of their own.
#[repr(align(128))]
struct Shard {
    counters: [AtomicU64; Counter::ALL.len()],
    reasons: [AtomicU64; REASONS_MAX],
    latencies: [[Cells; Endpoint::ALL.len()]; Latency::ALL.len()],
}

/// Every shard ever made, and those whose threads have ended: they keep their counts, which never fall, and
/// are reused by new threads.
#[derive(Default)]
struct Shards {
    all: Vec<&'static Shard>,
    free: Vec<&'static Shard>,
}

static SHARDS: LazyLock<Mutex<Shards>> = LazyLock::new(Mutex::default);

thread_local! {
    static SHARD: Cell<Option<&'static Shard>> = const { Cell::new(None) };
    static LEASE: Lease = const { Lease };
}

/// Gives the shard of a thread that ends to the next one. Apart from `SHARD`, because a thread-local
/// without a destructor is reached without asking whether it is still alive.
struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        SHARDS.lock().free.extend(SHARD.take());
    }
}

/// Adds `n` to a counter.
///
/// Call it only where no coroutine switch can happen between entry and return.
#[inline]
pub fn add(counter: Counter, n: u64) {
    let shard = SHARD.get().unwrap_or_else(new_shard);
    if let Some(cell) = shard.counters.get(counter as usize) {
        bump(cell, n);
    }
}

/// Counts an answer INVALID; `reason` is an index in the list that is given to `write_text`.
///
/// As for [`add`], no coroutine switch may happen inside.
#[inline]
pub fn add_invalid(reason: usize) {
    let shard = SHARD.get().unwrap_or_else(new_shard);
    if let Some(cell) = shard.reasons.get(reason) {
        bump(cell, 1);
    }
}

/// Adds `n` requests of `nanoseconds` each to a histogram.
#[inline]
pub(super) fn observe(latency: Latency, endpoint: Endpoint, nanoseconds: u64, n: u64) {
    let shard = SHARD.get().unwrap_or_else(new_shard);
    shard.latencies[latency as usize][endpoint as usize].add(nanoseconds, n);
}

#[cold]
fn new_shard() -> &'static Shard {
    let mut shards = SHARDS.lock();
    let shard = shards.free.pop().unwrap_or_else(|| {
        let shard: &'static Shard = Box::leak(Box::new(Shard {
            counters: array::from_fn(|_| AtomicU64::new(0)),
            reasons: array::from_fn(|_| AtomicU64::new(0)),
            latencies: Default::default(),
        }));
        shards.all.push(shard);
        shard
    });
    drop(shards);
    SHARD.set(Some(shard));
    // A thread that counts while its thread-locals are being dropped keeps its shard forever.
    let _ = LEASE.try_with(|_| ());
    shard
}

/// The sum of a counter over all threads.
pub fn read(counter: Counter) -> u64 {
    let sum = |shard: &&Shard| shard.counters[counter as usize].load(Relaxed);
    SHARDS.lock().all.iter().map(sum).sum()
}

/// Requests answered by handlers: the sum of `trident_requests_total`.
pub fn answers() -> u64 {
    let answers = Counter::ALL.iter().filter(|c| c.outcome().is_some());
    answers.map(|counter| read(*counter)).sum()
}

/// The sums of everything over all threads.
#[derive(Clone, Default)]
pub struct Totals {
    counters: Vec<u64>,
    reasons: Vec<u64>,
    latencies: Vec<Distribution>,
}

impl Totals {
    /// Sums now.
    pub fn read() -> Self {
        let latency = |latency: Latency, endpoint: Endpoint| {
            let mut sum = Distribution::default();
            for shard in &SHARDS.lock().all {
                sum.add_cells(&shard.latencies[latency as usize][endpoint as usize]);
            }
            sum
        };
        let reason = |reason: usize| {
            let sum = |shard: &&Shard| shard.reasons[reason].load(Relaxed);
            SHARDS.lock().all.iter().map(sum).sum()
        };
        Self {
            counters: Counter::ALL.iter().map(|counter| read(*counter)).collect(),
            reasons: (0..REASONS_MAX).map(reason).collect(),
            latencies: Latency::ALL
                .iter()
                .flat_map(|l| Endpoint::ALL.iter().map(|e| latency(*l, *e)))
                .collect(),
        }
    }

    /// A counter.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters
            .get(counter as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Answers INVALID for the reason with this index.
    pub fn invalid(&self, reason: usize) -> u64 {
        self.reasons.get(reason).copied().unwrap_or_default()
    }

    /// A histogram.
    pub fn latency(&self, latency: Latency, endpoint: Endpoint) -> Distribution {
        let index = latency as usize * Endpoint::ALL.len() + endpoint as usize;
        self.latencies.get(index).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_are_summed_also_after_their_end() {
        let before = read(Counter::HandlerPanics);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| add(Counter::HandlerPanics, 2)));
            }
        });
        assert!(read(Counter::HandlerPanics) >= before + 8000);
    }

    #[test]
    fn threads_that_follow_each_other_share_a_shard() {
        let count = || std::thread::spawn(|| add(Counter::ReloadUnchanged, 1)).join();
        count().unwrap();
        let shards = SHARDS.lock().all.len();
        (0..100).for_each(|_| count().unwrap());
        // Other tests' threads may have made some meanwhile.
        assert!(SHARDS.lock().all.len() < shards + 90);
    }

    #[test]
    fn totals_hold_what_was_added() {
        observe(Latency::Handler, Endpoint::RestAuth, 1_000_000, 3);
        let totals = Totals::read();
        let sum = totals.latency(Latency::Handler, Endpoint::RestAuth);
        assert!(sum.count() >= 3 && sum.sum_ns() >= 3_000_000);
        assert_eq!(Totals::default().counter(Counter::HandlerPanics), 0);
    }
}
