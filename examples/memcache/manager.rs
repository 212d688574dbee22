//! Role `manager`: runs the nodes as its processes, tells the front about them, keeps their statistics, serves the
//! page.
//!
//! A new node gets its keys when the front knows it. A node that leaves is ended when the front has moved its values. A
//! node that has died is replaced at the next sample and causes misses until then.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    common::{self, Answer, App, Asked, Call, Client, Method, Process, Status, Tried, ms},
    history::{History, MINUTES},
    node::{Settings, Statistics},
    policy::{NODES_MAX, NODES_MIN, Policy},
};

/// Longest wait for the front or a node: moving many values takes time.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// What a manager is told at its start.
#[derive(Clone, Copy, clap::Args)]
pub struct Beginning {
    /// Nodes at the start, 1 to 8.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
    #[command(flatten)]
    pub settings: Settings,
    /// Time between two looks at the nodes' statistics.
    #[arg(long, default_value = "5000", value_parser = ms)]
    sample_ms: Duration,
    /// The grain of the history, and what the autoscaler looks at.
    #[arg(long, default_value = "60000", value_parser = ms)]
    minute_ms: Duration,
}

/// The manager.
pub struct Manager {
    front: Client,
    /// Held while nodes are started, ended and asked.
    pool: Mutex<Pool>,
    /// The state as the page shows it, for readers, who need not wait for a change to end.
    shown: Mutex<Value>,
}

struct Pool {
    nodes: Vec<Node>,
    /// Nodes out of the pool; the front has not confirmed yet that it knows.
    leaving: Vec<Node>,
    settings: Settings,
    policy: Policy,
    history: History,
}

struct Node {
    process: Process,
    client: Client,
    /// The counts at the last sample.
    before: Statistics,
}

impl Manager {
    /// A manager for this front. Starts the nodes, and samples them until the process ends.
    pub fn start(front: Client, of: Beginning) -> anyhow::Result<Arc<Self>> {
        let manager = Arc::new(Self {
            front,
            pool: Mutex::new(Pool {
                nodes: Vec::new(),
                leaving: Vec::new(),
                settings: of.settings,
                policy: Policy::default(),
                history: History::default(),
            }),
            shown: Mutex::default(),
        });
        manager.resize(&mut manager.pool.lock(), of.nodes.into())?;
        let sampled = Arc::clone(&manager);
        let per_minute = (of.minute_ms.as_millis() / of.sample_ms.as_millis()).max(1) as usize;
        let sample = move || sampled.sample(per_minute);
        common::every(of.sample_ms, "a sample is incomplete", sample)?;
        Ok(manager)
    }

    /// Ends the nodes.
    pub fn stop(&self) {
        self.pool.lock().nodes.clear();
    }

    fn start_node(&self, settings: Settings) -> anyhow::Result<Node> {
        let capacity = format!("--capacity-mb={}", settings.capacity_mb);
        let replacement = format!("--replacement={}", settings.replacement);
        let listen = "--node-listen=127.0.0.1:0"; // all are on one machine
        let process = Process::start("node", &[&capacity, &replacement, listen], None)?;
        Ok(Node {
            client: self.front.at(&process.url),
            process,
            before: Statistics::default(),
        })
    }

    /// Resizes the pool to `nodes` nodes.
    fn resize(&self, pool: &mut Pool, nodes: usize) -> anyhow::Result<()> {
        while pool.nodes.len() < nodes {
            pool.nodes.push(self.start_node(pool.settings)?);
        }
        pool.leaving.extend(pool.nodes.drain(nodes..));
        self.show(pool);
        self.tell_front(pool)
    }

    /// Tells the front the nodes; if it knows them already, nothing happens there.
    fn tell_front(&self, pool: &mut Pool) -> anyhow::Result<()> {
        let urls: Vec<_> = pool.nodes.iter().map(|node| &node.process.url).collect();
        let nodes = json!({"nodes": urls});
        let told = self.front.order(Method::PUT, "/pool", &nodes);
        told.context("the front is told again with the next sample")?;
        pool.leaving.clear();
        Ok(())
    }

