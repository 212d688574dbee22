//! What the examples share: a service as a table of calls ([`web`]), its metrics, a transactional store of keys and
//! values ([`kv`]), files ([`files`]), calls to other services ([`client`], [`aws`]).

#![allow(dead_code, unused_imports)] // each example uses its part

pub mod aws;
pub mod client;
pub mod files;
pub mod kv;
pub mod metrics;
pub mod process;
mod sigv4;
pub mod web;

use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

use aws::CloudWatch;
use trident::{
    app::Health,
    http::Limits,
    serve::{self, Drain, Options},
};

pub use client::Client;
pub use metrics::Count;
pub use process::Process;
pub use trident::http::Status;
pub use ureq::http::Method;
pub use web::{Answer, App, Asked, Call, Tried};

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
    #[arg(long, default_value = "60000", value_parser = ms)]
    cloudwatch_ms: Duration,
}

/// How a service is hosted at this address, where port 0 takes a free one, that takes bodies of up to this length.
pub fn options(listen: SocketAddr, body_bytes_max: usize) -> Options {
    Options {
        listen: vec![listen],
        limits: Limits {
            body_bytes_max,
            ..Limits::default()
        },
        drain: Drain {
            accept: Duration::ZERO,
            quiet: Duration::ZERO,
            ..Drain::default()
        },
        ..Options::default()
    }
}

/// Serves until a stop signal, with this many threads for calls that block; prints the address once requests are accepted,
/// for whoever started it.
#[allow(clippy::print_stdout)]
pub fn serve<A: App>(
    options: &Options,
    threads: usize,
    cloud: Option<&Cloud>,
    app: Arc<A>,
) -> anyhow::Result<()> {
    let health = Arc::new(Health::default());
    let web = web::Web::new(app, threads, Arc::clone(&health))?;
    if let Some(cloud) = cloud
        && let Some(namespace) = &cloud.cloudwatch
    {
        let interval = cloud.cloudwatch_ms;
        let (cloud, read) = (CloudWatch::new(namespace.clone())?, web.reader());
        every(interval, "CloudWatch", move || cloud.send(&read()))?;
    }
    serve::host(options, Arc::new(web), &health, |addresses| {
        for address in addresses {
            println!("serving http://{address}");
        }
    })
}

/// The time that a flag gives in whole milliseconds, at least one.
pub fn ms(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(ms @ 1..) => Ok(Duration::from_millis(ms)),
        _ => Err("expected milliseconds, at least 1"),
    }
}

/// Does `task` at intervals until the process ends. An error is reported, then the next interval begins.
pub fn every(
    interval: Duration,
    name: &'static str,
    mut task: impl FnMut() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
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
