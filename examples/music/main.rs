//! The music service: users, music and playlists as JSON over HTTP, in LMDB or MariaDB.
//!
//! ```text
//! cargo run --release --example music -- --store music.lmdb
//! cargo run --release --example music -- --store mysql://music:PASSWORD@127.0.0.1/music
//! ```
//!
//! docs/services.md tells how it is made. The path of a request:
//!
//! ```text
//! service, model ─▶ work ─▶ rules in a transaction of common::kv ─ durable ─▶ answer
//! ```

#[path = "../common/mod.rs"]
mod common;
mod model;
mod rules;
mod service;
mod work;

use std::{env, net::SocketAddr, sync::Arc, time::Duration};

use clap::Parser;
use common::kv::{self, Kv};

/// Users, music and playlists as JSON over HTTP.
#[derive(Parser)]
#[command(name = "music")]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Directory of the store, made if it is not there; or a database as mysql://USER:PASSWORD@HOST:PORT/DATABASE. From
    /// MUSIC_STORE if it is not given; by default music.lmdb.
    #[arg(long)]
    store: Option<String>,
    #[command(flatten)]
    options: kv::Options,
    #[command(flatten)]
    cloud: common::Cloud,
    /// Worker threads; 0 is one per processor.
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// How long connections are accepted after SIGTERM, in milliseconds: the time that a balancer needs to notice.
    #[arg(long, default_value_t = 0)]
    drain_accept_ms: u64,
}

/// Longest body: a playlist of some 1,600 songs.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Threads for calls that block: the store has its own.
const THREADS: usize = 0;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let store = arguments.store.or_else(|| env::var("MUSIC_STORE").ok());
    let store = store.as_deref().unwrap_or("music.lmdb").parse()?;
    let kv = Kv::open(&store, rules::TABLES, arguments.options)?;
    let mut options = common::options(arguments.listen, BODY_BYTES_MAX);
    options.workers = arguments.workers;
    options.drain.accept = Duration::from_millis(arguments.drain_accept_ms);
    let (cloud, music) = (Some(&arguments.cloud), Arc::new(service::Music::new(kv)));
    common::serve(&options, THREADS, cloud, music)
}
