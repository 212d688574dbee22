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
//! The same clock tells `http` when a turn has used up its connection's share of the worker's time; it runs for that,
//! with a read at either end, even when nothing is measured.
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
        CLOCK.get_or_init(quanta::Clock::new);
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
    /// Clock after the read.
    since: Cell<u64>,
    /// The same; 0 outside a turn, or when nothing is measured.
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
            since: Cell::new(0),
            begin: Cell::new(0),
            last: Cell::new(0),
            answers: [const { Cell::new(0) }; Endpoint::ALL.len()],
            answered: Cell::new(0),
            longest: Cell::new((0, Endpoint::Other)),
        }
    };
}

/// A turn that took long.
#[derive(Clone, Copy, Debug)]
pub struct Long {
    /// It used up its share of the worker's time.
    pub is_over: bool,
    /// It was slow enough to be logged.
    pub slow: Option<Slow>,
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
    let now = CLOCK.get_or_init(quanta::Clock::new).raw();
    TURN.with(|turn| {
        turn.since.set(now);
        turn.begin.set(if ON.load(Relaxed) { now } else { 0 });
        turn.last.set(now);
    });
}

/// Whether this turn's requests have taken `share_ns`. Reads the clock only if nothing is measured.
#[inline(never)] // in line it costs a turn of one request, which does not come here, a dozen instructions
pub fn is_over(share_ns: u64) -> bool {
    let Some(clock) = CLOCK.get() else {
        return false;
    };
    TURN.with(|turn| {
        let now = match turn.begin.get() {
            0 => clock.raw(),
            _ => turn.last.get(),
        };
        clock.delta_as_nanos(turn.since.get(), now) >= share_ns
    })
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

/// A turn has written: ends the time of its requests. `Some` if the turn took `share_ns` or was too slow.
#[inline]
pub fn end(share_ns: u64) -> Option<Long> {
    TURN.with(|turn| {
        let clock = CLOCK.get()?;
        let nanoseconds = clock.delta_as_nanos(turn.since.get(), clock.raw());
        let begin = turn.begin.replace(0);
        let slow_ns = SLOW_NS.load(Relaxed);
        let long = (nanoseconds >= share_ns.min(slow_ns)).then(|| Long {
            is_over: nanoseconds >= share_ns,
            slow: (nanoseconds >= slow_ns && turn.answered.get() != 0)
                .then(|| turn.slow(begin, nanoseconds, clock)),
        });
        let mut answered = turn.answered.replace(0);
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
        long
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
        assert!(!is_over(u64::MAX));
        std::thread::sleep(Duration::from_millis(3));
        answered(Counter::BlockchainInvalid);
        assert!(is_over(1_000_000));
        let share_ns = 1_000_000;
        let long = end(share_ns).expect("three milliseconds are too long");
        assert!(long.is_over);
        let slow = long.slow.expect("and to be logged");
        assert_eq!((slow.endpoint, slow.requests), (Endpoint::Blockchain, 3));
        assert!(slow.handler >= Duration::from_millis(2) && slow.handlers >= slow.handler);
        assert!(
            end(u64::MAX).is_none_or(|long| long.slow.is_none()),
            "the turn is over"
        );
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
