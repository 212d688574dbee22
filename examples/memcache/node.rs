//! Role `node`: values by name in memory; when the room is used up, drops the least recently used or random ones.
//!
//! It knows nothing about keys, partitions and files. Its counters start at zero; the manager reads them every few
//! seconds and computes rates.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use trident::{
    cache::{Cache, Policy},
    http::Status,
};

use crate::web::{Answer, Asked, Call, Plan, Role, Tried};

/// Shards of the cache: a value may be as large as the node's capacity, and calls of a node take turns for the time of a
/// look-up.
const SHARDS: usize = 1;

/// The type of a value.
const BYTES: &str = "application/octet-stream";

/// Which entry makes room for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Replacement {
    /// The least recently used.
    Lru,
    /// Any.
    Random,
}

/// The settings of all nodes of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Room of a node in MB (1,000,000 bytes), names and bookkeeping included.
    #[arg(long, default_value_t = 64.0)]
    pub capacity_mb: f64,
    /// Which value makes room for a new one.
    #[arg(long, value_enum, default_value = "lru")]
    pub replacement: Replacement,
}

impl Settings {
    /// Refuses settings that no node can have.
    pub fn checked(self) -> Tried<Self> {
        if (0.0..=1e6).contains(&self.capacity_mb) {
            return Ok(self);
        }
        let message = "capacity_mb is not from 0 to 1000000";
        Err(Answer::error(Status::BadRequest, message))
    }
}

/// What a node holds, and its counts since it began.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Values held.
    pub items: u64,
    /// Their bytes, names and bookkeeping included.
    pub bytes: u64,
    /// Calls that put, got or invalidated a value.
    pub requests: u64,
    /// Gets that found their value.
    pub hits: u64,
    /// Gets that did not find it.
    pub misses: u64,
}

/// A node.
pub struct Node {
    cache: Cache,
    requests: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Node {
    /// An empty node.
    pub fn new(settings: Settings) -> Self {
        let node = Self {
            cache: Cache::with_shards(0, SHARDS),
            requests: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        node.apply(settings);
        node
    }

    fn apply(&self, settings: Settings) {
        self.cache.set_policy(match settings.replacement {
            Replacement::Lru => Policy::Lru,
            Replacement::Random => Policy::Random,
        });
        self.cache
            .set_bytes_max((settings.capacity_mb * 1e6) as usize);
    }

    fn statistics(&self) -> Statistics {
        let held = self.cache.stats();
        Statistics {
            items: held.entries as u64,
            bytes: held.bytes as u64,
            requests: self.requests.load(Relaxed),
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
        }
    }

    fn get(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let name = asked.text("name")?;
        self.requests.fetch_add(1, Relaxed);
        let Some(value) = self.cache.get_shared(name.as_bytes()) else {
            self.misses.fetch_add(1, Relaxed);
            return Err(no_value());
        };
        self.hits.fetch_add(1, Relaxed);
        Ok(Plan::Now(Answer::ok(BYTES, value)))
    }

    fn put(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let name = asked.text("name")?;
        self.requests.fetch_add(1, Relaxed);
        self.cache.put(name.as_bytes(), asked.request.body);
        Ok(Plan::Now(Answer::done()))
    }

    fn invalidate(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let name = asked.text("name")?;
        self.requests.fetch_add(1, Relaxed);
        self.cache.remove(name.as_bytes());
        Ok(Plan::Now(Answer::done()))
    }

    /// Hands a value over to another node. Not a client's request, so it is not counted.
    fn take(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let name = asked.text("name")?;
        let value = self.cache.get_shared(name.as_bytes());
        self.cache.remove(name.as_bytes());
        let value = value.ok_or_else(no_value)?;
        Ok(Plan::Now(Answer::ok(BYTES, value)))
    }

    fn names(self: &Arc<Self>, _: &Asked<'_>) -> Tried<Plan> {
        let names = self.cache.keys();
        let names: Vec<_> = names.iter().map(|n| String::from_utf8_lossy(n)).collect();
        Ok(Plan::Now(Answer::json(&json!(names))))
    }

    fn clear(self: &Arc<Self>, _: &Asked<'_>) -> Tried<Plan> {
        self.cache.clear();
        Ok(Plan::Now(Answer::done()))
    }

    fn set(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        self.apply(asked.json::<Settings>()?.checked()?);
        Ok(Plan::Now(Answer::done()))
    }

    fn tell(self: &Arc<Self>, _: &Asked<'_>) -> Tried<Plan> {
        Ok(Plan::Now(Answer::json(&json!(self.statistics()))))
    }
}

fn no_value() -> Answer {
    Answer::error(Status::NotFound, "no such value")
}

impl Role for Node {
    const CALLS: &'static [Call<Self>] = &[
        Call::internal("GET", "/values/{name}", Self::get),
        Call::internal("PUT", "/values/{name}", Self::put),
        Call::internal("DELETE", "/values/{name}", Self::invalidate),
        Call::internal("POST", "/values/{name}", Self::take),
        Call::internal("GET", "/names", Self::names),
        Call::internal("POST", "/clear", Self::clear),
        Call::internal("PUT", "/settings", Self::set),
        Call::internal("GET", "/statistics", Self::tell),
    ];

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let statistics = self.statistics();
        vec![
            ("memcache_node_items", statistics.items as f64),
            ("memcache_node_bytes", statistics.bytes as f64),
            ("memcache_node_hits_total", statistics.hits as f64),
            ("memcache_node_misses_total", statistics.misses as f64),
        ]
    }
}
