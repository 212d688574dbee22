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
//! Only `http` calls this module: a handler returns the counter of its answer.

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
        CLOCK.get_or_init(Clock::new);
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
static CLOCK: OnceLock<Clock> = OnceLock::new();

/// `quanta`'s clock, with its scale as one factor: converting takes a multiplication.
struct Clock {
    counter: quanta::Clock,
    /// Nanoseconds in 2^32 ticks.
    scale: u64,
}

impl Clock {
    fn new() -> Self {
        let counter = quanta::Clock::new();
        Self {
            scale: counter.delta_as_nanos(0, 1 << 32),
            counter,
        }
    }

    #[inline]
    fn ticks(&self) -> u64 {
        self.counter.raw()
    }

    /// From one reading to another; zero if the counter went back, as between two processors it may.
    #[inline]
    fn nanoseconds(&self, from: u64, to: u64) -> u64 {
        let ticks = u128::from(to.saturating_sub(from));
        ((ticks * u128::from(self.scale)) >> 32) as u64
    }
}

/// The turn that this thread is in.
struct Turn {
    /// Clock after the read.
    since: Cell<u64>,
    /// As `since`; 0 outside a turn, or when nothing is measured.
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

/// A turn that was slow enough to be logged.
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

/// Call when a turn has read, or continues with bytes read before.
#[inline]
pub fn begin() {
    let now = CLOCK.get_or_init(Clock::new).ticks();
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
            0 => clock.ticks(),
            _ => turn.last.get(),
        };
        clock.nanoseconds(turn.since.get(), now) >= share_ns
    })
}

/// Call when a request was answered: counts it and ends its handler time.
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
        let now = clock.ticks();
        let nanoseconds = clock.nanoseconds(self.last.get(), now);
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

/// Call when a turn has written: ends the time of its requests. Returns whether the turn took `share_ns`; calls `log`
/// if it was slow.
#[inline]
pub fn end(share_ns: u64, log: impl FnOnce(Slow)) -> bool {
    TURN.with(|turn| {
        let Some(clock) = CLOCK.get() else {
            return false;
        };
        let nanoseconds = clock.nanoseconds(turn.since.get(), clock.ticks());
        let begin = turn.begin.replace(0);
        let mut answered = turn.answered.replace(0);
        if nanoseconds >= SLOW_NS.load(Relaxed) && answered != 0 {
            log(turn.slow(begin, nanoseconds, clock));
        }
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
        nanoseconds >= share_ns
    })
}

impl Turn {
    #[cold]
    fn slow(&self, begin: u64, nanoseconds: u64, clock: &Clock) -> Slow {
        let handlers_ns = clock.nanoseconds(begin, self.last.get());
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

/// When a request began that another thread answers.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// The beginning of the turn this thread is in.
pub fn mark() -> Mark {
    Mark(TURN.with(|turn| turn.begin.get()))
}

/// Call when a request that began at `mark` was answered in a later turn: counts and measures it. Its time until now,
/// waiting included, counts for both latencies; writing the answer is not included.
pub fn answered_since(counter: Counter, mark: Mark) {
    add(counter, 1);
    if let (Some(clock), true) = (CLOCK.get(), mark.0 != 0) {
        let nanoseconds = clock.nanoseconds(mark.0, clock.ticks());
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
        let mut logged = None;
        let is_over = end(1_000_000, |slow| logged = Some(slow));
        assert!(is_over, "three milliseconds are too long");
        let slow = logged.expect("and to be logged");
        assert_eq!((slow.endpoint, slow.requests), (Endpoint::Blockchain, 3));
        assert!(slow.handler >= Duration::from_millis(2) && slow.handlers >= slow.handler);
        end(u64::MAX, |slow| panic!("the turn is over: {slow:?}"));
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
