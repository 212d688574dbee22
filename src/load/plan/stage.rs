//! The load over time: stages, each with a number of users or a rate.
//!
//! Made from flags or a scenario file, read by workers. Pure arithmetic on the time since the stage began,
//! so every worker computes its share without asking the others.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A value that may change linearly during a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// At the start of the stage.
    pub from: f64,
    /// At its end.
    pub to: f64,
}

/// The load of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Load {
    /// Closed loop: each user waits for its answer, thinks, and sends the next request.
    Users {
        /// How many.
        count: Ramp,
        /// Shortest and longest think time; drawn uniformly between them.
        think: (Duration, Duration),
    },
    /// Open loop: requests per second of all connections together, whether or not answers come.
    Rate(Ramp),
    /// Open loop: requests at the times of the log they are from.
    Replay {
        /// This many times faster.
        speed: f64,
        /// How many requests the log has.
        requests: u64,
    },
}

/// A part of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name in reports.
    pub name: String,
    /// How long it lasts.
    pub duration: Duration,
    /// Its load.
    pub load: Load,
    /// Weight of each endpoint of the corpus.
    pub weights: Vec<f64>,
    /// Whether it is measured; a warm-up is not.
    pub measured: bool,
    /// Requests after which it ends, whatever its duration. Only the last stage may have it.
    pub requests: Option<u64>,
}

impl Ramp {
    /// A constant value.
    pub fn steady(value: f64) -> Self {
        Self {
            from: value,
            to: value,
        }
    }

    /// The value at `elapsed` seconds of a stage of `whole` seconds.
    pub fn at(self, elapsed: f64, whole: f64) -> f64 {
        self.from + (self.to - self.from) * (elapsed / whole).clamp(0.0, 1.0)
    }

    /// Number of events in the first `elapsed` of `whole` seconds, with the value as a rate.
    pub fn events(self, elapsed: f64, whole: f64) -> f64 {
        let elapsed = elapsed.clamp(0.0, whole);
        self.from * elapsed + (self.to - self.from) * elapsed * elapsed / (2.0 * whole)
    }

    /// When the event number `number` (from 0) is due, in seconds; `None` if not within `whole`.
    pub fn due(self, number: u64, whole: f64) -> Option<f64> {
        let number = number as f64;
        let slope = (self.to - self.from) / whole;
        let due = if slope == 0.0 {
            number / self.from
        } else {
            // solves slope/2 t² + from t - number = 0 in the form without cancellation
            let root = (self.from * self.from + 2.0 * slope * number).sqrt();
            2.0 * number / (self.from + root)
        };
        // 0/0 when a ramp starts from zero: its first event is due at once
        let due = if number == 0.0 { 0.0 } else { due };
        (due < whole && self.from.max(self.to) > 0.0).then_some(due)
    }
}

impl Load {
    /// The largest number of users at once; 0 for a rate.
    pub fn users_max(&self) -> usize {
        match self {
            Self::Users { count, .. } => count.from.max(count.to).ceil() as usize,
            Self::Rate(_) | Self::Replay { .. } => 0,
        }
    }

    /// As a short text: `64 users`, `100 to 900 requests/s`.
    pub fn text(&self) -> String {
        let (ramp, unit) = match self {
            Self::Users { count, .. } => (count, "users"),
            Self::Rate(rate) => (rate, "requests/s"),
            Self::Replay { speed, .. } => return format!("the log's times, {speed} times as fast"),
        };
        if ramp.from == ramp.to {
            format!("{} {unit}", ramp.to)
        } else {
            format!("{} to {} {unit}", ramp.from, ramp.to)
        }
    }

    /// Average load relative to `before`; `None` if the two cannot be compared.
    pub fn growth(&self, before: &Self) -> Option<f64> {
        let mean = |ramp: &Ramp| (ramp.from + ramp.to) / 2.0;
        let (this, before) = match (self, before) {
            (Self::Users { count: this, .. }, Self::Users { count: before, .. })
            | (Self::Rate(this), Self::Rate(before)) => (mean(this), mean(before)),
            _ => return None,
        };
        (before > 0.0).then_some(this / before)
    }
}

/// The share of `worker` (of `workers`) in `whole`.
pub fn share(whole: usize, worker: usize, workers: usize) -> usize {
    whole / workers + usize::from(worker < whole % workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_and_counts_agree() {
        for ramp in [
            Ramp::steady(250.0),
            Ramp {
                from: 0.0,
                to: 100.0,
            },
            Ramp {
                from: 100.0,
                to: 0.0,
            },
            Ramp {
                from: 10.0,
                to: 1000.0,
            },
        ] {
            let whole = 4.0;
            let all = ramp.events(whole, whole);
            let dues: Vec<f64> = (0..).map_while(|n| ramp.due(n, whole)).collect();
            assert!(
                (dues.len() as f64 - all).abs() <= 1.0,
                "{ramp:?} {}",
                dues.len()
            );
            assert!(dues.is_sorted(), "{ramp:?}");
            for (number, due) in dues.iter().enumerate() {
                assert!(
                    (ramp.events(*due, whole) - number as f64).abs() < 1e-6,
                    "{ramp:?}"
                );
            }
        }
        assert_eq!(Ramp::steady(0.0).due(0, 1.0), None);
        assert_eq!(Ramp { from: 2.0, to: 4.0 }.at(1.0, 2.0), 3.0);
    }

    #[test]
    fn stages_of_one_kind_can_be_compared() {
        let rate = |from, to| Load::Rate(Ramp { from, to });
        let users = Load::Users {
            count: Ramp::steady(6.0),
            think: (Duration::ZERO, Duration::ZERO),
        };
        assert_eq!(rate(10.0, 30.0).growth(&rate(5.0, 5.0)), Some(4.0));
        assert_eq!(rate(1.0, 1.0).growth(&rate(0.0, 0.0)), None);
        assert_eq!(users.growth(&rate(1.0, 1.0)), None);
    }

    #[test]
    fn shares_add_up() {
        for whole in 0..20 {
            let sum: usize = (0..3).map(|worker| share(whole, worker, 3)).sum();
            assert_eq!(sum, whole);
        }
    }
}
