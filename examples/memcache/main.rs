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
//!             ▲  └─ files, LMDB          │ ▲
//!             └───── which nodes ────────┘ └─ person
//! ```

mod autoscaler;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod front;
mod history;
mod manager;
mod node;
mod partition;
mod policy;
mod pool;
mod process;
mod store;
mod web;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use common::Hosting;
use process::Process;
use signal_hook::{
    consts::{SIGCHLD, SIGINT, SIGTERM},
    iterator::Signals,
};
use trident::app::Health;
use web::{Role, Web};

/// Files by key behind an elastic pool of cache nodes.
#[derive(Parser)]
#[command(name = "memcache")]
struct Arguments {
    #[command(subcommand)]
    role: Run,
    /// Ends when standard input does: for whoever starts this as a process of theirs.
    #[arg(long, global = true, hide = true)]
    with_parent: bool,
}

#[derive(Subcommand)]
enum Run {
    /// Front, manager with its nodes, and autoscaler as processes of one program.
    All(All),
    /// Values by name, in memory.
    Node {
        /// Its address; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[command(flatten)]
        settings: node::Settings,
    },
    /// Upload, list and read files.
    Front {
        /// Its address; port 0 takes a free one.
        #[arg(long, default_value = FRONT)]
        listen: SocketAddr,
        #[command(flatten)]
        options: FrontOptions,
    },
    /// Has the nodes, and a page to look after them.
    Manager {
        /// Its address; port 0 takes a free one.
        #[arg(long, default_value = MANAGER)]
        listen: SocketAddr,
        /// The front.
        #[arg(long, default_value_t = format!("http://{FRONT}"))]
        front: String,
        #[command(flatten)]
        options: ManagerOptions,
    },
    /// Resizes the pool by its miss rate.
    Autoscaler {
        /// Its address; port 0 takes a free one.
        #[arg(long, default_value = AUTOSCALER)]
        listen: SocketAddr,
        /// The manager.
        #[arg(long, default_value_t = format!("http://{MANAGER}"))]
        manager: String,
        #[command(flatten)]
        options: AutoscalerOptions,
    },
}

#[derive(Args)]
struct All {
    /// Address of the front.
    #[arg(long, default_value = FRONT)]
    front_listen: SocketAddr,
    /// Address of the manager.
    #[arg(long, default_value = MANAGER)]
    manager_listen: SocketAddr,
    /// Address of the autoscaler.
    #[arg(long, default_value = AUTOSCALER)]
    autoscaler_listen: SocketAddr,
    #[command(flatten)]
    front: FrontOptions,
    #[command(flatten)]
    manager: ManagerOptions,
    #[command(flatten)]
    autoscaler: AutoscalerOptions,
}

#[derive(Args)]
struct FrontOptions {
    /// Directory of the store; made if it is not there.
    #[arg(long, default_value = "memcache.store")]
    store: PathBuf,
    /// Longest file in bytes.
    #[arg(long, default_value_t = 8 << 20)]
    file_bytes_max: usize,
    /// Threads that read and write files and wait for nodes.
    #[arg(long, default_value_t = 32)]
    threads: usize,
    /// How long a node may take; then its value comes from the disk.
    #[arg(long, default_value_t = 500)]
    node_timeout_ms: u64,
}

#[derive(Args)]
struct ManagerOptions {
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
}

#[derive(Args)]
struct AutoscalerOptions {
    /// Time between two decisions.
    #[arg(long, default_value_t = 60_000)]
    every_ms: u64,
}

const FRONT: &str = "127.0.0.1:8082";
const MANAGER: &str = "127.0.0.1:8083";
const AUTOSCALER: &str = "127.0.0.1:8084";

/// Longest body of a control call.
const CONTROL_BYTES_MAX: usize = 64 << 10;

/// What a body has besides the file: the key, the parts' heads.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Longest value of a node: more than any front takes.
const VALUE_BYTES_MAX: usize = 1 << 30;

