//! How long requests take, measured with three clock reads for a turn and one for each further
//! request of it.
//!
//! ```text
//! recv │ parse, handle │ parse, handle │ … │ send │
//!    begin          answered        answered     end
//!      └── handler ───┴─── handler ───┘            │
//!      └───────────────── request ─────────────────┘
//! ```
//!
//! One `answered` ends a request's handler time and begins the next one's, so a pipelined request costs
//! one read. The clock is the processor's counter (`quanta`; the kernel's clock where there is none):
//! 9.5 ns a read against 24 for `clock_gettime`, measured on Zen 5 in a virtual machine.
//!
//! `http` alone calls them: a handler returns the counter of its answer.

use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Counter, Endpoint, Latency, add, shard::observe};

/// Settings of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether latencies are measured at all.
    pub histograms: bool,
    /// Turns of at least this length are logged; zero = none.
    pub slow: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            histograms: true,
            slow: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// Makes these the settings of the process.
    pub fn apply(self) {
        if self.histograms {
            CLOCK.get_or_init(quanta::Clock::new);
        }
        let slow_ns = match self.slow {
            Duration::ZERO => u64::MAX,
            slow => u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX),
        };
        SLOW_NS.store(slow_ns, Relaxed);
        ON.store(self.histograms, Relaxed);
    }
}

static ON: AtomicBool = AtomicBool::new(false);
static SLOW_NS: AtomicU64 = AtomicU64::new(u64::MAX);
static CLOCK: OnceLock<quanta::Clock> = OnceLock::new();

/// The turn that this thread is in.
struct Turn {
    /// Clock after the read; 0 outside a turn, or when nothing is measured.
    begin: Cell<u64>,
    /// Clock at the last answer, or at `begin`.
    last: Cell<u64>,
    /// Answers by endpoint.
    answers: [Cell<u32>; Endpoint::ALL.len()],
    /// Bits of the endpoints that have answers.
    answered: Cell<u32>,
    /// The longest handler time and its endpoint.
    longest: Cell<(u64, Endpoint)>,
}

thread_local! {
    static TURN: Turn = const {
        Turn {
            begin: Cell::new(0),
            last: Cell::new(0),
            answers: [const { Cell::new(0) }; Endpoint::ALL.len()],
            answered: Cell::new(0),
            longest: Cell::new((0, Endpoint::Other)),
        }
    };
}

/// A turn that took too long.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    /// The endpoint of its longest request.
    pub endpoint: Endpoint,
    /// Requests answered in it.
    pub requests: u32,
    /// The longest request's parsing and handling.
    pub handler: Duration,
    /// All parsing and handling.
    pub handlers: Duration,
    /// The writing of the answers.
    pub write: Duration,
}

/// A turn has read, or continues with bytes read before.
#[inline]
pub fn begin() {
    if let (true, Some(clock)) = (ON.load(Relaxed), CLOCK.get()) {
        let now = clock.raw();
        TURN.with(|turn| {
            turn.begin.set(now);
            turn.last.set(now);
        });
    }
}

/// A request was answered: counts it and ends its handler time.
///
/// `counter` is one of `trident_requests_total`.
#[inline]
pub fn answered(counter: Counter) {
    add(counter, 1);
    TURN.with(|turn| {
        if turn.begin.get() != 0 {
            turn.note(counter.endpoint());
        }
    });
}

impl Turn {
    #[inline]
    fn note(&self, endpoint: Endpoint) {
        let Some(clock) = CLOCK.get() else { return };
        let now = clock.raw();
        let nanoseconds = clock.delta_as_nanos(self.last.get(), now);
        self.last.set(now);
        observe(Latency::Handler, endpoint, nanoseconds, 1);
        let answers = &self.answers[endpoint as usize];
        answers.set(answers.get() + 1);
        self.answered
            .set(self.answered.get() | 1 << endpoint as u32);
        if nanoseconds > self.longest.get().0 {
            self.longest.set((nanoseconds, endpoint));
        }
    }
}

/// A turn has written: ends the time of its requests. `Some` if the turn was too slow.
#[inline]
pub fn end() -> Option<Slow> {
    TURN.with(|turn| {
        let begin = turn.begin.replace(0);
        if begin == 0 || turn.answered.get() == 0 {
            return None;
        }
        let clock = CLOCK.get()?;
        let nanoseconds = clock.delta_as_nanos(begin, clock.raw());
        let mut answered = turn.answered.replace(0);
        let slow =
            (nanoseconds >= SLOW_NS.load(Relaxed)).then(|| turn.slow(begin, nanoseconds, clock));
        turn.longest.set((0, Endpoint::Other));
        while answered != 0 {
            let index = answered.trailing_zeros() as usize;
            answered &= answered - 1;
            let count = turn.answers[index].replace(0);
            observe(
                Latency::Request,
                Endpoint::ALL[index],
                nanoseconds,
                count.into(),
            );
        }
        slow
    })
}

impl Turn {
    #[cold]
    fn slow(&self, begin: u64, nanoseconds: u64, clock: &quanta::Clock) -> Slow {
        let handlers_ns = clock.delta_as_nanos(begin, self.last.get());
        let (longest_ns, endpoint) = self.longest.get();
        add(Counter::SlowRequests, 1);
        Slow {
            endpoint,
            requests: self.answers.iter().map(Cell::get).sum(),
            handler: Duration::from_nanos(longest_ns),
            handlers: Duration::from_nanos(handlers_ns),
            write: Duration::from_nanos(nanoseconds.saturating_sub(handlers_ns)),
        }
    }
}

/// When a request began whose answer another thread works on.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// The beginning of the turn this thread is in.
pub fn mark() -> Mark {
    Mark(TURN.with(|turn| turn.begin.get()))
}

/// A request that began at `mark` was answered in a later turn: counts and measures it. Its time until now,
/// waiting included, counts for both latencies; writing the answer is not included.
pub fn answered_since(counter: Counter, mark: Mark) {
    add(counter, 1);
    if let (Some(clock), true) = (CLOCK.get(), mark.0 != 0) {
        let nanoseconds = clock.delta_as_nanos(mark.0, clock.raw());
        for latency in Latency::ALL {
            observe(*latency, counter.endpoint(), nanoseconds, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Totals;

    #[test]
    fn a_turn_measures_each_handler_and_all_requests() {
        let count = |latency| {
            let totals = Totals::read();
            [Endpoint::Blockchain, Endpoint::QrEncode].map(|e| totals.latency(latency, e).count())
        };
        let before = Latency::ALL.iter().map(|l| count(*l)).collect::<Vec<_>>();
        answered(Counter::BlockchainValid); // outside a turn: counted only
        Options {
            histograms: true,
            slow: Duration::from_millis(2),
        }
        .apply();
        begin();
        answered(Counter::BlockchainValid);
        answered(Counter::QrEncodeValid);
        std::thread::sleep(Duration::from_millis(3));
        answered(Counter::BlockchainInvalid);
        let slow = end().expect("three milliseconds are too long");
        assert_eq!((slow.endpoint, slow.requests), (Endpoint::Blockchain, 3));
        assert!(slow.handler >= Duration::from_millis(2) && slow.handlers >= slow.handler);
        assert!(end().is_none(), "the turn is over");
        for (latency, before) in Latency::ALL.iter().zip(before) {
            assert_eq!(
                count(*latency),
                [before[0] + 2, before[1] + 1],
                "{latency:?}"
            );
        }
        Options::default().apply();
    }
}
