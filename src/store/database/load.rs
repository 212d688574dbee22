//! `trident etl import`: loads an embedded store into a database, beside the served tables, then replaces
//! them.
//!
//! 1. Migrate the schema.
//! 2. Fill `trident_users_load` in ascending order of ids. Every statement is all or nothing, so after a
//!    kill the greatest id says where to resume; `trident_meta_load` names the store.
//! 3. Let the server count and checksum the rows, and compare.
//! 4. Rename both tables into place in one statement; drop the old ones.
//!
//! A lock on the server keeps two loads from mixing.

use super::{Address, DatabaseError, Fault, link::Link, schema, tasks, tls::Tls};
use crate::store::{
    Meta, Store, StoreError,
    embedded::{Access, Content, Depth, Scan},
};
use mysql_async::{Conn, Params, Row, Value, prelude::Queryable};
use std::{path::Path, sync::Arc};
use tokio::runtime::Runtime;

/// Most bytes of one statement, if the server accepts so many: large enough to make the round trip
/// negligible, small enough to show progress and to repeat little after a kill.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Most rows of one statement; with two parameters each, far from the protocol's 65,535.
const ROWS_MAX: usize = 4096;

/// Room in a packet besides the value.
const PACKET_RESERVE_BYTES: usize = 1 << 10;

/// Bytes of a row besides its value.
const ROW_BYTES: usize = 24;

/// Longest MEDIUMBLOB.
const COLUMN_BYTES_MAX: usize = (1 << 24) - 1;

/// How long to wait for the lock: the server may not have noticed the end of another load yet.
const LOCK_SECONDS: u32 = 10;

/// Progress of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Users loaded so far, including those of an interrupted load.
    pub users: u64,
    /// Users of the store.
    pub users_total: u64,
}

/// The result of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// Metadata of the store, which is now served.
    pub meta: Meta,
    /// Users that an interrupted load had left.
    pub resumed: u64,
}

/// Count and sums over all rows: equal for equal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    users: u64,
    /// Sum of the CRC-32s of id, colon and value.
    checksums: u64,
    bytes: u64,
}

