//! `GET /twitter`: the contacts of a user, ranked by interaction, hashtags and keywords.
//!
//! ```text
//! query bytes ─ query ─▶ Query ─ store ─▶ value ─▶ User ─ score ─▶ rows
//! ```
//!
//! - [`query`]: reads the request.
//! - [`score`]: counts, scores, sorts and writes the rows.
//! - `explain`: why a request is INVALID.
//!
//! The values of users and the stores that hold them are in [`crate::store`]. The rules are in
//! `docs/protocol/twitter.md`. This module does not know HTTP: `app` parses, looks up and writes, because
//! only `app` can turn a failing store into a status.

mod explain;
pub mod query;
pub mod score;

pub use explain::explain;
pub use query::{Query, Reject};

use std::fmt;

use crate::store::{
    Location, database,
    value::{Corrupt, User},
};

/// Settings of the endpoint.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The store; `None`: there is no store, and every well-formed request is refused.
    pub store: Option<Location>,
    /// How a store in a database is used.
    pub mysql: database::Options,
    /// The answer to a well-formed request with nothing to list.
    pub empty_answer: EmptyAnswer,
    /// Tweets and deletions into the store, `/twitter/tweets`.
    pub ingest: IngestOptions,
}

/// Settings of `/twitter/tweets`.
#[derive(Clone, PartialEq, Eq)]
pub struct IngestOptions {
    /// Which addresses accept it.
    pub access: IngestAccess,
    /// Bearer token that senders need; empty = none.
    pub token: String,
    /// Most bytes of lines in a batch, once inflated. These lines and the batch's records are in memory, for one batch
    /// at a time.
    pub inflated_bytes_max: usize,
    /// Batches that may wait; a further one is refused.
    pub queue_max: usize,
    /// Largest value of a user; a batch that would need a larger one is refused.
    pub value_bytes_max: usize,
    /// Most bytes of all updates of a store on disk; a batch that would need more is refused.
    pub updates_bytes_max: u64,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            access: IngestAccess::Off,
            token: String::new(),
            inflated_bytes_max: 64 << 20,
            queue_max: 16,
            value_bytes_max: 256 << 20,
            updates_bytes_max: 16 << 30,
        }
    }
}

impl fmt::Debug for IngestOptions {
    /// Everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestOptions")
            .field("access", &self.access)
            .field("token", &!self.token.is_empty())
            .field("inflated_bytes_max", &self.inflated_bytes_max)
            .field("queue_max", &self.queue_max)
            .field("value_bytes_max", &self.value_bytes_max)
            .field("updates_bytes_max", &self.updates_bytes_max)
            .finish()
    }
}

/// Which clients may send tweets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IngestAccess {
    /// Nobody.
    #[default]
    Off,
    /// Clients of the admin address.
    Admin,
    /// Clients of any address.
    Public,
}

/// Buffers of one worker, lent for one request at a time.
#[derive(Default)]
pub struct Scratch {
    /// Decoded parameters.
    pub query: query::Scratch,
    /// Rows.
    pub score: score::Scratch,
}

impl Scratch {
    /// Call this after each request, so that a large request does not hold memory forever.
    pub fn release_large_buffers(&mut self) {
        self.query.release_large_buffers();
        self.score.release_large_buffers();
    }
}

/// What to answer to a well-formed request with nothing to list: the user is unknown, or has no
/// contact of the requested type (`docs/protocol/twitter.md` section 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyAnswer {
    /// First line and `INVALID`.
    #[default]
    Invalid,
    /// The first line without its newline.
    Header,
    /// The first line with its newline.
    HeaderNewline,
}

impl EmptyAnswer {
    /// Appends the answer; `team_line` ends in a newline.
    pub fn write(self, team_line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(team_line);
        match self {
            Self::Invalid => out.extend_from_slice(b"INVALID"),
            Self::Header => drop(out.pop()),
            Self::HeaderNewline => {}
        }
    }
}

/// A stored value that passed validation, ready to be written.
#[derive(Clone, Copy)]
pub struct Found<'v> {
    user: User<'v>,
}

impl<'v> Found<'v> {
    /// Validates the bytes a store holds.
    pub fn new(value: &'v [u8]) -> Result<Self, Corrupt> {
        let user = User::parse(value)?;
        Ok(Self { user })
    }

    /// The same for bytes that were validated before: a client of a database does so before it keeps them.
    pub fn known(value: &'v [u8]) -> Result<Self, Corrupt> {
        let user = User::parts(value)?;
        Ok(Self { user })
    }

    /// Appends the rows for `request`, without a newline after the last; returns their number.
    pub fn write_rows(
        &self,
        request: &Query<'_>,
        scratch: &mut score::Scratch,
        out: &mut Vec<u8>,
    ) -> usize {
        score::write_rows(&self.user, request, scratch, out)
    }
}
