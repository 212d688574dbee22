//! Everything the endpoints share: routing, identity, the text of an answer.

use std::path::PathBuf;

/// Settings of the application as a whole.
#[derive(Clone, Debug)]
pub struct Options {
    /// First field of every answer's first line.
    pub team_name: String,
    /// Second field of every answer's first line.
    pub aws_account: String,
    /// Bytes all answer caches may hold together; 0 turns every cache off.
    pub cache_bytes: usize,
    /// The `/blockchain` endpoint.
    pub blockchain: crate::blockchain::Options,
    /// The auth authority.
    pub auth: crate::auth::Options,
    /// A store directory for `/twitter`; `None` = the built-in sample.
    pub twitter_store: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            team_name: "TEAMID".into(),
            aws_account: "000000000000".into(),
            cache_bytes: 0,
            blockchain: crate::blockchain::Options::default(),
            auth: crate::auth::Options::default(),
            twitter_store: None,
        }
    }
}
