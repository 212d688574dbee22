//! One connection: a state machine that moves by turns, and the coroutine that drives it.
//!
//! | stage | waits for | then |
//! | --- | --- | --- |
//! | `Open` | bytes | answers every complete request, writes once |
//! | `Deferred` | room for earlier answers, then another thread's answer | appends it, goes on as after any answer |
//! | `Flushing` | room in the socket | reading stops until all is written |
//! | `Lingering` | the peer's end | drops what it sends, then closes |
//!
//! | from | when | to |
//! | --- | --- | --- |
//! | `Open` | a handler deferred its answer | `Deferred` |
//! | `Open`, `Deferred` (answered) | the socket does not take all answers | `Flushing` |
//! | `Open`, `Deferred` (answered), `Flushing` | all is written, and `Then::Open` follows | `Open` |
//! | the same | all is written, and `End::Linger` follows | `Lingering` |
//! | the same | all is written, and `End::Now` follows | closed |
//! | `Open` | idle for too long, or the server stops | `Open` for one more request |
//! | any | the peer has ended, the socket is broken, a deadline passed, a turn panicked | closed |
//!
//! A turn ends early when it has used up its share of the worker's time; the connection goes behind the others
//! (`costly`).
//!
//! Between turns a connection owns only the bytes of an incomplete request and of unwritten answers. Both
//! are bounded ([`Limits`](super::Limits)) and counted in one budget for the whole server.
//!
//! `read` and `write` are the halves of a turn, `serve` is one request in it, `stage` the states, `socket` the seam
//! to the kernel, `sim` a simulated world behind it.

mod costly;
mod read;
mod serve;
#[cfg(test)]
mod sim;
mod socket;
mod stage;
mod write;

use std::{
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use may::{io::WaitIo, net::TcpStream};

use costly::{Place, Waiting};
use socket::Socket;
use stage::{After, Stage};

use super::{
    Service,
    server::Hosted,
    watch::{Phase, Watch},
    worker::{self, Scratch},
};
use crate::metrics::{self, Counter};

/// Epoll flags after which no further event announces the end of the stream: ERR, HUP, RDHUP.
const HANGUP_FLAGS: usize = 0x8 | 0x10 | 0x2000;

/// The epoll flag for room to send. On its own it does not concern a connection that waits for a request.
const ROOM_FLAG: usize = 0x4;

/// What the coroutine does after a turn.
enum Next {
    /// Wait for the socket.
    Wait,
    /// Wait for the socket, then go behind the others: the turn was costly.
    WaitBehind,
    /// Wait for the deferred answer.
    Park,
    /// Take another turn at once: the end of the stream has come, and no event will announce it.
    AtOnce,
    /// Take another turn after the other connections had theirs.
    Again,
    /// Take another turn behind the others: this one was costly.
    AgainBehind,
    /// End.
    Close,
}

/// When there are bytes to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    /// When the socket's next event says so.
    OnEvent,
    /// Perhaps now: the last read filled its buffer, or another wait consumed the event.
    Now,
    /// Up to the end of the stream: the peer has closed its side, or the socket is broken. No event will
    /// follow.
    ToEnd,
}

/// A connection. Owned by its coroutine, on cache lines of its own: its neighbours in memory belong to other workers,
/// because the accept thread allocates them all.
#[repr(align(64))]
struct Conn<S: Service, K: Socket = TcpStream> {
    hosted: Arc<Hosted<S>>,
    watch: Watch, // before `socket`: the slot is freed before the descriptor is closed
    socket: K,
    readable: Readable,
    stage: Stage,
    /// How many more requests it may have answered.
    requests_left: u64,
    /// This connection's share of the server's buffer budget.
    counted_bytes: usize,
    /// Bytes of body, answers or dropped input that have moved since the running deadline began.
    moved_bytes: usize,
}

/// Starts an accepted connection; false if it could not be served and was closed. The caller has counted it
/// in `Server::open`.
pub(super) fn start<S: Service>(hosted: &Arc<Hosted<S>>, stream: std::net::TcpStream) -> bool {
    admit(Conn::accepted(Arc::clone(hosted), stream), |conn| {
        // The first request, if it has come, is announced by an event: a turn without one would read in vain.
        conn.spawn(|mut conn| {
            conn.wait();
            conn.run(None);
        })
    })
}

