//! Reads and writes of records by id, which prove that they are what was meant: nothing on the way to a server is
//! trusted, and what a batch reads it writes back.

use super::{COLUMN_BYTES_MAX, DatabaseFault};
use crate::store::embedded::Table;
use mysql_async::{Conn, Params, Row, Value, prelude::Queryable};
use std::mem;

/// Most keys of one statement that reads.
pub(super) const KEYS_MAX: usize = 128;

/// Most bytes of one statement that writes, if the server accepts so many: large enough to make the round trip
/// negligible, small enough to show the progress of a load and to repeat little after a kill.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Most rows of one statement that writes; with two parameters each, far from the protocol's 65,535.
const ROWS_MAX: usize = 4096;

/// Gives a column of numbers its width. MariaDB takes it from the numbers: of ten digits it makes an INT, and cuts them
/// to 4294967295.
const WIDEST: &str = "CAST(18446744073709551615 AS UNSIGNED)";

/// Bytes of a row besides its record.
const ROW_BYTES: usize = 24;

/// A table of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) name: &'static str,
    pub(super) id: &'static str,
    pub(super) record: &'static str,
}

impl Rows {
    pub(super) const VALUES: Self = Self {
        name: "trident_users",
        id: "user_id",
        record: "data",
    };
    pub(super) const TWEETS: Self = Self {
        name: "trident_tweets",
        id: "tweet_id",
        record: "record",
    };
    /// The table keeps its first name: with another one, databases that are loaded could not be read.
    pub(super) const USER_STATES: Self = Self {
        name: "trident_people",
        id: "user_id",
        record: "record",
    };

    /// `None`: the excluded hashtags are not in a table of records.
    pub(super) fn of(table: Table) -> Option<Self> {
        match table {
            Table::Values => Some(Self::VALUES),
            Table::Tweets => Some(Self::TWEETS),
            Table::UserStates => Some(Self::USER_STATES),
            Table::Excluded => None,
        }
    }

    /// The records of `ids`, up to [`KEYS_MAX`], in their order. The server sends every id back, with a checksum over
    /// the id, whether there is a record, and the record: that of a deleted tweet is empty, and not the same as none.
    pub(super) async fn read(
        self,
        conn: &mut Conn,
        ids: &[u64],
    ) -> Result<Vec<Option<Vec<u8>>>, DatabaseFault> {
        let Self { name, id, record } = self;
        let keys: String = ids
            .iter()
            .map(|key| format!(" UNION ALL SELECT {key}"))
            .collect();
        let query = format!(
            "SELECT k.id, t.{id} IS NOT NULL, COALESCE(t.{record}, ''), \
             CRC32(CONCAT(k.id, ':', t.{id} IS NOT NULL, ':', COALESCE(t.{record}, ''))) \
             FROM (SELECT {WIDEST} AS id WHERE FALSE{keys}) k LEFT JOIN {name} t ON t.{id} = k.id"
        );
        let rows: Vec<Row> = conn.query(query).await?;
        let mut found = vec![None; ids.len()];
        for mut row in rows {
            let id: Option<u64> = row.take_opt(0).and_then(Result::ok);
            let is_there: Option<bool> = row.take_opt(1).and_then(Result::ok);
            let record: Option<Vec<u8>> = row.take_opt(2).and_then(Result::ok);
            let checksum: Option<u32> = row.take_opt(3).and_then(Result::ok);
            let place = id.and_then(|id| ids.iter().position(|asked| *asked == id));
            let slot = place.and_then(|place| found.get_mut(place));
            let (Some(id), Some(is_there), Some(record), Some(slot)) = (id, is_there, record, slot)
            else {
                return Err(DatabaseFault::Garbled("a record nobody asked for".into()));
            };
            let key = format!("{id}:{}:", u8::from(is_there));
            if Some(checksum_of(&key, &record)) != checksum {
                return Err(DatabaseFault::Garbled(
                    "a record with a wrong checksum".into(),
                ));
            }
            *slot = Some(is_there.then_some(record));
        }
        let all: Option<Vec<Option<Vec<u8>>>> = found.into_iter().collect();
        all.ok_or_else(|| DatabaseFault::Garbled("fewer records than were asked for".into()))
    }

    /// Removes the rows of `ids`.
    pub(super) async fn remove(self, conn: &mut Conn, ids: &[u64]) -> Result<(), DatabaseFault> {
        for ids in ids.chunks(KEYS_MAX) {
            let Self { name, id, .. } = self;
            let list = list(ids);
            conn.query_drop(format!("DELETE FROM {name} WHERE {id} IN ({list})"))
                .await?;
        }
        Ok(())
    }

