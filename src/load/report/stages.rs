//! The figures of each stage, and the turning point: the first stage whose latency or errors rise.

use crate::load::{
    format::{duration_text, percent_text, rounded},
    plan::stage::Stage,
    report::summary::Summary,
    tally::{collect::Collector, counts::Tally},
};
use serde::Serialize;
use std::time::Duration;

/// A stage is the turning point when its p99 is this many times the p99 of the first stage,
const P99_TURNS_AT: f64 = 3.0;
/// when this percentage of its requests fails,
const ERRORS_TURN_AT: f64 = 1.0;
/// or when throughput grows by less than this share of the load's growth.
const GAIN_TURNS_AT: f64 = 0.5;
/// Least growth of the load for which the gain is judged.
const GROWTH_MIN: f64 = 1.2;

/// A stage and its figures.
#[derive(Clone, Debug, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Its load, such as `300 users`.
    pub load: String,
    /// Its length.
    pub duration_s: f64,
    /// Whether it is measured.
    pub measured: bool,
    /// Its figures.
    pub total: Summary,
    /// Why this stage is the turning point; `None` for all other stages.
    pub turns: Option<String>,
}

/// Actual length of each stage: an interrupted run ends within a stage.
pub fn stage_seconds(stages: &[Stage], elapsed: Duration) -> Vec<f64> {
    let mut left = elapsed;
    stages
        .iter()
        .map(|stage| {
            let took = stage.duration.min(left);
            left -= took;
            took.as_secs_f64()
        })
        .collect()
}

/// The report of every stage; `seconds` has their lengths.
pub fn reports(
    stages: &[Stage],
    seconds: &[f64],
    collected: &Collector<'_>,
    goal: f64,
) -> Vec<StageReport> {
    let mut reports: Vec<StageReport> = Vec::new();
    for ((stage, seconds), cells) in stages.iter().zip(seconds).zip(&collected.by_stage) {
        let mut sum = Tally::default();
        cells.iter().for_each(|tally| sum.add(tally));
        reports.push(StageReport {
            name: stage.name.clone(),
            load: stage.load.text(),
            duration_s: rounded(*seconds),
            measured: stage.measured,
            total: Summary::of(&sum, *seconds, goal),
            turns: None,
        });
    }
    let measured: Vec<usize> = (0..stages.len())
        .filter(|at| stages[*at].measured && reports[*at].total.requests > 0)
        .collect();
    let found = measured.iter().enumerate().find_map(|(place, at)| {
        let first = &reports[measured[0]].total;
        let before = place.checked_sub(1).map(|place| {
            let before = measured[place];
            let growth = stages[*at].load.growth(&stages[before].load);
            (&reports[before].total, growth)
        });
        let why = turns(first, before, &reports[*at].total)?;
        Some((*at, why))
    });
    if let Some((at, why)) = found {
        reports[at].turns = Some(why);
    }
    reports
}

/// Why a stage is the turning point; `None` if it is not. `before` is the previous stage and the growth of
/// the load since.
fn turns(
    first: &Summary,
    before: Option<(&Summary, Option<f64>)>,
    this: &Summary,
) -> Option<String> {
    if this.errors >= ERRORS_TURN_AT {
        return Some(format!(
            "{} of its requests fail",
            percent_text(this.errors)
        ));
    }
    let (before, growth) = before?;
    let times = this.latency_us.p99 / first.latency_us.p99.max(1.0);
    if times >= P99_TURNS_AT {
        let p99 = duration_text(this.latency_us.p99);
        return Some(format!(
            "p99 is {p99}, {times:.1} times that of the first stage"
        ));
    }
    let (growth, gain) = (growth?, this.rps / before.rps.max(1e-9));
    if growth >= GROWTH_MIN && gain - 1.0 < GAIN_TURNS_AT * (growth - 1.0) {
        return Some(format!(
            "{growth:.1} times the load of the previous stage brings {gain:.2} times its throughput"
        ));
    }
    None
}
