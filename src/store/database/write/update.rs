//! One batch of changes, as one transaction.
//!
//! ```text
//! START TRANSACTION; SELECT … FROM trident_batch … FOR UPDATE      one batch at a time
//! SELECT …                                                         what `etl::update` asks for
//! REPLACE, DELETE … ; SELECT sums                                  what it changed, and whether it arrived
//! INSERT INTO trident_changes; UPDATE trident_batch; COMMIT
//! ```
//!
//! A connection that is lost during COMMIT leaves open whether the batch is in. The row in `trident_changes` has a
//! token that only this attempt knows: whoever holds the lock again, and so comes after the lost transaction, sees
//! whether it is there.

use super::{
    DatabaseFault, Session, Writer, random,
    rows::{KEYS_MAX, Rows, Statement, check_length},
};
use crate::store::{StoreError, UpdateError, Work, database::error::code, embedded::Table};
use elsa::FrozenMap;
use mysql_async::{Conn, Error, Row, Value, prelude::Queryable};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

/// Most changes of batches that one batch deletes.
const DELETED_MAX: u32 = 1000;

/// Most users that a row of changes can list: a MEDIUMBLOB of them.
const USERS_MAX: usize = (1 << 24) / 8 - 1;

/// Longest wait for the end of a transaction that is undone.
const ROLLBACK_TIME: Duration = Duration::from_secs(1);

/// Bookkeeping of a record in memory.
const RECORD_BYTES: usize = 64;

/// A batch of changes: invisible before it is committed, undone when it is dropped.
pub struct Update<'w> {
    writer: &'w Writer,
    until: Instant,
    /// `None` after a fault: the connection is closed, and with it the transaction is undone.
    session: RefCell<Option<Session>>,
    head: Head,
    /// What was read and written.
    records: FrozenMap<(Table, u64), Held>,
    changed: BTreeSet<(Table, u64)>,
    bytes: Cell<usize>,
    work: Cell<Work>,
    /// Most bytes of a record that the server takes.
    room: usize,
}

/// A record that was read; `None` if there is none. The outer box keeps its address while the map grows.
type Held = Box<Option<Box<[u8]>>>;

/// The row of `trident_batch`.
struct Head {
    loaded: u64,
    number: u64,
    excluded: Vec<u8>,
}

impl<'w> Update<'w> {
    /// Waits for its turn and begins.
    pub(super) fn begin(writer: &'w Writer, until: Instant) -> Result<Self, UpdateError> {
        let begun = writer.session(until);
        let begun = begun.and_then(|session| writer.on(session, until, begin));
        let (head, session) = begun.map_err(|fault| writer.error(fault))?;
        let Some(head) = head else {
            writer.close(session);
            return Err(UpdateError::NoHistoryInDatabase);
        };
        let update = Self {
            writer,
            until,
            room: session.room,
            session: RefCell::new(Some(session)),
            head,
            records: FrozenMap::new(),
            changed: BTreeSet::new(),
            bytes: Cell::default(),
            work: Cell::default(),
        };
        let seen = writer.shared.seen.mark().batch();
        let (found, seen) = (update.head.number, (seen.loaded, seen.number));
        if seen.0 == update.head.loaded && found < seen.1 {
            if let Some(session) = update.session.take() {
                writer.close(session);
            }
            return Err(update.fault(DatabaseFault::Behind {
                found,
                seen: seen.1,
            }));
        }
        Ok(update)
    }

    /// What has been read and written so far.
    pub(in crate::store) fn work(&self) -> Work {
        self.work.get()
    }

    /// The excluded hashtags of the store.
    pub(in crate::store) fn excluded(&self) -> &[u8] {
        &self.head.excluded
    }

    /// A record.
    pub(in crate::store) fn get(&self, table: Table, id: u64) -> Result<Option<&[u8]>, StoreError> {
        if self.records.get(&(table, id)).is_none() {
            self.prefetch(table, [id])?;
        }
        let record = self.held(table, id);
        let mut work = self.work.get();
        work.records_read += u64::from(record.is_some());
        work.bytes_read += record.map_or(0, <[u8]>::len) as u64;
        self.work.set(work);
        Ok(record)
    }

    /// A record that was read or written.
    fn held(&self, table: Table, id: u64) -> Option<&[u8]> {
        self.records.get(&(table, id))?.as_deref()
    }

