//! Role `manager`: runs the nodes as its processes, tells the front about them, keeps their statistics, serves the
//! page.
//!
//! A new node gets its keys when the front knows it. A node that leaves is ended when the front has moved its values. A
//! node that has died is replaced at the next sample and causes misses until then.

use std::{
    env,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trident::http::Status;
use ureq::http::Method;

use crate::{
    TOKEN,
    common::{
        self,
        client::Client,
        process::Process,
        web::{Answer, App, Asked, Call, Tried},
    },
    history::{History, MINUTES, Stretch},
    node::{Settings, Statistics},
    policy::{NODES_MAX, NODES_MIN, Policy},
};

/// Longest wait for the front or a node: moving many values takes time.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The manager.
pub struct Manager {
    front: String,
    client: Client,
    /// Held while nodes are started, ended and asked.
    pool: Mutex<Pool>,
    /// A copy of the state for readers, who need not wait for a change to end.
    state: Mutex<State>,
}

#[derive(Default)]
struct Pool {
    nodes: Vec<Node>,
    /// Nodes out of the pool; the front has not confirmed yet that it knows.
    leaving: Vec<Node>,
}

struct Node {
    process: Process,
    /// The counts at the last sample.
    before: Statistics,
}

/// The body of `GET /api/state`.
#[derive(Serialize)]
struct State {
    nodes: usize,
    nodes_min: usize,
    nodes_max: usize,
    minutes_max: usize,
    pool: Vec<Value>,
    settings: Settings,
    policy: Policy,
    minutes: Value,
    last_minute: Stretch,
}

/// The body of an order for a number of nodes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    nodes: usize,
}

/// The body of an order without members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Manager {
    /// A manager for the front at this URL, with a pool of `nodes` nodes that are not started yet.
    pub fn new(front: &str, settings: Settings, nodes: usize) -> Arc<Self> {
        Arc::new(Self {
            front: front.trim_end_matches('/').into(),
            client: Client::new(TIMEOUT, env::var(TOKEN).ok()),
            pool: Mutex::default(),
            state: Mutex::new(State {
                nodes,
                nodes_min: NODES_MIN,
                nodes_max: NODES_MAX,
                minutes_max: MINUTES,
                pool: Vec::new(),
                settings,
                policy: Policy::default(),
                minutes: json!([]),
                last_minute: Stretch::default(),
            }),
        })
    }

    /// Starts the nodes, and samples until the process ends.
    pub fn run(self: &Arc<Self>, sample: Duration, minute: Duration) -> anyhow::Result<()> {
        let nodes = self.state.lock().nodes;
        self.resize(&mut self.pool.lock(), nodes)?;
        let samples = minute.as_millis() / sample.as_millis().max(1);
        let mut history = History::new(samples as usize);
        let manager = Arc::clone(self);
        common::every(sample, "a sample is incomplete", move || {
            manager.sample(&mut history)
        })?;
        Ok(())
    }

    /// Ends the nodes.
    pub fn stop(&self) {
        self.pool.lock().nodes.clear();
    }

    fn start_node(&self) -> anyhow::Result<Node> {
        let settings = json!(self.state.lock().settings);
        let capacity = settings["capacity_mb"].to_string();
        let replacement = settings["replacement"].as_str().unwrap_or_default();
        let flags = ["--capacity-mb", &capacity, "--replacement", replacement];
        let listen = ["--node-listen", "127.0.0.1:0"]; // all are on one machine
        Ok(Node {
            process: Process::start("node", &[&flags[..], &listen].concat(), None)?,
            before: Statistics::default(),
        })
    }

    /// Resizes the pool to `nodes` nodes.
    fn resize(&self, pool: &mut Pool, nodes: usize) -> anyhow::Result<()> {
        while pool.nodes.len() < nodes {
            pool.nodes.push(self.start_node()?);
        }
        pool.leaving.extend(pool.nodes.drain(nodes..));
        self.show_nodes(pool);
        self.tell_front(pool)
    }

    /// Tells the front the nodes; if it knows them already, nothing happens there.
    fn tell_front(&self, pool: &mut Pool) -> anyhow::Result<()> {
        let urls: Vec<_> = pool.nodes.iter().map(|node| &node.process.url).collect();
        let (url, nodes) = (format!("{}/pool", self.front), json!({"nodes": urls}));
        let told = self.client.json(Method::PUT, &url, Some(&nodes));
        told.context("the front is told again with the next sample")?;
        pool.leaving.clear();
        Ok(())
    }

    fn show_nodes(&self, pool: &Pool) {
        let nodes = pool.nodes.iter().map(|node| {
            json!({"url": node.process.url, "pid": node.process.id(), "statistics": node.before})
        });
        let mut state = self.state.lock();
        (state.nodes, state.pool) = (pool.nodes.len(), nodes.collect());
    }

    /// Replaces nodes that have died, tells the front, reads every node's counts.
    fn sample(&self, history: &mut History) -> anyhow::Result<()> {
        let pool = &mut *self.pool.lock();
        for node in &mut pool.nodes {
            if !node.process.is_running() {
                *node = self.start_node()?;
            }
        }
        let told = self.tell_front(pool);
        let mut counted = Statistics::default();
        for node in &mut pool.nodes {
            let url = format!("{}/statistics", node.process.url);
            let Ok(statistics) = self.client.json(Method::GET, &url, None) else {
                continue; // it has just died
            };
            let now = serde_json::from_value(statistics)?;
            counted = counted.and_of_node(now, node.before);
            node.before = now;
        }
        history.add(Stretch {
            at_ms: UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64,
            nodes: pool.nodes.len(),
            counted,
            ..Stretch::default()
        });
        self.show_nodes(pool);
        let mut state = self.state.lock();
        state.minutes = json!(history.minutes());
        state.last_minute = history.last_minute();
        told
    }

    /// Resizes the pool to `wanted`, which computes the new number of nodes from the present one.
    fn order(&self, automatic: bool, wanted: impl Fn(usize) -> usize) -> Tried<Answer> {
        let conflict = |message| Err(Answer::failure(Status::Conflict, message));
        let pool = &mut *self.pool.lock();
        if self.state.lock().policy.automatic != automatic {
            let mode = if automatic { "manual" } else { "automatic" };
            return conflict(format!("the mode is {mode}"));
        }
        let nodes = wanted(pool.nodes.len());
        if !(NODES_MIN..=NODES_MAX).contains(&nodes) {
            return conflict(format!("a pool has {NODES_MIN} to {NODES_MAX} nodes"));
        }
        self.resize(pool, nodes).map_err(unavailable)?;
        Ok(Answer::json(&json!({"success": "true", "nodes": nodes})))
    }

    fn set_policy(&self, asked: &Asked<'_>) -> Tried<Answer> {
        let policy = asked.json::<Policy>()?.checked();
        self.state.lock().policy = policy.map_err(Answer::invalid)?;
        Ok(Answer::done())
    }

    fn set_nodes(&self, asked: &Asked<'_>) -> Tried<Answer> {
        let settings = Settings::of(asked)?;
        let pool = self.pool.lock();
        self.state.lock().settings = settings;
        self.tell_nodes(&pool, Method::PUT, "settings", &json!(settings))
    }

    /// Calls every node. A node that does not answer is replaced at the next sample by an empty one with these
    /// settings.
    fn tell_nodes(&self, pool: &Pool, method: Method, path: &str, body: &Value) -> Tried<Answer> {
        let mut told = Ok(Answer::done());
        for node in &pool.nodes {
            let url = format!("{}/{path}", node.process.url);
            if let Err(error) = self.client.json(method.clone(), &url, Some(body)) {
                told = Err(unavailable(error));
            }
        }
        told
    }

    fn delete_all(&self, asked: &Asked<'_>) -> Tried<Answer> {
        let Nothing {} = asked.json()?;
        let data = format!("{}/data", self.front);
        let deleted = self.client.json(Method::DELETE, &data, None);
        deleted.map(|_| Answer::done()).map_err(unavailable)
    }
}

