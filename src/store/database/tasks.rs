//! What runs on the database thread.
//!
//! - [`serve`], once per connection: takes a batch of keys, queries it, delivers the answers. When the
//!   connection breaks, the keys return to the queue and a new connection is opened.
//! - [`watch`], on a separate connection: checks the version of the data and drops the cache when it has
//!   changed.
//! - [`Lookups::expire`](super::lookups::Lookups::expire): enforces the deadlines.
//!
//! Each runs under [`supervise`]: a panic, which only the driver could cause, ends the task and not the thread.
//!
//! The database counts as down when an attempt to connect fails while no connection is open. Lookups
//! are then refused at once, because waiting would only keep clients from asking elsewhere, until an
//! attempt succeeds.

use super::{
    DatabaseFault, LookupError,
    ask::{Read, Statements},
    connect::within,
    hosts::ChosenHost,
    link::Link,
    seen::{Freshness, Mark},
    shared::Shared,
};
use crate::metrics::{self, Counter};
use std::{
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// Pauses between attempts to connect: the first, doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`PAUSE_MIN`]. Longest time until a returned database is noticed.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Pause before a host that is behind is asked again, and how often it is asked before another host is: replicas and
/// nodes of a cluster are behind for milliseconds.
const BEHIND_PAUSE: Duration = Duration::from_millis(5);
const BEHIND_READS_MAX: u32 = 10;

/// A runtime for the calling thread.
pub(super) fn runtime() -> Result<Runtime, DatabaseFault> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| DatabaseFault::Thread(error.to_string()))
}

/// Body of the database thread. Sends `started` the result of the first attempt to connect; ends at once if
/// that is a permanent fault.
pub(super) fn run(shared: &Arc<Shared>, started: &mpsc::Sender<Result<(), DatabaseFault>>) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(fault) => return drop(started.send(Err(fault))),
    };
    LocalSet::new().block_on(&runtime, async {
        let first = Arc::clone(shared);
        let first = spawn_local(async move { first.connect().await });
        let first = first.await.unwrap_or_else(|_| Err(unreadable()));
        let outcome = first.as_ref().map(drop).map_err(DatabaseFault::clone);
        let is_over = outcome.as_ref().is_err_and(DatabaseFault::is_permanent);
        if outcome.is_ok() {
            shared.lookups.open();
        }
        if started.send(outcome).is_err() || is_over {
            return;
        }
        let mut first = first.ok().map(|(link, _)| link);
        supervise(shared, move |shared| watch(shared, first.take()));
        for _ in 0..shared.options.connections_max {
            supervise(shared, serve);
        }
        let on_time = Arc::clone(shared);
        spawn_local(async move { on_time.lookups.expire().await });
        shared.stop.notified().await;
    });
}

/// The fault for an answer that makes the driver panic.
fn unreadable() -> DatabaseFault {
    DatabaseFault::Garbled("what the driver cannot read".into())
}

/// Keeps a task running.
fn supervise<F: Future<Output = ()> + 'static>(
    shared: &Arc<Shared>,
    mut task: impl FnMut(Arc<Shared>) -> F + 'static,
) {
    let shared = Arc::clone(shared);
    spawn_local(async move {
        while spawn_local(task(Arc::clone(&shared))).await.is_err() {
            metrics::add(Counter::HandlerPanics, 1);
            sleep(PAUSE_MAX).await;
        }
    });
}

