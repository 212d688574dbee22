//! The values in a table of MariaDB or MySQL, for fleets that share one copy of the data.
//!
//! ```text
//! worker ─ Client::look_up ─▶ lookups: one flight per key, bounded queue, deadlines
//!                                 │ batches of keys
//!                                 ▼
//! database thread: ask ─ SELECT … IN (…) ─▶ User::verify ─▶ cache, answers, wake-ups
//!                   ⇅ guard: TLS, passwords, bounds
//!                 server
//! ```
//!
//! The worker itself answers hits in the cache ([`Client::cached`]). All other lookups go to one thread
//! with a tokio runtime, which has all connections; a worker never waits, and that thread never serves a
//! request. A single thread also keeps the cache sound when the data are swapped: nothing else runs between
//! the comparison of generations and the insertion.
//!
//! - `error`: faults, with messages that say what to do.
//! - `address`: the URL, printable without its password.
//! - `schema`: tables, migrations, versions.
//! - `lookups`: waiting lookups and their deadlines.
//! - `cache`: values and absences by user.
//! - `client`: what workers and operators call. `shared`: what it shares with the database thread.
//! - `tasks`: what runs on the database thread. `ask`: one batch of keys, and the check of its answers.
//! - `hosts`: which host is next. `connect`: a connection to it. `link`: a connection. `guard`: stands between driver
//!   and server. `tls`.
//! - `seen`: which batch was seen, and what may be kept.
//! - `session`: statements of a service of one's own.
//! - `write`: fills the tables from a store, and takes batches of tweets.
//!
//! Only this folder names tokio and mysql_async. Tables, outages and sizing: `docs/twitter-mysql.md`.

mod address;
mod ask;
mod cache;
mod client;
mod connect;
mod error;
mod guard;
mod hosts;
mod link;
mod lookups;
mod schema;
mod seen;
mod session;
mod shared;
mod tasks;
mod tls;
mod write;

pub use address::{Address, BadAddress};
pub use client::{Client, ClientState, Start};
pub use error::{DatabaseError, DatabaseFault};
pub use lookups::{Answer, Done, LookupError, Value};
pub use schema::SCHEMA_VERSION;
pub use session::Session;
pub use write::{ImportOptions, ImportReport, Progress, Update, Writer, import};

use crate::cache::Policy;
use std::time::Duration;

/// Settings of the client.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that look users up; one more watches the version of the data.
    pub connections_max: usize,
    /// Lookups that may wait for an answer; a further one is refused.
    pub queue_max: usize,
    /// Most users in one statement.
    pub batch_max: usize,
    /// Time from a lookup to its answer, even a failure.
    pub deadline: Duration,
    /// Time to open a connection and check its schema.
    pub connect_timeout: Duration,
    /// Time between two checks of the version of the data.
    pub check_interval: Duration,
    /// Time for a batch of tweets, all its attempts included.
    pub write_timeout: Duration,
    /// Most bytes of records that a batch holds in memory.
    pub write_bytes_max: usize,
    /// Batches whose changes stay in the database for instances that have not seen them.
    pub changes_max: u64,
    /// How long no host may have the last batch that was seen; after that the batch counts as lost.
    pub behind: Duration,
    /// Most bytes of cached values; 0 turns the cache off.
    pub cache_bytes: usize,
    /// Which value is evicted for another.
    pub cache_policy: Policy,
    /// Whether an outage of the database makes the instance unready.
    pub outage_unready: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 4,
            queue_max: 4096,
            batch_max: 64,
            deadline: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(2),
            check_interval: Duration::from_secs(1),
            write_timeout: Duration::from_secs(10),
            write_bytes_max: 1 << 30,
            changes_max: 10_000,
            behind: Duration::from_secs(10),
            cache_bytes: 256 << 20,
            cache_policy: Policy::Lru,
            outage_unready: false,
        }
    }
}

#[cfg(test)]
mod tests;
