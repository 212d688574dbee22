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
use common::{
    Hosting, kv,
    process::{self, Process},
};
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
    #[command(flatten)]
    kv: kv::Options,
    /// Longest file in bytes.
    #[arg(long, default_value_t = 8 << 20)]
    file_bytes_max: usize,
    /// Threads of the front that read and write files and wait for nodes.
    #[arg(long, default_value_t = 32)]
    threads: usize,
    /// How long a node may take; then its value comes from the file.
    #[arg(long, default_value_t = 500)]
    node_timeout_ms: u64,
    /// Nodes at the start, 1 to 8.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
    #[command(flatten)]
    settings: node::Settings,
    /// Time between two looks at the nodes' statistics.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    sample_ms: u64,
    /// The grain of the history, and what the autoscaler looks at.
    #[arg(long, default_value_t = 60_000)]
    minute_ms: u64,
    /// Time between two decisions of the autoscaler.
    #[arg(long, default_value_t = 60_000)]
    every_ms: u64,
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

/// Longest value of a node: more than any front takes.
const VALUE_BYTES_MAX: usize = 1 << 30;

/// Threads of a role whose calls are rare.
const CONTROL_THREADS: usize = 4;

fn main() -> anyhow::Result<()> {
    let all = Arguments::parse();
    if all.started_as.is_some() {
        process::end_with_parent()?;
    }
    let of_ms = Duration::from_millis;
    let role = all.started_as.unwrap_or(all.role);
    let hosting = Hosting {
        listen: match role {
            Role::Front => all.front_listen,
            Role::Manager => all.manager_listen,
            Role::Autoscaler => all.autoscaler_listen,
            Role::Node | Role::All => all.node_listen,
        },
        cloud: Some(&all.cloud),
        ..Hosting::default()
    };
    match role {
        Role::All => run_all(),
        Role::Node => {
            let of_node = Hosting {
                body_bytes_max: VALUE_BYTES_MAX,
                cloud: None, // the manager sends the statistics of all
                ..hosting
            };
            common::serve(of_node, Arc::new(node::Node::new(all.settings)))
        }
        Role::Front => {
            let of_front = Hosting {
                body_bytes_max: all.file_bytes_max + FORM_BYTES_MAX,
                threads: all.threads,
                ..hosting
            };
            let pool = pool::Pool::new(of_ms(all.node_timeout_ms));
            let store = store::Store::open(&all.store, all.kv)?;
            common::serve(of_front, Arc::new(front::Front::new(store, pool)))
        }
        Role::Manager => {
            let threads = CONTROL_THREADS;
            let manager = manager::Manager::new(&all.front, all.settings, all.nodes.into());
            manager.run(of_ms(all.sample_ms), of_ms(all.minute_ms))?;
            let hosted = common::serve(Hosting { threads, ..hosting }, Arc::clone(&manager));
            manager.stop();
            hosted
        }
        Role::Autoscaler => {
            let scaler = autoscaler::Autoscaler::new(&all.manager);
            scaler.run(of_ms(all.every_ms))?;
            common::serve(hosting, scaler)
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