    /// Reads records that are not here yet.
    pub(in crate::store) fn prefetch(
        &self,
        table: Table,
        ids: impl IntoIterator<Item = u64>,
    ) -> Result<(), StoreError> {
        let Some(rows) = Rows::of(table) else {
            return Ok(());
        };
        let is_new = |id: &u64| self.records.get(&(table, *id)).is_none();
        let ids: BTreeSet<u64> = ids.into_iter().filter(is_new).collect();
        let ids: Vec<u64> = ids.into_iter().collect();
        for ids in ids.chunks(KEYS_MAX) {
            let found = self.run(async |conn| rows.read(conn, ids).await);
            let found = found.map_err(|fault| self.writer.error(fault))?;
            for (id, record) in ids.iter().zip(found) {
                self.count(record.as_ref().map_or(0, Vec::len))
                    .map_err(|fault| self.writer.error(fault))?;
                let record = record.map(Vec::into_boxed_slice);
                self.records.insert((table, *id), Box::new(record));
            }
        }
        Ok(())
    }

    /// Writes a record, or removes it (`None`).
    pub(in crate::store) fn put(
        &mut self,
        table: Table,
        id: u64,
        record: Option<&[u8]>,
    ) -> Result<(), UpdateError> {
        let bytes = record.unwrap_or_default();
        let checked = check_length(id, bytes, self.room).and_then(|()| self.count(bytes.len()));
        checked.map_err(|fault| self.fault(fault))?;
        let work = self.work.get_mut();
        work.records_written += 1;
        work.bytes_written += bytes.len() as u64;
        let record = Box::new(record.map(Box::from));
        self.records.as_mut().insert((table, id), record);
        self.changed.insert((table, id));
        Ok(())
    }

    /// Makes the batch durable and visible, here before anybody hears of it.
    pub(in crate::store) fn commit(self) -> Result<u64, UpdateError> {
        let (number, token) = (self.head.number + 1, random());
        let written = self.run(async |conn| {
            self.write_records(conn).await?;
            self.write_changes(conn, number, token).await
        });
        written.map_err(|fault| self.fault(fault))?;
        let committed = self.run(async |conn| Ok(conn.query_drop("COMMIT").await?));
        match committed {
            Ok(()) => {}
            Err(DatabaseFault::Unreachable(_) | DatabaseFault::Garbled(_)) => {
                let settled = self.settle(number, token);
                settled.map_err(|fault| self.fault(fault))?;
            }
            Err(fault) => return Err(self.fault(fault)),
        }
        self.announce(number);
        Ok(number)
    }

    async fn write_records(&self, conn: &mut Conn) -> Result<(), DatabaseFault> {
        for table in [Table::Tweets, Table::UserStates, Table::Values] {
            let Some(rows) = Rows::of(table) else {
                continue;
            };
            let room = self.room;
            let (mut removed, mut statement) = (Vec::new(), Statement::default());
            for (_, id) in self.changed.range((table, 0)..=(table, u64::MAX)) {
                let Some(record) = self.held(table, *id) else {
                    removed.push(*id);
                    continue;
                };
                if statement.is_full_for(record, room) {
                    let written = statement.run(conn, "REPLACE", rows, "").await?;
                    written.verify(conn, rows).await?;
                }
                statement.push(*id, record);
            }
            let written = statement.run(conn, "REPLACE", rows, "").await?;
            written.verify(conn, rows).await?;
            rows.remove(conn, &removed).await?;
        }
        Ok(())
    }

    /// Notes whose values have changed, and the number.
    async fn write_changes(
        &self,
        conn: &mut Conn,
        number: u64,
        token: u64,
    ) -> Result<(), DatabaseFault> {
        let values = (Table::Values, 0)..=(Table::Values, u64::MAX);
        let users: Vec<u8> = self
            .changed
            .range(values)
            .flat_map(|(_, user)| user.to_be_bytes())
            .collect();
        let fits = users.len() / 8 <= USERS_MAX && users.len() <= self.room;
        let mut text = format!("{number}:").into_bytes();
        text.extend_from_slice(if fits { &users } else { b"all" });
        let users = if fits {
            Value::Bytes(users)
        } else {
            Value::NULL
        };
        let insert = "INSERT INTO trident_changes (batch, token, users) VALUES (?, ?, ?)";
        conn.exec_drop(insert, (number, token, users)).await?;
        let update = format!("UPDATE trident_batch SET number = {number} WHERE id = 1");
        conn.query_drop(update).await?;
        let kept = self.writer.shared.options.changes_max;
        if let Some(last) = number.checked_sub(kept).filter(|last| *last > 0) {
            conn.query_drop(format!(
                "DELETE FROM trident_changes WHERE batch <= {last} ORDER BY batch LIMIT {DELETED_MAX}"
            ))
            .await?;
        }
        let query = "SELECT b.loaded, b.number, c.token, CRC32(CONCAT(c.batch, ':', COALESCE(c.users, 'all'))) \
                     FROM trident_batch b JOIN trident_changes c ON c.batch = b.number WHERE b.id = 1";
        let found: Option<(u64, u64, u64, u32)> = conn.query_first(query).await?;
        let meant = (self.head.loaded, number, token, crc32fast::hash(&text));
        if found == Some(meant) {
            return Ok(());
        }
        Err(DatabaseFault::Garbled(
            "changes that are others on arrival".into(),
        ))
    }

