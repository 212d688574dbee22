//! The figures of a group of requests: an endpoint, a target, a stage or all.

use crate::load::{
    format::{duration_text, rounded},
    tally::{
        counts::{Failure, Tally},
        latency::Latency,
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Figures of a group of requests.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// All requests.
    pub requests: u64,
    /// Right answers.
    pub correct: u64,
    /// Wrong answers, by reason.
    pub wrong: BTreeMap<&'static str, u64>,
    /// Requests without a usable answer, by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Right answers among all answers with the right status, percent; 0 without an answer.
    pub correctness: f64,
    /// Requests without a usable answer, percent.
    pub errors: f64,
    /// Requests per second.
    pub rps: f64,
    /// Right answers per second.
    pub correct_rps: f64,
    /// Bytes of answers per second.
    pub bytes_per_s: f64,
    /// Latencies.
    pub latency_us: Latency,
    /// Right answers per second that give the full score.
    pub goal_rps: f64,
    /// min(1, correct_rps / goal_rps) x right answers among all requests, 0 to 100.
    pub score: f64,
}

impl Summary {
    /// The figures of `tally`, counted in `seconds`.
    pub fn of(tally: &Tally, seconds: f64, goal_rps: f64) -> Self {
        let answered = tally.correct + tally.wrong_count();
        let per_second = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        let correctness = percent(tally.correct, answered);
        let reached = (per_second(tally.correct) / goal_rps).min(1.0);
        let kinds = Failure::ALL.iter().zip(tally.failed);
        Self {
            requests: tally.requests(),
            correct: tally.correct,
            wrong: tally.wrong.clone(),
            failed: kinds
                .filter(|(_, count)| *count > 0)
                .map(|((_, name), count)| (*name, count))
                .collect(),
            correctness,
            errors: percent(tally.failed_count(), tally.requests()),
            rps: rounded(per_second(tally.requests())),
            correct_rps: rounded(per_second(tally.correct)),
            bytes_per_s: rounded(per_second(tally.bytes)),
            latency_us: Latency::of(&tally.latency_ns),
            goal_rps,
            score: rounded(reached * percent(tally.correct, tally.requests())),
        }
    }
}

impl Summary {
    /// Whether a latency was measured; failures have no latency.
    pub fn has_latency(&self) -> bool {
        self.correct > 0 || !self.wrong.is_empty()
    }

    /// A latency of this summary as text.
    pub fn latency_text(&self, us: f64) -> String {
        if self.has_latency() {
            duration_text(us)
        } else {
            "–".into()
        }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}
