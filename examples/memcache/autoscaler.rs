//! Role `autoscaler`: once a minute reads the pool's miss rate of the last minute and resizes the pool.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    common::{self, App, Client, Count, Method},
    policy::{Policy, decide},
};

/// Longest wait for the manager: moving many values takes time.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// The autoscaler.
pub struct Autoscaler {
    manager: Client,
    rounds: Count,
    resized: Count,
    failed: Count,
}

impl Autoscaler {
    /// Decides for the pool of this manager at intervals of `every`, until the process ends.
    pub fn start(manager: Client, every: Duration) -> anyhow::Result<Arc<Self>> {
        let scaler = Arc::new(Self {
            manager,
            rounds: Count::default(),
            resized: Count::default(),
            failed: Count::default(),
        });
        let decides = Arc::clone(&scaler);
        common::every(every, "the pool is not looked after", move || {
            decides.rounds.add();
            decides.round().inspect_err(|_| decides.failed.add())
        })?;
        Ok(scaler)
    }

    /// One decision. The policy is read every time: a change takes effect with the next decision.
    fn round(&self) -> anyhow::Result<()> {
        let state: Value = self.manager.json(Method::GET, "/api/state", None)?;
        let present = usize::deserialize(&state["nodes"])?;
        let miss_rate = state["last_minute"]["miss_rate"].as_f64();
        let nodes = decide(present, miss_rate, &Policy::deserialize(&state["policy"])?);
        if nodes != present {
            let size = json!({"nodes": nodes});
            self.manager.order(Method::PUT, "/api/automatic", &size)?;
            self.resized.add();
        }
        Ok(())
    }
}

impl App for Autoscaler {
    const NAME: &'static str = "memcache";
    const PARTS: &'static [&'static str] = &["autoscaler"];

    fn figures(&self) -> Value {
        json!({
            "autoscaler_rounds_total": self.rounds,
            "autoscaler_resized_total": self.resized,
            "autoscaler_failed_total": self.failed,
        })
    }
}
