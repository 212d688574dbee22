//! The same values in a table of MariaDB or MySQL, for fleets that share one copy of the data.
//!
//! ```text
//! worker ─ Client::look_up ─▶ lookups: one flight per key, bounded queue, deadlines
//!                                 │ batches of keys
//!                                 ▼
//! database thread: connection ─ SELECT … IN (…) ─▶ User::verify ─▶ kept, answers, wake-ups
//! ```
//!
//! A hit in the cache is answered by the worker itself ([`Client::cached`]). Everything else goes to
//! one thread with a tokio runtime of its own, which has all connections; a worker never waits and that
//! thread never serves a request. Being one thread is also what makes the cache sound when the data are
//! swapped: between the comparison of generations and the insertion nothing else runs.
//!
//! - `address`: the URL, printable without its password.
//! - `schema`: tables, migrations, versions.
//! - `lookups`: who waits for what until when.
//! - `cache`: values and absences by user.
//! - `connection`: the tasks of the database thread.
//! - `load`: fills the tables from a store.
//!
//! Only this folder names tokio and mysql_async. Tables, outages and sizing: `docs/twitter-mysql.md`.

mod address;
mod cache;
mod client;
mod connection;
mod load;
mod lookups;
mod schema;

pub use address::{Address, BadAddress};
pub use client::{Client, Start, State};
pub use load::{LoadReport, Progress, load};
pub use lookups::{Answer, Done, LookupError, Value};
pub use schema::SCHEMA_VERSION;

use crate::{cache::Policy, store::value};
use std::time::Duration;
use thiserror::Error;

/// Settings of the client.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that look users up; one more watches the version of the data.
    pub connections_max: usize,
    /// Lookups that may wait for an answer; one more is refused.
    pub queue_max: usize,
    /// Users asked for in one statement.
    pub batch_max: usize,
    /// From the lookup to its answer, whatever that is.
    pub deadline: Duration,
    /// For a connection to be made and its schema checked.
    pub connect_timeout: Duration,
    /// Between two looks at the version of the data.
    pub check_interval: Duration,
    /// Most bytes of values kept; 0 keeps none.
    pub cache_bytes: usize,
    /// Which value makes room for another.
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
            cache_bytes: 256 << 20,
            cache_policy: Policy::Lru,
            outage_unready: false,
        }
    }
}

/// What is wrong with a database.
#[derive(Debug, Error)]
#[error("database {address}: {fault}")]
pub struct DatabaseError {
    /// Which one.
    pub address: Address,
    /// What is wrong.
    pub fault: Fault,
}

/// See [`DatabaseError`]. Texts tell an operator what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or it broke. May pass by itself.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The server does not let us in.
    #[error("refuses us: {0}; check user, password, database and grants")]
    Refused(String),
    /// The tables are not there, or nothing was loaded into them.
    #[error("holds no store; load one with `trident etl load --mysql URL STORE`")]
    Empty,
    /// The tables are those of another program.
    #[error(
        "has schema version {0}, this program knows {SCHEMA_VERSION}: load the store again with this \
         program, or run the one that loaded it"
    )]
    Schema(u32),
    /// The values are those of another program.
    #[error(
        "has values of version {0}, this program reads {known}: build and load the store again",
        known = value::VERSION
    )]
    Values(u8),
    /// A statement failed.
    #[error("a statement failed: {0}")]
    Statement(String),
    /// Another load holds the lock.
    #[error("another load is under way; wait for its end")]
    Locked,
    /// A value does not fit into a statement or into the column.
    #[error(
        "the value of user {user_id} has {bytes} bytes, more than {allowed} fit; raise \
         max_allowed_packet of the server (values end at 16777215 bytes)"
    )]
    TooLarge {
        /// Whose value.
        user_id: u64,
        /// Its length.
        bytes: usize,
        /// What would fit.
        allowed: usize,
    },
    /// What was loaded is not what is in the store.
    #[error("after loading it differs from the store ({0}); it was not put in place, load again")]
    Mismatch(String),
    /// The system gave no thread or runtime.
    #[error("no thread for it: {0}")]
    Thread(String),
}

impl Fault {
    /// Whether waiting does not help.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::Statement(_))
    }
}

/// Names that the server gives to its errors, by number: `mariadb.com/kb/en/mariadb-error-codes`.
mod code {
    /// Access denied: to a database, to anything; no such database; by plugin; from this host; to a
    /// table, to a column.
    pub(super) const REFUSED: [u16; 7] = [1044, 1045, 1049, 1698, 1130, 1142, 1143];
    /// Too many connections, shutdown in progress, connection killed, query interrupted.
    pub(super) const PASSING: [u16; 4] = [1040, 1053, 1927, 1317];
    /// No such table.
    pub(super) const NO_TABLE: u16 = 1146;
}

impl From<mysql_async::Error> for Fault {
    fn from(error: mysql_async::Error) -> Self {
        use mysql_async::{Error, IoError};
        match error {
            Error::Server(error) if code::REFUSED.contains(&error.code) => {
                Self::Refused(error.to_string())
            }
            Error::Server(error) if code::PASSING.contains(&error.code) => {
                Self::Unreachable(error.to_string())
            }
            Error::Server(error) if error.code == code::NO_TABLE => Self::Empty,
            Error::Server(error) => Self::Statement(error.to_string()),
            Error::Io(IoError::Io(error)) => Self::Unreachable(error.to_string()),
            Error::Driver(error) => Self::Unreachable(error.to_string()),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
