//! The server as a process: [`notify`] what the service manager hears, [`drain`] the stop, [`damage`] a store damaged
//! while it is mapped.

mod damage;
mod drain;
pub mod notify;