impl Shared {
    /// Handles a failed attempt to connect.
    fn attempt_failed(&self, fault: &DatabaseFault) {
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

/// Looks users up, on one connection after the other.
async fn serve(shared: Arc<Shared>) {
    let statements =
        [false, true].map(|has_batches| Statements::new(shared.options.batch_max, has_batches));
    let [without, with] = &statements;
    let mut pause = PAUSE_MIN;
    loop {
        match shared.connect().await {
            Ok((link, chosen)) => {
                pause = PAUSE_MIN;
                let _open = Open::new(&shared);
                let statements = if link.has_batches { with } else { without };
                if let Err(fault) = serve_on(link, chosen, statements, &shared).await {
                    // Prevents a busy loop with a server that sends nonsense.
                    if let DatabaseFault::Garbled(_) = fault {
                        warn!(database = %shared.address, %fault, "a connection of /twitter was given up");
                    }
                    sleep(PAUSE_MIN).await;
                }
            }
            Err(fault) => {
                shared.attempt_failed(&fault);
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Returns when the connection is broken, or when its intended host is back.
async fn serve_on(
    mut link: Link,
    chosen: ChosenHost,
    statements: &Statements,
    shared: &Shared,
) -> Result<(), DatabaseFault> {
    let mut told = None;
    let mut behind = 0;
    while !shared.hosts.is_elsewhere(chosen) {
        let keys = shared.lookups.next_batch(shared.options.batch_max).await;
        let batch = Batch { keys, shared };
        let sent = shared.seen.mark();
        let asking = read(&mut link, statements, &batch.keys, shared);
        let reads = within(shared.options.deadline, asking).await;
        let keys = batch.release();
        match reads {
            Ok(reads) => {
                metrics::add(Counter::DatabaseStatementsOk, 1);
                metrics::add(Counter::DatabaseKeys, keys.len() as u64);
                told = None;
                let seen = sent.batch();
                let was_behind = |read: &&Read| {
                    read.batch.number < seen.number || read.batch.loaded != seen.loaded
                };
                let last = reads.iter().find(was_behind).map(|read| read.batch.number);
                let (true, Some(found)) = (deliver(&keys, &reads, sent, shared), last) else {
                    behind = 0;
                    continue;
                };
                behind += 1;
                if behind > BEHIND_READS_MAX {
                    shared.hosts.note(chosen.host, None);
                    let seen = seen.number;
                    return Err(DatabaseFault::Behind { found, seen });
                }
                sleep(BEHIND_PAUSE).await;
            }
            Err(fault) => {
                metrics::add(Counter::DatabaseStatementsFailed, 1);
                if let DatabaseFault::Unreachable(_)
                | DatabaseFault::Garbled(_)
                | DatabaseFault::Behind { .. } = fault
                {
                    // Another connection asks for these keys again, until the lookups' deadlines.
                    shared.lookups.put_back(&keys);
                    return Err(fault);
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
    Ok(())
}

/// Asks for `keys`. If the rows are of a batch that was not seen yet, the users that it has changed are dropped first:
/// nobody gets a new value and then an old one.
async fn read(
    link: &mut Link,
    statements: &Statements,
    keys: &[u64],
    shared: &Shared,
) -> Result<Vec<Read>, DatabaseFault> {
    let reads = statements.ask(link, keys).await?;
    if !shared.seen.knows(&reads) {
        let followed = shared.follow(&mut link.conn).await;
        followed.map_err(|fault| link.explain(fault))?;
    }
    Ok(reads)
}

/// Keeps and delivers the values that came for `keys`. Values that may have changed since are asked for again; returns
/// whether there are any.
fn deliver(keys: &[u64], reads: &[Read], sent: Mark, shared: &Shared) -> bool {
    let mut again = Vec::new();
    for (id, read) in keys.iter().zip(reads) {
        let freshness = shared.seen.keep(*id, read, sent, &shared.cache); // first: see `Lookups::submit`
        match (&read.answer, freshness) {
            (Some(answer), Freshness::Usable) => shared.lookups.deliver(*id, answer),
            _ => again.push(*id),
        }
    }
    shared.lookups.put_back(&again);
    !again.is_empty()
}

/// Checks the version of the data at intervals and on request.
async fn watch(shared: Arc<Shared>, mut link: Option<Link>) {
    let mut last_fault = None;
    loop {
        let interval = shared.options.check_interval;
        let _ = timeout(interval, shared.check_now.notified()).await;
        let waiting = std::mem::take(&mut *shared.checks.lock());
        let outcome = look(&shared, &mut link).await;
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
        // With one host, lookups try it often enough.
        if shared.address.hosts().len() > 1 {
            shared.look_for_failed_hosts().await;
        }
    }
}

/// Whether the data were replaced since the last check.
async fn look(shared: &Shared, link: &mut Option<Link>) -> Result<bool, DatabaseFault> {
    let before = shared.seen.generation();
    let Some(open) = link else {
        let (open, _) = shared.connect().await?;
        *link = Some(open);
        return Ok(before != 0 && before != shared.seen.generation());
    };
    let following = shared.follow(&mut open.conn);
    match within(shared.options.connect_timeout, following).await {
        Ok((_, is_replaced)) => Ok(is_replaced),
        Err(fault) => {
            let fault = open.explain(fault);
            *link = None;
            Err(fault)
        }
    }
}
