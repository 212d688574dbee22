//! The figures of the charts: the last two minutes by the second and the last thirty by the minute. The
//! server keeps them so that a page opened late, or again, shows the past.
//!
//! `sampler` reads the figures; here they become steps and JSON.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    cache,
    metrics::{Counter, Distribution, Endpoint, Latency, Outcome, Totals, process::Process},
};

const SECONDS_KEPT: usize = 120;
const MINUTES_KEPT: usize = 30;
const MINUTE: Duration = Duration::from_secs(60);

/// Time between two readings.
pub(super) const STEP: Duration = Duration::from_secs(1);

/// The figures of one step.
#[derive(Serialize)]
struct Point {
    /// Its end, in milliseconds since 1970.
    at_ms: u64,
    /// Its length.
    seconds: f64,
    /// In the order of [`traffic`].
    endpoints: Vec<Share>,
    /// All endpoints together.
    all: Share,
    /// Requests refused before a handler saw them.
    faults: u64,
    connections_open: usize,
    connections_idle: usize,
    cache_hits: u64,
    cache_misses: u64,
    cache_entries: usize,
    cache_bytes: usize,
    /// Processors busy with this process.
    cpu: f64,
    memory_bytes: f64,
    read_bytes: u64,
    written_bytes: u64,
}

/// The requests of one endpoint in one step.
#[derive(Serialize)]
struct Share {
    requests: u64,
    invalid: u64,
    /// Answered 4xx or 5xx.
    errors: u64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    p999_us: Option<f64>,
}

impl Share {
    fn new(counts: [u64; 3], times: &Distribution) -> Self {
        let quantile_us = |quantile| {
            let us = times.quantile_ns(quantile)? / 1000.0;
            Some((us * 10.0).round() / 10.0)
        };
        Self {
            requests: counts[0],
            invalid: counts[1],
            errors: counts[2],
            p50_us: quantile_us(0.5),
            p99_us: quantile_us(0.99),
            p999_us: quantile_us(0.999),
        }
    }
}

/// The figures of a step at one time.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) totals: Totals,
    pub(super) process: Process,
    pub(super) cache: cache::Stats,
    pub(super) connections_open: usize,
    pub(super) connections_idle: usize,
}

/// Steps of one length, the newest last.
struct Series {
    points: VecDeque<Point>,
    kept: usize,
    /// The sums at the end of the last step.
    last: Option<Reading>,
}

impl Series {
    const fn new(kept: usize) -> Self {
        Self {
            points: VecDeque::new(),
            kept,
            last: None,
        }
    }

    /// Ends a step with `now`, which is the first reading or the end of a point.
    fn end_step(&mut self, now: Reading) {
        if let Some(last) = &self.last {
            let point = point(last, &now);
            self.add(point);
        }
        self.last = Some(now);
    }

