//! The history of the pool: samples of the last minute, and the minutes of the last half hour.

use std::{collections::VecDeque, time::UNIX_EPOCH};

use serde::Serialize;

use crate::node::Statistics;

/// Minutes that are kept.
pub const MINUTES: usize = 30;

/// A period of time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stretch {
    /// Its end, in milliseconds since 1970.
    pub at_ms: u64,
    /// Nodes at its end.
    pub nodes: usize,
    /// Items and bytes at its end; what was counted within it.
    #[serde(flatten)]
    pub counted: Statistics,
    /// Misses as a share of all gets; `None` without gets.
    pub miss_rate: Option<f64>,
    /// Hits as a share of all gets; `None` without gets.
    pub hit_rate: Option<f64>,
}

/// The history.
#[derive(Default)]
pub struct History {
    /// What was counted since the start, at the last minute's samples and at the one before them.
    samples: VecDeque<Statistics>,
    /// Samples of the minute that is not over.
    current: usize,
    /// The samples of the last minute as one.
    pub last_minute: Stretch,
    /// The last half hour, oldest minute first.
    pub minutes: VecDeque<Stretch>,
}

impl History {
    /// What was held at the last sample, and counted since the start.
    pub fn counted(&self) -> Statistics {
        self.samples.back().copied().unwrap_or_default()
    }

    /// Adds a sample: the nodes, what they hold now and what they have counted since the start.
    pub fn add(&mut self, nodes: usize, counted: Statistics, samples_per_minute: usize) {
        if self.samples.is_empty() {
            self.samples.push_back(Statistics::default());
        }
        push(&mut self.samples, counted, samples_per_minute + 1);
        let before = self.samples.front().copied().unwrap_or_default();
        let counted = Statistics::default().and_of_node(counted, before);
        let gets = (counted.hits + counted.misses) as f64;
        let share = |part: u64| (gets > 0.0).then(|| part as f64 / gets);
        self.last_minute = Stretch {
            at_ms: UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64,
            nodes,
            counted,
            miss_rate: share(counted.misses),
            hit_rate: share(counted.hits),
        };
        self.current += 1;
        if self.current >= samples_per_minute {
            self.current = 0;
            push(&mut self.minutes, self.last_minute, MINUTES);
        }
    }
}

/// Adds the newest; the oldest beyond `kept` leaves.
fn push<T>(all: &mut VecDeque<T>, newest: T, kept: usize) {
    all.push_back(newest);
    if all.len() > kept {
        all.pop_front();
    }
}
