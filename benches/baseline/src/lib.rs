//! What the baseline servers and the load clients share.
//!
//! * [`args`]: `--name value` flags, unknown ones refused;
//! * [`epoll`]: sockets of the epoll servers, and a response of a given length;
//! * [`sys`]: the system calls the standard library does not offer (affinity, CPU clocks, raw recv/send);
//! * [`targets`]: a file of request targets, as request bytes and learned response lengths;
//! * [`histogram`]: latency buckets of bounded relative error.
//!
//! Nothing here is used by the server under test.

pub mod args;
pub mod epoll;
pub mod histogram;
pub mod sys;
pub mod targets;

/// A body of `bytes` printable characters: the fixed answer of every server here.
pub fn fixed_body(bytes: usize) -> String {
    "0123456789".chars().cycle().take(bytes).collect()
}
