//! Role `front`: upload, list and read files. Only it knows the store; the nodes have copies.
//!
//! ```text
//! read ─ version of the key (map) ─ its node has it ───────────────────────▶ answer
//!                                 └ no ─ file of the version ─ put to node ─▶ answer
//! ```
//!
//! The version that a read begins with is the newest at that moment, whatever the nodes have: a read never returns an old
//! value.

use serde_json::{Value, json};

use crate::{
    common::{Answer, App, Asked, Call, Count, Method, Status, Tried, kv::KEY_BYTES_MAX},
    pool::Pool,
    store::Store,
};

/// The front.
pub struct Front {
    store: Store,
    pool: Pool,
    cached: Count,
    from_disk: Count,
}

impl Front {
    /// A front over a store and a pool; the manager tells it the nodes.
    pub fn new(store: Store, pool: Pool) -> Self {
        Self {
            store,
            pool,
            cached: Count::default(),
            from_disk: Count::default(),
        }
    }

    fn upload(&self, asked: &Asked<'_>) -> Tried<()> {
        asked.without_query()?;
        let form = asked.form()?;
        let (key, file) = (form.text("key")?, form.part("file")?);
        check_key(key)?;
        if let Some(old) = self.store.put(key, file)? {
            self.pool.call(Method::DELETE, key, old, &[]);
        }
        Ok(())
    }

    fn list_keys(&self, asked: &Asked<'_>) -> Tried<Answer> {
        asked.without_query()?;
        let all = self.store.all()?;
        let keys: Vec<_> = all.iter().map(|(key, _)| key).collect();
        Ok(Answer::json(&json!({"success": "true", "keys": keys})))
    }

    fn key(&self, asked: &Asked<'_>) -> Tried<Answer> {
        asked.without_query()?;
        let key = asked.param("key");
        check_key(key)?;
        let unknown = || Answer::failure(Status::NotFound, "there is no such key");
        let content = self.content(key)?.ok_or_else(unknown)?;
        let content = base64_simd::STANDARD.encode_to_string(content);
        let answer = json!({"success": "true", "content": content});
        Ok(Answer::json(&answer))
    }

    /// The file of a key as it was at some moment during this call.
    fn content(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        while let Some(version) = self.store.version(key)? {
            if let Some(value) = self.pool.call(Method::GET, key, version, &[]) {
                self.cached.add();
                return Ok(Some(value));
            }
            if let Some(value) = self.store.read(version)? {
                self.from_disk.add();
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
                let nodes: Vec<_> = asked.member("nodes")?;
                Ok(Answer::json(&json!({"moved": front.pool.set(&nodes)})))
            })
            .with_token(),
            Call::slow("DELETE", "/data", |front: &Self, _| {
                front.store.clear()?;
                front.pool.clear();
                Ok(())
            })
            .with_token(),
        ]
    }

    fn figures(&self) -> Value {
        json!({
            "front_nodes": self.pool.len(),
            "front_cached_total": self.cached,
            "front_from_disk_total": self.from_disk,
        })
    }
}

fn check_key(key: &str) -> Tried<()> {
    let fits = (1..=KEY_BYTES_MAX).contains(&key.len());
    let refusal = || Answer::invalid(format!("a key has 1 to {KEY_BYTES_MAX} bytes"));
    fits.then_some(()).ok_or_else(refusal)
}
