//! The endpoints over the socket: what they answer, and why they refuse.
//!
//! - [`table`]: the table of endpoints, its examples and the documents made from it.
//! - [`differential`]: thousands of requests against the oracle; [`chain`] is its independent check of chains.
//! - [`reasons`]: each reason of `INVALID`. [`bad_input`]: input made to hurt.
//! - [`scan`]: the pictures of `/qrcode`, read by another program. [`pictures`]: what caches may do with them.

mod bad_input;
mod chain;
mod differential;
mod pictures;
mod reasons;
mod scan;
mod table;
