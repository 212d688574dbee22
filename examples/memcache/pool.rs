//! The pool as the front sees it: which node has which key, and its calls.
//!
//! A value's name in a node is its version followed by its key. A version always has the same bytes. So an answer does
//! not depend on which node is asked, what the pool was when the value was put, or who puts it again during a change: a
//! node has the right bytes or none. Values that a change leaves behind at a node are never asked for again and make
//! room in time.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::{Uuid, fmt::Hyphenated};

use crate::{
    common::{Client, Method},
    partition::partition,
};

/// How long a node that did not answer is not asked: a node that hangs must not delay every request.
const AVOIDED: Duration = Duration::from_secs(1);

/// The present nodes.
pub struct Pool {
    nodes: ArcSwap<Vec<Client>>,
    /// Held during a change, so that changes come one after another.
    change: Mutex<()>,
    /// What the nodes' clients are like.
    client: Client,
}

impl Pool {
    /// A pool without nodes; a node that does not answer within the client's timeout counts as empty.
    pub fn new(mut client: Client) -> Self {
        client.avoided = AVOIDED;
        Self {
            nodes: ArcSwap::default(),
            change: Mutex::default(),
            client,
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.load().len()
    }

    /// Asks the key's node about a version. GET: the value, if it has it. PUT: takes the value. DELETE: drops it.
    pub fn call(&self, method: Method, key: &str, version: Uuid, value: &[u8]) -> Option<Vec<u8>> {
        let name = format!("{}{key}", version.hyphenated());
        about(owner(&self.nodes.load(), key)?, method, &name, value)
    }

    /// Drops what all nodes have.
    pub fn clear(&self) {
        for node in &**self.nodes.load() {
            let _ = node.ask(Method::POST, "/clear", &[], &[]); // nobody asks for it any more
        }
    }

    /// Sets the nodes and moves the values that now belong to another node. Returns how many. Nodes that have left must
    /// still run, to hand over their values.
    pub fn set(&self, urls: &[String]) -> usize {
        let _change = self.change.lock();
        let old = self.nodes.load_full();
        if old.iter().map(|node| &node.base).eq(urls) {
            return 0;
        }
        let new: Vec<_> = urls.iter().map(|url| self.client.at(url)).collect();
        self.nodes.store(Arc::new(new.clone()));
        old.iter().map(|node| move_from(node, &new)).sum()
    }
}

fn move_from(node: &Client, nodes: &[Client]) -> usize {
    let names: Vec<String> = node.json(Method::GET, "/names", None).unwrap_or_default();
    let moved = |name: &String| {
        let key = name.get(Hyphenated::LENGTH..).unwrap_or_default();
        let owner = owner(nodes, key).filter(|owner| owner.base != node.base)?;
        let value = about(node, Method::POST, name, &[])?;
        about(owner, Method::PUT, name, &value)
    };
    names.iter().filter_map(moved).count()
}

fn owner<'a>(nodes: &'a [Client], key: &str) -> Option<&'a Client> {
    nodes.get(partition(key).checked_rem(nodes.len())?)
}

/// The body of a node's answer of success.
fn about(node: &Client, method: Method, name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let asked = node.ask(method, &format!("/values/{name}"), &[], value);
    let (status, body) = asked.ok()?;
    status.is_success().then_some(body)
}
