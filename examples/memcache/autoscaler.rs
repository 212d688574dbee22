//! Role `autoscaler`: once a minute reads the pool's miss rate of the last minute and resizes the pool.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Context;
use serde_json::json;
use ureq::http::Method;

use crate::{
    TOKEN,
    common::{
        self,
        client::Client,
        web::{App, Call},
    },
    policy::{Policy, decide},
};

/// Longest wait for the manager: moving many values takes time.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The autoscaler.
pub struct Autoscaler {
    manager: String,
    client: Client,
    /// Rounds, changes of the pool, rounds that failed.
    counts: [AtomicU64; 3],
}

impl Autoscaler {
    /// An autoscaler of the pool of the manager at this URL.
    pub fn new(manager: &str) -> Arc<Self> {
        Arc::new(Self {
            manager: manager.trim_end_matches('/').into(),
            client: Client::new(TIMEOUT, env::var(TOKEN).ok()),
            counts: Default::default(),
        })
    }

    /// Decides at intervals of `every`, until the process ends.
    pub fn run(self: &Arc<Self>, every: Duration) -> std::io::Result<()> {
        let scaler = Arc::clone(self);
        common::every(every, "the pool is not looked after", move || {
            scaler.counts[0].fetch_add(1, Relaxed);
            scaler.round().inspect_err(|_| {
                scaler.counts[2].fetch_add(1, Relaxed);
            })
        })
    }

    /// One decision. The policy is read every time: a change takes effect with the next decision.
    fn round(&self) -> anyhow::Result<()> {
        let call = |method, path, body| {
            let url = format!("{}/api/{path}", self.manager);
            self.client.json(method, &url, body)
        };
        let mut state = call(Method::GET, "state", None)?;
        let policy: Policy = serde_json::from_value(state["policy"].take())?;
        let present = state["nodes"]
            .as_u64()
            .context("the manager tells no nodes")? as usize;
        let miss_rate = state["last_minute"]["miss_rate"].as_f64();
        let nodes = decide(present, miss_rate, &policy);
        if nodes != present {
            call(Method::PUT, "automatic", Some(&json!({"nodes": nodes})))?;
            self.counts[1].fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

impl App for Autoscaler {
    const NAME: &'static str = "memcache";
    const PARTS: &'static [&'static str] = &["autoscaler"];

    fn calls() -> Vec<Call<Self>> {
        Vec::new()
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let [rounds, resized, failed] = &self.counts;
        let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        vec![
            ("memcache_autoscaler_rounds_total", count(rounds)),
            ("memcache_autoscaler_resized_total", count(resized)),
            ("memcache_autoscaler_failed_total", count(failed)),
        ]
    }
}