/// Loads the store at `path`. Servers keep using the old data until all new data are loaded.
///
/// # Errors
/// A fault of the store or the database. Loaded rows stay for the next attempt, unless they were wrong.
pub fn load(
    address: &Address,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<LoadReport, StoreError> {
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    let scan = store.scan(false)?;
    let meta = meta_of(&store, &scan)?;
    let of_database = |fault| {
        let address = address.clone();
        StoreError::from(DatabaseError { address, fault })
    };
    let runtime = tasks::runtime().map_err(of_database)?;
    let open = async {
        let mut link = connect(address).await?;
        let conn = &mut link.conn;
        schema::migrate(conn).await?;
        lock(conn).await?;
        let resumed = prepare(conn, &meta).await?;
        let packet: Option<u64> = conn.query_first("SELECT @@max_allowed_packet").await?;
        Ok((link, resumed, packet.unwrap_or(0) as usize))
    };
    let (link, resumed, packet_bytes) = runtime.block_on(open).map_err(of_database)?;
    let mut loader = Loader {
        runtime: &runtime,
        link,
        room: packet_bytes.saturating_sub(PACKET_RESERVE_BYTES),
        rows: Vec::new(),
        bytes: 0,
    };
    let report = LoadReport {
        meta: meta.clone(),
        resumed: resumed.users,
    };
    let (mut there, mut sums) = (
        Progress {
            users: 0,
            users_total: report.meta.users,
        },
        Sums::default(),
    );
    scan.values(|id, value| {
        sums.add(id, value);
        there.users += 1;
        if resumed.last.is_some_and(|last| id <= last) {
            return Ok(());
        }
        if loader.put(id, value).map_err(of_database)? {
            progress(Progress {
                users: there.users - 1,
                ..there
            });
        }
        Ok(())
    })?;
    loader.flush().map_err(of_database)?;
    progress(there);
    let finish = finish(&mut loader.link.conn, sums);
    runtime.block_on(finish).map_err(of_database)?;
    let _ = runtime.block_on(loader.link.conn.disconnect());
    Ok(report)
}

/// The store's metadata with its updates included and without history.
fn meta_of(store: &Store, scan: &Scan<'_>) -> Result<Meta, StoreError> {
    let mut content = Content::default();
    scan.values(|id, value| {
        content
            .add(id, value)
            .map_err(|corrupt| StoreError::value(store.path(), id, corrupt))
    })?;
    Ok(Meta {
        built_by: store.meta().built_by.clone(),
        ..content.meta()
    })
}

/// Connects to the first host that answers.
async fn connect(address: &Address) -> Result<Link, Fault> {
    let tls = Arc::new(Tls::load(address.tls())?);
    let mut last = Fault::Unreachable("no host".into());
    for host in address.hosts() {
        match Link::open(address, host, &tls).await {
            Ok(link) => return Ok(link),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// What an interrupted load of the same store has left.
struct Resumed {
    users: u64,
    last: Option<u64>,
}

async fn lock(conn: &mut Conn) -> Result<(), Fault> {
    let name = "LEFT(CONCAT('trident_load.', DATABASE()), 64)";
    let got: Option<Option<u8>> = conn
        .query_first(format!("SELECT GET_LOCK({name}, {LOCK_SECONDS})"))
        .await?;
    if got.flatten() == Some(1) {
        return Ok(());
    }
    Err(Fault::Locked)
}

/// Creates the tables to load into, or finds them.
async fn prepare(conn: &mut Conn, meta: &Meta) -> Result<Resumed, Fault> {
    // A truncated value or a value of the wrong type must be an error.
    conn.query_drop("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
        .await?;
    let text = serde_json::to_string(meta).map_err(|error| Fault::Statement(error.to_string()))?;
    if schema::meta_in(conn, "trident_meta_load").await? == Some(text.clone()) {
        let query = "SELECT COUNT(*), MAX(user_id) FROM trident_users_load";
        let row: Option<(u64, Option<u64>)> = conn.query_first(query).await?;
        let (users, last) = row.unwrap_or_default();
        return Ok(Resumed { users, last });
    }
    for statement in [
        "DROP TABLE IF EXISTS trident_meta_load, trident_users_load, trident_meta_old, trident_users_old",
        "CREATE TABLE trident_users_load LIKE trident_users",
        "CREATE TABLE trident_meta_load LIKE trident_meta",
    ] {
        conn.query_drop(statement).await?;
    }
    let note = "INSERT INTO trident_meta_load (id, meta) VALUES (1, ?)";
    conn.exec_drop(note, (text,)).await?;
    Ok(Resumed {
        users: 0,
        last: None,
    })
}

/// Collects rows and sends them.
struct Loader<'r> {
    runtime: &'r Runtime,
    link: Link,
    /// Bytes of a statement the server takes.
    room: usize,
    /// Id and value alternately.
    rows: Vec<Value>,
    bytes: usize,
}

impl Loader<'_> {
    /// Adds a row; true if earlier rows were sent to make room.
    fn put(&mut self, id: u64, value: &[u8]) -> Result<bool, Fault> {
        let bytes = ROW_BYTES + value.len();
        if bytes > self.room || value.len() > COLUMN_BYTES_MAX {
            return Err(Fault::TooLarge {
                user_id: id,
                bytes: value.len(),
                allowed: self.room.saturating_sub(ROW_BYTES).min(COLUMN_BYTES_MAX),
            });
        }
        let is_full = self.bytes + bytes > self.room.min(STATEMENT_BYTES_MAX)
            || self.rows.len() >= 2 * ROWS_MAX;
        if is_full {
            self.flush()?;
        }
        self.rows.push(Value::UInt(id));
        self.rows.push(Value::Bytes(value.to_vec()));
        self.bytes += bytes;
        Ok(is_full)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let more = ",(?,?)".repeat(rows.len() / 2 - 1);
        let insert = format!("INSERT INTO trident_users_load (user_id, data) VALUES (?,?){more}");
        let sent = self.link.conn.exec_drop(insert, Params::Positional(rows));
        Ok(self.runtime.block_on(sent)?)
    }
}

impl Sums {
    fn add(&mut self, id: u64, value: &[u8]) {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(format!("{id}:").as_bytes());
        hasher.update(value);
        self.users += 1;
        self.checksums = self.checksums.wrapping_add(hasher.finalize().into());
        self.bytes += value.len() as u64;
    }
}

/// Compares the loaded rows with `sums` and renames the tables into place.
async fn finish(conn: &mut Conn, sums: Sums) -> Result<(), Fault> {
    let query = "SELECT COUNT(*), \
                 CAST(COALESCE(SUM(CRC32(CONCAT(user_id, ':', data))), 0) AS UNSIGNED), \
                 CAST(COALESCE(SUM(LENGTH(data)), 0) AS UNSIGNED) FROM trident_users_load";
    let mut row: Row = conn
        .query_first(query)
        .await?
        .ok_or_else(|| Fault::Mismatch("no figures".into()))?;
    let mut figure = |at| row.take_opt(at).and_then(Result::ok).unwrap_or(0);
    let found = Sums {
        users: figure(0),
        checksums: figure(1),
        bytes: figure(2),
    };
    if found != sums {
        let drop = "DROP TABLE IF EXISTS trident_meta_load, trident_users_load";
        conn.query_drop(drop).await?;
        return Err(Fault::Mismatch(format!("{found:?} instead of {sums:?}")));
    }
    for statement in [
        "DROP TABLE IF EXISTS trident_meta_old, trident_users_old",
        "RENAME TABLE trident_users TO trident_users_old, trident_users_load TO trident_users, \
         trident_meta TO trident_meta_old, trident_meta_load TO trident_meta",
        "DROP TABLE trident_meta_old, trident_users_old",
    ] {
        conn.query_drop(statement).await?;
    }
    Ok(())
}
