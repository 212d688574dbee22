//! The history of the pool: samples of the last minute, and the minutes of the last half hour.

use std::collections::VecDeque;

use serde::Serialize;

use crate::node::Statistics;

/// Minutes that are kept.
pub const MINUTES: usize = 30;

/// A period of time: the counts within it, and the state at its end.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stretch {
    /// Its end, in milliseconds since 1970.
    pub at_ms: u64,
    /// Nodes.
    pub nodes: usize,
    /// Counters: the difference; items and bytes: at the end.
    #[serde(flatten)]
    pub counted: Statistics,
    /// Misses as a share of all gets; `None` without gets.
    pub miss_rate: Option<f64>,
    /// Hits as a share of all gets; `None` without gets.
    pub hit_rate: Option<f64>,
}

impl Stretch {
    /// Merges this period and the next one.
    fn and(self, later: Self) -> Self {
        let (before, after) = (self.counted, later.counted);
        let counted = Statistics {
            requests: before.requests + after.requests,
            hits: before.hits + after.hits,
            misses: before.misses + after.misses,
            ..after
        };
        let gets = (counted.hits + counted.misses) as f64;
        let share = |part: u64| (gets > 0.0).then(|| part as f64 / gets);
        Self {
            counted,
            miss_rate: share(counted.misses),
            hit_rate: share(counted.hits),
            ..later
        }
    }
}

/// The history.
pub struct History {
    /// Samples that make a minute.
    samples_per_minute: usize,
    last_minute: VecDeque<Stretch>,
    current: usize,
    minutes: VecDeque<Stretch>,
}

impl History {
    /// An empty history; a minute has `samples_per_minute` samples.
    pub fn new(samples_per_minute: usize) -> Self {
        Self {
            samples_per_minute: samples_per_minute.max(1),
            last_minute: VecDeque::new(),
            current: 0,
            minutes: VecDeque::new(),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, sample: Stretch) {
        self.last_minute.push_back(sample);
        let surplus = self
            .last_minute
            .len()
            .saturating_sub(self.samples_per_minute);
        self.last_minute.drain(..surplus);
        self.current += 1;
        if self.current == self.samples_per_minute {
            self.current = 0;
            self.minutes.push_back(self.last_minute());
            let surplus = self.minutes.len().saturating_sub(MINUTES);
            self.minutes.drain(..surplus);
        }
    }

    /// The samples of the last minute as one.
    pub fn last_minute(&self) -> Stretch {
        let samples = self.last_minute.iter();
        samples.fold(Stretch::default(), |sum, sample| sum.and(*sample))
    }

    /// The last half hour, oldest minute first.
    pub fn minutes(&self) -> &VecDeque<Stretch> {
        &self.minutes
    }
}
