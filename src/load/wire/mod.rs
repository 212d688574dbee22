//! HTTP over sockets, without knowledge of what requests mean.
//!
//! - [`target`]: a URL becomes an address. [`connection`]: one non-blocking socket.
//! - [`response`]: one response out of received bytes.

pub mod connection;
pub mod response;
pub mod target;
