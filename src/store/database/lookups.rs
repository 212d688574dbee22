//! Waiting lookups: their users and deadlines.
//!
//! Workers [`submit`](Lookups::submit); the database thread takes batches of keys and delivers answers. A
//! key is queried once however many lookups wait for it. Every lookup gets exactly one answer, by its
//! deadline. All have the same timeout, so the line of tickets is in order of deadlines.
//!
//! | state of a key | in `flights` | in `queue` |
//! | --- | --- | --- |
//! | nobody waits | – | – |
//! | waits for a connection | yes | yes |
//! | is being asked for | yes | – |

use crate::metrics::Counter;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use thiserror::Error;
use tokio::sync::Notify;

/// A verified value ([`crate::store::value::User::verify`]).
pub type Value = Arc<[u8]>;

/// The value of a user; `None` = the user does not exist.
pub type Answer = Result<Option<Value>, LookupError>;

/// Runs on the database thread with the answer. Must not block.
pub type Done = Box<dyn FnOnce(Answer) + Send>;

/// Why a lookup failed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LookupError {
    /// The queue is full.
    #[error("too many lookups wait for the database")]
    Busy,
    /// The deadline passed.
    #[error("the database did not answer in time")]
    Deadline,
    /// There is no connection.
    #[error("the database cannot be reached")]
    Down,
    /// The server reports an error.
    #[error("the database reports an error")]
    Failed,
    /// The value is corrupt.
    #[error("the value in the database is corrupt")]
    Corrupt,
}

/// All lookups that wait for an answer.
pub(super) struct Lookups {
    inner: Mutex<Inner>,
    /// Tickets without an answer.
    waiting: Arc<AtomicUsize>,
    /// Notified when keys are in the queue.
    work: Notify,
    /// Notified when the line is no longer empty.
    deadlines: Notify,
    deadline: Duration,
    queue_max: usize,
}

#[derive(Default)]
struct Inner {
    /// Lookups are accepted: as far as is known, the database can be reached.
    is_open: bool,
    flights: HashMap<u64, Vec<Arc<Ticket>>>,
    queue: VecDeque<u64>,
    line: VecDeque<Arc<Ticket>>,
}

/// One lookup.
struct Ticket {
    deadline: Instant,
    done: Mutex<Option<Done>>,
    waiting: Arc<AtomicUsize>,
}

impl Ticket {
    /// Only the first answer counts.
    fn answer(&self, answer: Answer) {
        let done = self.done.lock().take();
        if let Some(done) = done {
            self.waiting.fetch_sub(1, Relaxed);
            done(answer);
        }
    }

    fn is_answered(&self) -> bool {
        self.done.lock().is_none()
    }
}

/// The thread may end at any time; this still answers its lookups.
impl Drop for Ticket {
    fn drop(&mut self) {
        self.answer(Err(LookupError::Down));
    }
}

