//! The tables in MariaDB or MySQL: threads with a connection each, and a transaction for each write.
//!
//! Transactions are serializable, so the rules between records hold for any number of services on one database. Where
//! two are in each other's way, the database undoes one of them and it is tried again. The driver makes no TLS: the
//! database is on this machine or in a network of its own.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use crossbeam::channel::Receiver;
use mysql_async::{Conn, Opts, OptsBuilder, Params, prelude::Queryable};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::{Error, Job, Options, Record, Result, Tables};

/// Longest pause between two attempts: so long that the transactions in the way end.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Lock wait timeout; deadlock; the row was changed since it was read.
const CONFLICT: [u16; 3] = [1205, 1213, 1020];

/// The table is full; no space on the disk.
const FULL: [u16; 2] = [1114, 1021];

/// One thread's side of the database.
struct Link {
    /// Its number, from 0.
    number: u32,
    opts: Opts,
    options: Options,
    tables: Vec<String>,
    runtime: Runtime,
    conn: Option<Conn>,
}

/// Why an attempt failed.
enum Failure {
    /// Nothing was stored, and another attempt may succeed.
    Passing(Error),
    Final(Error),
}

/// Connects, makes the tables, and starts the threads that do the jobs.
pub(super) fn start(
    url: &str,
    tables: &[&'static str],
    options: Options,
    jobs: &Receiver<Box<dyn Job>>,
) -> anyhow::Result<()> {
    let opts =
        Opts::from_url(url).context("--store is no mysql://USER:PASSWORD@HOST:PORT/DATABASE")?;
    let name = opts
        .db_name()
        .context("--store names no database")?
        .to_owned();
    let place = format!("{} of {}:{}", name, opts.ip_or_hostname(), opts.tcp_port());
    let setup = vec![
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE".into(),
        format!(
            "SET SESSION innodb_lock_wait_timeout = {}",
            options.timeout().as_secs().max(1)
        ),
    ];
    let opts: Opts = OptsBuilder::from_opts(opts).setup(setup).into();
    for number in 0..options.database_connections.max(1) {
        let mut link = Link {
            number,
            opts: opts.clone(),
            options,
            tables: tables.iter().map(|name| format!("`{name}`")).collect(),
            runtime: Builder::new_current_thread().enable_all().build()?,
            conn: None,
        };
        if number == 0 {
            link.make().with_context(|| {
                format!("cannot use database {place}; check that it runs, user and grants")
            })?;
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
        self.connect()?;
        for table in self.tables.clone() {
            let columns = "k VARBINARY(511) PRIMARY KEY, v LONGBLOB NOT NULL";
            self.run(&format!(
                "CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = InnoDB"
            ))?;
        }
        let flush = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS CHAR), '' ";
        let flush = self.ask(flush, Params::Empty)?;
        ensure!(
            flush.first().is_some_and(|(value, _)| value == b"1"),
            "its commits may be lost; set innodb_flush_log_at_trx_commit = 1"
        );
        Ok(())
    }

    fn connect(&mut self) -> Result<&mut Conn> {
        if self.conn.is_none() {
            let opening = Conn::new(self.opts.clone());
            let opened = self
                .runtime
                .block_on(async { timeout(self.options.timeout(), opening).await });
            let opened = opened.map_err(|_| Error::Failed("it does not answer".into()))?;
            self.conn = Some(opened?);
        }
        self.conn.as_mut().ok_or(Error::Busy)
    }

    /// What a statement answers: keys and values.
    fn ask(&mut self, statement: &str, params: Params) -> Result<Vec<Record>> {
        let Some(conn) = &mut self.conn else {
            return Err(Error::Failed("it was lost".into()));
        };
        let limit = self.options.timeout();
        let asked = self
            .runtime
            .block_on(async { timeout(limit, conn.exec(statement, params)).await });
        let answer = match asked {
            Ok(Ok(records)) => return Ok(records),
            Ok(Err(mysql_async::Error::Server(error))) => {
                return Err(mysql_async::Error::Server(error).into());
            }
            Ok(Err(error)) => error.into(),
            Err(_) => Error::Failed("it does not answer".into()),
        };
        self.drop_connection();
        Err(answer)
    }

    fn run(&mut self, statement: &str) -> Result<()> {
        self.ask(statement, Params::Empty).map(drop)
    }

    /// Nothing more is read from it: what is there may belong to a statement that took too long.
    fn drop_connection(&mut self) {
        let _runtime = self.runtime.enter();
        self.conn = None;
    }

    fn serve(&mut self, mut job: Box<dyn Job>) {
        let begun = Instant::now();
        // Different ones, so that two that were in each other's way do not meet again.
        let mut pause = Duration::from_millis(1 + u64::from(self.number));
        let result = loop {
            match self.attempt(&mut *job) {
                Ok(()) => break Ok(()),
                Err(Failure::Passing(_)) if begun.elapsed() < self.options.timeout() => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(Failure::Passing(error) | Failure::Final(error)) => break Err(error),
            }
        };
        job.end(result);
    }

    fn attempt(&mut self, job: &mut dyn Job) -> std::result::Result<(), Failure> {
        self.connect().map_err(Failure::Passing)?;
        if !job.writes() {
            return job.run(self).map_err(|error| self.failure(error));
        }
        let done = self.run("START TRANSACTION").and_then(|()| job.run(self));
        if let Err(error) = done {
            if self.conn.is_some() {
                let _ = self.run("ROLLBACK"); // a failure drops the connection, which undoes it too
            }
            return Err(self.failure(error));
        }
        match self.run("COMMIT") {
            Ok(()) => Ok(()),
            Err(_) if self.conn.is_none() => Err(Failure::Final(Error::Unsettled)),
            Err(error) => Err(self.failure(error)),
        }
    }

    /// Before the commit nothing is stored, so a lost connection or a conflict calls for another attempt.
    fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Busy => Failure::Passing(error),
            _ if self.conn.is_none() => Failure::Passing(error),
            _ => Failure::Final(error),
        }
    }
}

impl Tables for Link {
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let statement = format!("SELECT k, v FROM {} WHERE k = ?", self.tables[table]);
        let found = self.ask(&statement, (key,).into())?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    fn prefixed(&mut self, table: usize, prefix: &[u8], limit: usize) -> Result<Vec<Record>> {
        let table = &self.tables[table];
        let statement =
            format!("SELECT k, v FROM {table} WHERE k >= ? AND k < ? ORDER BY k LIMIT ?");
        self.ask(&statement, (prefix, successor(prefix), limit as u64).into())
    }

    fn put(&mut self, table: usize, key: &[u8], value: &[u8]) -> Result<()> {
        let table = &self.tables[table];
        let statement =
            format!("INSERT INTO {table} VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)");
        self.ask(&statement, (key, value).into()).map(drop)
    }

    fn delete(&mut self, table: usize, key: &[u8]) -> Result<()> {
        let statement = format!("DELETE FROM {} WHERE k = ?", self.tables[table]);
        self.ask(&statement, (key,).into()).map(drop)
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

impl From<mysql_async::Error> for Error {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(error) if CONFLICT.contains(&error.code) => Self::Busy,
            mysql_async::Error::Server(error) if FULL.contains(&error.code) => Self::Full,
            error => Self::Failed(error.to_string()),
        }
    }
}