/// Lets `spawn` start a connection; false if there is none. One that `spawn` drops takes itself off `Server::open`.
#[inline]
fn admit<S: Service, K: Socket>(
    conn: Option<Conn<S, K>>,
    spawn: impl FnOnce(Box<Conn<S, K>>) -> bool,
) -> bool {
    let Some(conn) = conn else { return false };
    spawn(Box::new(conn));
    true
}

#[cold]
fn panicked() -> Next {
    metrics::add(Counter::HandlerPanics, 1);
    Next::Close
}

/// The connection in the world: its socket, its coroutine, its waits.
impl<S: Service> Conn<S> {
    /// Takes over an accepted socket; `None` if the watcher has no slot for its descriptor or epoll takes
    /// no more.
    #[allow(unsafe_code)] // may offers no safe way to take over a std stream
    fn accepted(hosted: Arc<Hosted<S>>, stream: std::net::TcpStream) -> Option<Self> {
        use std::os::fd::{FromRawFd, IntoRawFd};
        let descriptor = stream.into_raw_fd();
        // `from_raw_fd` panics if epoll takes no more descriptors; unwinding closes the descriptor.
        // SAFETY: the descriptor comes from a stream that gave up its ownership.
        let register = || unsafe { TcpStream::from_raw_fd(descriptor) };
        Self::new(hosted, catch_unwind(register).ok()?)
    }

    /// Starts or continues the connection, by `run`, in a new coroutine on its descriptor's worker. If no stack can be
    /// mapped, it closes the connection and returns false.
    #[allow(unsafe_code)] // `spawn` is unsafe for the sake of thread-locals and stack depth
    fn spawn(self: Box<Self>, run: impl FnOnce(Box<Self>) + Send + 'static) -> bool {
        let id = self.socket.number() as usize;
        let start = AssertUnwindSafe(|| {
            // SAFETY: the coroutine keeps no thread-local address across a wait (`worker::lend` is not
            // inlined), and what runs on its own stack is the shallow loop of `run`.
            unsafe {
                may::coroutine::Builder::new()
                    .id(id)
                    .spawn(move || run(self))
            }
        });
        let is_started = matches!(catch_unwind(start), Ok(Ok(_detached)));
        if !is_started {
            metrics::add(Counter::AcceptMemory, 1);
        }
        is_started
    }

    /// Puts the connection behind those with cheap turns.
    fn go_behind(self: Box<Self>) {
        costly::enter(self.socket.number() as usize, self);
    }

    /// The body of the coroutine: drives the connection until it takes a place behind others, or to its end. `place` is
    /// for the first turn.
    fn run(mut self: Box<Self>, place: Option<Place>) {
        let mut held = place.map(Place::hold);
        loop {
            let next = worker::lend(&mut *self, |conn| &*conn.hosted, Self::turn);
            drop(held.take());
            match next.unwrap_or_else(panicked) {
                Next::Wait => self.wait(),
                Next::AtOnce => {}
                Next::WaitBehind => {
                    self.wait();
                    return self.go_behind();
                }
                Next::Park => {
                    if let Stage::Deferred(awaited, _) = &self.stage {
                        awaited.answer.park(self.socket.inner().as_fd());
                    }
                    // A wake that crosses with `park` resumes the coroutine inside `park`'s bookkeeping. If
                    // the coroutine ended there, as it does after an answer, `may` would wait on the same
                    // stack for that bookkeeping: the worker would spin forever.
                    may::coroutine::yield_now();
                }
                // Not `yield_now`: a worker empties its local queue before it polls sockets again, so a
                // flooding connection that yields would starve the others. A new coroutine comes in through
                // epoll.
                Next::Again => {
                    self.spawn(|conn| conn.run(None));
                    return;
                }
                Next::AgainBehind => return self.go_behind(),
                Next::Close => return,
            }
        }
    }

    /// Waits for the socket.
    fn wait(&mut self) {
        let flags = loop {
            let flags = self.socket.wait_io();
            if flags != ROOM_FLAG || !matches!(self.stage, Stage::Open(_)) {
                break flags;
            }
        };
        self.notice(flags);
    }
}

