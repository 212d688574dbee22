//! What the examples share: a service as a table of calls ([`web`]), its metrics, a transactional store of keys and
//! values ([`kv`]), files ([`files`]), calls to other services ([`client`], [`aws`]).

#![allow(dead_code)] // each example uses its part

pub mod aws;
pub mod client;
pub mod files;
pub mod kv;
pub mod metrics;
pub mod process;
mod sigv4;
pub mod web;

use aws::CloudWatch;
use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

use trident::{
    app::Health,
    http::Limits,
    serve::{self, Drain, Options},
};

/// The type of JSON.
pub const JSON: &str = "application/json";

/// The type of a page.
pub const HTML: &str = "text/html; charset=utf-8";

/// The type of any bytes.
pub const BYTES: &str = "application/octet-stream";

/// Where metrics are sent, besides `/metrics`.
#[derive(Clone, clap::Args)]
pub struct Cloud {
    /// Sends counters and gauges to CloudWatch, under this namespace. Needs AWS_REGION, AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY.
    #[arg(long, value_name = "NAMESPACE")]
    cloudwatch: Option<String>,
    /// Time between two times of sending.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..))]
    cloudwatch_ms: u64,
}

/// Where and how a service is hosted.
pub struct Hosting<'a> {
    /// Its address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Worker threads; 0 is one per processor.
    pub workers: usize,
    /// Threads for calls that block.
    pub threads: usize,
    /// Longest body of a request.
    pub body_bytes_max: usize,
    /// How long connections are accepted after SIGTERM.
    pub drain_accept: Duration,
    /// Where its metrics are sent.
    pub cloud: Option<&'a Cloud>,
}

impl Default for Hosting<'_> {
    /// On loopback, for calls with short bodies.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 0,
            threads: 0,
            body_bytes_max: 64 << 10,
            drain_accept: Duration::ZERO,
            cloud: None,
        }
    }
}

/// Serves until a stop signal; prints the address once requests are accepted, for whoever started it.
#[allow(clippy::print_stdout)]
pub fn serve<A: web::App>(hosting: Hosting<'_>, app: Arc<A>) -> anyhow::Result<()> {
    let options = Options {
        listen: vec![hosting.listen],
        workers: hosting.workers,
        limits: Limits {
            body_bytes_max: hosting.body_bytes_max,
            ..Limits::default()
        },
        drain: Drain {
            accept: hosting.drain_accept,
            quiet: Duration::ZERO,
            ..Drain::default()
        },
        ..Options::default()
    };
    let health = Arc::new(Health::default());
    let web = web::Web::new(app, hosting.threads, Arc::clone(&health))?;
    if let Some(cloud) = hosting.cloud
        && let Some(namespace) = &cloud.cloudwatch
    {
        let interval = Duration::from_millis(cloud.cloudwatch_ms);
        let (cloud, read) = (CloudWatch::new(namespace.clone())?, web.reader());
        every(interval, "CloudWatch", move || cloud.send(&read()))?;
    }
    serve::host(&options, Arc::new(web), &health, |addresses| {
        for address in addresses {
            println!("serving http://{address}");
        }
    })
}

/// Does `task` at intervals until the process ends. An error is reported, then the next interval begins.
pub fn every(
    interval: Duration,
    name: &'static str,
    mut task: impl FnMut() -> anyhow::Result<()> + Send + 'static,
) -> std::io::Result<()> {
    let rounds = move || {
        loop {
            thread::sleep(interval);
            if let Err(error) = task() {
                eprintln!("{name}: {error:#}");
            }
        }
    };
    thread::Builder::new().name(name.into()).spawn(rounds)?;
    Ok(())
}
