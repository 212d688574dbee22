//! Runs the stages: all on one machine, or one by one through pipes.
//!
//! - [`pipeline`]: a whole run: options, resume, report. `stages`, `stage_files`: its stages over
//!   files. `workdir`: the directory of those files, with the manifest that makes a run resumable.
//! - [`pipe`]: one stage from standard input to standard output, through `pipe_io`.
//! - [`report`], [`plot`]: the report at the end of a run. `nothing`: what is said instead if no tweet was kept.
//! - [`totals`]: the report of stages that run by themselves. [`flow`]: whether all that they wrote has arrived.

pub mod flow;
pub(crate) mod nothing;
pub mod pipe;
mod pipe_io;
pub mod pipeline;
pub mod plot;
pub mod report;
mod stage_files;
pub(crate) mod stages;
pub mod totals;
pub(crate) mod workdir;
