//! The music service: users, music and playlists as JSON over HTTP, in LMDB.
//!
//! ```text
//! cargo run --release --example music -- --store music.lmdb
//! ```
//!
//! docs/services.md tells how it is made. The path of a request:
//!
//! ```text
//! service ─ route, model ─▶ work ─ read ──────────▶ lmdb ─▶ answer
//!                             └─── write ─ queue ─▶ lmdb, one thread ─ commit ─▶ answer (Deferred)
//! ```

#[path = "../common/mod.rs"]
mod common;
mod lmdb;
mod model;
mod route;
mod service;
mod work;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use trident::app::Health;

/// Users, music and playlists as JSON over HTTP.
#[derive(Parser)]
#[command(name = "music")]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Directory of the store; made if it is not there.
    #[arg(long, default_value = "music.lmdb")]
    store: PathBuf,
    /// Most bytes of the store. Writes beyond are answered with 507.
    #[arg(long, default_value_t = 4 << 30)]
    store_bytes_max: usize,
    /// Worker threads; 0 is one per processor.
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// How long connections are accepted after SIGTERM, in milliseconds: the time that a balancer needs to notice.
    #[arg(long, default_value_t = 0)]
    drain_accept_ms: u64,
}

/// Longest body: a playlist of some 1,600 songs.
const BODY_BYTES_MAX: usize = 64 << 10;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let store = lmdb::Store::open(&arguments.store, arguments.store_bytes_max)?;
    let health = Arc::new(Health::default());
    let service = Arc::new(service::Music::new(store, Arc::clone(&health))?);
    let hosting = common::Hosting {
        listen: arguments.listen,
        workers: arguments.workers,
        body_bytes_max: BODY_BYTES_MAX,
        drain_accept: Duration::from_millis(arguments.drain_accept_ms),
    };
    common::serve(&hosting, service, &health)
}
