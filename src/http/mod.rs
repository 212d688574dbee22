//! HTTP/1.1 origin server on `may` coroutines (RFC 9110, RFC 9112).

pub mod limits;

pub use limits::Limits;
