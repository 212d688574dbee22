//! `trident etl import`: copies an embedded store into a database, beside the served tables, then replaces
//! them.
//!
//! 1. Migrate the schema.
//! 2. Fill `trident_users_load`, and with history `trident_tweets_load` and `trident_people_load`, in ascending
//!    order of ids. Every statement is all or nothing, so after a kill the greatest id says where to resume;
//!    `trident_meta_load` names the store.
//! 3. Let the server count and checksum the rows, and compare.
//! 4. Rename all tables into place in one statement; drop the old ones.
//!
//! A lock on the server keeps two imports from mixing.

use super::{
    PACKET_RESERVE_BYTES, random,
    rows::{Rows, Statement, Sums, check_length},
};
use crate::store::{
    Meta, Store, StoreError,
    database::{Address, DatabaseError, DatabaseFault, link::Link, schema, tasks},
    embedded::{Access, Content, Depth, Scan, Table, add_history},
};
use mysql_async::{Conn, prelude::Queryable};
use std::path::Path;
use tokio::runtime::Runtime;

/// Ends the names of the tables that are being filled, and of those that were served before.
const BESIDE: &str = "_load";
const OLD: &str = "_old";

/// What one import replaces.
const TABLES: [&str; 6] = [
    "trident_meta",
    "trident_users",
    "trident_tweets",
    "trident_people",
    "trident_batch",
    "trident_changes",
];

/// How long to wait for the lock: the server may not have noticed the end of another import yet.
const LOCK_SECONDS: u32 = 10;

/// What to import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The history too: then the database takes batches of tweets.
    pub history: bool,
}

/// Progress of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being imported: users, tweets, or states of users.
    pub what: &'static str,
    /// How many so far, including those of an interrupted import.
    pub rows: u64,
    /// How many there are.
    pub rows_total: u64,
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// Metadata of the store, which is now served.
    pub meta: Meta,
    /// Users that an interrupted import had left.
    pub resumed: u64,
}

