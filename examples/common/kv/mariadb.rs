//! The tables in MariaDB or MySQL: threads with a connection each, and a transaction for each write.
//!
//! Transactions are serializable, so the rules between records hold for any number of services on one database. Where
//! two are in each other's way, the database undoes one of them and it is tried again. Addresses, TLS and passwords are
//! those of `trident::store::database`.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use crossbeam::channel::Receiver;
use trident::store::database::{Address, DatabaseFault, Session};

use super::{Error, Job, Options, Record, Result, Tables};

/// Longest pause between two attempts: so long that the transactions in the way end.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Rows of one answer. More are asked for in several, each with what holds at its moment.
const ROWS_MAX: usize = 10_000;

/// One thread's side of the database.
struct Link {
    /// Its number, from 0.
    number: u32,
    session: Session,
    tables: Vec<String>,
    /// How long work is tried.
    patience: Duration,
}

/// Why an attempt failed.
enum Failure {
    /// Nothing was stored, and another attempt may succeed.
    Passing(Error),
    Final(Error),
}

/// Connects, makes the tables, and starts the threads that do the jobs.
pub(super) fn start(
    address: &Address,
    tables: &[&'static str],
    options: Options,
    jobs: &Receiver<Box<dyn Job>>,
) -> anyhow::Result<()> {
    ensure!(
        address.host_count() == 1,
        "{address} names several hosts, and one may not have what another has; name one"
    );
    let patience = options.database_timeout_ms;
    let lock_wait = patience.as_secs().max(1);
    let setup = [
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE".into(),
        format!("SET SESSION innodb_lock_wait_timeout = {lock_wait}"),
    ];
    for number in 0..options.database_connections.max(1) {
        let mut link = Link {
            number,
            session: Session::new(address.clone(), setup.to_vec(), patience)?,
            tables: tables.iter().map(|name| format!("`{name}`")).collect(),
            patience,
        };
        if number == 0 {
            let made = link.make();
            made.with_context(|| format!("cannot use database {address}"))?;
        }
        let jobs = jobs.clone();
        let work = move || jobs.iter().for_each(|job| link.serve(job));
        thread::Builder::new().name("database".into()).spawn(work)?;
    }
    Ok(())
}

impl Link {
    /// Makes the tables. Refuses a database whose commits are not on disk when it answers.
    fn make(&mut self) -> anyhow::Result<()> {
        self.session.connect()?;
        for table in self.tables.clone() {
            let columns = "k VARBINARY(511) PRIMARY KEY, v LONGBLOB NOT NULL";
            self.run(&format!(
                "CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = InnoDB"
            ))?;
        }
        let flush = "SELECT @@innodb_flush_log_at_trx_commit";
        ensure!(
            self.session.ask::<u8>(flush, ())? == [1],
            "its commits may be lost; set innodb_flush_log_at_trx_commit = 1"
        );
        Ok(())
    }

    fn run(&mut self, statement: &str) -> Result<()> {
        Ok(self.session.run(statement, ())?)
    }

    fn serve(&mut self, mut job: Box<dyn Job>) {
        let begun = Instant::now();
        // Different ones, so that two that were in each other's way do not meet again.
        let mut pause = Duration::from_millis(1 + u64::from(self.number));
        let result = loop {
            match self.attempt(&mut *job) {
                Ok(()) => break Ok(()),
                Err(Failure::Passing(_)) if begun.elapsed() < self.patience => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(Failure::Passing(error) | Failure::Final(error)) => break Err(error),
            }
        };
        job.end(result);
    }

    fn attempt(&mut self, job: &mut dyn Job) -> std::result::Result<(), Failure> {
        let connected = self.session.connect();
        connected.map_err(|fault| Failure::Passing(fault.into()))?;
        if !job.writes() {
            return job.run(self).map_err(|error| self.failure(error));
        }
        let done = self.run("START TRANSACTION").and_then(|()| job.run(self));
        if let Err(error) = done {
            if self.session.is_connected() {
                let _ = self.run("ROLLBACK"); // the end of a connection undoes it too
            }
            return Err(self.failure(error));
        }
        match self.run("COMMIT") {
            Ok(()) => Ok(()),
            Err(_) if !self.session.is_connected() => Err(Failure::Final(Error::Unsettled)),
            Err(error) => Err(self.failure(error)),
        }
    }

    /// Before the commit nothing is stored, so a lost connection or a conflict calls for another attempt.
    fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Busy => Failure::Passing(error),
            _ if !self.session.is_connected() => Failure::Passing(error),
            _ => Failure::Final(error),
        }
    }
}

impl Tables for Link {
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let statement = format!("SELECT v FROM {} WHERE k = ?", self.tables[table]);
        Ok(self.session.ask(&statement, (key,))?.pop())
    }

    fn prefixed(&mut self, table: usize, prefix: &[u8], limit: usize) -> Result<Vec<Record>> {
        let table = &self.tables[table];
        let statement =
            format!("SELECT k, v FROM {table} WHERE k >= ? AND k < ? ORDER BY k LIMIT ?");
        let (mut from, end) = (prefix.to_vec(), successor(prefix));
        let mut found = Vec::<Record>::new();
        loop {
            let rows_max = ROWS_MAX.min(limit - found.len());
            let rows = self
                .session
                .ask(&statement, (from, end.as_slice(), rows_max as u64))?;
            let is_end = rows.len() < rows_max;
            found.extend(rows);
            match found.last() {
                Some((last, _)) if !is_end && found.len() < limit => {
                    from = [last.as_slice(), &[0]].concat(); // the next text there can be
                }
                _ => return Ok(found),
            }
        }
    }

    fn put(&mut self, table: usize, key: &[u8], value: &[u8]) -> Result<()> {
        let table = &self.tables[table];
        let statement =
            format!("INSERT INTO {table} VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)");
        Ok(self.session.run(&statement, (key, value))?)
    }

    fn delete(&mut self, table: usize, key: &[u8]) -> Result<()> {
        let statement = format!("DELETE FROM {} WHERE k = ?", self.tables[table]);
        Ok(self.session.run(&statement, (key,))?)
    }
}

/// The first text behind all that begin with `prefix`.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let end = prefix.iter().rposition(|byte| *byte < u8::MAX);
    let Some(end) = end else {
        return vec![u8::MAX; super::KEY_BYTES_MAX + 1];
    };
    let mut next = prefix[..=end].to_vec();
    next[end] += 1;
    next
}

impl From<DatabaseFault> for Error {
    fn from(fault: DatabaseFault) -> Self {
        match fault {
            DatabaseFault::Conflict(_) => Self::Busy,
            DatabaseFault::Full(_) => Self::Full,
            DatabaseFault::Empty => Self::Failed("a table is gone; start again".into()),
            fault => Self::Failed(format!("the database {fault}")),
        }
    }
}
