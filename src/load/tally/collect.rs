//! Sums the intervals of all workers during the run: tallies by stage, a row per second, and the progress
//! line.

use crate::load::{
    error::LoadError,
    format::{duration_text, rounded},
    plan::stage::Stage,
    tally::{
        counts::{Interval, Tally},
        hdr::HdrWriter,
        latency::Latency,
    },
};
use crossbeam::channel::{Receiver, RecvTimeoutError};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::Write,
    time::{Duration, Instant},
};

/// A second is complete once a worker has reported a second this much later.
const SECONDS_OPEN: u64 = 3;
/// How often a line is written when standard error is not a terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);
/// Workers report at the end of each second; the progress line waits this long for the slowest.
const REPORTS_WITHIN: Duration = Duration::from_millis(100);
/// How often the progress line changes on a terminal.
const LIVE_LINE_EVERY: Duration = Duration::from_secs(1);

/// One second of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Seconds from the start, the warm-up included.
    pub second: u64,
    /// Index of the stage.
    pub stage: usize,
    /// Requests that ended, per endpoint and second.
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

/// All counts of a run.
pub struct Collector<'a> {
    stages: &'a [Stage],
    endpoints: usize,
    targets: usize,
    /// Tallies by stage, then by endpoint and target.
    pub by_stage: Vec<Vec<Tally>>,
    /// A row per second.
    pub rows: Vec<Row>,
    /// Send delays in measured stages.
    pub late_ns: Histogram<u32>,
    open: BTreeMap<u64, Second>,
    hdr: Option<HdrWriter>,
}

#[derive(Default)]
struct Second {
    stage: usize,
    by_endpoint: Vec<Tally>,
    /// Latencies of measured stages, by endpoint; only for the HdrHistogram log.
    measured_ns: Vec<Histogram<u32>>,
}

/// How the progress line is written.
pub struct Progress<'a> {
    /// Usually standard error.
    pub out: &'a mut dyn Write,
    /// Returns the number of columns of the terminal, on which each line replaces the one before; `None` if it is not a
    /// terminal.
    pub terminal: Option<fn() -> usize>,
    /// Whether no line is written.
    pub quiet: bool,
}

impl<'a> Collector<'a> {
    /// An empty collector.
    pub fn new(stages: &'a [Stage], endpoints: usize, targets: usize) -> Self {
        Self {
            stages,
            endpoints,
            targets,
            by_stage: vec![vec![Tally::default(); endpoints * targets]; stages.len()],
            rows: Vec::new(),
            late_ns: Histogram::new_with_bounds(1_000, 60_000_000_000, 2)
                .expect("constant bounds that are in order"),
            open: BTreeMap::new(),
            hdr: None,
        }
    }

    /// Writes the latencies of each second to `log` from now on.
    pub fn write_hdr(&mut self, log: HdrWriter) {
        self.hdr = Some(log);
    }

    /// Ends the HdrHistogram log.
    ///
    /// # Errors
    /// Not everything could be written.
    pub fn finish_hdr(&mut self) -> Result<(), LoadError> {
        self.hdr.take().map_or(Ok(()), HdrWriter::finish)
    }