/// The connection and its turns, for any kind of socket.
impl<S: Service, K: Socket> Conn<S, K> {
    /// A connection that has not read yet; `None` if the watcher has no slot for its socket. It counts as open until it
    /// is dropped.
    fn new(hosted: Arc<Hosted<S>>, socket: K) -> Option<Self> {
        let server = &hosted.server;
        let mut watch = Watch::new(&server.slots, socket.number())?;
        watch.start(Phase::Fresh, server.limits.head_timeout);
        let requests_left = match server.limits.requests_per_connection_max {
            0 => u64::MAX,
            requests_max => requests_max,
        };
        Some(Self {
            hosted,
            watch,
            socket,
            readable: Readable::OnEvent,
            stage: Stage::default(),
            requests_left,
            counted_bytes: 0,
            moved_bytes: 0,
        })
    }

    /// Takes note of the events that ended a wait for the socket.
    #[inline]
    fn notice(&mut self, flags: usize) {
        if flags & HANGUP_FLAGS != 0 {
            self.readable = Readable::ToEnd;
        }
    }

    /// Notes that bytes may be readable although no event will say so.
    fn expect_more(&mut self) {
        if self.readable == Readable::OnEvent {
            self.readable = Readable::Now;
        }
    }

    /// Notes that `bytes` have moved in `phase`. The deadline starts again once as many bytes have moved as the slowest
    /// allowed transfer moves within `timeout`.
    #[inline(never)] // not needed by a request that arrives and leaves whole
    fn progress(&mut self, phase: Phase, timeout: Duration, bytes: usize) {
        if self.watch.ensure(phase, timeout) {
            self.moved_bytes = 0;
        }
        self.moved_bytes += bytes;
        if self.moved_bytes >= self.hosted.server.limits.quota_bytes(timeout) {
            self.moved_bytes = 0;
            self.watch.start(phase, timeout);
        }
    }

    /// One turn: never suspends.
    fn turn(&mut self, input: &mut [u8], scratch: &mut Scratch<S>) -> Next {
        scratch.output.clear();
        scratch.heads.refresh();
        match self.watch.expired() {
            None => {}
            Some(Phase::Idle | Phase::Fresh) => self.expire_idle(),
            Some(phase) => return self.expire(phase, scratch),
        }
        let next = match self.stage {
            Stage::Open(_) => self.exchange(input, scratch),
            _ => self.resume_stage(input, scratch),
        };
        match next {
            Next::Close => Next::Close,
            _ if self.exceeds_budget() => self.give_up(scratch),
            next => next,
        }
    }

    /// A turn in any stage but `Open`.
    #[inline(never)]
    fn resume_stage(&mut self, input: &mut [u8], scratch: &mut Scratch<S>) -> Next {
        let (unsent, after) = match std::mem::take(&mut self.stage) {
            Stage::Deferred(awaited, unsent) if awaited.answer.is_ready() => {
                (unsent, After::Then(self.finish_deferred(awaited, scratch)))
            }
            Stage::Deferred(awaited, unsent) => (unsent, After::Deferred(awaited)),
            Stage::Flushing(unsent, then) => (unsent, After::Then(then)),
            Stage::Lingering(dropped) => return self.linger(dropped, input),
            open @ Stage::Open(_) => {
                self.stage = open;
                return Next::Again;
            }
        };
        // The wait may have consumed the event that announced further bytes.
        self.expect_more();
        if let Some(next) = self.write_out(unsent, after, scratch) {
            return next;
        }
        if let Stage::Open(input) = &self.stage {
            self.watch_input(input.phase(), true);
        }
        Next::Again
    }
}

impl<S: Service> Waiting for Conn<S> {
    fn start(self: Box<Self>, place: Place) -> bool {
        self.spawn(|conn| conn.run(Some(place)))
    }
}

impl<S: Service, K: Socket> Drop for Conn<S, K> {
    fn drop(&mut self) {
        let server = &self.hosted.server;
        server.buffered_bytes.fetch_sub(self.counted_bytes, Relaxed);
        server.open.fetch_sub(1, Relaxed);
        metrics::add(Counter::ConnectionsClosed, 1);
    }
}