    /// Count and sums over the rows that `condition` selects; `suffix` follows the table's name.
    pub(super) async fn sums(
        self,
        conn: &mut Conn,
        suffix: &str,
        condition: &str,
    ) -> Result<Sums, DatabaseFault> {
        let Self { name, id, record } = self;
        let query = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(CRC32(CONCAT({id}, ':', {record}))), 0) AS UNSIGNED), \
             CAST(COALESCE(SUM(LENGTH({record})), 0) AS UNSIGNED) FROM {name}{suffix} {condition}"
        );
        let row: Option<Row> = conn.query_first(query).await?;
        let mut row = row.ok_or_else(|| DatabaseFault::Mismatch("no figures".into()))?;
        let mut figure = |at| row.take_opt(at).and_then(Result::ok).unwrap_or(0);
        Ok(Sums {
            rows: figure(0),
            checksums: figure(1),
            bytes: figure(2),
        })
    }
}

pub(super) fn list(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    ids.join(",")
}

fn checksum_of(key: &str, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(record);
    hasher.finalize()
}

/// Count and sums over rows: equal for equal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) rows: u64,
    /// Sum of the CRC-32s of id, colon and record.
    checksums: u64,
    bytes: u64,
}

impl Sums {
    pub(super) fn add(&mut self, id: u64, record: &[u8]) {
        self.rows += 1;
        let checksum = checksum_of(&format!("{id}:"), record);
        self.checksums = self.checksums.wrapping_add(checksum.into());
        self.bytes += record.len() as u64;
    }
}

/// Collects rows for statements of many.
#[derive(Default)]
pub(super) struct Statement {
    /// Id and record alternately.
    parameters: Vec<Value>,
    ids: Vec<u64>,
    sums: Sums,
    bytes: usize,
}

impl Statement {
    pub(super) fn push(&mut self, id: u64, record: &[u8]) {
        self.parameters.push(Value::UInt(id));
        self.parameters.push(Value::Bytes(record.to_vec()));
        self.ids.push(id);
        self.sums.add(id, record);
        self.bytes += ROW_BYTES + record.len();
    }

    /// Whether another record would make it too long for a server that takes statements of `room` bytes.
    pub(super) fn is_full_for(&self, record: &[u8], room: usize) -> bool {
        let bytes = self.bytes + ROW_BYTES + record.len();
        bytes > room.min(STATEMENT_BYTES_MAX) && !self.ids.is_empty() || self.ids.len() >= ROWS_MAX
    }

    /// Runs `verb` (`INSERT`, `REPLACE`) with what was collected, and begins again.
    pub(super) async fn run(
        &mut self,
        conn: &mut Conn,
        verb: &str,
        into: Rows,
        suffix: &str,
    ) -> Result<Written, DatabaseFault> {
        let Self {
            parameters,
            ids,
            sums,
            ..
        } = mem::take(self);
        let written = Written { ids, sums };
        if written.ids.is_empty() {
            return Ok(written);
        }
        let more = ",(?,?)".repeat(written.ids.len() - 1);
        let Rows { name, id, record } = into;
        let statement = format!("{verb} INTO {name}{suffix} ({id}, {record}) VALUES (?,?){more}");
        conn.exec_drop(statement, Params::Positional(parameters))
            .await?;
        Ok(written)
    }
}

/// Rows that a statement wrote.
pub(super) struct Written {
    ids: Vec<u64>,
    sums: Sums,
}

impl Written {
    /// Compares them with the table.
    pub(super) async fn verify(&self, conn: &mut Conn, table: Rows) -> Result<(), DatabaseFault> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let condition = format!("WHERE {} IN ({})", table.id, list(&self.ids));
        if table.sums(conn, "", &condition).await? == self.sums {
            return Ok(());
        }
        Err(DatabaseFault::Garbled(
            "records that were changed on the way".into(),
        ))
    }
}

/// Refuses a record that no statement or column holds.
pub(super) fn check_length(user_id: u64, record: &[u8], room: usize) -> Result<(), DatabaseFault> {
    let allowed = room.saturating_sub(ROW_BYTES).min(COLUMN_BYTES_MAX);
    if record.len() <= allowed {
        return Ok(());
    }
    Err(DatabaseFault::TooLarge {
        user_id,
        bytes: record.len(),
        allowed,
    })
}
