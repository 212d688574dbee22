//! Deferred answers: another thread keeps a promise, the connection waits for it.
//!
//! ```text
//! handler ─ Deferred::new ─┬─ Promise<T> ─▶ another thread ─ keep(T) or drop ─┐ wakes
//!                          └─ Deferred ───▶ connection: parked ───────────────┴▶ finish(T) → reply
//! ```
//!
//! Meanwhile the connection's coroutine is parked and its worker serves other connections. Dropping a
//! promise unkept, in a panic or at a stop, wakes the connection too: it never waits forever.

use std::{os::fd::RawFd, sync::Arc};

use may::coroutine::{self, Coroutine};
use parking_lot::Mutex;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::BorrowedFd,
};

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
    /// The promise is open; settling it wakes this connection.
    Open(Option<Parked>),
    /// The promise was kept with this value, or dropped.
    Settled(Option<T>),
}

/// A connection that waits.
struct Parked {
    coroutine: Coroutine,
    /// Its socket.
    descriptor: RawFd,
}

impl<T> Promise<T> {
    /// Whether the peer has ended its side of the connection meanwhile. For work that is long and of no use to
    /// anybody else; a client that only half-closes counts as gone.
    pub fn peer_is_gone(&self) -> bool {
        match &*self.0.lock() {
            State::Open(Some(parked)) => has_ended(parked.descriptor),
            State::Open(None) | State::Settled(_) => false,
        }
    }

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
            if let Some(parked) = waiting {
                parked.coroutine.unpark();
            }
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.settle(None); // no effect if it was kept
    }
}

/// Whether the peer of a parked connection has ended its side. The caller holds the lock of its slot.
#[allow(unsafe_code)] // a descriptor by number: the connection that owns it is parked
fn has_ended(descriptor: RawFd) -> bool {
    // SAFETY: only settling the promise wakes the connection, which takes the lock that the caller holds: until
    // then the connection keeps its socket open.
    let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut polled = [PollFd::from_borrowed_fd(socket, ends)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().intersects(ends)
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
    pub(super) fn park(&self, descriptor: RawFd) {
        let parked = || Parked {
            coroutine: coroutine::current(),
            descriptor,
        };
        while self.wait.subscribe(parked()) {
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

    /// Stores the connection to wake; false if the promise is already settled.
    fn subscribe(&self, parked: Parked) -> bool;

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

    fn subscribe(&self, parked: Parked) -> bool {
        match &mut *self.slot.lock() {
            State::Settled(_) => false,
            State::Open(waiting) => {
                *waiting = Some(parked);
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
