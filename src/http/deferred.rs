//! Deferred answers: another thread keeps a promise, the connection waits for it.
//!
//! ```text
//! handler ─ Deferred::new ─┬─ Promise<T> ─▶ another thread ─ keep(T) or drop ─┐ wakes
//!                          └─ Deferred ───▶ connection: parked ───────────────┴▶ finish(T) → reply
//! ```
//!
//! Meanwhile the connection's coroutine is parked and its worker serves other connections. Dropping a
//! promise unkept, in a panic or at a stop, wakes the connection too: it never waits forever.

use std::sync::Arc;

use may::coroutine::{self, Coroutine};
use parking_lot::Mutex;

use super::Reply;
use crate::metrics::{self, Counter, Mark};

/// The other thread's side: receives the value for the answer.
pub struct Promise<T>(Arc<Slot<T>>);

/// The connection's side: answers the request when its promise is kept or dropped.
pub struct Deferred {
    wait: Box<dyn Wait>,
    /// When the request's handling began.
    since: Mark,
}

type Slot<T> = Mutex<State<T>>;

enum State<T> {
    /// The promise is open; settling it wakes this coroutine.
    Open(Option<Coroutine>),
    /// The promise was kept with this value, or dropped.
    Settled(Option<T>),
}

impl<T> Promise<T> {
    /// Gives the value and wakes the connection. Callable from any thread.
    pub fn keep(self, value: T) {
        self.settle(Some(value));
    }

    fn settle(&self, value: Option<T>) {
        let mut state = self.0.lock();
        if let State::Open(waiting) = &mut *state {
            let waiting = waiting.take();
            *state = State::Settled(value);
            drop(state);
            if let Some(coroutine) = waiting {
                coroutine.unpark();
            }
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.settle(None); // no effect if it was kept
    }
}

impl Deferred {
    /// A promise, and the deferral that calls `finish` with its value, or with `None` if the promise was
    /// dropped unkept.
    ///
    /// `finish` sends the reply and returns the counter of the answer. Call this inside
    /// [`Service::call`](super::Service::call): the request's time is measured from there.
    pub fn new<T: Send + 'static>(
        finish: impl FnOnce(Option<T>, Reply<'_>) -> Counter + Send + 'static,
    ) -> (Promise<T>, Self) {
        let slot = Arc::new(Mutex::new(State::Open(None)));
        let deferred = Self {
            wait: Box::new(Waiting {
                slot: Arc::clone(&slot),
                finish,
            }),
            since: metrics::mark(),
        };
        (Promise(slot), deferred)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.wait.is_ready()
    }

    /// Parks the running coroutine until the answer can be given.
    pub(super) fn park(&self) {
        while self.wait.subscribe(coroutine::current()) {
            coroutine::park();
        }
    }

    /// Answers the request. Returns the counter of the answer, and when the handling began.
    pub(super) fn finish(self, reply: Reply<'_>) -> (Counter, Mark) {
        (self.wait.finish(reply), self.since)
    }
}

/// [`Waiting`] of any type.
trait Wait: Send {
    fn is_ready(&self) -> bool;

    /// Stores the coroutine to wake; false if the promise is already settled.
    fn subscribe(&self, coroutine: Coroutine) -> bool;

    fn finish(self: Box<Self>, reply: Reply<'_>) -> Counter;
}

struct Waiting<T, F> {
    slot: Arc<Slot<T>>,
    finish: F,
}

impl<T: Send, F: FnOnce(Option<T>, Reply<'_>) -> Counter + Send> Wait for Waiting<T, F> {
    fn is_ready(&self) -> bool {
        matches!(*self.slot.lock(), State::Settled(_))
    }

    fn subscribe(&self, coroutine: Coroutine) -> bool {
        match &mut *self.slot.lock() {
            State::Settled(_) => false,
            State::Open(waiting) => {
                *waiting = Some(coroutine);
                true
            }
        }
    }

    fn finish(self: Box<Self>, reply: Reply<'_>) -> Counter {
        let Self { slot, finish } = *self;
        let value = match &mut *slot.lock() {
            State::Settled(value) => value.take(),
            State::Open(_) => None,
        };
        finish(value, reply)
    }
}