impl App for Manager {
    const NAME: &'static str = "memcache";
    const PARTS: &'static [&'static str] = &["manager"];

    fn calls() -> Vec<Call<Self>> {
        vec![
            Call::page("/", include_str!("manager.html")),
            Call::quick("GET", "/api/state", |manager: &Self, _| {
                Ok(Answer::json(&*manager.state.lock()))
            }),
            Call::slow("PUT", "/api/nodes", Self::set_nodes),
            Call::slow("POST", "/api/grow", |manager: &Self, asked| {
                let Nothing {} = asked.json()?;
                manager.order(false, |nodes| nodes + 1)
            }),
            Call::slow("POST", "/api/shrink", |manager: &Self, asked| {
                let Nothing {} = asked.json()?;
                manager.order(false, |nodes| nodes.saturating_sub(1))
            }),
            Call::quick("PUT", "/api/policy", Self::set_policy),
            Call::slow("PUT", "/api/automatic", |manager: &Self, asked| {
                let Size { nodes } = asked.json()?;
                manager.order(true, |_| nodes)
            }),
            Call::slow("POST", "/api/clear", |manager: &Self, asked| {
                let Nothing {} = asked.json()?;
                manager.tell_nodes(&manager.pool.lock(), Method::POST, "clear", &json!({}))
            }),
            Call::slow("POST", "/api/delete_all", Self::delete_all),
        ]
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let state = self.state.lock();
        let Stretch {
            counted, miss_rate, ..
        } = state.last_minute;
        let mut figures = vec![
            ("memcache_pool_nodes", state.nodes as f64),
            ("memcache_pool_items", counted.items as f64),
            ("memcache_pool_bytes", counted.bytes as f64),
            (
                "memcache_pool_requests_last_minute",
                counted.requests as f64,
            ),
            ("memcache_pool_hits_last_minute", counted.hits as f64),
            ("memcache_pool_misses_last_minute", counted.misses as f64),
        ];
        figures.extend(miss_rate.map(|rate| ("memcache_pool_miss_rate_last_minute", rate)));
        figures
    }
}

fn unavailable(error: anyhow::Error) -> Answer {
    Answer::busy(format!("{error:#}"))
}