    fn show(&self, pool: &Pool) {
        let nodes = pool.nodes.iter().map(|node| {
            json!({"url": node.process.url, "pid": node.process.id(), "statistics": node.before})
        });
        *self.shown.lock() = json!({
            "nodes": pool.nodes.len(),
            "nodes_min": NODES_MIN,
            "nodes_max": NODES_MAX,
            "minutes_max": MINUTES,
            "pool": nodes.collect::<Value>(),
            "settings": pool.settings,
            "policy": pool.policy,
            "minutes": pool.history.minutes,
            "last_minute": pool.history.last_minute,
        });
    }

    /// Replaces nodes that have died, tells the front, reads every node's counts.
    fn sample(&self, samples_per_minute: usize) -> anyhow::Result<()> {
        let pool = &mut *self.pool.lock();
        for node in &mut pool.nodes {
            if !node.process.is_running() {
                *node = self.start_node(pool.settings)?;
            }
        }
        let told = self.tell_front(pool);
        let mut counted = pool.history.counted();
        (counted.items, counted.bytes) = (0, 0); // what is held is added up again
        for node in &mut pool.nodes {
            // One that does not answer has just died.
            if let Ok(now) = node.client.json(Method::GET, "/statistics", None) {
                counted = counted.and_of_node(now, node.before);
                node.before = now;
            }
        }
        let nodes = pool.nodes.len();
        pool.history.add(nodes, counted, samples_per_minute);
        self.show(pool);
        told
    }

    /// Resizes the pool to `wanted`, which computes the new number of nodes from the present one.
    fn order(&self, automatic: bool, wanted: impl Fn(usize) -> usize) -> Tried<Answer> {
        let conflict = |message| Err(Answer::failure(Status::Conflict, message));
        let pool = &mut *self.pool.lock();
        if pool.policy.automatic != automatic {
            let mode = if automatic { "manual" } else { "automatic" };
            return conflict(format!("the mode is {mode}"));
        }
        let nodes = wanted(pool.nodes.len());
        if !(NODES_MIN..=NODES_MAX).contains(&nodes) {
            return conflict(format!("a pool has {NODES_MIN} to {NODES_MAX} nodes"));
        }
        self.resize(pool, nodes)?;
        Ok(Answer::json(&json!({"success": "true", "nodes": nodes})))
    }

    fn set_policy(&self, asked: &Asked<'_>) -> Tried<()> {
        let policy = asked.json::<Policy>()?.checked();
        let pool = &mut *self.pool.lock();
        pool.policy = policy.map_err(Answer::invalid)?;
        self.show(pool);
        Ok(())
    }

    fn set_nodes(&self, asked: &Asked<'_>) -> Tried<()> {
        let settings = Settings::of(asked)?;
        let pool = &mut *self.pool.lock();
        pool.settings = settings;
        self.show(pool);
        tell_nodes(pool, Method::PUT, "/settings", &json!(settings))
    }
}

/// Tells every node. One that does not answer is replaced at the next sample by an empty one with the present settings.
fn tell_nodes(pool: &Pool, method: Method, path: &str, body: &Value) -> Tried<()> {
    let mut told = Ok(());
    for node in &pool.nodes {
        told = node.client.order(method.clone(), path, body).and(told);
    }
    Ok(told?)
}

impl App for Manager {
    const NAME: &'static str = "memcache";
    const PARTS: &'static [&'static str] = &["manager"];

    fn calls() -> Vec<Call<Self>> {
        type Row = Call<Manager>;
        vec![
            Row::page("/", include_str!("manager.html")),
            Row::shown("/api/state", |manager| manager.shown.lock().clone()),
            Row::slow("PUT", "/api/nodes", Self::set_nodes),
            Row::slow("PUT", "/api/policy", Self::set_policy),
            Row::slow("PUT", "/api/automatic", |manager, asked| {
                let nodes = asked.member("nodes")?;
                manager.order(true, |_| nodes)
            }),
            Row::order("/api/grow", |manager| {
                manager.order(false, |nodes| nodes + 1)
            }),
            Row::order("/api/shrink", |manager| {
                manager.order(false, |nodes| nodes.saturating_sub(1))
            }),
            Row::order("/api/clear", |manager| {
                tell_nodes(&manager.pool.lock(), Method::POST, "/clear", &json!({}))
            }),
            Row::order("/api/delete_all", |manager| {
                Ok(manager.front.order(Method::DELETE, "/data", &json!({}))?)
            }),
        ]
    }

    fn figures(&self) -> Value {
        let shown = self.shown.lock();
        json!({"pool_nodes": shown["nodes"], "pool_last_minute": shown["last_minute"]})
    }
}
