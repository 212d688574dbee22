//! Role `front`: upload, list and read files. Only it knows the store; the nodes have copies.
//!
//! ```text
//! read ─ version of the key (LMDB) ─ its node has it ───────────────────────▶ answer
//!                                  └ no ─ file of the version ─ put to node ─▶ answer
//! ```
//!
//! The version that a read begins with is the newest at that moment, whatever the nodes have: a read never returns an old
//! value.

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures_util::{FutureExt, stream};
use multer::{Multipart, bytes::Bytes};
use serde::Deserialize;
use serde_json::json;
use trident::http::Status;

use crate::{
    pool::Pool,
    store::{KEY_BYTES_MAX, Store},
    web::{Answer, Asked, Call, Plan, Role, Tried, later},
};

/// The page to upload, list and look at images.
const PAGE: &str = include_str!("front.html");

/// The type of a page.
pub const HTML: &str = "text/html; charset=utf-8";

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

    fn upload(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        without_parameters(asked)?;
        let content_type = asked.request.field(b"content-type").unwrap_or_default();
        let boundary = multer::parse_boundary(String::from_utf8_lossy(content_type));
        let boundary =
            boundary.map_err(|_| invalid("send multipart/form-data with key and file"))?;
        let body = Bytes::copy_from_slice(asked.request.body);
        let front = Arc::clone(self);
        Ok(later(move || {
            // The whole body is here, so this never waits.
            let form = form(body, &boundary).now_or_never();
            let (key, file) = form.unwrap_or_else(|| Err(invalid("the body is cut off")))?;
            let old = front.store.put(&key, &file).map_err(failed)?;
            if let Some(old) = old {
                front.pool.invalidate(&key, old);
            }
            Ok(Answer::done())
        }))
    }

    fn list_keys(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        without_parameters(asked)?;
        let front = Arc::clone(self);
        Ok(later(move || {
            let keys = front.store.keys().map_err(failed)?;
            Ok(Answer::json(&json!({"success": "true", "keys": keys})))
        }))
    }

    fn key(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        without_parameters(asked)?;
        let key = asked.text("key")?;
        check_key(&key)?;
        let front = Arc::clone(self);
        Ok(later(move || {
            let content = front.content(&key).map_err(failed)?;
            let unknown = || Answer::error(Status::NotFound, "there is no such key");
            let content = base64_simd::STANDARD.encode_to_string(content.ok_or_else(unknown)?);
            Ok(Answer::json(
                &json!({"success": "true", "content": content}),
            ))
        }))
    }

    /// The file of a key as it was at some moment during this call.
    fn content(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        while let Some(version) = self.store.version(key)? {
            if let Some(value) = self.pool.get(key, version) {
                self.cached.fetch_add(1, Relaxed);
                return Ok(Some(value));
            }
            if let Some(value) = self.store.read(version)? {
                self.from_disk.fetch_add(1, Relaxed);
                self.pool.put(key, version, &value);
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

    fn set_pool(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let Nodes { nodes } = asked.json()?;
        let front = Arc::clone(self);
        Ok(later(move || {
            Ok(Answer::json(&json!({"moved": front.pool.set(nodes)})))
        }))
    }

    fn delete_all(self: &Arc<Self>, _: &Asked<'_>) -> Tried<Plan> {
        let front = Arc::clone(self);
        Ok(later(move || {
            front.store.clear().map_err(failed)?;
            front.pool.clear();
            Ok(Answer::done())
        }))
    }

    fn page(self: &Arc<Self>, _: &Asked<'_>) -> Tried<Plan> {
        Ok(Plan::Now(Answer::ok(HTML, PAGE)))
    }
}

impl Role for Front {
    const CALLS: &'static [Call<Self>] = &[
        Call::open("GET", "/", Self::page),
        Call::open("POST", "/api/upload", Self::upload),
        Call::open("POST", "/api/list_keys", Self::list_keys),
        Call::open("POST", "/api/key/{key}", Self::key),
        Call::internal("PUT", "/pool", Self::set_pool),
        Call::internal("DELETE", "/data", Self::delete_all),
    ];

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        vec![
            ("memcache_front_nodes", self.pool.len() as f64),
            ("memcache_front_cached_total", count(&self.cached)),
            ("memcache_front_from_disk_total", count(&self.from_disk)),
        ]
    }
}

/// Key and file of a form; other parts are ignored.
async fn form(body: Bytes, boundary: &str) -> Tried<(String, Bytes)> {
    let body = stream::once(ready(Ok::<_, Infallible>(body)));
    let mut form = Multipart::new(body, boundary);
    let (mut key, mut file) = (None, None);
    while let Some(part) = form.next_field().await.map_err(invalid)? {
        let is_repeated = match part.name() {
            Some("key") => key.replace(part.bytes().await.map_err(invalid)?).is_some(),
            Some("file") => file.replace(part.bytes().await.map_err(invalid)?).is_some(),
            _ => false,
        };
        if is_repeated {
            return Err(invalid("key or file is there twice"));
        }
    }
    let key = key.ok_or_else(|| invalid("key is missing"))?;
    let key = String::from_utf8(key.into()).map_err(|_| invalid("key is not UTF-8"))?;
    check_key(&key)?;
    Ok((key, file.ok_or_else(|| invalid("file is missing"))?))
}

fn check_key(key: &str) -> Tried<()> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(invalid(format!("a key has 1 to {KEY_BYTES_MAX} bytes")))
}

fn without_parameters(asked: &Asked<'_>) -> Tried<()> {
    if asked.request.head.query.is_empty() {
        return Ok(());
    }
    Err(invalid(
        "parameters in the URL are refused; send them in the body",
    ))
}

fn invalid(why: impl ToString) -> Answer {
    Answer::error(Status::BadRequest, why)
}

/// The answer when the store fails.
fn failed(error: anyhow::Error) -> Answer {
    let is_full = matches!(
        error.downcast_ref(),
        Some(heed::Error::Mdb(heed::MdbError::MapFull))
    ) || error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull);
    let status = if is_full {
        Status::InsufficientStorage
    } else {
        Status::InternalServerError
    };
    Answer::error(status, format!("the store: {error}"))
}
