//! What the examples share: how a service is hosted, and the metrics of its requests.

pub mod metrics;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use trident::{
    app::Health,
    http::{Limits, Service},
    serve::{self, Drain, Options},
};

/// The type of JSON.
pub const JSON: &str = "application/json";

/// The type of Prometheus' text.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where and how a service is hosted.
pub struct Hosting {
    /// Its address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Worker threads; 0 is one per processor.
    pub workers: usize,
    /// Longest body of a request.
    pub body_bytes_max: usize,
    /// How long connections are accepted after SIGTERM.
    pub drain_accept: Duration,
}

/// Serves until a stop signal; prints the address once requests are accepted, for whoever started it.
#[allow(clippy::print_stdout)]
pub fn serve<S: Service>(
    hosting: &Hosting,
    service: Arc<S>,
    health: &Health,
) -> anyhow::Result<()> {
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
    serve::host(&options, service, health, |addresses| {
        for address in addresses {
            println!("serving http://{address}");
        }
    })
}
