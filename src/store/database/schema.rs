//! The tables, their versions and migrations.
//!
//! | table | holds |
//! | --- | --- |
//! | `trident_schema` | one row per migration that was applied; the greatest `version` is the schema's |
//! | `trident_users` | `user_id` and `data`, the value as in the embedded store |
//! | `trident_meta` | one row: the metadata record of the store that was imported, JSON; its checksum is the version of the data |
//! | `trident_tweets`, `trident_people` | the history, if it was imported too: records of `etl`; empty for a deleted tweet |
//! | `trident_batch` | one row, if there is a history: which import it was, the number of the last batch, the excluded hashtags |
//! | `trident_changes` | one row per batch: its token, and the users whose values it changed |
//!
//! One RENAME TABLE replaces all tables but the first at once, so a reader takes new data for old until its next check
//! at most. A batch holds a lock on the row of `trident_batch` from its first read to its end. So batches follow one
//! another, and whoever reads a number there also reads everything up to that batch.

use super::error::{DatabaseFault, code, shown};
use crate::store::{Meta, value};
use mysql_async::{Conn, Error, Row, prelude::Queryable};

/// Version of the tables above.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// The version without history; it can be read as well.
const WITHOUT_HISTORY: u32 = 1;

/// Statements from each version to the next. Released ones never change.
const MIGRATIONS: &[&[&str]] = &[
    &[
        "CREATE TABLE IF NOT EXISTS trident_users (
         user_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
         data MEDIUMBLOB NOT NULL
     ) ENGINE=InnoDB",
        "CREATE TABLE IF NOT EXISTS trident_meta (
         id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
         meta TEXT CHARACTER SET utf8mb4 NOT NULL
     ) ENGINE=InnoDB",
    ],
    &[
        "CREATE TABLE IF NOT EXISTS trident_tweets (
         tweet_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
         record MEDIUMBLOB NOT NULL
     ) ENGINE=InnoDB",
        "CREATE TABLE IF NOT EXISTS trident_people (
         user_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
         record MEDIUMBLOB NOT NULL
     ) ENGINE=InnoDB",
        "CREATE TABLE IF NOT EXISTS trident_batch (
         id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
         loaded BIGINT UNSIGNED NOT NULL,
         number BIGINT UNSIGNED NOT NULL,
         excluded MEDIUMBLOB NOT NULL
     ) ENGINE=InnoDB",
        "CREATE TABLE IF NOT EXISTS trident_changes (
         batch BIGINT UNSIGNED NOT NULL PRIMARY KEY,
         token BIGINT UNSIGNED NOT NULL,
         users MEDIUMBLOB NULL
     ) ENGINE=InnoDB",
    ],
];

const VERSIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS trident_schema (
         version INT UNSIGNED NOT NULL PRIMARY KEY,
         applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
     ) ENGINE=InnoDB";

/// The numbers of `trident_batch`, with a checksum.
pub(super) const BATCH: &str = "(SELECT CONCAT_WS(':', loaded, number, CRC32(CONCAT_WS(':', loaded, number))) \
                                FROM trident_batch WHERE id = 1)";

const CHECK: &str = "SELECT (SELECT MAX(version) FROM trident_schema), \
                     (SELECT meta FROM trident_meta WHERE id = 1)";

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// Version of the tables.
    pub(super) schema: u32,
    /// The metadata of the store that was imported.
    pub(super) meta: Meta,
    /// The state of its batches; zero without history.
    pub(super) batch: Batch,
}

/// Which import a store is from, and how many batches it has taken since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// A random number that each import makes; 0 without history.
    pub(super) loaded: u64,
    /// The number of the last batch.
    pub(super) number: u64,
}

impl Version {
    /// Whether the tables have batches.
    pub(super) fn has_batches(&self) -> bool {
        self.schema > WITHOUT_HISTORY
    }
}

