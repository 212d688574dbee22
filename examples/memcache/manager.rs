//! Role `manager`: runs the nodes as its processes, tells the front about them, keeps their statistics, serves the
//! page.
//!
//! A new node gets its keys when the front knows it. A node that leaves is ended when the front has moved its values. A
//! node that has died is replaced at the next sample and causes misses until then.

use std::{
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use trident::http::Status;
use ureq::http::Method;

use crate::{
    client::Client,
    front::HTML,
    history::{History, MINUTES, Stretch},
    node::{Settings, Statistics},
    policy::{NODES_MAX, NODES_MIN, Policy},
    process::Process,
    web::{Answer, Asked, Call, Plan, Role, Tried, later},
};

/// The page.
const PAGE: &str = include_str!("manager.html");

/// The manager.
pub struct Manager {
    front: String,
    client: Client,
    sample: Duration,
    /// Held while nodes are started, ended and asked.
    pool: Mutex<Pool>,
    /// A copy of the state for readers, who need not wait for a change to end.
    state: Mutex<State>,
}

struct Pool {
    nodes: Vec<Node>,
    /// Nodes out of the pool; the front has not confirmed yet that it knows.
    leaving: Vec<Node>,
    history: History,
}

struct Node {
    process: Process,
    /// The counts at the last sample.
    before: Statistics,
}

struct State {
    settings: Settings,
    policy: Policy,
    nodes: Vec<Value>,
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
    /// A manager without nodes, for the front at this URL; `minute` is the number of samples in a minute.
    pub fn new(front: &str, settings: Settings, sample: Duration, minute: Duration) -> Self {
        let samples = minute.as_millis() / sample.as_millis().max(1);
        Self {
            front: front.trim_end_matches('/').into(),
            client: Client::new(Duration::from_secs(60)), // moving many values takes time
            sample,
            pool: Mutex::new(Pool {
                nodes: Vec::new(),
                leaving: Vec::new(),
                history: History::new(samples as usize),
            }),
            state: Mutex::new(State {
                settings,
                policy: Policy::default(),
                nodes: Vec::new(),
                minutes: json!([]),
                last_minute: Stretch::default(),
            }),
        }
    }

    /// Starts `nodes` nodes, and samples until the process ends.
    pub fn run(self: &Arc<Self>, nodes: usize) -> anyhow::Result<()> {
        self.resize(&mut self.pool.lock(), nodes)?;
        let manager = Arc::clone(self);
        let samples = move || loop {
            thread::sleep(manager.sample);
            if let Err(error) = manager.sample() {
                eprintln!("a sample is incomplete: {error:#}");
            }
        };
        thread::Builder::new()
            .name("samples".into())
            .spawn(samples)?;
        Ok(())
    }

    /// Ends the nodes.
    pub fn stop(&self) {
        self.pool.lock().nodes.clear();
    }

    fn start_node(&self) -> anyhow::Result<Node> {
        let settings = self.state.lock().settings;
        let replacement = json!(settings.replacement);
        let arguments = [
            "node",
            "--listen",
            "127.0.0.1:0",
            "--capacity-mb",
            &settings.capacity_mb.to_string(),
            "--replacement",
            replacement.as_str().unwrap_or_default(),
        ];
        Ok(Node {
            process: Process::start(&arguments.map(Into::into), None)?,
            before: Statistics::default(),
        })
    }

    /// Resizes the pool to `nodes` nodes.
    fn resize(&self, pool: &mut Pool, nodes: usize) -> anyhow::Result<()> {
        while pool.nodes.len() < nodes {
            let node = self.start_node()?;
            pool.nodes.push(node);
        }
        pool.leaving.extend(pool.nodes.drain(nodes..));
        self.show_nodes(pool);
        self.tell_front(pool)
    }

    /// Tells the front the nodes; if it knows them already, nothing happens there.
    fn tell_front(&self, pool: &mut Pool) -> anyhow::Result<()> {
        let urls: Vec<_> = pool.nodes.iter().map(|node| &node.process.url).collect();
        let pool_url = format!("{}/pool", self.front);
        self.client
            .json(Method::PUT, &pool_url, &json!({"nodes": urls}))
            .context("the front is told again with the next sample")?;
        pool.leaving.clear();
        Ok(())
    }

    fn show_nodes(&self, pool: &Pool) {
        let nodes = pool.nodes.iter().map(|node| {
            json!({"url": node.process.url, "pid": node.process.id(), "statistics": node.before})
        });
        self.state.lock().nodes = nodes.collect();
    }

    /// Replaces nodes that have died, tells the front, reads every node's counts.
    fn sample(&self) -> anyhow::Result<()> {
        let pool = &mut *self.pool.lock();
        for node in &mut pool.nodes {
            if !node.process.is_running() {
                *node = self.start_node()?;
            }
        }
        let told = self.tell_front(pool);
        let at_ms = UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64;
        let mut counted = Statistics::default();
        for node in &mut pool.nodes {
            let url = format!("{}/statistics", node.process.url);
            let Ok(statistics) = self.client.json(Method::GET, &url, &json!(null)) else {
                continue; // it has just died
            };
            let now: Statistics = serde_json::from_value(statistics)?;
            counted.items += now.items;
            counted.bytes += now.bytes;
            counted.requests += now.requests.saturating_sub(node.before.requests);
            counted.hits += now.hits.saturating_sub(node.before.hits);
            counted.misses += now.misses.saturating_sub(node.before.misses);
            node.before = now;
        }
        pool.history.add(Stretch {
            at_ms,
            nodes: pool.nodes.len(),
            counted,
            ..Stretch::default()
        });
        self.show_nodes(pool);
        let mut state = self.state.lock();
        state.minutes = json!(pool.history.minutes());
        state.last_minute = pool.history.last_minute();
        told
    }

    /// Resizes the pool to `wanted`, which computes the new number of nodes from the present one.
    fn order(
        self: &Arc<Self>,
        automatic: bool,
        wanted: impl FnOnce(usize) -> usize + Send + 'static,
    ) -> Plan {
        let manager = Arc::clone(self);
        later(move || {
            let pool = &mut *manager.pool.lock();
            if manager.state.lock().policy.automatic != automatic {
                let mode = if automatic { "manual" } else { "automatic" };
                return Err(conflict(format!("the mode is {mode}")));
            }
            let nodes = wanted(pool.nodes.len());
            if !(NODES_MIN..=NODES_MAX).contains(&nodes) {
                let message = format!("a pool has {NODES_MIN} to {NODES_MAX} nodes");
                return Err(conflict(message));
            }
            manager.resize(pool, nodes).map_err(unavailable)?;
            Ok(Answer::json(&json!({"success": "true", "nodes": nodes})))
        })
    }

    fn grow(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let Nothing {} = asked.json()?;
        Ok(self.order(false, |nodes| nodes + 1))
    }

    fn shrink(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let Nothing {} = asked.json()?;
        Ok(self.order(false, |nodes| nodes.saturating_sub(1)))
    }

    fn automatic(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let Size { nodes } = asked.json()?;
        Ok(self.order(true, move |_| nodes))
    }

    fn set_policy(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let policy = asked.json::<Policy>()?.checked();
        let policy = policy.map_err(|why| Answer::error(Status::BadRequest, why))?;
        self.state.lock().policy = policy;
        Ok(Plan::Now(Answer::done()))
    }

    fn set_nodes(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let settings = asked.json::<Settings>()?.checked()?;
        let manager = Arc::clone(self);
        Ok(later(move || {
            let pool = manager.pool.lock();
            manager.state.lock().settings = settings;
            manager.tell_nodes(&pool, Method::PUT, "settings", &json!(settings))
        }))
    }

    fn clear(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let Nothing {} = asked.json()?;
        let manager = Arc::clone(self);
        Ok(later(move || {
            manager.tell_nodes(&manager.pool.lock(), Method::POST, "clear", &json!({}))
        }))
    }

    /// Calls every node. A node that does not answer is replaced at the next sample by an empty one with these
    /// settings.
    fn tell_nodes(&self, pool: &Pool, method: Method, path: &str, body: &Value) -> Tried<Answer> {
        let mut told = Ok(Answer::done());
        for node in &pool.nodes {
            let url = format!("{}/{path}", node.process.url);
            if let Err(error) = self.client.json(method.clone(), &url, body) {
                told = Err(unavailable(error));
            }
        }
        told
    }

    fn delete_all(self: &Arc<Self>, asked: &Asked<'_>) -> Tried<Plan> {
        let Nothing {} = asked.json()?;
        let manager = Arc::clone(self);
        Ok(later(move || {
            let data = format!("{}/data", manager.front);
            let deleted = manager.client.json(Method::DELETE, &data, &json!({}));
            deleted.map_err(unavailable)?;
            Ok(Answer::done())
        }))
    }

    fn state(self: &Arc<Self>, _: &Asked<'_>) -> Tried<Plan> {
        let state = self.state.lock();
        Ok(Plan::Now(Answer::json(&json!({
            "nodes": state.nodes.len(),
            "nodes_min": NODES_MIN,
            "nodes_max": NODES_MAX,
            "pool": state.nodes,
            "settings": state.settings,
            "policy": state.policy,
            "minutes_max": MINUTES,
            "minutes": state.minutes,
            "last_minute": state.last_minute,
        }))))
    }

    fn page(self: &Arc<Self>, _: &Asked<'_>) -> Tried<Plan> {
        Ok(Plan::Now(Answer::ok(HTML, PAGE)))
    }
}

impl Role for Manager {
    const CALLS: &'static [Call<Self>] = &[
        Call::open("GET", "/", Self::page),
        Call::open("GET", "/api/state", Self::state),
        Call::open("PUT", "/api/nodes", Self::set_nodes),
        Call::open("POST", "/api/grow", Self::grow),
        Call::open("POST", "/api/shrink", Self::shrink),
        Call::open("PUT", "/api/policy", Self::set_policy),
        Call::open("PUT", "/api/automatic", Self::automatic),
        Call::open("POST", "/api/clear", Self::clear),
        Call::open("POST", "/api/delete_all", Self::delete_all),
    ];

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let state = self.state.lock();
        let Stretch { counted, .. } = state.last_minute;
        vec![
            ("memcache_pool_nodes", state.nodes.len() as f64),
            ("memcache_pool_items", counted.items as f64),
            ("memcache_pool_bytes", counted.bytes as f64),
            (
                "memcache_pool_requests_last_minute",
                counted.requests as f64,
            ),
            ("memcache_pool_hits_last_minute", counted.hits as f64),
            ("memcache_pool_misses_last_minute", counted.misses as f64),
        ]
    }
}

fn conflict(message: String) -> Answer {
    Answer::error(Status::Conflict, message)
}

fn unavailable(error: anyhow::Error) -> Answer {
    Answer::error(Status::ServiceUnavailable, format!("{error:#}"))
}