    /// Finds out whether a lost COMMIT was one.
    fn settle(&self, number: u64, token: u64) -> Result<(), DatabaseFault> {
        while Instant::now() < self.until {
            match self.is_committed(number, token) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    let why = "the connection was lost before the batch was in";
                    return Err(DatabaseFault::Conflict(why.into()));
                }
                Err(_) => thread::sleep(super::PAUSE_MIN),
            }
        }
        Err(DatabaseFault::Unsettled)
    }

    fn is_committed(&self, number: u64, token: u64) -> Result<bool, DatabaseFault> {
        let session = self.writer.session(self.until)?;
        let ask = async |conn: &mut Conn| {
            let head = begin(conn).await?;
            if head.is_none_or(|head| head.loaded != self.head.loaded) {
                return Ok(false);
            }
            let query = format!("SELECT token FROM trident_changes WHERE batch = {number}");
            let found: Option<u64> = conn.query_first(query).await?;
            conn.query_drop("ROLLBACK").await?;
            Ok(found == Some(token))
        };
        let (is_committed, session) = self.writer.on(session, self.until, ask)?;
        *self.session.borrow_mut() = Some(session);
        Ok(is_committed)
    }

    /// Drops what the batch, and others before it, have changed.
    fn announce(&self, number: u64) {
        let shared = &self.writer.shared;
        let since = shared.seen.mark();
        let followed = self.run(async |conn| shared.follow(conn).await);
        if followed.is_err() {
            // What has changed is not known: everything may have.
            let nothing_told = Vec::new();
            let cache = &shared.cache;
            shared.seen.advance(since, number, nothing_told, cache);
        }
    }

    /// Runs statements; after a fault the connection is closed.
    fn run<T>(
        &self,
        statements: impl AsyncFnOnce(&mut Conn) -> Result<T, DatabaseFault>,
    ) -> Result<T, DatabaseFault> {
        let Some(session) = self.session.take() else {
            return Err(DatabaseFault::Unreachable("the connection was lost".into()));
        };
        let (done, session) = self.writer.on(session, self.until, statements)?;
        *self.session.borrow_mut() = Some(session);
        Ok(done)
    }

    fn count(&self, bytes: usize) -> Result<(), DatabaseFault> {
        let bytes_max = self.writer.shared.options.write_bytes_max;
        self.bytes.update(|held| held + bytes + RECORD_BYTES);
        if self.bytes.get() <= bytes_max {
            return Ok(());
        }
        Err(DatabaseFault::BatchTooLarge { bytes_max })
    }

    fn fault(&self, fault: DatabaseFault) -> UpdateError {
        self.writer.error(fault).into()
    }
}

/// Undoes what was not committed; keeps the connection if that succeeds.
impl Drop for Update<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let until = Instant::now() + ROLLBACK_TIME;
        if let Some(session) = self.session.take() {
            let undo = async |conn: &mut Conn| Ok(conn.query_drop("ROLLBACK").await?);
            if let Ok(((), session)) = self.writer.on(session, until, undo) {
                *self.writer.idle.borrow_mut() = Some((session, Instant::now()));
            }
        }
    }
}

/// Begins a transaction and takes the lock; `None`: there is no history.
async fn begin(conn: &mut Conn) -> Result<Option<Head>, DatabaseFault> {
    conn.query_drop("START TRANSACTION").await?;
    let query = "SELECT loaded, number, excluded, CRC32(CONCAT_WS(':', loaded, number, excluded)) \
                 FROM trident_batch WHERE id = 1 FOR UPDATE";
    let row: Option<Row> = match conn.query_first(query).await {
        Ok(row) => row,
        Err(Error::Server(error)) if error.code == code::NO_TABLE => None,
        Err(error) => return Err(error.into()),
    };
    let Some(mut row) = row else {
        return Ok(None);
    };
    let loaded: Option<u64> = row.take_opt(0).and_then(Result::ok);
    let number: Option<u64> = row.take_opt(1).and_then(Result::ok);
    let excluded: Option<Vec<u8>> = row.take_opt(2).and_then(Result::ok);
    let checksum: Option<u32> = row.take_opt(3).and_then(Result::ok);
    let read = || {
        let (loaded, number, excluded) = (loaded?, number?, excluded?);
        let mut text = format!("{loaded}:{number}:").into_bytes();
        text.extend_from_slice(&excluded);
        (crc32fast::hash(&text) == checksum?).then_some(Head {
            loaded,
            number,
            excluded,
        })
    };
    let head = read().ok_or_else(|| DatabaseFault::Garbled("a batch that is none".into()));
    head.map(Some)
}
