//! The elastic image cache: files by key behind a pool of cache nodes that grows and shrinks.
//!
//! ```text
//! cargo run --release --example memcache -- all --store memcache.store
//! ```
//!
//! docs/services.md tells how it is made. Four roles, each a process of this program:
//!
//! ```text
//! person ─▶ front ─▶ node, node, … ◀─ manager ◀─ autoscaler
//!             ▲  └─ files, map           │ ▲
//!             └───── which nodes ────────┘ └─ person
//! ```

mod autoscaler;
#[path = "../common/mod.rs"]
mod common;
mod front;
mod history;
mod manager;
mod node;
mod partition;
mod policy;
mod pool;
mod store;

use std::{env, net::SocketAddr, sync::Arc, time::Duration};

use clap::{Parser, ValueEnum};
use common::{Client, Process, ms, options, process};
use signal_hook::{
    consts::{SIGCHLD, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Files by key behind an elastic pool of cache nodes.
#[derive(Parser)]
#[command(name = "memcache", args_override_self = true)]
struct Arguments {
    role: Role,
    /// The role of a process that another one has started, with which it ends.
    #[arg(long = "as", hide = true)]
    started_as: Option<Role>,
    /// Address of the front; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8082")]
    front_listen: SocketAddr,
    /// Address of the manager.
    #[arg(long, default_value = "127.0.0.1:8083")]
    manager_listen: SocketAddr,
    /// Address of the autoscaler.
    #[arg(long, default_value = "127.0.0.1:8084")]
    autoscaler_listen: SocketAddr,
    /// Address of a node.
    #[arg(long, default_value = "127.0.0.1:0")]
    node_listen: SocketAddr,
    /// The front that a manager is for.
    #[arg(long, default_value = "http://127.0.0.1:8082")]
    front: String,
    /// The manager that an autoscaler is for.
    #[arg(long, default_value = "http://127.0.0.1:8083")]
    manager: String,
    #[command(flatten)]
    store: store::Places,
    /// Longest file in bytes.
    #[arg(long, default_value_t = 8 << 20)]
    file_bytes_max: usize,
    /// Threads of the front that read and write files and wait for nodes.
    #[arg(long, default_value_t = 32)]
    threads: usize,
    /// How long a node may take; then its value comes from the file.
    #[arg(long, default_value = "500", value_parser = ms)]
    node_timeout_ms: Duration,
    #[command(flatten)]
    pool: manager::Beginning,
    /// Time between two decisions of the autoscaler.
    #[arg(long, default_value = "60000", value_parser = ms)]
    every_ms: Duration,
    #[command(flatten)]
    cloud: common::Cloud,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Front, manager with its nodes, and autoscaler.
    All,
    /// Values by name, in memory.
    Node,
    /// Upload, list and read files.
    Front,
    /// Has the nodes, and a page to look after them.
    Manager,
    /// Resizes the pool by its miss rate.
    Autoscaler,
}

/// The variable with the token of calls between the roles; without it they need none.
const TOKEN: &str = "MEMCACHE_TOKEN";

/// What a form has besides its file: the key, the parts' heads.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Longest order.
const ORDER_BYTES_MAX: usize = 4 << 10;

/// Longest value of a node: more than any front takes.
const VALUE_BYTES_MAX: usize = 1 << 30;

/// Orders that the manager takes at a time.
const ORDERS_MAX: usize = 4;

fn main() -> anyhow::Result<()> {
    let all = Arguments::parse();
    if all.started_as.is_some() {
        process::end_with_parent()?;
    }
    let token = env::var(TOKEN).ok();
    let client = |url: &str, timeout| Client::new(url, timeout, token.clone());
    let cloud = Some(&all.cloud);
    match all.started_as.unwrap_or(all.role) {
        Role::All => run_all(),
        Role::Node => {
            let options = options(all.node_listen, VALUE_BYTES_MAX);
            // The manager sends the statistics of all.
            common::serve(
                &options,
                0,
                None,
                Arc::new(node::Node::new(all.pool.settings)),
            )
        }
        Role::Front => {
            let pool = pool::Pool::new(client("", all.node_timeout_ms));
            let front = front::Front::new(store::Store::open(&all.store)?, pool);
            let options = options(all.front_listen, all.file_bytes_max + FORM_BYTES_MAX);
            common::serve(&options, all.threads, cloud, Arc::new(front))
        }
        Role::Manager => {
            let front = client(&all.front, manager::TIMEOUT);
            let manager = manager::Manager::start(front, all.pool)?;
            let options = options(all.manager_listen, ORDER_BYTES_MAX);
            let hosted = common::serve(&options, ORDERS_MAX, cloud, Arc::clone(&manager));
            manager.stop();
            hosted
        }
        Role::Autoscaler => {
            let manager = client(&all.manager, autoscaler::TIMEOUT);
            let scaler = autoscaler::Autoscaler::start(manager, all.every_ms)?;
            let options = options(all.autoscaler_listen, ORDER_BYTES_MAX);
            common::serve(&options, 0, cloud, scaler)
        }
    }
}

/// Starts the roles one after the other, and ends them in turn at a stop signal or when one of them has ended.
#[allow(clippy::print_stdout)]
fn run_all() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    let token = env::var(TOKEN).unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());
    let start = |role, flags: &[&str]| {
        let process = Process::start(role, flags, Some((TOKEN, &token)))?;
        println!("{role} {}", process.url);
        anyhow::Ok(process)
    };
    let front = start("front", &[])?;
    let manager = start("manager", &["--front", &front.url])?;
    let autoscaler = start("autoscaler", &["--manager", &manager.url])?;
    let mut roles = [autoscaler, manager, front];
    for signal in signals.forever() {
        if signal != SIGCHLD {
            return Ok(());
        }
        let all_run = roles.iter_mut().all(Process::is_running);
        anyhow::ensure!(all_run, "a role has ended; its words are above");
    }
    Ok(())
}
