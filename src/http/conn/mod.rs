//! One connection: a state machine that moves by turns, and the coroutine that drives it.
//!
//! | stage | waits for | then |
//! | --- | --- | --- |
//! | `Open` | bytes | answers every complete request, writes once |
//! | `Deferred` | room for earlier answers, then another thread's answer | appends it, goes on as `Open` |
//! | `Flushing` | room in the socket | reading stops until all is written |
//! | `Lingering` | the peer's end | drops what it sends, then closes |
//!
//! | from | when | to |
//! | --- | --- | --- |
//! | `Open` | a handler deferred its answer | `Deferred` |
//! | `Open`, `Deferred` (answered) | the socket does not take all answers | `Flushing` |
//! | `Open`, `Deferred` (answered), `Flushing` | all is written and [`End`] is `No` or `AfterNext` | `Open` |
//! | the same | all is written and `End` is `Linger` | `Lingering` |
//! | the same | all is written and `End` is `Now` | closed |
//! | `Open` | idle for too long, or the server stops | `Open` with `End::AfterNext` |
//! | any | the peer has ended, the socket is broken, a deadline passed, a turn panicked | closed |
//!
//! Between turns a connection owns only the bytes of an incomplete request and of unwritten answers. Both
//! are bounded ([`Limits`](super::Limits)) and counted in one budget for the whole server.

mod read;
mod serve;
mod write;

use std::{
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use may::{io::WaitIo, net::TcpStream};

use super::{
    Deferred, Mode, Service,
    body::Chunked,
    server::{Hosted, Server},
    watch::{Phase, Watch},
    worker::{self, Scratch},
};
use crate::metrics::{self, Counter};

/// Epoll flags after which no further event announces the end of the stream: ERR, HUP, RDHUP.
const HANGUP_FLAGS: usize = 0x8 | 0x10 | 0x2000;

/// What the coroutine does after a turn.
enum Next {
    /// Wait for the socket.
    Wait,
    /// Wait for the deferred answer.
    Park,
    /// Take another turn after all other connections had theirs.
    Again,
    /// End.
    Close,
}

/// What a connection is doing; see the module's table.
enum Stage {
    /// Requests are read and answered.
    Open,
    /// A handler deferred its answer, which will be sent in this mode.
    Deferred(Deferred, Mode),
    /// Answers wait for room in the socket.
    Flushing,
    /// The last answer is sent; so many bytes from the peer were dropped since.
    Lingering(usize),
}

/// How a connection ends once its answers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It does not end.
    No,
    /// With the next answer: the connection was idle for too long, or the server stops.
    AfterNext,
    /// At once: the peer asked to close and has sent nothing more.
    Now,
    /// After lingering: the peer may still be sending.
    Linger,
}

impl End {
    /// Whether the last answer has been written.
    const fn is_set(self) -> bool {
        matches!(self, Self::Now | Self::Linger)
    }
}

/// When there is something to read.
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

/// A chunked body that has not ended.
struct PartialBody {
    /// The request's head.
    head: Vec<u8>,
    decoder: Chunked,
    body: Vec<u8>,
}

/// A connection. Owned by its coroutine.
pub(super) struct Conn<S: Service> {
    hosted: Arc<Hosted<S>>,
    server: Arc<Server>,
    watch: Watch, // before `stream`: the slot is freed before the descriptor is closed
    stream: TcpStream,
    stage: Stage,
    end: End,
    /// Bytes of requests not yet answered.
    tail: Vec<u8>,
    /// Length that `tail` must reach before it is parsed again.
    tail_needed_bytes: usize,
    partial_body: Option<Box<PartialBody>>,
    /// Answers not yet written, from `unsent_start`.
    unsent: Vec<u8>,
    unsent_start: usize,
    /// This connection's share of the server's buffer budget.
    counted_bytes: usize,
    requests: u64,
    /// `tail` may hold a complete request.
    resume: bool,
    readable: Readable,
}

/// Starts an accepted connection; false if it could not be served and was closed. The caller has counted it
/// in [`Server::open`].
pub(super) fn start<S: Service>(hosted: &Arc<Hosted<S>>, stream: std::net::TcpStream) -> bool {
    match Conn::new(Arc::clone(hosted), stream) {
        Some(conn) => {
            Box::new(conn).spawn();
            true
        }
        None => false,
    }
}

#[cold]
fn panicked() -> Next {
    metrics::add(Counter::HandlerPanics, 1);
    Next::Close
}

/// What [`Conn::step`] did with the bytes at the front.
enum Step {
    /// A request was answered; it had this many bytes.
    Answered(usize),
    /// A request was deferred; it had this many bytes.
    Deferred(usize),
    /// The request is incomplete; so many bytes were consumed.
    Incomplete(usize),
    /// The last request of this connection was answered; it had this many bytes.
    Last(usize),
}

