//! Role `node`: values by name in memory; when the room is used up, drops the least recently used or random ones.
//!
//! It knows nothing about keys, partitions and files. Its counters start at zero; the manager reads them every few
//! seconds and computes rates.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trident::cache::{Cache, Policy};

use crate::common::{Answer, App, Asked, BYTES, Call, Count, Status, Tried};

/// Shards of the cache: a value may be as large as the node's capacity, and calls of a node take turns for the time of a
/// look-up.
const SHARDS: usize = 1;

/// The settings of all nodes of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Room of a node in MB (1,000,000 bytes), names and bookkeeping included.
    #[arg(long, default_value_t = 64.0)]
    pub capacity_mb: f64,
    /// Which value makes room for a new one: the least recently used (lru), or any (random).
    #[arg(long, default_value_t)]
    pub replacement: Policy,
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
    /// Values put and invalidated.
    writes: Count,
}

impl Node {
    /// An empty node.
    pub fn new(settings: Settings) -> Self {
        let node = Self {
            cache: Cache::with_shards(0, SHARDS),
            writes: Count::default(),
        };
        node.apply(settings);
        node
    }

    fn apply(&self, settings: Settings) {
        self.cache.set_policy(settings.replacement);
        let bytes = settings.capacity_mb * 1e6;
        self.cache.set_bytes_max(bytes as usize);
    }

    fn statistics(&self) -> Statistics {
        let cache = self.cache.stats();
        Statistics {
            items: cache.entries as u64,
            bytes: cache.bytes as u64,
            requests: cache.hits + cache.misses + self.writes.get(),
            hits: cache.hits,
            misses: cache.misses,
        }
    }

    fn put(&self, asked: &Asked<'_>) -> Tried<()> {
        self.writes.add();
        self.cache.put(asked.param("name").as_bytes(), &asked.body);
        Ok(())
    }

    fn invalidate(&self, asked: &Asked<'_>) -> Tried<()> {
        self.writes.add();
        self.cache.remove(asked.param("name").as_bytes());
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        let text = |name: Box<[u8]>| String::from_utf8_lossy(&name).into();
        self.cache.keys().into_iter().map(text).collect()
    }
}

fn answer(value: Option<Arc<[u8]>>) -> Tried<Answer> {
    let unknown = || Answer::failure(Status::NotFound, "no such value");
    Ok(Answer::ok(BYTES, value.ok_or_else(unknown)?))
}

impl App for Node {
    const NAME: &'static str = "memcache";
    const PARTS: &'static [&'static str] = &["node"];
    const TOKEN: &'static str = crate::TOKEN;

    fn calls() -> Vec<Call<Self>> {
        let calls = [
            Call::quick("GET", "/values/{name}", |node: &Self, asked| {
                answer(node.cache.get_shared(asked.param("name").as_bytes()))
            }),
            Call::quick("PUT", "/values/{name}", Self::put),
            Call::quick("DELETE", "/values/{name}", Self::invalidate),
            // Hands a value over to another node. Not a client's request, so it is not counted.
            Call::quick("POST", "/values/{name}", |node: &Self, asked| {
                answer(node.cache.remove(asked.param("name").as_bytes()))
            }),
            Call::shown("/names", Self::names),
            Call::shown("/statistics", Self::statistics),
            Call::quick("PUT", "/settings", |node: &Self, asked| {
                Settings::of(asked).map(|settings| node.apply(settings))
            }),
            Call::quick("POST", "/clear", |node: &Self, _| {
                node.cache.clear();
                Ok(())
            }),
        ];
        calls.map(Call::with_token).into()
    }

    fn figures(&self) -> Value {
        let statistics = self.statistics();
        json!({
            "node_items": statistics.items,
            "node_bytes": statistics.bytes,
            "node_hits_total": statistics.hits,
            "node_misses_total": statistics.misses,
        })
    }
}
