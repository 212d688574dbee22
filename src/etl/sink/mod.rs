//! Where the values of users go: a store or a file.
//!
//! - [`user_sink`]: the interface, a file of lines and a file of values. [`store`]: the embedded store.

pub mod store;
pub mod user_sink;
