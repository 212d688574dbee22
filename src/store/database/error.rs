//! Faults of a database; the messages tell an operator what to do.

use super::Address;
use crate::store::value;
use thiserror::Error;

/// Most characters of a server's text that a message repeats.
const TEXT_CHARACTERS_MAX: usize = 400;

/// What is wrong with a database.
#[derive(Debug, Error)]
#[error("database {address}: {fault}")]
pub struct DatabaseError {
    /// The database.
    pub address: Address,
    /// The fault.
    pub fault: DatabaseFault,
}

/// See [`DatabaseError`]. The messages tell an operator what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DatabaseFault {
    /// No connection, or a broken one. May pass by itself.
    #[error("cannot be reached: {0}; check host and port, and whether it runs")]
    Unreachable(String),
    /// The server does not let us in.
    #[error(
        "refuses us: {0}; check user, password, database and grants; the server or the account may \
         require TLS (?ssl=require) or a client certificate (ssl-cert, ssl-key)"
    )]
    Refused(String),
    /// TLS cannot be made as the address requires, or the password would need it.
    #[error("TLS: {0}")]
    Tls(String),
    /// The bytes received are not what a server sends. May pass by itself.
    #[error("sends {0}; something on the way changes bytes, or it is no MySQL server")]
    Garbled(String),
    /// The tables are not there, or nothing was imported into them.
    #[error("holds no store; import one with `trident etl import --mysql URL STORE`")]
    Empty,
    /// The tables belong to another version of the program.
    #[error(
        "has schema version {found}, this program knows {known}: import the store again with this \
         program, or run the one that imported it"
    )]
    Schema {
        /// The version in the database.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The values belong to another version of the program.
    #[error(
        "has values of version {0}, this program reads {known}: build and import the store again",
        known = value::VERSION
    )]
    Values(u8),
    /// The host does not have a batch that was seen on another one. May pass by itself.
    #[error("is behind: it has batch {found}, and {seen} was seen; check its replication")]
    Behind {
        /// The last batch that it has.
        found: u64,
        /// The last batch that was seen.
        seen: u64,
    },
    /// Another batch is in the way; this one may be tried again.
    #[error("another batch is in the way: {0}")]
    Conflict(String),
    /// The server takes no changes.
    #[error("takes no changes: {0}; name the host that does first in the address")]
    ReadOnly(String),
    /// The connection was lost while a batch was being committed, and the database was not found again.
    #[error("was lost while the batch was being committed: it may have been taken; send it again")]
    Unsettled,
    /// A batch reads and writes too much.
    #[error(
        "the batch reads and writes more than {bytes_max} bytes; send smaller ones, or raise \
         twitter.mysql_write_bytes_max"
    )]
    BatchTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// A table or the disk is full. May pass by itself.
    #[error("is full: {0}; give it more room")]
    Full(String),
    /// A statement failed.
    #[error("a statement failed: {0}")]
    Statement(String),
    /// Another import holds the lock.
    #[error("another import is under way; wait for its end")]
    Locked,
    /// A value does not fit into a statement or into the column.
    #[error(
        "the value of user {user_id} has {bytes} bytes, more than {allowed} fit; raise \
         max_allowed_packet of the server (values end at 16777215 bytes)"
    )]
    TooLarge {
        /// The user of the value.
        user_id: u64,
        /// Its length.
        bytes: usize,
        /// The largest length that fits.
        allowed: usize,
    },
    /// The imported rows differ from the store.
    #[error(
        "after the import it differs from the store ({0}); it was not put in place, import again"
    )]
    Mismatch(String),
    /// The system refused a thread or runtime.
    #[error("no thread for it: {0}")]
    Thread(String),
}

impl DatabaseFault {
    /// Whether the fault stays however long one waits.
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable(_)
                | Self::Statement(_)
                | Self::Full(_)
                | Self::Garbled(_)
                | Self::Behind { .. }
                | Self::Conflict(_)
                | Self::ReadOnly(_)
                | Self::Unsettled
        )
    }

    /// Whether a batch may be tried again from the start.
    pub(crate) fn may_be_tried_again(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Garbled(_)
                | Self::Behind { .. }
                | Self::Conflict(_)
                | Self::ReadOnly(_)
        )
    }
}

/// Error numbers of the server: `mariadb.com/kb/en/mariadb-error-codes`.
pub(super) mod code {
    /// Access denied: to a database, to anything; no such database; by plugin; from this host; to a
    /// table, to a column.
    pub(in crate::store::database) const REFUSED: [u16; 7] =
        [1044, 1045, 1049, 1698, 1130, 1142, 1143];
    /// Too many connections; a Galera node that is not part of the cluster ("WSREP has not yet prepared node");
    /// shutdown in progress; connection killed; query interrupted.
    pub(in crate::store::database) const PASSING: [u16; 5] = [1040, 1047, 1053, 1927, 1317];
    /// Lock wait timeout; deadlock, which is also Galera's conflict in certification; error during commit; the row was
    /// changed since it was read; TiDB's write conflicts.
    pub(in crate::store::database) const CONFLICT: [u16; 6] = [1205, 1213, 1180, 1020, 9007, 8028];
    /// The table is full; no space on the disk.
    pub(in crate::store::database) const FULL: [u16; 2] = [1114, 1021];
    /// `read_only`, `super_read_only`, a transaction or a server that only reads.
    pub(in crate::store::database) const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
    /// `require_secure_transport` is on.
    pub(in crate::store::database) const TLS_REQUIRED: u16 = 3159;
    /// No such table.
    pub(in crate::store::database) const NO_TABLE: u16 = 1146;
}

impl From<std::io::Error> for DatabaseFault {
    fn from(error: std::io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<mysql_async::Error> for DatabaseFault {
    fn from(error: mysql_async::Error) -> Self {
        use mysql_async::{Error, IoError};
        match error {
            Error::Server(error) => {
                let text = shown(&error.to_string());
                match error.code {
                    code::NO_TABLE => Self::Empty,
                    code::TLS_REQUIRED => Self::Tls(format!("{text}; say ?ssl=require or better")),
                    code if code::REFUSED.contains(&code) => Self::Refused(text),
                    code if code::PASSING.contains(&code) => Self::Unreachable(text),
                    code if code::CONFLICT.contains(&code) => Self::Conflict(text),
                    code if code::FULL.contains(&code) => Self::Full(text),
                    code if code::READ_ONLY.contains(&code) => Self::ReadOnly(text),
                    _ => Self::Statement(text),
                }
            }
            Error::Io(IoError::Io(error)) => error.into(),
            other => Self::Unreachable(shown(&other.to_string())),
        }
    }
}

/// A text of the server for a log: without control characters, of bounded length.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(TEXT_CHARACTERS_MAX) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