impl Batch {
    /// Reads the result of [`BATCH`]; NULL: no history.
    pub(super) fn parse(text: Option<&[u8]>) -> Result<Self, DatabaseFault> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let read = || {
            let text = std::str::from_utf8(text).ok()?;
            let (numbers, checksum) = text.rsplit_once(':')?;
            let (loaded, number) = numbers.split_once(':')?;
            let is_whole = checksum.parse() == Ok(crc32fast::hash(numbers.as_bytes()));
            is_whole.then_some(Self {
                loaded: loaded.parse().ok()?,
                number: number.parse().ok()?,
            })
        };
        read().ok_or_else(|| DatabaseFault::Garbled("a batch number that is none".into()))
    }
}

/// Checks that this program can read the tables; returns what they hold.
pub(super) async fn check(conn: &mut Conn) -> Result<Version, DatabaseFault> {
    let row: Option<Row> = match conn.query_first(format!("{CHECK}, {BATCH}")).await {
        Ok(row) => row,
        Err(Error::Server(error)) if error.code == code::NO_TABLE => {
            conn.query_first(format!("{CHECK}, NULL")).await?
        }
        Err(error) => return Err(error.into()),
    };
    let mut row = row.ok_or(DatabaseFault::Empty)?;
    let schema: Option<Option<u32>> = row.take_opt(0).and_then(Result::ok);
    let meta: Option<Option<String>> = row.take_opt(1).and_then(Result::ok);
    let batch: Option<Option<Vec<u8>>> = row.take_opt(2).and_then(Result::ok);
    let schema = schema.flatten().ok_or(DatabaseFault::Empty)?;
    if !(WITHOUT_HISTORY..=SCHEMA_VERSION).contains(&schema) {
        return Err(DatabaseFault::Schema {
            found: schema,
            known: SCHEMA_VERSION,
        });
    }
    let meta = meta.flatten().ok_or(DatabaseFault::Empty)?;
    let meta = parse(&meta)?;
    if meta.value_version != value::VERSION {
        return Err(DatabaseFault::Values(meta.value_version));
    }
    Ok(Version {
        schema,
        meta,
        batch: Batch::parse(batch.flatten().as_deref())?,
    })
}

/// Reads a metadata record.
pub(super) fn parse(text: &str) -> Result<Meta, DatabaseFault> {
    serde_json::from_str(text).map_err(|error| {
        DatabaseFault::Statement(shown(&format!("trident_meta holds no metadata: {error}")))
    })
}

/// Migrates the tables to [`SCHEMA_VERSION`]; existing data stay.
pub(super) async fn migrate(conn: &mut Conn) -> Result<(), DatabaseFault> {
    conn.query_drop(VERSIONS_TABLE).await?;
    let found: Option<Option<u32>> = conn
        .query_first("SELECT MAX(version) FROM trident_schema")
        .await?;
    let found = found.flatten().unwrap_or(0);
    if found > SCHEMA_VERSION {
        return Err(DatabaseFault::Schema {
            found,
            known: SCHEMA_VERSION,
        });
    }
    for (version, statements) in (1u32..).zip(MIGRATIONS).skip(found as usize) {
        // Table definitions cannot be rolled back, so every statement is repeatable.
        for statement in *statements {
            conn.query_drop(*statement).await?;
        }
        let applied = "INSERT IGNORE INTO trident_schema (version) VALUES (?)";
        conn.exec_drop(applied, (version,)).await?;
    }
    Ok(())
}

/// The metadata in `table`; `None` if the table is missing.
pub(super) async fn meta_in(conn: &mut Conn, table: &str) -> Result<Option<String>, DatabaseFault> {
    let query = format!("SELECT meta FROM {table} WHERE id = 1");
    match conn.query_first(query).await {
        Ok(meta) => Ok(meta),
        Err(Error::Server(error)) if error.code == code::NO_TABLE => Ok(None),
        Err(error) => Err(error.into()),
    }
}
