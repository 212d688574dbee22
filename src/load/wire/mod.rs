//! HTTP over sockets; it does not know what requests mean.
//!
//! - [`target`]: from a URL to an address. [`connection`]: one non-blocking socket.
//! - [`request`]: bytes of a request. [`response`]: parses one response from received bytes.

pub(crate) mod connection;
pub mod request;
pub(crate) mod response;
pub(crate) mod target;
