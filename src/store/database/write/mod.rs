//! What changes the tables: an import (`import`), and batches of tweets on the ingest thread.
//!
//! A batch is one transaction on a connection of its own. It locks the row of `trident_batch` first, so batches of
//! all instances on a server follow one another; on a Galera cluster, where locks are a node's own, two that overlap
//! change the same row, and the second to commit is refused. What is refused, and what loses its connection, is
//! tried again from the start until `write_timeout`.
//!
//! - [`Writer`]: the connection, attempts. `update`: one transaction. `rows`: reads and writes that prove themselves.

mod import;
mod rows;
mod update;

pub use import::{ImportOptions, ImportReport, Progress, import};
pub use update::Update;

use super::{DatabaseError, DatabaseFault, connect::within, link::Link, shared::Shared, tasks};
use crate::store::{StoreError, UpdateError};
use mysql_async::{Conn, Row, prelude::Queryable};
use std::{
    cell::RefCell,
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// Pauses between attempts: the first, doubled up to the longest; of each up to half is left out at random.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long the server waits for our next statement before it ends the transaction: a process that was cut off
/// must not hold the lock for the eight hours of the default.
const SERVER_WAIT_SECONDS: u32 = 30;

/// A connection that was idle for so long is made again rather than found closed.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// How long a statement waits for a lock before the attempt is given up.
const LOCK_WAIT_SECONDS: u32 = 5;

/// Room in a packet besides the record.
const PACKET_RESERVE_BYTES: usize = 1 << 10;

/// Longest MEDIUMBLOB.
const COLUMN_BYTES_MAX: usize = (1 << 24) - 1;

/// Takes batches, one after the other, on the thread that owns it.
pub struct Writer {
    runtime: Runtime,
    shared: Arc<Shared>,
    /// The connection while no batch uses it, and since when.
    idle: RefCell<Option<(Session, Instant)>>,
}

/// A connection that may write.
struct Session {
    link: Link,
    /// Most bytes of a record.
    room: usize,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, DatabaseError> {
        let runtime = tasks::runtime().map_err(|fault| shared.error(fault))?;
        Ok(Self {
            runtime,
            shared,
            idle: RefCell::default(),
        })
    }

    /// Runs `attempt` until one is durable or fails for a reason that does not pass. `cause`: what the database said,
    /// if an attempt failed because of it.
    ///
    /// # Errors
    /// The last attempt's, which is undone. After [`DatabaseFault::Unsettled`] nobody knows.
    pub fn apply<T, E: From<UpdateError>>(
        &self,
        mut attempt: impl FnMut(Update<'_>) -> Result<T, E>,
        cause: impl Fn(&E) -> Option<&DatabaseFault>,
    ) -> Result<T, E> {
        let until = Instant::now() + self.shared.options.write_timeout;
        let mut pause = PAUSE_MIN;
        loop {
            let begun = Update::begin(self, until).map_err(E::from);
            let failed = match begun.and_then(&mut attempt) {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let passes = cause(&failed).is_some_and(DatabaseFault::may_be_tried_again);
            if !passes || Instant::now() + pause >= until {
                return Err(failed);
            }
            thread::sleep(pause.mul_f64(0.5 + random() as f64 / u64::MAX as f64 / 2.0));
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    /// A connection to the first host that takes changes.
    fn session(&self, until: Instant) -> Result<Session, DatabaseFault> {
        let idle = self.idle.borrow_mut().take();
        if let Some((session, since)) = idle
            && since.elapsed() < IDLE_MAX
        {
            return Ok(session);
        }
        self.wait(until, async {
            let mut worst = None;
            for host in 0..self.shared.address.hosts().len() {
                let opened = match self.shared.try_host(host).await {
                    Ok(link) => open(link).await,
                    Err(fault) => Err(fault),
                };
                match opened {
                    Ok(session) => return Ok(session),
                    // One that may come back is worth waiting for.
                    Err(fault) if worst.as_ref().is_none_or(DatabaseFault::is_permanent) => {
                        worst = Some(fault);
                    }
                    Err(_) => {}
                }
            }
            Err(worst.unwrap_or_else(|| DatabaseFault::Unreachable("no host".into())))
        })
    }

    /// Runs a statement to its end, until the batch's time is over.
    fn wait<T>(
        &self,
        until: Instant,
        statement: impl Future<Output = Result<T, DatabaseFault>>,
    ) -> Result<T, DatabaseFault> {
        let left = until.saturating_duration_since(Instant::now());
        // Timers need the runtime.
        self.runtime
            .block_on(async { within(left, statement).await })
    }

    /// Runs statements on a connection, and closes it after a fault.
    fn on<T>(
        &self,
        mut session: Session,
        until: Instant,
        statements: impl AsyncFnOnce(&mut Conn) -> Result<T, DatabaseFault>,
    ) -> Result<(T, Session), DatabaseFault> {
        let done = self.wait(until, async {
            let done = statements(&mut session.link.conn).await;
            done.map_err(|fault| session.link.explain(fault))
        });
        match done {
            Ok(done) => Ok((done, session)),
            Err(fault) => {
                self.close(session);
                Err(fault)
            }
        }
    }

    /// Ends a connection whose state is not known. The runtime only runs within a batch: a connection that was merely
    /// dropped would keep its lock, and all instances waiting, until the next batch or the server's timeout.
    fn close(&self, session: Session) {
        self.runtime.block_on(session.link.close());
    }

    fn error(&self, fault: DatabaseFault) -> StoreError {
        self.shared.error(fault).into()
    }
}

/// Makes a connection ready for batches.
async fn open(mut link: Link) -> Result<Session, DatabaseFault> {
    let opened = async {
        let conn = &mut link.conn;
        let query =
            "SELECT CONCAT(@@global.read_only), CONCAT(@@innodb_read_only), @@max_allowed_packet";
        let row: Option<Row> = conn.query_first(query).await?;
        let mut row = row.ok_or_else(|| DatabaseFault::Garbled("no settings".into()))?;
        for column in 0..2 {
            let setting: Option<String> = row.take_opt(column).and_then(Result::ok);
            if !setting.is_some_and(|setting| matches!(&*setting, "0" | "OFF")) {
                return Err(DatabaseFault::ReadOnly("read_only is set".into()));
            }
        }
        let packet_bytes: u64 = row.take_opt(2).and_then(Result::ok).unwrap_or(0);
        // A truncated record must be an error.
        conn.query_drop(format!(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES', wait_timeout = {SERVER_WAIT_SECONDS}, \
             innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}"
        ))
        .await?;
        // The snapshot is made by the first read after the lock was taken.
        conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await?;
        Ok(packet_bytes as usize)
    };
    let opened = opened.await;
    let packet_bytes = opened.map_err(|fault| link.explain(fault))?;
    let room = packet_bytes.saturating_sub(PACKET_RESERVE_BYTES);
    Ok(Session {
        link,
        room: room.min(COLUMN_BYTES_MAX),
    })
}

/// A number nobody else draws.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
