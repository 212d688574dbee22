//! One connection: a state machine that moves by turns, and the coroutine that drives it.
//!
//! | stage | waits for | then |
//! | --- | --- | --- |
//! | `Open` | bytes | answers every complete request, writes once |
//! | `Pending` | room for earlier answers, then another thread's answer | appends it, goes on as `Open` |
//! | `Flushing` | room in the socket | reading stops until all is written |
//! | `Lingering` | the peer's end | drops what it sends, then closes |
//!
//! The bytes of an incomplete request and unwritten answers are all a connection owns between turns;
//! both are bounded ([`Limits`](super::Limits)) and counted in one budget for the whole server.

mod output;
mod serve;

use std::{
    io::ErrorKind,
    os::fd::AsRawFd,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use may::{io::WaitIo, net::TcpStream};
use rustix::net::{RecvFlags, SendFlags};
use tracing::warn;

use super::{
    Deferred, Mode, Service,
    body::Chunked,
    server::Server,
    watch::{Phase, Watch},
    worker::{self, Tools},
};
use crate::{
    log::Throttle,
    metrics::{self, Counter, turn},
};

/// Epoll flags after which no further event announces the end of the stream: ERR, HUP, RDHUP.
const HANGUP_FLAGS: usize = 0x8 | 0x10 | 0x2000;

/// Unused room a connection may keep behind the bytes it holds.
const SLACK_BYTES: usize = 4 << 10;

/// What the coroutine does after a turn.
pub(super) enum Next {
    /// Wait for the socket.
    Wait,
    /// Wait for the pending answer.
    Park,
    /// Take another turn after everybody else had theirs.
    Again,
    /// End.
    Close,
}

/// What a connection is doing; see the module's table.
enum Stage {
    /// Requests are read and answered.
    Open,
    /// A handler's answer is still to come; it will be sent in this mode.
    Pending(Deferred, Mode),
    /// Answers wait for room in the socket.
    Flushing,
    /// The last answer is out; this many bytes of the peer's were dropped since.
    Lingering(usize),
}

/// How a connection ends once its answers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It does not.
    No,
    /// At once: the peer asked for it and has sent nothing more.
    Now,
    /// After lingering: the peer may still be sending.
    Linger,
}

/// A chunked body that has not ended.
struct PartialBody {
    /// The request's head.
    head: Vec<u8>,
    decoder: Chunked,
    body: Vec<u8>,
}

/// Time after which a turn ends although it has requests left.
///
/// Four hundred plain requests, all that one read may hold, take a tenth of it. But the search for a
/// block's pow may take 2 ms, and the others of this worker must not wait for a batch of those.
const TURN_MAX: Duration = Duration::from_millis(1);

/// A turn's share of its worker's time.
#[derive(Default)]
struct Share {
    began: Option<Instant>,
}

impl Share {
    /// Whether the next request has to wait for another turn. Looks at the clock after 1, 2, 4, 8, 16,
    /// 32, … answers: a turn of one request never does, and one of sixteen pays 6 ns for each.
    fn is_used_up(&mut self, answered: usize) -> bool {
        let look = answered != 0 && (answered.is_power_of_two() || answered.is_multiple_of(16));
        look && self.began.get_or_insert_with(Instant::now).elapsed() >= TURN_MAX
    }
}

/// A connection. Owned by its coroutine.
pub(super) struct Conn<S: Service> {
    pub(super) server: Arc<Server<S>>,
    listener: u8,
    watch: Watch, // before `stream`: the slot is freed before the descriptor is closed
    stream: TcpStream,
    stage: Stage,
    end: End,
    /// Bytes of requests not yet answered.
    tail: Vec<u8>,
    /// Bytes `tail` must have before parsing it again can help.
    tail_needed_bytes: usize,
    partial_body: Option<Box<PartialBody>>,
    /// Answers not yet written, from `unsent_start`.
    unsent: Vec<u8>,
    unsent_start: usize,
    /// This connection's share of the server's buffer budget.
    counted_bytes: usize,
    requests: u64,
    /// Its time is over: the next answer is the last.
    ending: bool,
    /// `tail` may hold a complete request.
    resume: bool,
    /// The last read filled its buffer: there may be more.
    filled: bool,
    /// The peer has closed its side, or the socket is broken.
    hung_up: bool,
    /// `100 Continue` was sent for the request in `tail`.
    continued: bool,
}

/// One `recv`, straight to the kernel: around each call the C library arms and disarms the cancellation
/// of threads, which nothing here uses, with two locked instructions (a tenth of a request's
/// instructions).
fn receive(stream: &TcpStream, into: &mut [u8]) -> rustix::io::Result<usize> {
    Ok(rustix::net::recv(stream.inner(), into, RecvFlags::empty())?.0)
}

