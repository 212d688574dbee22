//! The interface for workers and operators. Only [`Client::start`] and [`Client::check`] wait.

use super::{
    Address, Answer, DatabaseError, DatabaseFault, Done, Options, Value, cache::ValueCache,
    hosts::Hosts, lookups::Lookups, seen::Seen, shared::Shared, tasks, write::Writer,
};
use crate::{
    cache::{self, Policy},
    metrics::{self, Counter},
    store::Meta,
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::Notify;

/// Added to the time that [`Client::check`] gives the database thread.
const CHECK_GRACE: Duration = Duration::from_secs(1);

/// A running client. Dropping it ends its thread and answers all waiting lookups.
pub struct Client {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The result of the first attempt to connect.
#[derive(Debug)]
pub enum Start {
    /// The database has a store that can be served.
    Ready,
    /// It cannot be reached yet; attempts continue.
    Waiting(DatabaseError),
}

/// The client's state, for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientState {
    /// Lookups are accepted: there is a connection, or the loss of the last one is not yet known.
    pub is_up: bool,
    /// Connections for lookups that are open.
    pub connections: usize,
    /// Lookups without an answer.
    pub waiting: usize,
    /// The cache.
    pub cache: cache::Stats,
}

impl Client {
    /// Connects, checks the schema, and continues in the background.
    ///
    /// # Errors
    /// Faults that do not pass by themselves: wrong password, no store, unknown version.
    pub fn start(address: Address, options: Options) -> Result<(Self, Start), DatabaseError> {
        let shared = Arc::new(Shared {
            lookups: Lookups::new(options.queue_max, options.deadline),
            cache: ValueCache::new(options.cache_bytes, options.cache_policy),
            hosts: Hosts::new(address.hosts().len(), address.policy()),
            address,
            options,
            connections: AtomicUsize::new(0),
            was_ready: AtomicBool::new(false),
            seen: Seen::default(),
            checks: Mutex::new(Vec::new()),
            check_now: Notify::new(),
            stop: Notify::new(),
        });
        let (send, receive) = mpsc::channel();
        let on_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("database".into())
            .spawn(move || tasks::run(&on_thread, &send))
            .map_err(|error| shared.error(DatabaseFault::Thread(error.to_string())))?;
        let client = Self {
            thread: Some(thread),
            shared,
        };
        let lost = || Err(DatabaseFault::Thread("it ended at once".into()));
        match receive.recv().unwrap_or_else(|_| lost()) {
            Ok(()) => Ok((client, Start::Ready)),
            Err(fault) if fault.is_permanent() => Err(client.shared.error(fault)),
            Err(fault) => {
                let error = client.shared.error(fault);
                Ok((client, Start::Waiting(error)))
            }
        }
    }

    /// A user's value from the cache; `Some(None)` = there is no such user. Does not allocate.
    #[inline]
    pub fn cached(&self, user_id: u64) -> Option<Option<Value>> {
        let found = self.shared.cache.get(user_id);
        let counter = match found {
            Some(_) => Counter::StoreCacheHits,
            None => Counter::StoreCacheMisses,
        };
        metrics::add(counter, 1);
        found
    }

    /// Looks up a user. Returns the answer if it is known at once; otherwise `done` runs with it on another
    /// thread, by the deadline.
    pub fn look_up(&self, user_id: u64, done: Done) -> Option<Answer> {
        let shared = &self.shared;
        let known = || shared.cache.get(user_id);
        shared.lookups.submit(user_id, known, done)
    }

    /// Whether the store that was seen last has a history and so takes batches; `false` before a store was seen.
    pub fn keeps_history(&self) -> bool {
        self.shared.seen.mark().batch().loaded != 0
    }

    /// Whether a lookup is likely to succeed; used by `/readyz`.
    pub fn is_ready(&self) -> bool {
        let is_up = !self.shared.options.outage_unready || self.shared.lookups.is_open();
        self.shared.was_ready.load(Relaxed) && is_up
    }

    /// Checks the version of the data now instead of at the next interval. Waits for the result: whether the data were
    /// replaced.
    pub fn check(&self) -> Result<bool, DatabaseError> {
        let (send, receive) = mpsc::channel();
        self.shared.checks.lock().push(send);
        self.shared.check_now.notify_one();
        // The previous check may have to time out first.
        let patience = 3 * self.shared.options.connect_timeout + CHECK_GRACE;
        let silent = |_| Err(DatabaseFault::Unreachable("no answer in time".into()));
        let looked = receive.recv_timeout(patience).unwrap_or_else(silent);
        looked.map_err(|fault| self.shared.error(fault))
    }

    /// Changes capacity, policy or both of the cache, effective at once.
    pub fn set_cache(&self, bytes_max: Option<usize>, policy: Option<Policy>) {
        self.shared.cache.set(bytes_max, policy);
    }

    /// The client's state.
    pub fn state(&self) -> ClientState {
        ClientState {
            is_up: self.shared.lookups.is_open(),
            connections: self.shared.connections.load(Relaxed),
            waiting: self.shared.lookups.waiting(),
            cache: self.shared.cache.stats(),
        }
    }

    /// The database's address.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// Batches that were taken into the store since it was loaded, as far as this instance has seen them.
    pub fn batches(&self) -> u64 {
        self.shared.seen.mark().batch().number
    }

    /// What the thread that takes batches needs.
    pub fn writer(&self) -> Result<Writer, DatabaseError> {
        Writer::new(Arc::clone(&self.shared))
    }

    /// The metadata of the served store; `None` = the database has not answered yet.
    pub fn meta(&self) -> Option<Meta> {
        self.shared.seen.meta()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        // A continuation may hold the last reference, and a thread cannot wait for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
