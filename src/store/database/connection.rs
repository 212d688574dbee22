//! The database thread: its tasks and its connections.
//!
//! - [`serve`], once per connection: takes a batch of keys, queries it, delivers the answers. When the
//!   connection breaks, the keys return to the queue and a new connection is opened.
//! - [`watch`], on a separate connection: checks the version of the data and drops the cache when it has
//!   changed.
//! - [`Lookups::expire`](super::lookups::Lookups::expire): enforces the deadlines.
//!
//! The database counts as down when an attempt to connect fails while no connection is open. Until an
//! attempt succeeds, lookups are refused at once, because waiting would only keep clients from asking
//! another instance.

use super::{Fault, LookupError, schema, shared::Shared};
use crate::{
    metrics::{self, Counter},
    store::{Meta, value::User},
};
use mysql_async::{Conn, Opts, OptsBuilder, Params, Row, Value, prelude::Queryable};
use std::{
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// Pauses between attempts to connect: the first, doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`PAUSE_MIN`]. Longest time until a returned database is noticed.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A runtime for the calling thread.
pub(super) fn runtime() -> Result<Runtime, Fault> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Thread(error.to_string()))
}

/// Body of the database thread. Sends `started` the result of the first attempt to connect; ends at once if
/// that is a permanent fault.
pub(super) fn run(shared: &Arc<Shared>, started: &mpsc::Sender<Result<(), Fault>>) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(fault) => return drop(started.send(Err(fault))),
    };
    LocalSet::new().block_on(&runtime, async {
        let first = shared.connect().await;
        let outcome = first.as_ref().map(drop).map_err(Fault::clone);
        let is_over = outcome.as_ref().is_err_and(Fault::is_permanent);
        if outcome.is_ok() {
            shared.lookups.open();
        }
        if started.send(outcome).is_err() || is_over {
            return;
        }
        let with = |shared: &Arc<Shared>| Arc::clone(shared);
        tokio::task::spawn_local(watch(with(shared), first.ok()));
        for _ in 0..shared.options.connections_max {
            tokio::task::spawn_local(supervise(with(shared)));
        }
        let on_time = with(shared);
        tokio::task::spawn_local(async move { on_time.lookups.expire().await });
        shared.stop.notified().await;
    });
}

impl Shared {
    /// Opens a connection and checks that its store can be served.
    async fn connect(&self) -> Result<Conn, Fault> {
        let attempt = async {
            let mut conn = Conn::new(opts(&self.address)).await?;
            let meta = schema::check(&mut conn).await?;
            Ok((conn, meta))
        };
        let attempted = within(self.options.connect_timeout, attempt).await;
        let counter = match &attempted {
            Ok(_) => Counter::DatabaseConnectsOk,
            Err(_) => Counter::DatabaseConnectsFailed,
        };
        metrics::add(counter, 1);
        let (conn, meta) = attempted?;
        self.was_ready.store(true, Relaxed);
        self.note(meta);
        Ok(conn)
    }

    /// Stores the version of the data. True if the data were replaced.
    fn note(&self, meta: Meta) -> bool {
        let mut known = self.meta.lock();
        if known.as_ref() == Some(&meta) {
            return false;
        }
        let data = format_args!("{:08x}", meta.content_crc32).to_string();
        info!(database = %self.address, users = meta.users, data, "data of /twitter");
        let is_first = known.replace(meta).is_none();
        self.generation.fetch_add(1, Relaxed);
        self.cache.clear();
        !is_first
    }

    /// The number of data versions seen so far. An answer to a query of an earlier generation may come from
    /// replaced data: it is delivered but not cached.
    fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Handles a failed attempt to connect.
    fn attempt_failed(&self, fault: &Fault) {
        if self.connections.load(Relaxed) == 0 && self.lookups.close() {
            warn!(database = %self.address, %fault, "database of /twitter is down; users in the cache are served, others get 503");
        }
    }
}

/// Counts an open connection for as long as it lives.
struct Open<'s>(&'s Shared);

impl<'s> Open<'s> {
    fn new(shared: &'s Shared) -> Self {
        shared.connections.fetch_add(1, Relaxed);
        if shared.lookups.open() {
            info!(database = %shared.address, "database of /twitter is there");
        }
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// Keys of a running query. If the task ends meanwhile, they fail, because nothing else would query them.
struct Batch<'s> {
    keys: Vec<u64>,
    shared: &'s Shared,
}

impl Batch<'_> {
    /// Returns the keys; the caller now answers their lookups.
    fn release(mut self) -> Vec<u64> {
        std::mem::take(&mut self.keys)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for key in &self.keys {
            let failed = Err(LookupError::Failed);
            self.shared.lookups.deliver(*key, &failed);
        }
    }
}

/// Restarts the task that looks users up. A panic, which only the driver could cause, costs one batch.
async fn supervise(shared: Arc<Shared>) {
    loop {
        let task = tokio::task::spawn_local(serve(Arc::clone(&shared)));
        if task.await.is_err() {
            metrics::add(Counter::HandlerPanics, 1);
            sleep(PAUSE_MAX).await;
        }
    }
}

