//! The product's files of `src/metrics` that threads share, with few series, and the models.

#[path = "../../../src/metrics/histogram.rs"]
#[allow(dead_code, reason = "no model calls all of it")]
mod histogram;
#[path = "../../../src/metrics/shard.rs"]
#[allow(dead_code, reason = "no model calls all of it")]
mod shard;

mod counts;

pub use histogram::Distribution;

use crate::Model;

pub(crate) const MODELS: &[Model] = &[
    (
        "metrics: a sum that is read while it grows never falls",
        counts::growing,
    ),
    (
        "metrics: no count is lost when threads follow each other",
        counts::threads,
    ),
    (
        "metrics: no count is lost at the end of a thread",
        counts::at_the_end,
    ),
    (
        "metrics: a histogram holds what was observed",
        counts::observed,
    ),
];

/// Two counters.
#[derive(Clone, Copy)]
pub enum Counter {
    First,
    Second,
}

impl Counter {
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    pub fn outcome(self) -> Option<()> {
        matches!(self, Self::First).then_some(())
    }
}

/// One endpoint.
#[derive(Clone, Copy)]
pub enum Endpoint {
    Other,
}

impl Endpoint {
    pub const ALL: [Self; 1] = [Self::Other];
}

/// One histogram.
#[derive(Clone, Copy)]
pub enum Latency {
    Handler,
}

impl Latency {
    pub const ALL: [Self; 1] = [Self::Handler];
}

/// When a request began. Nothing looks inside here.
pub struct Mark;

pub fn mark() -> Mark {
    Mark
}