/// Imports the store at `path`. Servers keep using the old data until all new data are there.
///
/// # Errors
/// A fault of the store or the database. Imported rows stay for the next attempt, unless they were wrong.
pub fn import(
    address: &Address,
    path: &Path,
    options: ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, StoreError> {
    let store = Store::open_for(path, Access::Scan, Depth::Full)?;
    let scan = store.scan(options.history)?;
    let meta = meta_of(&store, &scan)?;
    if options.history && meta.history.is_none() {
        return Err(StoreError::WithoutHistory(path.into()));
    }
    let of_database = |fault| {
        let address = address.clone();
        StoreError::from(DatabaseError { address, fault })
    };
    let runtime = tasks::runtime().map_err(of_database)?;
    let begun = runtime.block_on(begin(address, &meta));
    let (link, packet_bytes) = begun.map_err(of_database)?;
    let mut importer = Importer {
        runtime: &runtime,
        link,
        room: packet_bytes.saturating_sub(PACKET_RESERVE_BYTES),
        of_database: &of_database,
        progress,
    };
    let resumed = importer.records(&scan, &meta)?;
    importer.run(async |conn| put_in_place(conn).await)?;
    let _ = runtime.block_on(importer.link.conn.disconnect());
    Ok(ImportReport { meta, resumed })
}

/// The store's metadata with its updates included; without history if that is not scanned.
fn meta_of(store: &Store, scan: &Scan<'_>) -> Result<Meta, StoreError> {
    let mut content = Content::default();
    scan.values(|id, value| {
        content
            .add(id, value)
            .map_err(|corrupt| StoreError::value(store.path(), id, corrupt))
    })?;
    add_history(&mut content, |table, each| scan.history(table, each))?;
    Ok(Meta {
        built_by: store.meta().built_by.clone(),
        ..content.meta()
    })
}

fn excluded(scan: &Scan<'_>) -> Result<Vec<u8>, StoreError> {
    let mut excluded = Vec::new();
    scan.history(Table::Excluded, |_, record| {
        excluded = record.to_vec();
        Ok(())
    })?;
    Ok(excluded)
}

/// A connection that has the lock and the tables to fill, and the longest packet that its server takes.
async fn begin(address: &Address, meta: &Meta) -> Result<(Link, usize), DatabaseFault> {
    let mut link = Link::open_first(address).await?;
    let conn = &mut link.conn;
    schema::migrate(conn).await?;
    lock(conn).await?;
    prepare(conn, meta).await?;
    let packet: Option<u64> = conn.query_first("SELECT @@max_allowed_packet").await?;
    Ok((link, packet.unwrap_or(0) as usize))
}

async fn lock(conn: &mut Conn) -> Result<(), DatabaseFault> {
    let name = "LEFT(CONCAT('trident_load.', DATABASE()), 64)";
    let got: Option<Option<u8>> = conn
        .query_first(format!("SELECT GET_LOCK({name}, {LOCK_SECONDS})"))
        .await?;
    if got.flatten() == Some(1) {
        return Ok(());
    }
    Err(DatabaseFault::Locked)
}

/// Creates the tables to fill, or finds what an interrupted import of the same store has left.
async fn prepare(conn: &mut Conn, meta: &Meta) -> Result<(), DatabaseFault> {
    // A truncated value or a value of the wrong type must be an error.
    conn.query_drop("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
        .await?;
    let text =
        serde_json::to_string(meta).map_err(|error| DatabaseFault::Statement(error.to_string()))?;
    let is_resumed = schema::meta_in(conn, "trident_meta_load").await? == Some(text.clone());
    if !is_resumed {
        drop_tables(conn, BESIDE).await?;
        drop_tables(conn, OLD).await?;
    }
    // An earlier version of this program has left fewer.
    for table in TABLES {
        let create = format!("CREATE TABLE IF NOT EXISTS {table}{BESIDE} LIKE {table}");
        conn.query_drop(create).await?;
    }
    if is_resumed {
        return Ok(());
    }
    let note = "INSERT INTO trident_meta_load (id, meta) VALUES (1, ?)";
    Ok(conn.exec_drop(note, (text,)).await?)
}

async fn drop_tables(conn: &mut Conn, suffix: &str) -> Result<(), DatabaseFault> {
    let tables = TABLES.map(|table| format!("{table}{suffix}")).join(", ");
    Ok(conn
        .query_drop(format!("DROP TABLE IF EXISTS {tables}"))
        .await?)
}

/// Makes the database one that takes batches.
async fn begin_batches(conn: &mut Conn, excluded: &[u8]) -> Result<(), DatabaseFault> {
    let insert =
        "REPLACE INTO trident_batch_load (id, loaded, number, excluded) VALUES (1, ?, 0, ?)";
    Ok(conn.exec_drop(insert, (random(), excluded)).await?)
}

async fn put_in_place(conn: &mut Conn) -> Result<(), DatabaseFault> {
    drop_tables(conn, OLD).await?;
    let renamed =
        TABLES.map(|table| format!("{table} TO {table}{OLD}, {table}{BESIDE} TO {table}"));
    conn.query_drop(format!("RENAME TABLE {}", renamed.join(", ")))
        .await?;
    drop_tables(conn, OLD).await
}

/// Sends rows.
struct Importer<'r> {
    runtime: &'r Runtime,
    link: Link,
    /// Bytes of a statement the server takes.
    room: usize,
    of_database: &'r dyn Fn(DatabaseFault) -> StoreError,
    progress: &'r mut dyn FnMut(Progress),
}

type Each<'e> = &'e mut dyn FnMut(u64, &[u8]) -> Result<(), StoreError>;

impl Importer<'_> {
    /// Fills all tables; returns how many users there were already.
    fn records(&mut self, scan: &Scan<'_>, meta: &Meta) -> Result<u64, StoreError> {
        let resumed = self.table(Rows::VALUES, "users", meta.users, |each| scan.values(each))?;
        let Some(history) = meta.history else {
            return Ok(resumed);
        };
        let (tweets, states) = (history.tweets + history.deletions, history.user_states);
        self.table(Rows::TWEETS, "tweets", tweets, |each| {
            scan.history(Table::Tweets, each)
        })?;
        self.table(Rows::USER_STATES, "states of users", states, |each| {
            scan.history(Table::UserStates, each)
        })?;
        let excluded = excluded(scan)?;
        self.run(async |conn| begin_batches(conn, &excluded).await)?;
        Ok(resumed)
    }

    /// Fills a table and compares it with what was to be imported; returns how many rows it had.
    fn table(
        &mut self,
        rows: Rows,
        what: &'static str,
        rows_total: u64,
        records: impl FnOnce(Each<'_>) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let (resumed, last) = self.found(rows)?;
        let (mut sums, mut statement) = (Sums::default(), Statement::default());
        let so_far = |rows| Progress {
            what,
            rows,
            rows_total,
        };
        records(&mut |id, record| {
            sums.add(id, record);
            if last.is_some_and(|last| id <= last) {
                return Ok(());
            }
            check_length(id, record, self.room).map_err(self.of_database)?;
            if statement.is_full_for(record, self.room) {
                self.insert(&mut statement, rows)?;
                (self.progress)(so_far(sums.rows - 1));
            }
            statement.push(id, record);
            Ok(())
        })?;
        self.insert(&mut statement, rows)?;
        (self.progress)(so_far(sums.rows));
        self.compare(rows, sums)?;
        Ok(resumed)
    }

    /// How many rows an interrupted import has left, and the greatest id.
    fn found(&mut self, rows: Rows) -> Result<(u64, Option<u64>), StoreError> {
        let Rows { name, id, .. } = rows;
        let query = format!("SELECT COUNT(*), MAX({id}) FROM {name}{BESIDE}");
        let there: Option<(u64, Option<u64>)> =
            self.run(async |conn| Ok(conn.query_first(query).await?))?;
        Ok(there.unwrap_or_default())
    }

    fn insert(&mut self, statement: &mut Statement, rows: Rows) -> Result<(), StoreError> {
        self.run(async |conn| statement.run(conn, "INSERT", rows, BESIDE).await)
            .map(drop)
    }

    /// Lets the server count and checksum what it has.
    fn compare(&mut self, rows: Rows, sums: Sums) -> Result<(), StoreError> {
        self.run(async |conn| {
            let found = rows.sums(conn, BESIDE, "").await?;
            if found == sums {
                return Ok(());
            }
            drop_tables(conn, BESIDE).await?;
            Err(DatabaseFault::Mismatch(format!(
                "{found:?} instead of {sums:?}"
            )))
        })
    }

    fn run<T>(
        &mut self,
        statements: impl AsyncFnOnce(&mut Conn) -> Result<T, DatabaseFault>,
    ) -> Result<T, StoreError> {
        let done = self.runtime.block_on(statements(&mut self.link.conn));
        done.map_err(self.of_database)
    }
}