/// Looks users up on successive connections.
async fn serve(shared: Arc<Shared>) {
    let statements = statements(shared.options.batch_max);
    let mut pause = PAUSE_MIN;
    loop {
        match shared.connect().await {
            Ok(conn) => {
                pause = PAUSE_MIN;
                let _open = Open::new(&shared);
                serve_on(conn, &statements, &shared).await;
            }
            Err(fault) => {
                shared.attempt_failed(&fault);
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Returns when the connection is broken.
async fn serve_on(mut conn: Conn, statements: &[String], shared: &Shared) {
    let mut told = None;
    loop {
        let keys = shared.lookups.next_batch(shared.options.batch_max).await;
        let batch = Batch { keys, shared };
        let generation = shared.generation();
        let asking = ask(&mut conn, statements, &batch.keys);
        let rows = within(shared.options.deadline, asking).await;
        let keys = batch.release();
        match rows {
            Ok(rows) => {
                metrics::add(Counter::DatabaseStatementsOk, 1);
                metrics::add(Counter::DatabaseKeys, keys.len() as u64);
                deliver(&keys, rows, generation, shared);
                told = None;
            }
            Err(fault) => {
                metrics::add(Counter::DatabaseStatementsFailed, 1);
                if let Fault::Unreachable(_) = fault {
                    // Another connection repeats the query, until the lookups' deadlines.
                    return shared.lookups.put_back(&keys);
                }
                if told.as_ref() != Some(&fault) {
                    warn!(database = %shared.address, %fault, "lookups of /twitter fail");
                }
                told = Some(fault);
                for key in keys {
                    shared.lookups.deliver(key, &Err(LookupError::Failed));
                }
                // Avoids a busy loop with a server that refuses everything.
                sleep(PAUSE_MIN).await;
            }
        }
    }
}

/// The statements for 1, 2, 4, … keys, up to `keys_max` or the next power of two: few enough to be prepared
/// once per connection.
fn statements(keys_max: usize) -> Vec<String> {
    let sizes = keys_max.next_power_of_two().ilog2();
    (0..=sizes)
        .map(|log| {
            let more = ",?".repeat((1 << log) - 1);
            format!("SELECT user_id, data FROM trident_users WHERE user_id IN (?{more})")
        })
        .collect()
}

/// Queries `keys`; users that do not exist have no row.
async fn ask(conn: &mut Conn, statements: &[String], keys: &[u64]) -> Result<Vec<Row>, Fault> {
    let log = keys.len().next_power_of_two().ilog2() as usize;
    let (Some(statement), Some(last)) = (statements.get(log), keys.last()) else {
        return Ok(Vec::new());
    };
    // The last key fills the rest of the list: it does not return a second row.
    let padded = keys.iter().chain(std::iter::repeat(last)).take(1 << log);
    let parameters = padded.map(|key| Value::UInt(*key)).collect();
    let rows = conn.exec(statement.as_str(), Params::Positional(parameters));
    Ok(rows.await?)
}

/// Verifies, caches and delivers the rows of `keys`, which ascend.
fn deliver(keys: &[u64], rows: Vec<Row>, generation: u64, shared: &Shared) {
    // Nothing is awaited from here on, so the generation cannot change meanwhile.
    let is_current = generation == shared.generation();
    let mut has_row = vec![false; keys.len()];
    for mut row in rows {
        let id: Option<u64> = row.take_opt(0).and_then(Result::ok);
        let value: Option<Vec<u8>> = row.take_opt(1).and_then(Result::ok);
        let (Some(id), Some(value)) = (id, value) else {
            continue;
        };
        if let Ok(at) = keys.binary_search(&id)
            && let Some(has_row) = has_row.get_mut(at)
        {
            *has_row = true;
            let answer = match User::verify(&value) {
                Ok(_) => Ok(Some(value.into())),
                // Not cached, so that a repaired value is served.
                Err(_) => Err(LookupError::Corrupt),
            };
            hand_over(id, &answer, is_current, shared);
        }
    }
    for (id, _) in keys.iter().zip(has_row).filter(|(_, has_row)| !has_row) {
        hand_over(*id, &Ok(None), is_current, shared);
    }
}

fn hand_over(id: u64, answer: &super::Answer, is_current: bool, shared: &Shared) {
    if let Ok(value) = answer
        && is_current
    {
        shared.cache.keep(id, value.clone()); // first: see `Lookups::submit`
    }
    shared.lookups.deliver(id, answer);
}

/// Checks the version of the data at intervals, and whenever a check is requested.
async fn watch(shared: Arc<Shared>, mut conn: Option<Conn>) {
    let mut last_fault = None;
    loop {
        let interval = shared.options.check_interval;
        let _ = timeout(interval, shared.check_now.notified()).await;
        let waiting = std::mem::take(&mut *shared.checks.lock());
        let outcome = look(&shared, &mut conn).await;
        let fault = outcome.as_ref().err().cloned();
        // The lookup tasks report outages.
        if let Some(fault) = fault.as_ref().filter(|fault| fault.is_permanent())
            && last_fault.as_ref() != Some(fault)
        {
            warn!(database = %shared.address, %fault, "cannot follow the data of /twitter; what is kept goes on being served");
        }
        last_fault = fault;
        for waiting in waiting {
            let _ = waiting.send(outcome.clone());
        }
    }
}

/// Checks whether the data were replaced since the last check.
async fn look(shared: &Shared, conn: &mut Option<Conn>) -> Result<bool, Fault> {
    let before = shared.generation();
    let Some(open) = conn else {
        *conn = Some(shared.connect().await?);
        return Ok(before != 0 && before != shared.generation());
    };
    let checked = within(shared.options.connect_timeout, schema::check(open)).await;
    match checked {
        Ok(meta) => Ok(shared.note(meta)),
        Err(fault) => {
            *conn = None;
            Err(fault)
        }
    }
}

/// Options of connections, for small and urgent requests.
pub(super) fn opts(address: &super::Address) -> Opts {
    OptsBuilder::from_opts(address.opts())
        .tcp_nodelay(true)
        .into()
}

async fn within<T>(
    time: Duration,
    attempt: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let late = |_| Fault::Unreachable(format!("no answer within {} ms", time.as_millis()));
    timeout(time, attempt).await.map_err(late)?
}
