//! What is wrong with a database, in words that tell an operator what to do.

use super::Address;
use crate::store::value;
use thiserror::Error;

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
        "has schema version {found}, this program knows {known}: load the store again with this \
         program, or run the one that loaded it"
    )]
    Schema {
        /// The database's.
        found: u32,
        /// Ours.
        known: u32,
    },
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
pub(super) mod code {
    /// Access denied: to a database, to anything; no such database; by plugin; from this host; to a
    /// table, to a column.
    pub(in crate::store::database) const REFUSED: [u16; 7] =
        [1044, 1045, 1049, 1698, 1130, 1142, 1143];
    /// Too many connections, shutdown in progress, connection killed, query interrupted.
    pub(in crate::store::database) const PASSING: [u16; 4] = [1040, 1053, 1927, 1317];
    /// No such table.
    pub(in crate::store::database) const NO_TABLE: u16 = 1146;
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