/// One `send`, as [`receive`].
fn send(stream: &TcpStream, bytes: &[u8]) -> rustix::io::Result<usize> {
    rustix::net::send(stream.inner(), bytes, SendFlags::NOSIGNAL)
}

/// What became of the bytes at the front.
enum Step {
    /// A request was answered; it had this many bytes.
    Answered(usize),
    /// A request was deferred; it had this many bytes.
    Suspended(usize),
    /// No complete request; this many bytes were taken over.
    Incomplete(usize),
    /// The last request of this connection was answered; it had this many bytes.
    Last(usize),
}

impl<S: Service> Conn<S> {
    /// A new connection; `None` if its descriptor is beyond the watcher's slots.
    pub(super) fn new(server: Arc<Server<S>>, stream: TcpStream, listener: u8) -> Option<Self> {
        let mut watch = Watch::new(&server.slots, stream.inner().as_raw_fd())?;
        watch.start(Phase::Fresh, server.limits.head_timeout);
        Some(Self {
            server,
            listener,
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
            ending: false,
            resume: false,
            filled: false,
            hung_up: false,
            continued: false,
        })
    }

    /// The descriptor; its remainder by the number of workers decides the worker.
    pub(super) fn descriptor(&self) -> i32 {
        self.stream.inner().as_raw_fd()
    }

    /// Drives the connection to its end. The body of its coroutine.
    pub(super) fn run(mut self: Box<Self>) {
        loop {
            match worker::turn(&mut self) {
                Next::Wait => self.hung_up |= self.stream.wait_io() & HANGUP_FLAGS != 0,
                Next::Park => {
                    if let Stage::Pending(deferred, _) = &self.stage {
                        deferred.park();
                    }
                    // A wake that crosses with `park` resumes the coroutine from within `park`'s own
                    // bookkeeping. Were it to end there, as it does after an answer, `may` would wait
                    // for that bookkeeping to end, on the same stack: the worker would spin for ever.
                    may::coroutine::yield_now();
                }
                // Not `yield_now`: the local queue is emptied before the sockets are polled again, so
                // a yielding flooder would starve them. A fresh coroutine comes in through epoll.
                Next::Again => return super::server::spawn(self),
                Next::Close => return,
            }
        }
    }

    /// One turn: never suspends.
    pub(super) fn turn(&mut self, input: &mut [u8], tools: &mut Tools<S>) -> Next {
        tools.output.clear();
        tools.heads.refresh();
        match self.watch.expired() {
            None => {}
            Some(Phase::Idle | Phase::Fresh) => self.expire_idle(),
            Some(phase) => return self.expire(phase, tools),
        }
        let next = match self.stage {
            Stage::Open => self.exchange(input, tools),
            _ => self.resume_stage(input, tools),
        };
        match next {
            Next::Wait | Next::Park | Next::Again if self.exceeds_budget() => self.give_up(tools),
            next => next,
        }
    }

    /// A turn in any stage but `Open`.
    #[inline(never)]
    fn resume_stage(&mut self, input: &mut [u8], tools: &mut Tools<S>) -> Next {
        match std::mem::replace(&mut self.stage, Stage::Open) {
            Stage::Open => Next::Again,
            Stage::Pending(pending, mode) if pending.is_ready() => {
                self.finish_pending(pending, mode, tools);
                self.resume = true;
                self.write_out(tools).unwrap_or(Next::Again)
            }
            stage @ Stage::Pending(..) => {
                self.stage = stage;
                // What came before is written first; the wait for room may have taken an event.
                self.filled = true;
                self.write_out(tools).unwrap_or(Next::Park)
            }
            Stage::Flushing => {
                // The wait for room may have taken the event that announced further bytes.
                self.filled = true;
                let next = self.write_out(tools);
                if next.is_none() {
                    self.watch_open(true);
                }
                next.unwrap_or(Next::Again)
            }
            Stage::Lingering(dropped) => self.linger(dropped, input),
        }
    }

    /// Reads once, answers, writes once.
    fn exchange(&mut self, input: &mut [u8], tools: &mut Tools<S>) -> Next {
        loop {
            let fresh = match self.resume {
                true => 0,
                false => match self.receive(input) {
                    Ok(0) => return Next::Close,
                    Ok(n) => n,
                    Err(ErrorKind::WouldBlock) => return Next::Wait,
                    Err(_) => {
                        metrics::add(Counter::ConnectionsReset, 1);
                        return Next::Close;
                    }
                },
            };
            turn::begin();
            match self.tail.is_empty() {
                true => self.answer_fresh(&input[..fresh], tools),
                false => self.answer_tail(tools),
            }
            let next = self.write_out(tools);
            if let Some(slow) = turn::end() {
                log_slow(&slow, fresh, tools.output.len());
            }
            if let Some(next) = next {
                return next;
            }
            match (self.resume || self.filled, self.hung_up) {
                (true, _) => return Next::Again,
                (false, true) => {} // no event will announce the end: read again
                (false, false) => return Next::Wait,
            }
        }
    }

