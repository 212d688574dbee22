//! Rate, errors and latency of each service, for Prometheus.

use std::time::Instant;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    TextEncoder,
};

/// Upper bounds of the latencies in seconds; 0.1 is the goal of the service.
const BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// The services, as labels: three of objects, the interface below them, and whatever else was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `/api/v1/user`
    User,
    /// `/api/v1/music`
    Music,
    /// `/api/v1/playlist`
    Playlist,
    /// `/api/v1/datastore`
    Datastore,
    /// Health, metrics, unknown paths.
    Other,
}

const PARTS: [&str; 5] = ["user", "music", "playlist", "datastore", "other"];

/// Every series.
pub struct Metrics {
    registry: Registry,
    series: [Series; PARTS.len()],
}

struct Series {
    succeeded: IntCounter,
    refused: IntCounter,
    failed: IntCounter,
    seconds: Histogram,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "music_requests_total",
                "Requests by outcome: success below 400, refused below 500, error.",
            ),
            &["service", "outcome"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "music_request_seconds",
                "From the complete request to its answer, the wait for the disk included.",
            )
            .buckets(BUCKETS.to_vec()),
            &["service"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        let series = PARTS.map(|part| Series {
            succeeded: requests.with_label_values(&[part, "success"]),
            refused: requests.with_label_values(&[part, "refused"]),
            failed: requests.with_label_values(&[part, "error"]),
            seconds: seconds.with_label_values(&[part]),
        });
        Ok(Self { registry, series })
    }

    /// Books an answer of `status` to a request that came at `since`.
    pub fn answered(&self, part: Part, status: u16, since: Instant) {
        let series = &self.series[part as usize];
        match status {
            ..400 => series.succeeded.inc(),
            400..500 => series.refused.inc(),
            _ => series.failed.inc(),
        }
        series.seconds.observe(since.elapsed().as_secs_f64());
    }

    /// Appends the text of all series.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Only a broken registry or a failing writer could make this fail; a vector takes everything.
        let _ = TextEncoder::new().encode(&self.registry.gather(), out);
    }
}