    fn add(&mut self, point: Point) {
        if self.points.len() >= self.kept {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    fn since(&self, since_ms: u64) -> Vec<&Point> {
        let newer = |point: &&Point| point.at_ms > since_ms;
        self.points.iter().filter(newer).collect()
    }
}

/// The past of the process.
pub(super) struct History {
    seconds: Series,
    minutes: Series,
}

impl Default for History {
    fn default() -> Self {
        Self {
            seconds: Series::new(SECONDS_KEPT),
            minutes: Series::new(MINUTES_KEPT),
        }
    }
}

impl History {
    /// Adds the second that ends with `now`, and the minute if one is over.
    pub(super) fn add(&mut self, now: Reading) {
        let is_minute_over = match &self.minutes.last {
            None => true,
            Some(last) => now.at - last.at + STEP / 2 >= MINUTE,
        };
        if is_minute_over {
            self.minutes.end_step(now.clone());
        }
        self.seconds.end_step(now);
    }

    /// `GET /admin/history`, as far as it is newer than `since_ms`.
    pub(super) fn json(&self, since_ms: u64) -> Vec<u8> {
        #[derive(Serialize)]
        struct Shown<'h> {
            endpoints: Vec<&'static str>,
            seconds: Vec<&'h Point>,
            minutes: Vec<&'h Point>,
        }
        let shown = Shown {
            endpoints: traffic().map(Endpoint::name).collect(),
            seconds: self.seconds.since(since_ms),
            minutes: self.minutes.since(since_ms),
        };
        serde_json::to_vec(&shown).unwrap_or_default() // numbers and names always serialise
    }
}

/// The difference of two readings.
fn point(last: &Reading, now: &Reading) -> Point {
    let seconds = (now.at - last.at).as_secs_f64();
    let counted = |counter| now.totals.counter(counter) - last.totals.counter(counter);
    let mut all_counts = [0; 3];
    let mut all_times = Distribution::default();
    let mut endpoints = Vec::new();
    for endpoint in traffic() {
        let latency = |totals: &Totals| totals.latency(Latency::Request, endpoint);
        let times = latency(&now.totals).since(&latency(&last.totals));
        let counts = outcomes(endpoint, counted);
        all_times.add(&times);
        all_counts = std::array::from_fn(|n| all_counts[n] + counts[n]);
        endpoints.push(Share::new(counts, &times));
    }
    Point {
        at_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis() as u64,
        seconds,
        endpoints,
        all: Share::new(all_counts, &all_times),
        faults: faults().map(counted).sum(),
        connections_open: now.connections_open,
        connections_idle: now.connections_idle,
        cache_hits: counted(Counter::CacheHits),
        cache_misses: counted(Counter::CacheMisses),
        cache_entries: now.cache.entries,
        cache_bytes: now.cache.bytes,
        cpu: (now.process.cpu_seconds - last.process.cpu_seconds) / seconds,
        memory_bytes: now.process.resident_bytes,
        read_bytes: counted(Counter::BytesRead),
        written_bytes: counted(Counter::BytesWritten),
    }
}

/// The endpoints that the charts show. The operator's own requests are left out, or the page would show its polls and
/// its 401s as traffic.
fn traffic() -> impl Iterator<Item = Endpoint> {
    let all = Endpoint::ALL.iter().copied();
    all.filter(|endpoint| *endpoint != Endpoint::Admin)
}

/// All requests of an endpoint, those answered INVALID, and those answered 4xx or 5xx.
fn outcomes(endpoint: Endpoint, counted: impl Fn(Counter) -> u64) -> [u64; 3] {
    let mut sums = [0; 3];
    for counter in Counter::ALL.iter().filter(|c| c.endpoint() == endpoint) {
        let Some(outcome) = counter.outcome() else {
            continue;
        };
        let n = counted(*counter);
        sums[0] += n;
        match outcome {
            Outcome::Valid | Outcome::Empty => {}
            Outcome::Invalid => sums[1] += n,
            Outcome::ClientError | Outcome::ServerError => sums[2] += n,
        }
    }
    sums
}

fn faults() -> impl Iterator<Item = Counter> {
    let family = Counter::HandlerFault.family();
    let all = Counter::ALL.iter().copied();
    all.filter(move |counter| counter.family() == family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_counts_once_for_one_endpoint() {
        let answers = Counter::ALL.iter().filter(|c| c.outcome().is_some());
        let mut sums = [0; 3];
        for endpoint in Endpoint::ALL {
            let of_it = outcomes(*endpoint, |_| 1);
            sums = std::array::from_fn(|n| sums[n] + of_it[n]);
        }
        assert_eq!(sums[0] as usize, answers.count());
        assert!(sums[1] > 0 && sums[2] > 0 && sums[1] + sums[2] < sums[0]);
    }

    #[test]
    fn a_series_keeps_the_newest_points() {
        let mut series = Series::new(3);
        for n in 0..5 {
            series.add(Point {
                at_ms: n,
                seconds: 1.0,
                endpoints: Vec::new(),
                all: Share::new([0; 3], &Distribution::default()),
                faults: 0,
                connections_open: 0,
                connections_idle: 0,
                cache_hits: 0,
                cache_misses: 0,
                cache_entries: 0,
                cache_bytes: 0,
                cpu: 0.0,
                memory_bytes: 0.0,
                read_bytes: 0,
                written_bytes: 0,
            });
        }
        let kept: Vec<u64> = series.points.iter().map(|point| point.at_ms).collect();
        assert_eq!(kept, [2, 3, 4]);
        assert_eq!(series.since(3).len(), 1);
    }
}
