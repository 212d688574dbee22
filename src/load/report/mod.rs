//! What came out: figures per endpoint, target and stage, and whether the run passed.
//!
//! [`Report`] is what `--json` writes; its fields are documented in docs/load.md and only ever added
//! to. `text` and `html` are views of it.

pub mod html;
pub mod requirement;
mod svg;
pub mod text;

use crate::load::{
    plan::stage::Stage,
    report::requirement::Requirement,
    tally::collect::Collector,
    tally::counts::{Fault, Tally},
};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Version of the JSON's fields.
const SCHEMA: u32 = 1;
/// A stage turns when its p99 is this many times that of the first one,
const P99_TURNS_AT: f64 = 3.0;
/// when this share of its requests fail, percent,
const ERRORS_TURN_AT: f64 = 1.0;
/// or when less than this share of what was added to the load arrives.
const GAIN_TURNS_AT: f64 = 0.5;
/// Least growth of the load at which the gain is looked at.
const GROWTH_MIN: f64 = 1.2;

/// Figures of some requests.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// All requests.
    pub requests: u64,
    /// Answered rightly.
    pub correct: u64,
    /// Answered wrongly, by reason.
    pub wrong: BTreeMap<&'static str, u64>,
    /// Not usably answered, by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Right answers among all answers with the right status, percent; 0 without an answer.
    pub correctness: f64,
    /// Requests without a usable answer, percent.
    pub errors: f64,
    /// Requests a second.
    pub rps: f64,
    /// Right answers a second.
    pub correct_rps: f64,
    /// Bytes of answers a second.
    pub bytes_per_s: f64,
    /// Latencies.
    pub latency_us: Latency,
    /// Right answers a second that give the full score.
    pub goal_rps: f64,
    /// min(1, correct_rps / goal_rps) x correctness, 0 to 100.
    pub score: f64,
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean: f64,
    /// Half are shorter.
    pub p50: f64,
    /// 90 % are shorter.
    pub p90: f64,
    /// 99 % are shorter.
    pub p99: f64,
    /// 99.9 % are shorter.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// One second of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Seconds from the start, the warm-up included.
    pub second: u64,
    /// Index of the stage.
    pub stage: usize,
    /// Requests that ended, per endpoint, a second.
    pub rps: Vec<f64>,
    /// Wrong answers.
    pub wrong: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile of latency.
    pub p99_us: f64,
    /// Longest latency.
    pub max_us: f64,
}

/// A stage and its figures.
#[derive(Clone, Debug, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// What was asked, such as `300 users`.
    pub load: String,
    /// Its length.
    pub duration_s: f64,
    /// Whether it counts.
    pub measured: bool,
    /// Its figures.
    pub total: Summary,
    /// Why latency or errors turned here; only on the first such stage.
    pub turns: Option<String>,
}

/// A requirement and what came out.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The condition.
    pub requirement: String,
    /// The value measured, latencies in microseconds; `None` if nothing was.
    pub actual: Option<f64>,
    /// Whether it is met.
    pub met: bool,
}

/// A bar of the latency histogram.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// Latencies up to this one, and above the bar before.
    pub up_to_us: f64,
    /// How many.
    pub count: u64,
}

/// What was run, for the head of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// Version of the generator.
    pub version: &'static str,
    /// Name of the scenario, if any.
    pub scenario: Option<String>,
    /// URLs of the targets; `temporary server` for one that was started for the run.
    pub targets: Vec<String>,
    /// Names of the endpoints.
    pub endpoints: Vec<String>,
    /// Entries of the corpus.
    pub corpus_entries: usize,
    /// Whether bodies were checked.
    pub checked: bool,
    /// Threads of the generator.
    pub workers: usize,
    /// Requests on the way per connection.
    pub pipeline: usize,
    /// How long an answer was waited for.
    pub timeout_s: f64,
    /// Whether the run was ended early.
    pub interrupted: bool,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of these fields.
    pub schema: u32,
    /// What was run.
    pub setup: Setup,
    /// Length of the measured stages.
    pub measured_s: f64,
    /// Figures of all requests.
    pub total: Summary,
    /// Figures per endpoint.
    pub endpoints: BTreeMap<String, Summary>,
    /// Figures per target.
    pub targets: BTreeMap<String, Summary>,
    /// Figures per stage, warm-ups included.
    pub stages: Vec<StageReport>,
    /// Latencies of all requests.
    pub histogram: Vec<Bar>,
    /// Second by second.
    pub timeline: Vec<Row>,
    /// 99th percentile of how late requests were sent: the generator's own delay.
    pub late_p99_us: f64,
    /// The requirements.
    pub requirements: Vec<Judgement>,
    /// Whether all were met.
    pub passed: bool,
}

impl Latency {
    /// The latencies in a histogram of nanoseconds.
    pub fn of(ns: &Histogram<u32>) -> Self {
        if ns.is_empty() {
            return Self::default();
        }
        let us = |ns: f64| rounded(ns / 1e3);
        let quantile = |q: f64| us(ns.value_at_quantile(q) as f64);
        Self {
            mean: us(ns.mean()),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: us(ns.max() as f64),
        }
    }
}

impl Summary {
    fn of(tally: &Tally, seconds: f64, goal_rps: f64) -> Self {
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
        let kinds = Fault::ALL.iter().zip(tally.failed);
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
            score: rounded(reached * correctness),
        }
    }
}

