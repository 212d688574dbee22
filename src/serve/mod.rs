//! The server's life: bind, run the phases, stop.

use std::{net::SocketAddr, time::Duration};

/// Settings of the process: addresses, workers, stop.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses of the public listener.
    pub listen: Vec<SocketAddr>,
    /// Address of the admin listener; `None` = no admin listener.
    pub admin: Option<SocketAddr>,
    /// Worker threads, each with its own epoll loop; 0 = one per available processor.
    pub workers: usize,
    /// Pins worker threads to processors.
    pub pin_workers: bool,
    /// Stack of one connection's coroutine in bytes.
    pub stack_bytes: usize,
    /// Pending connections the kernel keeps for the accept loop.
    pub backlog: u32,
    /// After a stop signal: how long new connections are still accepted. Longer than the balancer's
    /// health check interval times its unhealthy threshold.
    pub drain_accept: Duration,
    /// After a stop signal: when the process ends, whatever is still in flight.
    pub drain_deadline: Duration,
    /// Bounds of the HTTP loop.
    pub limits: crate::http::Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))],
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
            workers: 0,
            pin_workers: true,
            stack_bytes: 64 << 10,
            backlog: 4096,
            drain_accept: Duration::from_secs(15),
            drain_deadline: Duration::from_secs(30),
            limits: crate::http::Limits::default(),
        }
    }
}
