//! The present: gauges for the metrics, and the state as JSON for scripts and the page.

use serde_json::{Map, Value, json};

use super::service::AdminService;
use crate::{
    app::{self, Phase},
    cache::Policy,
    metrics::{Counter, Gauge, Gauges, Info, Reason, Totals, process::Process},
};

/// Version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit and build profile.
fn build() -> (&'static str, &'static str) {
    env!("BUILD_ID")
        .split_once(' ')
        .unwrap_or(("unknown", "unknown"))
}

/// The series of a phase.
const fn phase_gauge(phase: Phase) -> Gauge {
    match phase {
        Phase::Starting => Gauge::PhaseStarting,
        Phase::Ready => Gauge::PhaseReady,
        Phase::Draining => Gauge::PhaseDraining,
        Phase::Finishing => Gauge::PhaseFinishing,
        Phase::Stopped => Gauge::PhaseStopped,
    }
}

impl AdminService {
    /// All gauges: values that are read rather than counted.
    pub(super) fn gauges(&self) -> Gauges {
        let mut gauges = Gauges::default();
        let (commit, profile) = build();
        let labels = [
            ("version", VERSION),
            ("commit", commit),
            ("profile", profile),
        ];
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        gauges.describe(Info::Build, labels.into());
        let phase = self.app.health().phase();
        for other in Phase::ALL {
            gauges.set(phase_gauge(other), f64::from(u8::from(other == phase)));
        }
        self.load_gauges(&mut gauges);
        let cache = self.app.cache();
        let cache = cache.stats();
        gauges.set(Gauge::IngestWaiting, self.app.ingest_waiting() as f64);
        gauges.set(Gauge::CacheEntries, cache.entries as f64);
        gauges.set(Gauge::CacheBytes, cache.bytes as f64);
        gauges.set(Gauge::CacheLimit, cache.bytes_max as f64);
        if let Some((path, meta)) = self.app.store() {
            let checksum = format!("{:08x}", meta.content_crc32);
            let labels = [
                ("path", path),
                ("checksum", checksum),
                ("updates", self.app.store_updates().to_string()),
                ("built_by", meta.built_by),
            ];
            gauges.describe(Info::Store, labels.into());
            gauges.set(Gauge::StoreUsers, meta.users as f64);
            gauges.set(Gauge::StoreContacts, meta.contacts as f64);
            gauges.set(Gauge::StoreTweets, meta.tweets as f64);
            gauges.set(Gauge::StoreValueBytes, meta.value_bytes as f64);
        }
        if let Some(is_open) = self.app.store_is_open() {
            gauges.set(Gauge::StoreOpen, f64::from(u8::from(is_open)));
        }
        if let Some(database) = self.app.database_state() {
            let cache = database.cache;
            gauges.set(Gauge::DatabaseUp, f64::from(u8::from(database.is_up)));
            gauges.set(Gauge::DatabaseConnections, database.connections as f64);
            gauges.set(Gauge::DatabaseWaiting, database.waiting as f64);
            gauges.set(Gauge::StoreCacheBytes, cache.bytes as f64);
            gauges.set(Gauge::StoreCacheLimit, cache.bytes_max as f64);
            gauges.set(Gauge::StoreCacheEntries, cache.entries as f64);
        }
        self.process.lock().set(&mut gauges);
        gauges
    }

    fn load_gauges(&self, gauges: &mut Gauges) {
        gauges.set(Gauge::Workers, self.workers as f64);
        let server = &self.server;
        let limits = server.limits();
        gauges.set(Gauge::ConnectionsOpen, server.connections_open() as f64);
        gauges.set(Gauge::ConnectionsIdle, server.connections_idle() as f64);
        gauges.set(Gauge::ConnectionsLimit, limits.connections_max as f64);
        gauges.set(Gauge::BufferedBytes, server.buffered_bytes() as f64);
        gauges.set(Gauge::BufferedLimit, limits.buffered_bytes_max as f64);
    }

    /// `GET /admin/state`.
    pub(super) fn state_json(&self) -> Vec<u8> {
        let (commit, profile) = build();
        let gauges = self.gauges();
        let integer = |gauge| gauges.get(gauge) as u64;
        let limits = self.server.limits();
        let state = json!({
            "version": VERSION,
            "commit": commit,
            "profile": profile,
            "pid": std::process::id(),
            "identity": self.app.identity(),
            "phase": self.app.health().phase().name(),
            "not_ready": self.app.not_ready(),
            "started_unix_s": gauges.get(Gauge::ProcessStart),
            "controls": !self.options.token.is_empty(),
            "settings": {
                "workers": self.workers,
                "cache_bytes": integer(Gauge::CacheLimit),
                "http.connections_max": limits.connections_max,
                "http.idle_timeout_ms": limits.idle_timeout.as_millis() as u64,
                "http.request_line_bytes_max": limits.request_line_bytes_max,
                "http.body_bytes_max": limits.body_bytes_max,
                "http.buffered_bytes_max": limits.buffered_bytes_max,
            },
            "store": self.app.store().map(|(path, meta)| json!({
                "path": path,
                "users": meta.users,
                "contacts": meta.contacts,
                "checksum": format!("{:08x}", meta.content_crc32),
                "updates": self.app.store_updates(),
                "built_by": meta.built_by,
            })),
            "cache": {
                "entries": integer(Gauge::CacheEntries),
                "bytes": integer(Gauge::CacheBytes),
                "limit_bytes": integer(Gauge::CacheLimit),
                "policy": self.app.cache().policy(),
                "policies": Policy::ALL,
            },
            "connections": {
                "open": integer(Gauge::ConnectionsOpen),
                "idle": integer(Gauge::ConnectionsIdle),
                "limit": integer(Gauge::ConnectionsLimit),
            },
            "invalid": invalid(),
            "counters": counters(),
        });
        state.to_string().into_bytes()
    }

    /// Reads the process's figures; the sampling thread does, because `/proc` takes its time.
    pub(super) fn refresh_process(&self) -> Process {
        let mut process = *self.process.lock();
        process.refresh();
        *self.process.lock() = process;
        process
    }
}

/// Answers INVALID by endpoint and reason.
fn invalid() -> Map<String, Value> {
    let totals = Totals::read();
    let reasons = app::reasons().into_iter().enumerate();
    let named = |(index, reason): (usize, Reason)| {
        let name = format!("{} {}", reason.endpoint.name(), reason.name);
        (name, totals.invalid(index).into())
    };
    reasons.map(named).collect()
}

/// Every counter by its name and labels.
fn counters() -> Map<String, Value> {
    let totals = Totals::read();
    let named = |counter: &Counter| (counter.to_string(), totals.counter(*counter).into());
    Counter::ALL.iter().map(named).collect()
}
