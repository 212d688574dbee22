//! The pool as the front sees it: which node has which key, and its calls.
//!
//! A value's name in a node is its version followed by its key. A version always has the same bytes. So an answer does
//! not depend on which node is asked, what the pool was when the value was put, or who puts it again during a change: a
//! node has the right bytes or none. Values that a change leaves behind at a node are never asked for again and make
//! room in time.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::{Method, StatusCode};
use uuid::{Uuid, fmt::Hyphenated};

use crate::{TOKEN, common::client::Client, partition::partition};

/// How long a node that did not answer is not asked: a node that hangs must not delay every request.
const AVOIDED: Duration = Duration::from_secs(1);

/// The present nodes.
pub struct Pool {
    nodes: ArcSwap<Vec<Arc<Node>>>,
    /// Held during a change, so that changes come one after another.
    change: Mutex<()>,
    client: Client,
}

struct Node {
    url: String,
    avoided_until: Mutex<Instant>,
}

impl Pool {
    /// A pool without nodes; a node that does not answer within `timeout` counts as empty.
    pub fn new(timeout: Duration) -> Self {
        Self {
            nodes: ArcSwap::default(),
            change: Mutex::default(),
            client: Client::new(timeout, env::var(TOKEN).ok()),
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.load().len()
    }

    /// Asks the key's node about a version. GET: the value, if it has it. PUT: takes the value. DELETE: drops it.
    pub fn call(&self, method: Method, key: &str, version: Uuid, value: &[u8]) -> Option<Vec<u8>> {
        let name = format!("{}{key}", version.hyphenated());
        self.about(&*self.owner(key)?, method, &name, value)
    }

    /// Drops what all nodes have.
    pub fn clear(&self) {
        for node in &**self.nodes.load() {
            self.ask(node, Method::POST, "clear", &[]);
        }
    }

    /// Sets the nodes and moves the values that now belong to another node. Returns how many. Nodes that have left must
    /// still run, to hand over their values.
    pub fn set(&self, urls: Vec<String>) -> usize {
        let _change = self.change.lock();
        let old = self.nodes.load_full();
        if old.iter().map(|node| &node.url).eq(&urls) {
            return 0;
        }
        let node = |url: String| match old.iter().find(|node| node.url == url) {
            Some(node) => Arc::clone(node),
            None => Arc::new(Node {
                url,
                avoided_until: Mutex::new(Instant::now()),
            }),
        };
        self.nodes
            .store(Arc::new(urls.into_iter().map(node).collect()));
        old.iter().map(|node| self.move_from(node)).sum()
    }

    fn move_from(&self, node: &Node) -> usize {
        let names = self.ask(node, Method::GET, "names", &[]);
        let names: Vec<String> =
            serde_json::from_slice(&names.unwrap_or_default()).unwrap_or_default();
        let is_moved = |name: &&String| {
            let key = name.get(Hyphenated::LENGTH..).unwrap_or_default();
            let Some(owner) = self.owner(key).filter(|owner| owner.url != node.url) else {
                return false;
            };
            let value = self.about(node, Method::POST, name, &[]);
            value.is_some_and(|value| self.about(&owner, Method::PUT, name, &value).is_some())
        };
        names.iter().filter(is_moved).count()
    }

    fn owner(&self, key: &str) -> Option<Arc<Node>> {
        let nodes = self.nodes.load();
        let index = partition(key).checked_rem(nodes.len())?;
        nodes.get(index).cloned()
    }

    fn about(&self, node: &Node, method: Method, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        self.ask(node, method, &format!("values/{name}"), value)
    }

    /// The body of an answer of 200. A node that does not give one is not asked for a while.
    fn ask(&self, node: &Node, method: Method, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        if *node.avoided_until.lock() > Instant::now() {
            return None;
        }
        let url = format!("{}/{path}", node.url);
        match self.client.ask(method, &url, &[], body) {
            Ok((status, body)) => (status == StatusCode::OK).then_some(body),
            Err(_) => {
                *node.avoided_until.lock() = Instant::now() + AVOIDED;
                None
            }
        }
    }
}
