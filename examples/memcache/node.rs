//! Role `node`: values by name in memory; when the room is used up, drops the least recently used or random ones.
//!
//! It knows nothing about keys, partitions and files. Its counters start at zero; the manager reads them every few
//! seconds and computes rates.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use trident::{
    cache::{Cache, Policy},
    http::Status,
};

use crate::common::{
    BYTES,
    web::{Answer, App, Asked, Call, Tried},
};

/// Shards of the cache: a value may be as large as the node's capacity, and calls of a node take turns for the time of a
/// look-up.
const SHARDS: usize = 1;

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
    /// The settings in a body; refuses those that no node can have.
    pub fn of(asked: &Asked<'_>) -> Tried<Self> {
        let settings = asked.json::<Self>()?;
        if (0.0..=1e6).contains(&settings.capacity_mb) {
            return Ok(settings);
        }
        Err(Answer::invalid("capacity_mb is not from 0 to 1000000"))
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

impl Statistics {
    /// With what a node holds now and has counted since `before`.
    pub fn and_of_node(self, now: Self, before: Self) -> Self {
        Self {
            items: self.items + now.items,
            bytes: self.bytes + now.bytes,
            requests: self.requests + now.requests.saturating_sub(before.requests),
            hits: self.hits + now.hits.saturating_sub(before.hits),
            misses: self.misses + now.misses.saturating_sub(before.misses),
        }
    }
}

/// A node.
pub struct Node {
    cache: Cache,
    /// The counters of it.
    counts: Mutex<Statistics>,
}

impl Node {
    /// An empty node.
    pub fn new(settings: Settings) -> Self {
        let node = Self {
            cache: Cache::with_shards(0, SHARDS),
            counts: Mutex::default(),
        };
        node.apply(settings);
        node
    }

    fn apply(&self, settings: Settings) {
        self.cache.set_policy(match settings.replacement {
            Replacement::Lru => Policy::Lru,
            Replacement::Random => Policy::Random,
        });
        let bytes = settings.capacity_mb * 1e6;
        self.cache.set_bytes_max(bytes as usize);
    }

    fn statistics(&self) -> Statistics {
        let held = self.cache.stats();
        Statistics {
            items: held.entries as u64,
            bytes: held.bytes as u64,
            ..*self.counts.lock()
        }
    }

    fn get(&self, asked: &Asked<'_>) -> Tried<Answer> {
        let value = self.cache.get_shared(asked.param("name").as_bytes());
        let mut counts = self.counts.lock();
        counts.requests += 1;
        counts.hits += u64::from(value.is_some());
        counts.misses += u64::from(value.is_none());
        Ok(Answer::ok(BYTES, value.ok_or_else(no_value)?))
    }

    fn put(&self, asked: &Asked<'_>) -> Tried<Answer> {
        self.counts.lock().requests += 1;
        self.cache.put(asked.param("name").as_bytes(), &asked.body);
        Ok(Answer::done())
    }

    fn invalidate(&self, asked: &Asked<'_>) -> Tried<Answer> {
        self.counts.lock().requests += 1;
        self.cache.remove(asked.param("name").as_bytes());
        Ok(Answer::done())
    }

    /// Hands a value over to another node. Not a client's request, so it is not counted.
    fn take(&self, asked: &Asked<'_>) -> Tried<Answer> {
        let name = asked.param("name").as_bytes();
        let value = self.cache.get_shared(name);
        self.cache.remove(name);
        Ok(Answer::ok(BYTES, value.ok_or_else(no_value)?))
    }

    fn names(&self) -> Vec<String> {
        let names = self.cache.keys();
        names
            .iter()
            .map(|name| String::from_utf8_lossy(name).into())
            .collect()
    }
}

fn no_value() -> Answer {
    Answer::failure(Status::NotFound, "no such value")
}

impl App for Node {
    const NAME: &'static str = "memcache";
    const PARTS: &'static [&'static str] = &["node"];
    const TOKEN: &'static str = crate::TOKEN;

    fn calls() -> Vec<Call<Self>> {
        let calls = [
            Call::quick("GET", "/values/{name}", Self::get),
            Call::quick("PUT", "/values/{name}", Self::put),
            Call::quick("DELETE", "/values/{name}", Self::invalidate),
            Call::quick("POST", "/values/{name}", Self::take),
            Call::quick("GET", "/names", |node: &Self, _| {
                Ok(Answer::json(&node.names()))
            }),
            Call::quick("GET", "/statistics", |node: &Self, _| {
                Ok(Answer::json(&node.statistics()))
            }),
            Call::quick("PUT", "/settings", |node: &Self, asked| {
                node.apply(Settings::of(asked)?);
                Ok(Answer::done())
            }),
            Call::quick("POST", "/clear", |node: &Self, _| {
                node.cache.clear();
                Ok(Answer::done())
            }),
        ];
        calls.map(Call::with_token).into()
    }

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