    /// The stages that are counted.
    pub fn stages(&self) -> &'a [Stage] {
        self.stages
    }

    /// What was counted so far in measured stages, of one endpoint or of all.
    pub fn measured(&self, endpoint: Option<usize>) -> Tally {
        let mut sum = Tally::default();
        let stages = self.stages.iter().zip(&self.by_stage);
        for (_, cells) in stages.filter(|(stage, _)| stage.measured) {
            for (index, tally) in cells.iter().enumerate() {
                if endpoint.is_none_or(|wanted| wanted == index / self.targets) {
                    sum.add(tally);
                }
            }
        }
        sum
    }

    /// Receives intervals until all workers have ended; `watch` gets the counts after each second.
    pub fn collect(
        &mut self,
        intervals: &Receiver<Interval>,
        progress: &mut Progress<'_>,
        watch: &mut dyn FnMut(&Self),
    ) {
        let begin = Instant::now();
        let every = if progress.terminal.is_some() {
            LIVE_LINE_EVERY
        } else {
            PLAIN_LINE_EVERY
        };
        let mut line_at = begin + every + REPORTS_WITHIN;
        let mut since = Tally::default();
        let mut watched = 0;
        loop {
            let wait = line_at.saturating_duration_since(Instant::now());
            match intervals.recv_timeout(wait) {
                Ok(interval) => {
                    self.add(&interval, &mut since);
                    if interval.second >= watched {
                        watched = interval.second + 1;
                        watch(self);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    if !progress.quiet {
                        self.write_line(progress, &since, every, begin.elapsed());
                    }
                    since = Tally::default();
                    line_at += every;
                }
            }
        }
        if progress.terminal.is_some() && !progress.quiet {
            let _ = write!(progress.out, "\r\x1b[K");
        }
        self.close_seconds(u64::MAX);
    }

    fn add(&mut self, interval: &Interval, since: &mut Tally) {
        if self.stages[interval.stage].measured {
            let added = self.late_ns.add(&interval.late_ns);
            added.expect("all histograms have the same bounds");
        }
        let second = self.open.entry(interval.second).or_default();
        second.stage = second.stage.max(interval.stage);
        second
            .by_endpoint
            .resize_with(self.endpoints, Tally::default);
        for (index, tally) in interval.cells.iter().enumerate() {
            if let Some(tally) = tally {
                self.by_stage[interval.stage][index].add(tally);
                second.by_endpoint[index / self.targets].add(tally);
                since.add(tally);
                if self.hdr.is_some() && self.stages[interval.stage].measured {
                    let empty = || Tally::default().latency_ns;
                    second.measured_ns.resize_with(self.endpoints, empty);
                    let added = second.measured_ns[index / self.targets].add(&tally.latency_ns);
                    added.expect("all histograms have the same bounds");
                }
            }
        }
        self.close_seconds(interval.second.saturating_sub(SECONDS_OPEN));
    }

    /// Turns the seconds before `end` into rows, because their histograms would fill the memory.
    fn close_seconds(&mut self, end: u64) {
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() < end) {
            let (second, counted) = entry.remove_entry();
            if let Some(log) = &mut self.hdr {
                log.write(second, &counted.measured_ns);
            }
            // Responses after the last stage count in the totals but have no row.
            if (second as f64) < self.whole_s() {
                self.rows.push(self.row(second, &counted));
            }
        }
    }

    fn whole_s(&self) -> f64 {
        let durations = self.stages.iter().map(|stage| stage.duration.as_secs_f64());
        durations.sum()
    }

    fn row(&self, second: u64, counted: &Second) -> Row {
        let whole = self.whole_s();
        // The last second may be incomplete.
        let covered = (whole - second as f64).min(1.0);
        let mut all = Tally::default();
        for tally in &counted.by_endpoint {
            all.add(tally);
        }
        let per_second = |count: u64| rounded(count as f64 / covered);
        let latency = Latency::of(&all.latency_ns);
        Row {
            second,
            stage: counted.stage,
            rps: counted
                .by_endpoint
                .iter()
                .map(|tally| per_second(tally.requests()))
                .collect(),
            wrong: all.wrong_count(),
            errors: all.failed_count(),
            p50_us: latency.p50,
            p99_us: latency.p99,
            max_us: latency.max,
        }
    }

    fn write_line(
        &self,
        progress: &mut Progress<'_>,
        since: &Tally,
        every: Duration,
        elapsed: Duration,
    ) {
        let stage_index = self
            .open
            .values()
            .map(|second| second.stage)
            .max()
            .unwrap_or(0);
        let stage = &self.stages[stage_index];
        let latency = Latency::of(&since.latency_ns);
        let latency_text = |us| {
            if since.latency_ns.is_empty() {
                "–".into()
            } else {
                duration_text(us)
            }
        };
        let mut line = format!(
            "{:>4.0} s  {}  {:.0} requests/s  p50 {}  p99 {}  {} wrong  {} errors",
            elapsed.as_secs_f64(),
            stage.name,
            since.requests() as f64 / every.as_secs_f64(),
            latency_text(latency.p50),
            latency_text(latency.p99),
            since.wrong_count(),
            since.failed_count(),
        );
        // A closed standard error does not stop the run.
        let _ = match progress.terminal {
            Some(columns) => {
                // A line that wraps into the next row would not be replaced.
                let fits = columns().saturating_sub(1);
                if let Some((end, _)) = line.char_indices().nth(fits) {
                    line.truncate(end);
                }
                write!(progress.out, "\r\x1b[K{line}")
            }
            None => writeln!(progress.out, "{line}"),
        };
        let _ = progress.out.flush();
    }
}
