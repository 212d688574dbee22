//! Errors of the load generator. Faults of the servers under test are results, not errors.

use crate::remedy::Trying;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a load test cannot be run or reported.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A flag, scenario or requirement makes no sense; the message says where.
    #[error("{0}")]
    Usage(String),
    /// The corpus or the scenario cannot be read.
    #[error("cannot read {}: {source}; {}", path.display(), Trying::Read.remedy(source))]
    Input {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}; {}", path.display(), Trying::Write.remedy(source))]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line of the corpus is not an entry.
    #[error("{corpus}:{line}: {message}")]
    Corpus {
        /// The corpus file, or what stands for the built-in one.
        corpus: String,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The temporary server did not start.
    #[error("cannot start a temporary server: {0}; name one with --target")]
    TemporaryServer(String),
    /// A target is not there.
    #[error("{target}: {message}")]
    Target {
        /// The URL as given.
        target: String,
        /// What went wrong.
        message: String,
    },
    /// An agent cannot be used, or was lost.
    #[error("agent {agent}: {message}")]
    Agent {
        /// Its address as given.
        agent: String,
        /// What went wrong.
        message: String,
    },
    /// The operating system refuses what the generator needs.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl LoadError {
    /// The system refuses a thread.
    pub(super) fn no_thread(source: io::Error) -> Self {
        Self::System {
            doing: "cannot start a thread; raise the limit of threads (`ulimit -u`, TasksMax in systemd)",
            source,
        }
    }
}
