//! `trident load`: sends load to servers of the three services and checks every answer.
//!
//! Called by `main` only. The steps of a run:
//!
//! ```text
//! plan → worker ⇄ wire, judge → tally → report → { text | html | JSON }
//! ```
//!
//! Right answers come from the corpus, which an independent oracle made, and from recomputation here.
//! Nothing in this folder names another module, so that a fault of the server cannot confirm itself.
//! docs/load.md is the manual.

mod error;
mod find;
mod format;
mod identity;
mod judge;
mod options;
mod plan;
mod preflight;
pub mod report;
mod run;
mod tally;
mod temporary_server;
#[cfg(test)]
mod tests;
mod wire;
mod worker;

pub use error::LoadError;
pub use format::digest;
pub use identity::Identity;
pub use options::{Options, Source};
pub use report::figures::Report;
pub use run::{RunOutput, run};
pub use tally::collect::Progress;
pub use wire::connection::Lifetime;
