//! Rate, errors and latency of the parts of a service, for Prometheus.

use std::time::Instant;

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry, TextEncoder, core::Collector, proto::MetricFamily,
};
use trident::{http::Status, metrics::Counter};

/// Upper bounds of the latencies in seconds; 0.1 is the goal of the services.
const BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// Every series.
pub struct Metrics {
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
    pub fn new(name: &str, parts: &[&str]) -> prometheus::Result<Self> {
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
        Ok(Self { registry, series })
    }

    /// Counts an answer of `status` to a request of the part at `index` that came at `since`. Returns the counter for
    /// the connection.
    pub fn answered(&self, index: usize, status: Status, since: Instant) -> Counter {
        let series = &self.series[index];
        series.seconds.observe(since.elapsed().as_secs_f64());
        let (outcome, counter) = match status.code() {
            ..400 => (&series.succeeded, Counter::OtherValid),
            400..500 => (&series.refused, Counter::OtherRefused),
            _ => (&series.failed, Counter::OtherFailed),
        };
        outcome.inc();
        counter
    }

    /// All series, and these figures: names of counters end in `_total`.
    pub fn families(&self, figures: &[(&str, f64)]) -> Vec<MetricFamily> {
        let others = Registry::new();
        for (name, value) in figures {
            let made = if name.ends_with("_total") {
                IntCounter::new(*name, *name).map(|counter| {
                    counter.inc_by(*value as u64);
                    Box::new(counter) as Box<dyn Collector>
                })
            } else {
                Gauge::new(*name, *name).map(|gauge| {
                    gauge.set(*value);
                    Box::new(gauge) as Box<dyn Collector>
                })
            };
            let _ = made.and_then(|made| others.register(made)); // fails only for an invalid name
        }
        let mut families = self.registry.gather();
        families.extend(others.gather());
        families
    }
}

/// Prometheus' text.
pub fn text(families: &[MetricFamily]) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = TextEncoder::new().encode(families, &mut out); // a vector takes everything
    out
}
