//! `trident load`: sends load to servers of the three services and checks every answer.
//!
//! Called by `main` only. The steps of a run:
//!
//! ```text
//! plan → worker ⇄ wire, judge → tally → report → { text | html | JSON }
//! ```
//!
//! `agents` sends a run to other machines and takes what their workers count.
//! Right answers come from the corpus, which an independent oracle made, and from recomputation here.
//! Nothing in this folder names another module, so that a fault of the server cannot confirm itself.
//! docs/load.md is the manual.
//!
//! `options` says what to do, `session` does it once `preflight` has asked each target, or `find` does it again and
//! again; `temporary_server` is there if no target was given. `identity` is the expected team, `format` writes
//! figures, `error` says why there was no run.

mod agents;
mod error;
mod find;
mod format;
mod identity;
mod judge;
mod options;
mod plan;
mod preflight;
pub mod report;
mod session;
mod tally;
mod temporary_server;
#[cfg(test)]
mod tests;
mod wire;
mod worker;

pub use agents::{Agents, serve as serve_agent};
pub use error::LoadError;
pub use format::digest;
pub use identity::Identity;
pub use options::{Options, Source};
pub use plan::corpus::built_in as built_in_corpus;
pub use report::figures::Report;
pub use session::RunOutput;
pub use tally::collect::Progress;
pub use wire::connection::Lifetime;

use session::Session;
use std::sync::atomic::AtomicBool;

/// Runs the load test until its end, or until `stop` is set.
///
/// # Errors
/// The test cannot be run. Faults of the servers are not errors: they are in the report.
pub fn run(
    options: &Options,
    progress: &mut Progress<'_>,
    stop: &AtomicBool,
) -> Result<RunOutput, LoadError> {
    let (session, files) = Session::prepare(options, progress)?;
    if options.find.is_some() {
        find::find(&session, options, progress, stop)
    } else {
        session.measure(options, files, progress, stop)
    }
}
