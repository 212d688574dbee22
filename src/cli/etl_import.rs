//! `trident etl import`: what to import where. Run by `main`.

use clap::Args;
use std::{fmt, path::PathBuf};

/// What to import where.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct EtlImport {
    /// mysql://USER:PASSWORD@HOST:PORT/DATABASE
    ///
    /// Other users of the machine can read a command line: without this flag the address is taken from
    /// the environment variable TRIDENT_TWITTER_STORE.
    #[arg(long, value_name = "URL")]
    pub mysql: Option<DatabaseUrl>,
    /// Import the history too, for POST /twitter/tweets
    ///
    /// The store must have one (`trident etl --keep-history`). It doubles what the database holds.
    #[arg(long)]
    pub keep_history: bool,
    /// Directory of the store
    pub store: PathBuf,
}

/// A text that may hold a password: not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub String);

impl From<String> for DatabaseUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
