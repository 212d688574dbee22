//! Runs the stages: all on one machine, or one by one through pipes.
//!
//! - [`pipeline`]: a whole run: options, resume, report. `stages`, `stage_files`: its stages over
//!   files. `workdir`: the directory of those files, with the manifest that makes a run resumable.
//! - [`pipe`]: one stage from standard input to standard output.
//! - [`report`], [`plot`]: the report at the end of a run. `nothing`: what is said instead if no tweet was kept.

pub(crate) mod nothing;
pub mod pipe;
pub mod pipeline;
pub mod plot;
pub mod report;
mod stage_files;
pub(crate) mod stages;
pub(crate) mod workdir;
