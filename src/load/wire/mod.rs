//! HTTP over sockets, without knowledge of what requests mean.
//!
//! - [`target`]: a URL becomes an address. [`connection`]: one non-blocking socket.
//! - [`request`]: bytes of a request. [`response`]: one response out of received bytes.

pub mod connection;
pub mod request;
pub mod response;
pub mod target;
