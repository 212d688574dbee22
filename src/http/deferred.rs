//! Deferred answers: another thread keeps a promise, the connection waits for it.
//!
//! ```text
//! handler ─ Deferred::new ─┬─ Promise<T> ─▶ another thread ─ keep(T) or drop ─┐ wakes
//!                          └─ Deferred ───▶ connection: parked ───────────────┴▶ finish(T) → reply
//! ```
//!
//! Meanwhile the connection's coroutine is parked and its worker serves other connections. Dropping a
//! promise unkept, in a panic or at a stop, wakes the connection too: it never waits forever.
//!
//! Long work may ask whether its client still waits ([`Deferred::watch`]). It asks a descriptor of its own, a duplicate
//! that is closed with the wait: the number of the connection's descriptor may mean another socket by then.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    sync::Arc,
};

use may::coroutine::{self, Coroutine};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Reply;
use crate::metrics::{self, Counter, Mark};

/// The other thread's side: receives the value for the answer.
pub struct Promise<T>(Arc<Slot<T>>);

/// The connection's side: answers the request when its promise is kept or dropped.
pub struct Deferred(Box<Parts>); // one pointer: see `Handled`

struct Parts {
    wait: Box<dyn Wait>,
    watched: Option<Watched>,
    /// When the request's handling began.
    since: Mark,
}

type Slot<T> = Mutex<State<T>>;

enum State<T> {
    /// The promise is open; settling it wakes this connection.
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

/// A client that waits for a deferred answer. For work that is long and of no use to anybody else.
pub struct Peer(Arc<Mutex<Option<OwnedFd>>>);

impl Peer {
    /// Whether it has ended its side of the connection; a client that only half-closes counts as gone. False before it
    /// waits, after its wait, and if the process had no descriptor left to watch it.
    pub fn is_gone(&self) -> bool {
        self.0.lock().as_ref().is_some_and(has_ended)
    }
}

/// The connection's side of a [`Peer`]: closes the duplicate when the wait is over. A descriptor that stayed open would
/// keep the connection open.
struct Watched(Arc<Mutex<Option<OwnedFd>>>);

impl Drop for Watched {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Whether the peer of this socket has ended its side.
fn has_ended(socket: &OwnedFd) -> bool {
    let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut polled = [PollFd::new(socket, ends)];
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
        let parts = Parts {
            wait: Box::new(Waiting {
                slot: Arc::clone(&slot),
                finish,
            }),
            watched: None,
            since: metrics::mark(),
        };
        (Promise(slot), Self(Box::new(parts)))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.wait.is_ready()
    }

    /// Lets other threads see whether the client still waits.
    pub fn watch(&mut self) -> Peer {
        let descriptor = Arc::default();
        self.0.watched = Some(Watched(Arc::clone(&descriptor)));
        Peer(descriptor)
    }

    /// Parks the running coroutine, whose connection has this socket, until the answer can be given.
    pub(super) fn park(&self, socket: BorrowedFd<'_>) {
        self.show(socket);
        while self.0.wait.subscribe(coroutine::current()) {
            coroutine::park();
        }
    }

    /// Duplicates the socket for the thread that watches the client.
    fn show(&self, socket: BorrowedFd<'_>) {
        if let Some(Watched(descriptor)) = &self.0.watched {
            *descriptor.lock() = socket.try_clone_to_owned().ok();
        }
    }

    /// Answers the request. Returns the counter of the answer, and when the handling began.
    pub(super) fn finish(self, reply: Reply<'_>) -> (Counter, Mark) {
        let Parts { wait, since, .. } = *self.0;
        (wait.finish(reply), since)
    }
}

/// [`Waiting`] of any type.
trait Wait: Send {
    fn is_ready(&self) -> bool;

    /// Stores the connection to wake; false if the promise is already settled.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::Shutdown,
        os::{fd::AsFd, unix::net::UnixStream},
    };

    fn watched() -> (Deferred, Peer) {
        let (_promise, mut deferred) = Deferred::new(|_: Option<()>, _| Counter::OtherValid);
        let peer = deferred.watch();
        (deferred, peer)
    }

    #[test]
    fn a_peer_is_gone_once_it_ends_its_side() {
        let (deferred, peer) = watched();
        assert!(!peer.is_gone(), "nobody waits");
        let (socket, client) = UnixStream::pair().unwrap();
        deferred.show(socket.as_fd());
        assert!(!peer.is_gone());
        client.shutdown(Shutdown::Write).unwrap();
        assert!(peer.is_gone());
        drop(deferred);
        assert!(!peer.is_gone(), "the wait is over");
    }

    /// By then the connection's number may belong to another socket, whose peer is gone.
    #[test]
    fn a_descriptor_that_is_used_again_tells_nothing_of_another_peer() {
        let (deferred, peer) = watched();
        let (socket, client) = UnixStream::pair().unwrap();
        deferred.show(socket.as_fd());
        let (other, _) = UnixStream::pair().unwrap(); // its peer has ended
        let mut number = OwnedFd::from(socket);
        rustix::io::dup3(&other, &mut number, rustix::io::DupFlags::empty()).unwrap();
        assert!(has_ended(&number));
        assert!(!peer.is_gone());
        drop(client);
        assert!(peer.is_gone());
    }

    /// A duplicate that outlived the wait would hide the end of the connection from its client.
    #[test]
    fn the_duplicate_is_closed_with_the_wait() {
        let (deferred, _peer) = watched();
        let (socket, client) = UnixStream::pair().unwrap();
        deferred.show(socket.as_fd());
        drop(socket);
        let client = OwnedFd::from(client);
        assert!(!has_ended(&client));
        drop(deferred);
        assert!(has_ended(&client));
    }
}
