//! Role `front`: upload, list and read files. Only it knows the store; the nodes have copies.
//!
//! ```text
//! read ─ version of the key (map) ─ its node has it ───────────────────────▶ answer
//!                                 └ no ─ file of the version ─ put to node ─▶ answer
//! ```
//!
//! The version that a read begins with is the newest at that moment, whatever the nodes have: a read never returns an old
//! value.

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use serde::Deserialize;
use serde_json::json;
use trident::http::Status;
use ureq::http::Method;

use crate::{
    common::{
        kv::{self, KEY_BYTES_MAX},
        web::{Answer, App, Asked, Call, Tried},
    },
    pool::Pool,
    store::Store,
};

/// The front.
pub struct Front {
    store: Store,
    pool: Pool,
    cached: AtomicU64,
    from_disk: AtomicU64,
}

/// The body of `PUT /pool`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nodes {
    nodes: Vec<String>,
}

impl Front {
    /// A front over a store and a pool; the manager tells it the nodes.
    pub fn new(store: Store, pool: Pool) -> Self {
        Self {
            store,
            pool,
            cached: AtomicU64::new(0),
            from_disk: AtomicU64::new(0),
        }
    }

    fn upload(&self, asked: &Asked<'_>) -> Tried<Answer> {
        asked.without_query()?;
        let mut form = asked.form()?;
        let key = form
            .remove("key")
            .ok_or_else(|| Answer::invalid("key is missing"))?;
        let file = form
            .remove("file")
            .ok_or_else(|| Answer::invalid("file is missing"))?;
        let key = str::from_utf8(&key).map_err(|_| Answer::invalid("key is not UTF-8"))?;
        check_key(key)?;
        if let Some(old) = self.store.put(key, &file).map_err(failed)? {
            self.pool.call(Method::DELETE, key, old, &[]);
        }
        Ok(Answer::done())
    }

    fn list_keys(&self, asked: &Asked<'_>) -> Tried<Answer> {
        asked.without_query()?;
        let keys = self.store.keys().map_err(failed)?;
        Ok(Answer::json(&json!({"success": "true", "keys": keys})))
    }

    fn key(&self, asked: &Asked<'_>) -> Tried<Answer> {
        asked.without_query()?;
        let key = asked.param("key");
        check_key(key)?;
        let content = self.content(key).map_err(failed)?;
        let unknown = || Answer::failure(Status::NotFound, "there is no such key");
        let content = base64_simd::STANDARD.encode_to_string(content.ok_or_else(unknown)?);
        Ok(Answer::json(
            &json!({"success": "true", "content": content}),
        ))
    }

    /// The file of a key as it was at some moment during this call.
    fn content(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        while let Some(version) = self.store.version(key)? {
            if let Some(value) = self.pool.call(Method::GET, key, version, &[]) {
                self.cached.fetch_add(1, Relaxed);
                return Ok(Some(value));
            }
            if let Some(value) = self.store.read(version)? {
                self.from_disk.fetch_add(1, Relaxed);
                self.pool.call(Method::PUT, key, version, &value);
                return Ok(Some(value));
            }
            // Replaced since its version was read, unless the file was lost.
            anyhow::ensure!(
                self.store.version(key)? != Some(version),
                "file {version} of key {key} is not there"
            );
        }
        Ok(None)
    }
}

impl App for Front {
    const NAME: &'static str = "memcache";
    const PARTS: &'static [&'static str] = &["front"];
    const TOKEN: &'static str = crate::TOKEN;

    fn calls() -> Vec<Call<Self>> {
        vec![
            Call::page("/", include_str!("front.html")),
            Call::slow("POST", "/api/upload", Self::upload),
            Call::slow("POST", "/api/list_keys", Self::list_keys),
            Call::slow("POST", "/api/key/{key}", Self::key),
            Call::slow("PUT", "/pool", |front: &Self, asked| {
                let Nodes { nodes } = asked.json()?;
                Ok(Answer::json(&json!({"moved": front.pool.set(nodes)})))
            })
            .with_token(),
            Call::slow("DELETE", "/data", |front: &Self, _| {
                front.store.clear().map_err(failed)?;
                front.pool.clear();
                Ok(Answer::done())
            })
            .with_token(),
        ]
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        vec![
            ("memcache_front_nodes", self.pool.len() as f64),
            ("memcache_front_cached_total", count(&self.cached)),
            ("memcache_front_from_disk_total", count(&self.from_disk)),
        ]
    }
}

fn check_key(key: &str) -> Tried<()> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(Answer::invalid(format!(
        "a key has 1 to {KEY_BYTES_MAX} bytes"
    )))
}

/// The answer when the store fails.
fn failed(error: anyhow::Error) -> Answer {
    let of_disk = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    let status = match error.downcast_ref() {
        Some(kv::Error::Busy) => return Answer::busy(error),
        Some(kv::Error::Full) => Status::InsufficientStorage,
        _ if of_disk == Some(ErrorKind::StorageFull) => Status::InsufficientStorage,
        _ => Status::InternalServerError,
    };
    Answer::failure(status, format!("the store: {error}"))
}
