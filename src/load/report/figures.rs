//! All figures of a run. `--json` writes [`Report`] unchanged; docs/load.md documents its fields. Fields
//! may be added but never change.

use crate::load::{
    format::rounded,
    plan::stage::Stage,
    report::{
        found::Found,
        requirement::{Judgement, Requirement, judge},
        stages::{self, StageReport},
        summary::Summary,
    },
    tally::{
        collect::{Collector, Row},
        counts::Tally,
        latency::{Bar, bars},
    },
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Version of the JSON's fields.
const SCHEMA: u32 = 1;

/// What was run, for the head of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// Version, commit and build profile of the generator.
    pub version: &'static str,
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// Where the generator ran: host name, kernel, processors.
    pub host: String,
    /// The command line.
    pub command: String,
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
    /// Requests in flight per connection.
    pub pipeline: usize,
    /// Timeout of an answer.
    pub timeout_s: f64,
    /// The agents that sent the load; none = this process did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Whether the run was ended by a signal.
    pub interrupted: bool,
    /// The requirement that could no longer hold, which ended the run.
    pub ended_early: Option<String>,
}

/// All figures of a run.
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
    /// 99th percentile of the send delay: time lost in the generator.
    pub late_p99_us: f64,
    /// The requirements.
    pub requirements: Vec<Judgement>,
    /// Whether all requirements were met.
    pub passed: bool,
    /// The result of `--find`; the other figures are those of its best try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

/// The input of a report, besides the collected counts.
pub struct Frame<'a> {
    /// What was run.
    pub setup: Setup,
    /// The stages.
    pub stages: &'a [Stage],
    /// Actual length of the run.
    pub elapsed: Duration,
    /// Goal of each endpoint.
    pub goals: Vec<f64>,
    /// The conditions of `--require`.
    pub requirements: Vec<Requirement>,
}

impl Report {
    /// Adds the result of a search, and judges by it.
    pub fn set_found(&mut self, found: Found) {
        self.passed = found.rate.is_some() && !self.setup.interrupted;
        self.found = Some(found);
    }

    /// Computes the report.
    pub fn new(frame: Frame<'_>, collected: &Collector<'_>) -> Self {
        let targets = frame.setup.targets.len();
        let seconds = stages::stage_seconds(frame.stages, frame.elapsed);
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
        // Not min(…) of the sums: a surplus of one endpoint must not make up for a deficit of another.
        total.score = rounded(mean(endpoints.values().map(|summary| summary.score)));
        let requirements = judge(&frame.requirements, &endpoints, &total);
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
            stages: stages::reports(frame.stages, &seconds, collected, whole_goal),
            histogram: bars(&all.latency_ns),
            timeline: collected.rows.clone(),
            late_p99_us: rounded(collected.late_ns.value_at_quantile(0.99) as f64 / 1e3),
            passed: !frame.setup.interrupted
                && frame.setup.ended_early.is_none()
                && all.requests() > 0
                && requirements.iter().all(|judgement| judgement.met),
            found: None,
            setup: frame.setup,
            total,
            endpoints,
            requirements,
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
