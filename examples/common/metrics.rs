//! Rate, errors and latency of the parts of a service, for Prometheus.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use prometheus::{
    Counter, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    Opts, Registry, TextEncoder, core::Collector, proto::MetricFamily,
};
use serde::Serialize;
use serde_json::Value;
use trident::{http::Status, metrics};

/// Upper bounds of the latencies in seconds; 0.1 is the goal of the services.
const BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// A count of one's own.
#[derive(Default, Serialize)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Every series.
pub struct Metrics {
    name: &'static str,
    registry: Registry,
    series: Vec<Series>,
}

struct Series {
    succeeded: IntCounter,
    refused: IntCounter,
    failed: IntCounter,
    seconds: Histogram,
}

impl Metrics {
    /// All at zero: `NAME_requests_total` and `NAME_request_seconds` with one value of `service` for each part.
    pub fn new(name: &'static str, parts: &[&str]) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                format!("{name}_requests_total"),
                "Requests by outcome: success below 400, refused below 500, error.",
            ),
            &["service", "outcome"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                format!("{name}_request_seconds"),
                "From the complete request to its answer, the wait for others included.",
            )
            .buckets(BUCKETS.to_vec()),
            &["service"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        let series = |part: &&str| Series {
            succeeded: requests.with_label_values(&[*part, "success"]),
            refused: requests.with_label_values(&[*part, "refused"]),
            failed: requests.with_label_values(&[*part, "error"]),
            seconds: seconds.with_label_values(&[*part]),
        };
        let series = parts.iter().map(series).collect();
        Ok(Self {
            name,
            registry,
            series,
        })
    }

    /// Counts an answer of `status` to a request of the part at `index` that came at `since`. Returns the counter for
    /// the connection.
    pub fn answered(&self, index: usize, status: Status, since: Instant) -> metrics::Counter {
        let series = &self.series[index];
        series.seconds.observe(since.elapsed().as_secs_f64());
        let (outcome, counter) = match status.code() {
            ..400 => (&series.succeeded, metrics::Counter::OtherValid),
            400..500 => (&series.refused, metrics::Counter::OtherRefused),
            _ => (&series.failed, metrics::Counter::OtherFailed),
        };
        outcome.inc();
        counter
    }

    /// All series and the service's own figures.
    pub fn families(&self, figures: &Value) -> Vec<MetricFamily> {
        let others = Registry::new();
        add(&others, self.name, figures);
        let mut families = self.registry.gather();
        families.extend(others.gather());
        families
    }
}

/// Adds a figure, or those of an object.
fn add(others: &Registry, name: &str, figure: &Value) {
    for (member, figure) in figure.as_object().into_iter().flatten() {
        add(others, &format!("{name}_{member}"), figure);
    }
    let Some(value) = figure.as_f64() else {
        return; // it is not known yet
    };
    let made: prometheus::Result<Box<dyn Collector>> = if name.ends_with("_total") {
        Counter::new(name, name).map(|counter| {
            counter.inc_by(value);
            Box::new(counter) as _
        })
    } else {
        Gauge::new(name, name).map(|gauge| {
            gauge.set(value);
            Box::new(gauge) as _
        })
    };
    let _ = made.and_then(|made| others.register(made)); // fails only for an invalid name
}

/// Prometheus' text.
pub fn text(families: &[MetricFamily]) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = TextEncoder::new().encode(families, &mut out); // a vector takes everything
    out
}
