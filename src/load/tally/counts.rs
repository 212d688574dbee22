//! The counts of a worker: outcomes and latencies per endpoint and target, one interval at a time.

use hdrhistogram::Histogram;
use std::{collections::BTreeMap, time::Duration};

/// Shortest latency that is measured; longer ones keep three digits.
const LATENCY_NS_MIN: u64 = 1_000;
/// Longer latencies count as this one.
const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// Why a request got no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the whole answer.
    Closed,
    /// No complete answer in time.
    Timeout,
    /// The response is not HTTP.
    Malformed,
    /// The status is not the right one.
    Status,
    /// At a fixed rate: no connection became free in time.
    Unsent,
}

impl Failure {
    /// Every failure, with its name in reports.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Connect, "connect"),
        (Self::Reset, "reset"),
        (Self::Closed, "closed"),
        (Self::Timeout, "timeout"),
        (Self::Malformed, "malformed"),
        (Self::Status, "status"),
        (Self::Unsent, "unsent"),
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is right.
    Correct,
    /// The status is right and the body wrong, for this reason.
    Wrong(&'static str),
    /// No usable answer came.
    Failed(Failure),
}

/// Counts and latencies of some requests.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests answered rightly.
    pub correct: u64,
    /// Wrong bodies by reason.
    pub wrong: BTreeMap<&'static str, u64>,
    /// Failed requests by [`Failure`].
    pub failed: [u64; Failure::ALL.len()],
    /// Bytes of whole answers.
    pub bytes: u64,
    /// Nanoseconds from a request's due time to the last byte of its answer; right and wrong answers.
    pub latency_ns: Histogram<u32>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            correct: 0,
            wrong: BTreeMap::new(),
            failed: [0; Failure::ALL.len()],
            bytes: 0,
            latency_ns: Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3)
                .expect("constant bounds that are in order"),
        }
    }
}

impl Tally {
    /// Counts one request.
    pub fn record(&mut self, outcome: Outcome, latency: Duration) {
        match outcome {
            Outcome::Correct => self.correct += 1,
            Outcome::Wrong(reason) => *self.wrong.entry(reason).or_default() += 1,
            // A failure is not an answer: its time must not enter the latencies.
            Outcome::Failed(failure) => {
                self.failed[failure as usize] += 1;
                return;
            }
        }
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency_ns.saturating_record(ns);
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        self.correct += other.correct;
        for (reason, count) in &other.wrong {
            *self.wrong.entry(reason).or_default() += count;
        }
        for (sum, count) in self.failed.iter_mut().zip(other.failed) {
            *sum += count;
        }
        self.bytes += other.bytes;
        let added = self.latency_ns.add(&other.latency_ns);
        added.expect("all histograms have the same bounds");
    }

    /// Requests answered with a wrong body.
    pub fn wrong_count(&self) -> u64 {
        self.wrong.values().sum()
    }

    /// Requests without a usable answer.
    pub fn failed_count(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.correct + self.wrong_count() + self.failed_count()
    }
}

/// What one worker counted in one interval, at most a second.
#[derive(Debug)]
pub struct Interval {
    /// Index of its stage.
    pub stage: usize,
    /// Whole seconds from the start of the run to the start of the interval.
    pub second: u64,
    /// Tallies by endpoint, then by target; `None` where nothing ended.
    pub cells: Vec<Option<Box<Tally>>>,
    /// Send delays in nanoseconds: large ones mean that the generator itself is too slow.
    pub late_ns: Histogram<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_counted_once() {
        let mut tally = Tally::default();
        let ms = Duration::from_millis;
        tally.record(Outcome::Correct, ms(1));
        tally.record(Outcome::Wrong("body"), ms(2));
        tally.record(Outcome::Failed(Failure::Reset), ms(0));
        tally.record(Outcome::Failed(Failure::Timeout), ms(900_000));
        tally.record(Outcome::Correct, ms(900_000));
        let mut sum = tally.clone();
        sum.add(&tally);
        assert_eq!(
            (sum.correct, sum.wrong_count(), sum.failed_count()),
            (4, 2, 4)
        );
        assert_eq!(sum.requests(), 10);
        // failures have no latency, a very long one counts as the longest
        assert_eq!(sum.latency_ns.len(), 6);
        assert!(sum.latency_ns.max() >= LATENCY_NS_MAX);
    }

    #[test]
    fn names_stand_in_the_order_of_the_enum() {
        for (failure, name) in Failure::ALL {
            assert_eq!(failure.name(), name);
        }
    }
}