impl Lookups {
    pub(super) fn new(queue_max: usize, deadline: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            waiting: Arc::default(),
            work: Notify::new(),
            deadlines: Notify::new(),
            deadline,
            queue_max,
        }
    }

    /// Accepts a lookup. If no lookup waits for the user yet, it calls `known` once more, because the
    /// answer may have arrived since the caller looked. `done` runs unless an answer is returned.
    pub(super) fn submit(
        &self,
        user_id: u64,
        known: impl FnOnce() -> Option<Option<Value>>,
        done: Done,
    ) -> Option<Answer> {
        let mut inner = self.inner.lock();
        let is_new = !inner.flights.contains_key(&user_id);
        if let Some(value) = is_new.then(known).flatten() {
            return Some(Ok(value));
        }
        if !inner.is_open {
            return Some(Err(LookupError::Down));
        }
        if self.waiting.load(Relaxed) >= self.queue_max {
            return Some(Err(LookupError::Busy));
        }
        self.waiting.fetch_add(1, Relaxed);
        let ticket = Arc::new(Ticket {
            deadline: Instant::now() + self.deadline,
            done: Mutex::new(Some(done)),
            waiting: Arc::clone(&self.waiting),
        });
        inner.forget_answered();
        if inner.line.is_empty() {
            self.deadlines.notify_one();
        }
        inner.line.push_back(Arc::clone(&ticket));
        inner.flights.entry(user_id).or_default().push(ticket);
        if is_new {
            inner.queue.push_back(user_id);
            self.work.notify_one();
        }
        None
    }

    /// Waits for keys and takes up to `max` of them, in ascending order.
    pub(super) async fn next_batch(&self, max: usize) -> Vec<u64> {
        loop {
            let keys = self.take(max);
            if !keys.is_empty() {
                return keys;
            }
            self.work.notified().await;
        }
    }

    fn take(&self, max: usize) -> Vec<u64> {
        let mut inner = self.inner.lock();
        let mut keys = Vec::new();
        while keys.len() < max
            && let Some(key) = inner.queue.pop_front()
        {
            let waits = |tickets: &Vec<Arc<Ticket>>| !tickets.iter().all(|t| t.is_answered());
            if inner.flights.get(&key).is_some_and(waits) {
                keys.push(key);
            } else {
                inner.flights.remove(&key); // all their deadlines have passed
            }
        }
        keys.sort_unstable();
        keys
    }

    /// Lets another connection query `keys`.
    pub(super) fn put_back(&self, keys: &[u64]) {
        if keys.is_empty() {
            return;
        }
        let mut inner = self.inner.lock();
        keys.iter()
            .rev()
            .for_each(|key| inner.queue.push_front(*key));
        self.work.notify_one();
    }

    /// Answers all lookups that wait for a user.
    pub(super) fn deliver(&self, user_id: u64, answer: &Answer) {
        let tickets = self.inner.lock().flights.remove(&user_id);
        for ticket in tickets.into_iter().flatten() {
            ticket.answer(answer.clone());
        }
    }

    /// Accepts lookups from now on; true if it refused them before.
    pub(super) fn open(&self) -> bool {
        !std::mem::replace(&mut self.inner.lock().is_open, true)
    }

    /// Refuses new lookups and those that wait for a connection; true if it accepted them before.
    pub(super) fn close(&self) -> bool {
        let mut inner = self.inner.lock();
        let was_open = std::mem::replace(&mut inner.is_open, false);
        let queue = std::mem::take(&mut inner.queue);
        drop(inner);
        for key in queue {
            self.deliver(key, &Err(LookupError::Down));
        }
        was_open
    }

    pub(super) fn is_open(&self) -> bool {
        self.inner.lock().is_open
    }

    /// Lookups without an answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Answers lookups at their deadlines, forever. Sleeps while no lookup waits.
    pub(super) async fn expire(&self) {
        loop {
            let (due, next) = self.inner.lock().due(Instant::now());
            for ticket in due {
                ticket.answer(Err(LookupError::Deadline));
            }
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => self.deadlines.notified().await,
            }
        }
    }
}

impl Inner {
    fn forget_answered(&mut self) {
        while self.line.front().is_some_and(|ticket| ticket.is_answered()) {
            self.line.pop_front();
        }
    }

    /// Tickets past their deadline, and the deadline of the next one.
    fn due(&mut self, now: Instant) -> (Vec<Arc<Ticket>>, Option<Instant>) {
        let mut due = Vec::new();
        while let Some(ticket) = self.line.front() {
            if ticket.is_answered() {
                self.line.pop_front();
            } else if ticket.deadline <= now {
                due.extend(self.line.pop_front());
            } else {
                return (due, Some(ticket.deadline));
            }
        }
        (due, None)
    }
}

impl LookupError {
    /// The counter of lookups that were refused for this reason.
    pub fn counter(self) -> Counter {
        match self {
            Self::Busy => Counter::StoreRefusedBusy,
            Self::Deadline => Counter::StoreRefusedDeadline,
            Self::Down => Counter::StoreRefusedDown,
            Self::Failed => Counter::StoreFailed,
            Self::Corrupt => Counter::StoreCorrupt,
        }
    }
}
