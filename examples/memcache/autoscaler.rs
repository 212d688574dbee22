//! Role `autoscaler`: once a minute reads the pool's miss rate of the last minute and resizes the pool.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;

use crate::{
    client::Client,
    policy::{Policy, decide},
    web::{Call, Role},
};

/// Longest wait for the manager: moving many values takes time.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The part of the manager's state that is used here.
#[derive(Deserialize)]
struct State {
    nodes: usize,
    policy: Policy,
    last_minute: Minute,
}

#[derive(Deserialize)]
struct Minute {
    miss_rate: Option<f64>,
}

/// The autoscaler.
pub struct Autoscaler {
    manager: String,
    client: Client,
    rounds: AtomicU64,
    resized: AtomicU64,
    failed: AtomicU64,
}

impl Autoscaler {
    /// An autoscaler of the pool of the manager at this URL.
    pub fn new(manager: &str) -> Self {
        Self {
            manager: manager.trim_end_matches('/').into(),
            client: Client::new(TIMEOUT),
            rounds: AtomicU64::new(0),
            resized: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Decides at intervals of `every`, until the process ends.
    pub fn run(self: &Arc<Self>, every: Duration) -> std::io::Result<()> {
        let scaler = Arc::clone(self);
        let rounds = move || loop {
            thread::sleep(every);
            scaler.rounds.fetch_add(1, Relaxed);
            if let Err(error) = scaler.round() {
                scaler.failed.fetch_add(1, Relaxed);
                eprintln!("the pool is not looked after: {error:#}");
            }
        };
        thread::Builder::new().name("rounds".into()).spawn(rounds)?;
        Ok(())
    }

    /// One decision. The policy is read every time: a change takes effect with the next decision.
    fn round(&self) -> anyhow::Result<()> {
        let manager = &self.manager;
        let told = self
            .client
            .json(Method::GET, &format!("{manager}/api/state"), &json!(null))?;
        let state: State = serde_json::from_value(told).context("the manager's state")?;
        let nodes = decide(state.nodes, state.last_minute.miss_rate, &state.policy);
        if nodes != state.nodes {
            let order = json!({"nodes": nodes});
            self.client
                .json(Method::PUT, &format!("{manager}/api/automatic"), &order)?;
            self.resized.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

impl Role for Autoscaler {
    const CALLS: &'static [Call<Self>] = &[];

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        vec![
            ("memcache_autoscaler_rounds_total", count(&self.rounds)),
            ("memcache_autoscaler_resized_total", count(&self.resized)),
            ("memcache_autoscaler_failed_total", count(&self.failed)),
        ]
    }
}