/// What a report is made of, besides what was collected.
pub struct Frame<'a> {
    /// What was run.
    pub setup: Setup,
    /// The stages.
    pub stages: &'a [Stage],
    /// How long the run really was.
    pub elapsed: Duration,
    /// Goal of each endpoint.
    pub goals: Vec<f64>,
    /// The conditions given.
    pub requirements: Vec<Requirement>,
}

impl Report {
    /// Adds everything up.
    pub fn new(frame: Frame<'_>, collected: &Collector<'_>) -> Self {
        let targets = frame.setup.targets.len();
        let seconds = stage_seconds(frame.stages, frame.elapsed);
        let measured = |at: &usize| frame.stages[*at].measured;
        let measured_s: f64 = (0..seconds.len())
            .filter(measured)
            .map(|at| seconds[at])
            .sum();
        let whole_goal: f64 = frame.goals.iter().sum();
        let sum = |wanted: &dyn Fn(usize, usize) -> bool| {
            let mut sum = Tally::default();
            for stage in (0..seconds.len()).filter(measured) {
                for (cell, tally) in collected.by_stage[stage].iter().enumerate() {
                    if wanted(cell / targets, cell % targets) {
                        sum.add(tally);
                    }
                }
            }
            sum
        };
        let endpoints: BTreeMap<String, Summary> = frame
            .setup
            .endpoints
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let tally = sum(&|endpoint, _| endpoint == at);
                (
                    name.clone(),
                    Summary::of(&tally, measured_s, frame.goals[at]),
                )
            })
            .filter(|(_, summary)| summary.requests > 0)
            .collect();
        let by_target =
            |at: usize| Summary::of(&sum(&|_, target| target == at), measured_s, whole_goal);
        let all = sum(&|_, _| true);
        let mut total = Summary::of(&all, measured_s, whole_goal);
        // Not min(…) of the sums: one endpoint's surplus must not pay for another's lack.
        total.score = rounded(mean(endpoints.values().map(|summary| summary.score)));
        let requirements = judge(&frame, &endpoints, &total);
        Self {
            schema: SCHEMA,
            measured_s: rounded(measured_s),
            targets: frame
                .setup
                .targets
                .iter()
                .enumerate()
                .map(|(at, url)| (url.clone(), by_target(at)))
                .collect(),
            stages: stages(frame.stages, &seconds, collected, whole_goal),
            histogram: bars(&all.latency_ns),
            timeline: collected.rows.clone(),
            late_p99_us: rounded(collected.late_ns.value_at_quantile(0.99) as f64 / 1e3),
            passed: !frame.setup.interrupted
                && all.requests() > 0
                && requirements.iter().all(|judgement| judgement.met),
            setup: frame.setup,
            total,
            endpoints,
            requirements,
        }
    }
}

/// How long each stage really was: an interrupted run ends within one.
fn stage_seconds(stages: &[Stage], elapsed: Duration) -> Vec<f64> {
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

fn stages(
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

/// Why latency or errors turn at a stage; `None` if they do not. `before` is the stage before, and how
/// many times more this one asks.
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
            "{growth:.1} times the load of the stage before brings {gain:.2} times its throughput"
        ));
    }
    None
}

/// Every given condition, and the usual ones where none was given.
fn judge(
    frame: &Frame<'_>,
    endpoints: &BTreeMap<String, Summary>,
    total: &Summary,
) -> Vec<Judgement> {
    let mut requirements = frame.requirements.clone();
    for metric in ["correctness", "errors"] {
        let spoken_of = |name: &str| {
            frame.requirements.iter().any(|given| {
                given.metric == metric
                    && given.endpoint.as_deref().is_none_or(|given| given == name)
            })
        };
        for name in endpoints.keys().filter(|name| !spoken_of(name)) {
            requirements.push(Requirement::default_for(name, metric));
        }
    }
    requirements
        .iter()
        .map(|requirement| {
            let summary = match &requirement.endpoint {
                None => Some(total),
                Some(name) => endpoints.get(name),
            };
            let actual = summary.and_then(|summary| requirement.actual(summary));
            Judgement {
                requirement: requirement.text.clone(),
                actual,
                met: requirement.holds(actual),
            }
        })
        .collect()
}

/// Bars of growing width, so that microseconds and seconds fit into one picture.
fn bars(ns: &Histogram<u32>) -> Vec<Bar> {
    let mut bars = Vec::new();
    let (mut low, mut high) = (0u64, 1_000.0f64);
    while low <= ns.max() && !ns.is_empty() {
        let up_to = high as u64;
        bars.push(Bar {
            up_to_us: rounded(up_to as f64 / 1e3),
            count: ns
                .iter_recorded()
                .filter(|value| (low..up_to).contains(&value.value_iterated_to()))
                .map(|value| u64::from(value.count_at_value()))
                .sum(),
        });
        low = up_to;
        high *= 1.25;
    }
    let empty = bars.iter().take_while(|bar| bar.count == 0).count();
    bars.split_off(empty)
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// To three decimals: more would be noise in the files.
pub fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Two decimals, cut off: what is not all must not read 100.00 %.
pub fn percent_text(percent: f64) -> String {
    format!("{:.2} %", (percent * 100.0).floor() / 100.0)
}

/// Two decimals, rounded up: a single error must not read 0.00 %.
pub fn error_text(percent: f64) -> String {
    format!("{:.2} %", (percent * 100.0).ceil() / 100.0)
}

/// Microseconds with a fitting unit.
pub fn duration_text(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e5 => format!("{:.2} ms", us / 1e3),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests;