impl<S: Service> Conn<S> {
    /// Takes over an accepted socket; `None` if the watcher has no slot for its descriptor or epoll takes
    /// no more. The connection counts as open until it is dropped.
    #[allow(unsafe_code)] // may offers no safe way to take over a std stream
    fn new(hosted: Arc<Hosted<S>>, stream: std::net::TcpStream) -> Option<Self> {
        use std::os::fd::{FromRawFd, IntoRawFd};
        let descriptor = stream.into_raw_fd();
        // `from_raw_fd` panics if epoll takes no more descriptors; unwinding closes the descriptor. SAFETY:
        // the descriptor comes from a stream that gave up its ownership.
        let register = || unsafe { TcpStream::from_raw_fd(descriptor) };
        let stream = catch_unwind(register).ok()?;
        let server = Arc::clone(&hosted.server);
        let mut watch = Watch::new(&server.slots, descriptor)?;
        watch.start(Phase::Fresh, server.limits.head_timeout);
        Some(Self {
            hosted,
            server,
            watch,
            stream,
            stage: Stage::Open,
            end: End::No,
            tail: Vec::new(),
            tail_needed_bytes: 0,
            partial_body: None,
            unsent: Vec::new(),
            unsent_start: 0,
            counted_bytes: 0,
            requests: 0,
            resume: false,
            readable: Readable::OnEvent,
        })
    }

    /// Starts or continues the connection in a new coroutine on its descriptor's worker. If no stack can be
    /// mapped, the connection is closed.
    #[allow(unsafe_code)] // `spawn` is unsafe for the sake of thread-locals and stack depth
    fn spawn(self: Box<Self>) {
        let id = self.stream.inner().as_raw_fd() as usize;
        let start = AssertUnwindSafe(|| {
            // SAFETY: the coroutine keeps no thread-local address across a wait (`worker::lend` is not
            // inlined), and what runs on its own stack is the shallow loop of `run`.
            unsafe {
                may::coroutine::Builder::new()
                    .id(id)
                    .spawn(move || self.run())
            }
        });
        match catch_unwind(start) {
            Ok(Ok(_detached)) => {}
            Ok(Err(_)) | Err(_) => metrics::add(Counter::AcceptMemory, 1),
        }
    }

    /// The body of the coroutine: drives the connection to its end.
    fn run(mut self: Box<Self>) {
        loop {
            let next = worker::lend(&mut *self, |conn| &*conn.hosted, Self::turn);
            match next.unwrap_or_else(panicked) {
                Next::Wait => {
                    if self.stream.wait_io() & HANGUP_FLAGS != 0 {
                        self.readable = Readable::ToEnd;
                    }
                }
                Next::Park => {
                    if let Stage::Deferred(deferred, _) = &self.stage {
                        deferred.park();
                    }
                    // A wake that crosses with `park` resumes the coroutine inside `park`'s bookkeeping. If
                    // the coroutine ended there, as it does after an answer, `may` would wait on the same
                    // stack for that bookkeeping: the worker would spin forever.
                    may::coroutine::yield_now();
                }
                // Not `yield_now`: a worker empties its local queue before it polls sockets again, so a
                // flooding connection that yields would starve the others. A new coroutine comes in through
                // epoll.
                Next::Again => return self.spawn(),
                Next::Close => return,
            }
        }
    }

    /// Notes that bytes may be readable although no event will say so.
    fn expect_more(&mut self) {
        if self.readable == Readable::OnEvent {
            self.readable = Readable::Now;
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
            Stage::Open => self.exchange(input, scratch),
            _ => self.resume_stage(input, scratch),
        };
        match next {
            Next::Wait | Next::Park | Next::Again if self.exceeds_budget() => self.give_up(scratch),
            next => next,
        }
    }

    /// A turn in any stage but `Open`.
    #[inline(never)]
    fn resume_stage(&mut self, input: &mut [u8], scratch: &mut Scratch<S>) -> Next {
        match std::mem::replace(&mut self.stage, Stage::Open) {
            Stage::Open => Next::Again,
            Stage::Deferred(deferred, mode) if deferred.is_ready() => {
                self.finish_deferred(deferred, mode, scratch);
                self.resume = true;
                self.write_out(scratch).unwrap_or(Next::Again)
            }
            stage @ Stage::Deferred(..) => {
                self.stage = stage;
                // Earlier answers are written first; the wait for room may have consumed an event.
                self.expect_more();
                self.write_out(scratch).unwrap_or(Next::Park)
            }
            Stage::Flushing => {
                // The wait for room may have consumed the event that announced further bytes.
                self.expect_more();
                let next = self.write_out(scratch);
                if next.is_none() {
                    self.watch_open(true);
                }
                next.unwrap_or(Next::Again)
            }
            Stage::Lingering(dropped) => self.linger(dropped, input),
        }
    }
}

impl<S: Service> Drop for Conn<S> {
    fn drop(&mut self) {
        self.server
            .buffered_bytes
            .fetch_sub(self.counted_bytes, Relaxed);
        self.server.open.fetch_sub(1, Relaxed);
        metrics::add(Counter::ConnectionsClosed, 1);
    }
}
