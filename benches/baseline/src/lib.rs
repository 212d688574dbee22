//! What the baseline servers and the load clients share.
//!
//! * [`args`]: `--name value` flags, unknown ones refused;
//! * [`epoll`]: sockets of the epoll servers, and a response of a given length;
//! * [`sys`]: the system calls the standard library does not offer (affinity, CPU clocks, raw recv/send);
//! * [`targets`]: a file of request targets, as request bytes and learned response lengths;
//! * [`on_threads`]: the servers' threads;
//! * [`histogram`]: latency buckets of bounded relative error.
//!
//! Nothing here is used by the server under test.

use std::{io, thread};

pub mod args;
pub mod epoll;
pub mod histogram;
pub mod sys;
pub mod targets;

/// Runs `work` on that many threads, until they end.
///
/// # Errors
/// One of them failed.
pub fn on_threads(
    threads: usize,
    work: impl Fn() -> io::Result<()> + Clone + Send + 'static,
) -> io::Result<()> {
    let workers: Vec<_> = (0..threads).map(|_| thread::spawn(work.clone())).collect();
    workers.into_iter().try_for_each(|worker| {
        let ended = worker.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("panic")))
    })
}

/// A body of `bytes` printable characters: the fixed answer of every server here.
pub fn fixed_body(bytes: usize) -> String {
    "0123456789".chars().cycle().take(bytes).collect()
}