/// Threads of a role whose calls are rare.
const CONTROL_THREADS: usize = 4;

fn main() -> anyhow::Result<()> {
    let matches = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches)?;
    if arguments.with_parent {
        process::end_with_parent()?;
    }
    match arguments.role {
        Run::All(all) => run_all(&all, matches.subcommand_matches("all").unwrap_or(&matches)),
        Run::Node { listen, settings } => {
            let node = Arc::new(node::Node::new(settings));
            host("node", node, listen, VALUE_BYTES_MAX, 0)
        }
        Run::Front { listen, options } => {
            let pool = pool::Pool::new(Duration::from_millis(options.node_timeout_ms));
            let front = front::Front::new(store::Store::open(&options.store)?, pool);
            let body_bytes_max = options.file_bytes_max + FORM_BYTES_MAX;
            host(
                "front",
                Arc::new(front),
                listen,
                body_bytes_max,
                options.threads,
            )
        }
        Run::Manager {
            listen,
            front,
            options,
        } => {
            let sample = Duration::from_millis(options.sample_ms);
            let minute = Duration::from_millis(options.minute_ms);
            let manager = manager::Manager::new(&front, options.settings, sample, minute);
            let manager = Arc::new(manager);
            manager.run(options.nodes.into())?;
            let hosted = host(
                "manager",
                Arc::clone(&manager),
                listen,
                CONTROL_BYTES_MAX,
                CONTROL_THREADS,
            );
            manager.stop();
            hosted
        }
        Run::Autoscaler {
            listen,
            manager,
            options,
        } => {
            let scaler = Arc::new(autoscaler::Autoscaler::new(&manager));
            scaler.run(Duration::from_millis(options.every_ms))?;
            host("autoscaler", scaler, listen, CONTROL_BYTES_MAX, 0)
        }
    }
}

fn host<R: Role>(
    name: &str,
    role: Arc<R>,
    listen: SocketAddr,
    body_bytes_max: usize,
    threads: usize,
) -> anyhow::Result<()> {
    let health = Arc::new(Health::default());
    let web = Web::new(name, role, threads, Arc::clone(&health))?;
    let hosting = Hosting {
        listen,
        workers: 0,
        body_bytes_max,
        drain_accept: Duration::ZERO,
    };
    common::serve(&hosting, Arc::new(web), &health)
}

/// Starts the roles one after the other, and ends them in turn at a stop signal or when one of them has ended.
#[allow(clippy::print_stdout)]
fn run_all(all: &All, matches: &ArgMatches) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    let token = std::env::var(web::TOKEN).unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());
    let start = |role: &str, listen: SocketAddr, flags: Vec<String>| {
        let mut arguments = vec![role.to_owned(), "--listen".into(), listen.to_string()];
        arguments.extend(flags);
        let process = Process::start(&arguments, Some((web::TOKEN, &token)))?;
        println!("{role} {}", process.url);
        anyhow::Ok(process)
    };
    let front = start("front", all.front_listen, flags::<FrontOptions>(matches))?;
    let mut of_manager = flags::<ManagerOptions>(matches);
    of_manager.extend(["--front".into(), front.url.clone()]);
    let manager = start("manager", all.manager_listen, of_manager)?;
    let mut of_autoscaler = flags::<AutoscalerOptions>(matches);
    of_autoscaler.extend(["--manager".into(), manager.url.clone()]);
    let autoscaler = start("autoscaler", all.autoscaler_listen, of_autoscaler)?;
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

/// The flags of a role's options, as they were given or by default.
fn flags<T: Args>(matches: &ArgMatches) -> Vec<String> {
    let options = T::augment_args(clap::Command::new(""));
    let flag = |option: &clap::Arg| {
        let value = matches.get_raw(option.get_id().as_str())?.next()?;
        let value = value.to_string_lossy().into_owned();
        Some([format!("--{}", option.get_long()?), value])
    };
    options.get_arguments().filter_map(flag).flatten().collect()
}