    /// Reads into `input`, or behind the bytes already waiting in `tail`.
    fn receive(&mut self, input: &mut [u8]) -> Result<usize, ErrorKind> {
        let start = self.tail.len();
        let read = if start == 0 {
            receive(&self.stream, input)
        } else {
            self.tail.resize(start + input.len(), 0);
            let read = receive(&self.stream, &mut self.tail[start..]);
            self.tail.truncate(start + read.unwrap_or(0));
            read
        };
        let n = read.map_err(|error| error.kind())?;
        self.filled = n == input.len();
        metrics::add(Counter::BytesRead, n as u64);
        Ok(n)
    }

    /// Answers what is complete in `fresh`; what is left becomes `tail`, which is empty.
    fn answer_fresh(&mut self, fresh: &[u8], tools: &mut Tools<S>) {
        let (rest, answered) = self.answer(fresh, tools);
        if !rest.is_empty() && self.end == End::No {
            self.tail = rest.to_vec();
        }
        self.watch_open(answered);
    }

    /// Answers what is complete in `tail`.
    #[inline(never)]
    fn answer_tail(&mut self, tools: &mut Tools<S>) {
        let mut tail = std::mem::take(&mut self.tail);
        let (rest, answered) = self.answer(&tail, tools);
        if !rest.is_empty() && self.end == End::No {
            let rest_bytes = rest.len();
            tail.drain(..tail.len() - rest_bytes);
            // What was needed for a read, or for the body before, would not be counted.
            if tail.capacity() > 2 * rest_bytes + SLACK_BYTES {
                tail.shrink_to_fit();
            }
            self.tail = tail;
        }
        self.watch_open(answered);
    }

    /// Answers the complete requests in `bytes` up to the limits of a turn. Returns what is left, and
    /// whether anything was answered.
    #[inline(always)] // two callers, and a tenth of a request's instructions
    fn answer<'b>(&mut self, bytes: &'b [u8], tools: &mut Tools<S>) -> (&'b [u8], bool) {
        let (mut at, mut answered) = (0, 0);
        let mut share = Share::default();
        self.resume = false;
        while self.end == End::No && bytes.len() - at >= self.tail_needed_bytes.max(1) {
            let limits = &self.server.limits;
            if answered >= limits.pipelined_batch_max
                || tools.output.len() >= limits.write_buffer_bytes_max
                || share.is_used_up(answered)
            {
                self.resume = true;
                break;
            }
            self.tail_needed_bytes = 0;
            let step = self.step(&bytes[at..], tools);
            let (Step::Answered(n) | Step::Suspended(n) | Step::Incomplete(n) | Step::Last(n)) =
                step;
            at += n;
            match step {
                Step::Incomplete(_) => break,
                Step::Suspended(_) => {
                    self.resume = true;
                    break;
                }
                Step::Last(_) if at < bytes.len() => self.end = End::Linger,
                Step::Answered(_) | Step::Last(_) => answered += 1,
            }
        }
        (&bytes[at..], answered > 0)
    }

    /// Sets the deadline of what an open connection now waits for.
    fn watch_open(&mut self, answered: bool) {
        let limits = &self.server.limits;
        let body = self.tail_needed_bytes > 0 || self.partial_body.is_some();
        match (&self.stage, body, self.tail.is_empty() || self.resume) {
            (Stage::Pending(..), _, _) => self.watch.pause(),
            (_, true, _) if answered => self.watch.start(Phase::Body, limits.body_timeout),
            (_, true, _) => self.watch.ensure(Phase::Body, limits.body_timeout),
            (_, false, true) => self.watch.start(Phase::Idle, limits.idle_timeout),
            (_, false, false) if answered => self.watch.start(Phase::Head, limits.head_timeout),
            (_, false, false) => self.watch.ensure(Phase::Head, limits.head_timeout),
        }
    }
}

/// Logs a slow turn, one a second at most: one slow moment of the machine makes many.
#[cold]
fn log_slow(slow: &turn::Slow, read_bytes: usize, answer_bytes: usize) {
    static LINES: Throttle = Throttle::every(Duration::from_secs(1));
    if !LINES.admits() {
        return;
    }
    warn!(
        endpoint = slow.endpoint.name(),
        requests = slow.requests,
        read_bytes,
        answer_bytes,
        handler_us = slow.handler.as_micros() as u64,
        handlers_us = slow.handlers.as_micros() as u64,
        write_us = slow.write.as_micros() as u64,
        slow_total = metrics::read(Counter::SlowRequests),
        "slow request"
    );
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
