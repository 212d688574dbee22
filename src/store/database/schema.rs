//! The tables, their versions and migrations.
//!
//! | table | holds |
//! | --- | --- |
//! | `trident_schema` | one row per migration that was applied; the greatest `version` is the schema's |
//! | `trident_users` | `user_id` and `data`, the value as in the embedded store |
//! | `trident_meta` | one row: the metadata record of the store that was loaded, JSON; its checksum is the version of the data |
//!
//! One RENAME TABLE replaces `trident_users` and `trident_meta` together, so a reader of both takes new
//! data for old at most until its next check.

use super::error::{Fault, code, shown};
use crate::store::{Meta, value};
use mysql_async::{Conn, Error, Row, prelude::Queryable};

/// Version of the tables above.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Statements from each version to the next. Released ones never change.
const MIGRATIONS: &[&[&str]] = &[&[
    "CREATE TABLE IF NOT EXISTS trident_users (
         user_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
         data MEDIUMBLOB NOT NULL
     ) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS trident_meta (
         id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
         meta TEXT CHARACTER SET utf8mb4 NOT NULL
     ) ENGINE=InnoDB",
]];

const VERSIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS trident_schema (
         version INT UNSIGNED NOT NULL PRIMARY KEY,
         applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
     ) ENGINE=InnoDB";

const CHECK: &str = "SELECT (SELECT MAX(version) FROM trident_schema), \
                     (SELECT meta FROM trident_meta WHERE id = 1)";

/// Checks that this program can read the tables; returns the metadata of the loaded store.
pub(super) async fn check(conn: &mut Conn) -> Result<Meta, Fault> {
    let row: Option<Row> = conn.query_first(CHECK).await?;
    let mut row = row.ok_or(Fault::Empty)?;
    let version: Option<Option<u32>> = row.take_opt(0).and_then(Result::ok);
    let meta: Option<Option<String>> = row.take_opt(1).and_then(Result::ok);
    match version.flatten() {
        None => return Err(Fault::Empty),
        Some(SCHEMA_VERSION) => {}
        Some(version) => {
            return Err(Fault::Schema {
                found: version,
                known: SCHEMA_VERSION,
            });
        }
    }
    let meta = meta.flatten().ok_or(Fault::Empty)?;
    let meta = parse(&meta)?;
    if meta.value_version != value::VERSION {
        return Err(Fault::Values(meta.value_version));
    }
    Ok(meta)
}

/// Reads a metadata record.
pub(super) fn parse(text: &str) -> Result<Meta, Fault> {
    serde_json::from_str(text).map_err(|error| {
        Fault::Statement(shown(&format!("trident_meta holds no metadata: {error}")))
    })
}

/// Migrates the tables to [`SCHEMA_VERSION`]; existing data stay.
pub(super) async fn migrate(conn: &mut Conn) -> Result<(), Fault> {
    conn.query_drop(VERSIONS_TABLE).await?;
    let found: Option<Option<u32>> = conn
        .query_first("SELECT MAX(version) FROM trident_schema")
        .await?;
    let found = found.flatten().unwrap_or(0);
    if found > SCHEMA_VERSION {
        return Err(Fault::Schema {
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
pub(super) async fn meta_in(conn: &mut Conn, table: &str) -> Result<Option<String>, Fault> {
    let query = format!("SELECT meta FROM {table} WHERE id = 1");
    match conn.query_first(query).await {
        Ok(meta) => Ok(meta),
        Err(Error::Server(error)) if error.code == code::NO_TABLE => Ok(None),
        Err(error) => Err(error.into()),
    }
}
