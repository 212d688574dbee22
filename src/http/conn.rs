//! One connection: a state machine that moves by turns, and the coroutine that drives it.
//!
//! | stage | waits for | then |
//! | --- | --- | --- |
//! | `Open` | bytes | answers every complete request, writes once |
//! | `Pending` | another thread's answer | appends it, goes on as `Open` |
//! | `Flushing` | room in the socket | reading stops until all is written |
//! | `Lingering` | the peer's end | drops what it sends, then closes |
//!
//! The bytes of an incomplete request and unwritten answers are all a connection owns between turns;
//! both are bounded ([`Limits`](super::Limits)) and counted in one budget for the whole server.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::fd::AsRawFd,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use may::{io::WaitIo, net::TcpStream};

use super::{
    Fault, Framing, Head, Method, Mode, Outcome, Pending, Reply, Request, Service, Status, TEXT,
    body::Chunked,
    parse::{self, Parsed},
    server::Server,
    watch::{Phase, Watch},
    worker::{self, Tools},
};
use crate::metrics::{self, Counter};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Epoll flags after which no further event announces the end of the stream: ERR, HUP, RDHUP.
const HANGUP_FLAGS: usize = 0x8 | 0x10 | 0x2000;

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
    Pending(Box<dyn Pending>, Mode),
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
    /// `tail` may hold a complete request.
    resume: bool,
    /// The last read filled its buffer: there may be more.
    filled: bool,
    /// The peer has closed its side, or the socket is broken.
    hung_up: bool,
    /// `100 Continue` was sent for the request in `tail`.
    continued: bool,
}

/// What became of the bytes at the front.
enum Step {
    /// A request was answered; it had this many bytes.
    Answered(usize),
    /// A request was handed to a [`Pending`]; it had this many bytes.
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
                    while matches!(&self.stage, Stage::Pending(pending, _) if !pending.ready()) {
                        may::coroutine::park();
                    }
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
        if let Some(phase) = self.watch.expired() {
            return self.expire(phase, tools);
        }
        let next = match std::mem::replace(&mut self.stage, Stage::Open) {
            Stage::Open => self.exchange(input, tools),
            Stage::Pending(pending, mode) if pending.ready() => {
                pending.finish(Reply::new(&mut tools.output, &mut tools.heads, mode));
                self.resume = true;
                self.write_out(tools).unwrap_or(Next::Again)
            }
            stage @ Stage::Pending(..) => {
                self.stage = stage;
                Next::Park
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
        };
        self.count_buffers();
        next
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
                    Err(_) => return Next::Close,
                },
            };
            self.answer(
                &input[..if self.tail.is_empty() { fresh } else { 0 }],
                tools,
            );
            if let Some(next) = self.write_out(tools) {
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
            self.stream.inner_mut().read(input)
        } else {
            self.tail.resize(start + input.len(), 0);
            let read = self.stream.inner_mut().read(&mut self.tail[start..]);
            self.tail.truncate(start + read.as_ref().map_or(0, |n| *n));
            read
        };
        let n = read.map_err(|error| error.kind())?;
        self.filled = n == input.len();
        metrics::add(Counter::BytesRead, n as u64);
        Ok(n)
    }

    /// Answers the complete requests in `tail`, or in `fresh` if `tail` is empty, up to the batch
    /// limits; what is left becomes `tail`.
    fn answer(&mut self, fresh: &[u8], tools: &mut Tools<S>) {
        let tail = std::mem::take(&mut self.tail);
        let bytes = if tail.is_empty() { fresh } else { &tail };
        let (mut at, mut answered) = (0, 0);
        self.resume = false;
        while self.end == End::No && bytes.len() - at >= self.tail_needed_bytes.max(1) {
            let limits = &self.server.limits;
            if answered >= limits.pipelined_batch_max
                || tools.output.len() >= limits.write_buffer_bytes_max
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
        let rest = bytes.len() - at;
        self.keep_rest(tail, rest, fresh);
        self.watch_open(answered > 0);
    }

    /// Keeps the last `rest` bytes of `tail`, or of `fresh` if `tail` is empty.
    fn keep_rest(&mut self, mut tail: Vec<u8>, rest: usize, fresh: &[u8]) {
        if rest == 0 || self.end != End::No {
            return;
        }
        if tail.is_empty() {
            self.tail = fresh[fresh.len() - rest..].to_vec();
        } else {
            let used = tail.len() - rest;
            tail.drain(..used);
            self.tail = tail;
        }
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

    /// Answers the request at the front of `bytes`, if it is complete.
    fn step(&mut self, bytes: &[u8], tools: &mut Tools<S>) -> Step {
        if let Some(partial) = self.partial_body.take() {
            return self.continue_chunked(*partial, bytes, tools);
        }
        let head = match parse::head_with(bytes, &self.server.limits, &mut tools.memo) {
            Ok(Parsed::Complete(head)) => head,
            Ok(Parsed::Partial) => return Step::Incomplete(0),
            Err(fault) => return self.refuse(fault, tools),
        };
        match head.framing {
            Framing::Length(0) => self.respond(&head, &[], head.bytes, tools),
            Framing::Length(length) => self.with_length(&head, length, bytes, tools),
            Framing::Chunked => {
                let partial = PartialBody {
                    head: Vec::new(),
                    decoder: Chunked::default(),
                    body: std::mem::take(&mut tools.body),
                };
                self.start_chunked(&head, partial, bytes, tools)
            }
        }
    }

    fn with_length(
        &mut self,
        head: &Head<'_>,
        length: u64,
        bytes: &[u8],
        tools: &mut Tools<S>,
    ) -> Step {
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|n| *n <= self.server.limits.body_bytes_max)
        else {
            return self.refuse(Fault::BodyTooLarge, tools);
        };
        let end = head.bytes + length;
        match bytes.get(head.bytes..end) {
            Some(body) => self.respond(head, body, end, tools),
            None => {
                self.invite_body(head, bytes.len() > head.bytes, tools);
                self.tail_needed_bytes = end;
                Step::Incomplete(0)
            }
        }
    }

    /// Sends `100 Continue` if the client waits for it and has not begun (RFC 9110 §10.1.1).
    fn invite_body(&mut self, head: &Head<'_>, begun: bool, tools: &mut Tools<S>) {
        if head.expects_continue && !begun && !self.continued {
            self.continued = true;
            tools.output.extend_from_slice(CONTINUE);
        }
    }

    fn start_chunked(
        &mut self,
        head: &Head<'_>,
        mut partial: PartialBody,
        bytes: &[u8],
        tools: &mut Tools<S>,
    ) -> Step {
        partial.body.clear();
        let coded = &bytes[head.bytes..];
        match partial
            .decoder
            .feed(coded, &mut partial.body, &self.server.limits)
        {
            Err(fault) => self.refuse(fault, tools),
            Ok((n, true)) => {
                let step = self.respond(head, &partial.body, head.bytes + n, tools);
                tools.body = partial.body;
                step
            }
            Ok((_, false)) => {
                self.invite_body(head, !coded.is_empty(), tools);
                partial.head = bytes[..head.bytes].to_vec();
                self.partial_body = Some(Box::new(partial));
                Step::Incomplete(bytes.len())
            }
        }
    }

    fn continue_chunked(
        &mut self,
        mut partial: PartialBody,
        bytes: &[u8],
        tools: &mut Tools<S>,
    ) -> Step {
        match partial
            .decoder
            .feed(bytes, &mut partial.body, &self.server.limits)
        {
            Err(fault) => self.refuse(fault, tools),
            Ok((_, false)) => {
                self.partial_body = Some(Box::new(partial));
                Step::Incomplete(bytes.len())
            }
            Ok((n, true)) => match parse::head(&partial.head, &self.server.limits) {
                Ok(Parsed::Complete(head)) => self.respond(&head, &partial.body, n, tools),
                Ok(Parsed::Partial) => self.refuse(Fault::HandlerFault, tools), // parsed before
                Err(fault) => self.refuse(fault, tools),
            },
        }
    }

    /// Lets the service answer a complete request of `bytes` bytes.
    fn respond(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        bytes: usize,
        tools: &mut Tools<S>,
    ) -> Step {
        self.requests += 1;
        self.continued = false;
        metrics::add(Counter::Requests, 1);
        let limits = &self.server.limits;
        let more_allowed = limits.requests_per_connection_max == 0
            || self.requests < limits.requests_per_connection_max;
        let kept = more_allowed && !self.server.closing.load(Relaxed);
        let mode = Mode::of(head, kept && head.keep_alive);
        let request = Request {
            head: *head,
            body,
            listener: self.listener,
        };
        let start = tools.output.len();
        let outcome = match head.method {
            Method::Get | Method::Head | Method::Post => self.call(&request, mode, tools),
            _ => refuse_method(
                head,
                Reply::new(&mut tools.output, &mut tools.heads, mode),
                |reply| {
                    self.server
                        .service
                        .call(&mut tools.service, &request, reply)
                },
            ),
        };
        match outcome {
            Outcome::Pending(pending) => {
                self.stage = Stage::Pending(pending, mode);
                self.set_end(mode, head.keep_alive);
                Step::Suspended(bytes)
            }
            Outcome::Done if tools.output.len() == start => self.refuse(Fault::HandlerFault, tools),
            Outcome::Done if mode.keep_alive => Step::Answered(bytes),
            Outcome::Done => {
                self.set_end(mode, head.keep_alive);
                Step::Last(bytes)
            }
        }
    }

    fn set_end(&mut self, mode: Mode, client_keeps: bool) {
        if !mode.keep_alive {
            // A client that did not ask for the end may have its next request on the way.
            self.end = if client_keeps { End::Linger } else { End::Now };
        }
    }

    /// Calls the service; a panic becomes an answer of 500 and new scratch.
    fn call(&mut self, request: &Request<'_>, mode: Mode, tools: &mut Tools<S>) -> Outcome {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        let start = tools.output.len();
        let reply = Reply::new(&mut tools.output, &mut tools.heads, mode);
        let service = &self.server.service;
        let worker = &mut tools.service;
        match catch_unwind(AssertUnwindSafe(|| service.call(worker, request, reply))) {
            Ok(outcome) => outcome,
            Err(_) => {
                metrics::add(Counter::HandlerPanics, 1);
                tools.output.truncate(start);
                tools.service = self.server.service.worker();
                Outcome::Done
            }
        }
    }

    /// Answers a fault; the connection ends after it.
    #[cold]
    fn refuse(&mut self, fault: Fault, tools: &mut Tools<S>) -> Step {
        metrics::add(Counter::RequestFaults, 1);
        let mode = Mode {
            head_only: false,
            keep_alive: false,
            minor: 1,
        };
        Reply::new(&mut tools.output, &mut tools.heads, mode).fault(fault);
        self.end = End::Linger;
        Step::Last(0)
    }

    /// Writes this turn's answers behind what is still unsent. `None`: all is out and the connection
    /// goes on.
    fn write_out(&mut self, tools: &mut Tools<S>) -> Option<Next> {
        if self.unsent.is_empty() {
            if !tools.output.is_empty() {
                match self.write(&tools.output) {
                    Ok(n) if n == tools.output.len() => {}
                    Ok(n) => self.unsent.extend_from_slice(&tools.output[n..]),
                    Err(_) => return Some(Next::Close),
                }
            }
        } else {
            self.unsent.extend_from_slice(&tools.output);
        }
        if !self.unsent.is_empty() && !self.flush() {
            return Some(Next::Close);
        }
        match (&self.stage, self.unsent.is_empty(), self.end) {
            (Stage::Pending(..), _, _) => Some(Next::Park),
            (_, false, _) => {
                self.stage = Stage::Flushing;
                Some(Next::Wait)
            }
            (_, true, End::No) => None,
            (_, true, End::Now) => Some(Next::Close),
            (_, true, End::Linger) => Some(self.start_linger()),
        }
    }

    /// Writes what it can of `unsent`; false if the connection is broken.
    fn flush(&mut self) -> bool {
        let unsent = std::mem::take(&mut self.unsent);
        let mut at = self.unsent_start;
        let progress = loop {
            match self.write(&unsent[at..]) {
                Ok(0) => break at > self.unsent_start,
                Ok(n) => at += n,
                Err(_) => return false,
            }
            if at == unsent.len() {
                self.unsent_start = 0;
                return true; // `unsent` is dropped: an idle connection owns no buffer
            }
        };
        self.unsent = unsent;
        self.unsent_start = at;
        match progress {
            true => self
                .watch
                .start(Phase::Write, self.server.limits.write_timeout),
            false => self
                .watch
                .ensure(Phase::Write, self.server.limits.write_timeout),
        }
        true
    }

    /// One `send`; 0 if there is no room.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        match self.stream.inner_mut().write(bytes) {
            Ok(n) => {
                metrics::add(Counter::BytesWritten, n as u64);
                Ok(n)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(0)
            }
            Err(error) => Err(error.kind()),
        }
    }

    /// Ends the sending side and begins to drop what the peer still sends.
    fn start_linger(&mut self) -> Next {
        self.tail = Vec::new();
        self.partial_body = None;
        if self.hung_up && !self.filled || self.stream.shutdown(Shutdown::Write).is_err() {
            return Next::Close;
        }
        self.watch
            .start(Phase::Linger, self.server.limits.linger_timeout);
        self.stage = Stage::Lingering(0);
        Next::Again
    }

    fn linger(&mut self, dropped: usize, input: &mut [u8]) -> Next {
        let next = match self.stream.inner_mut().read(input) {
            Ok(n) if n > 0 && dropped + n <= self.server.limits.linger_bytes_max => {
                self.stage = Stage::Lingering(dropped + n);
                return Next::Again;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Next::Wait,
            _ => Next::Close,
        };
        self.stage = Stage::Lingering(dropped);
        next
    }

    /// Ends a connection whose deadline passed; the watcher has shut down its socket.
    #[cold]
    fn expire(&mut self, phase: Phase, tools: &mut Tools<S>) -> Next {
        let (counter, fault) = match phase {
            Phase::Idle | Phase::Fresh => (Counter::ExpiredIdle, None),
            Phase::Head => (Counter::ExpiredHead, Some(Fault::HeadTimeout)),
            Phase::Body => (Counter::ExpiredBody, Some(Fault::BodyTimeout)),
            Phase::Write => (Counter::ExpiredWrite, None),
            Phase::Linger | Phase::Handler => (Counter::ExpiredLinger, None),
        };
        metrics::add(counter, 1);
        if let Some(fault) = fault {
            self.refuse(fault, tools);
            let _ = self.write(&tools.output); // best effort: the connection ends either way
        }
        if phase == Phase::Write {
            // Without this the kernel would go on offering the unread answers for minutes.
            let _ = socket2::SockRef::from(self.stream.inner())
                .set_linger(Some(std::time::Duration::ZERO));
        }
        Next::Close
    }

    /// Keeps the server's buffer budget; a connection that would exceed it is told to end.
    fn count_buffers(&mut self) {
        let partial = self
            .partial_body
            .as_ref()
            .map_or(0, |partial| partial.head.len() + partial.body.len());
        let bytes = self.tail.len() + partial + self.unsent.len();
        if bytes == self.counted_bytes {
            return;
        }
        let budget = &self.server.buffered_bytes;
        let before = budget.fetch_add(bytes, Relaxed);
        budget.fetch_sub(self.counted_bytes, Relaxed);
        let grew = bytes > self.counted_bytes;
        self.counted_bytes = bytes;
        if grew && before > self.server.limits.buffered_bytes_max {
            self.over_budget();
        }
    }

    #[cold]
    fn over_budget(&mut self) {
        metrics::add(Counter::RequestFaults, 1);
        self.tail = Vec::new();
        self.partial_body = None;
        self.tail_needed_bytes = 0;
        if self.unsent.is_empty() {
            let mode = Mode {
                head_only: false,
                keep_alive: false,
                minor: 1,
            };
            Reply::new(&mut self.unsent, &mut super::Heads::default(), mode)
                .fault(Fault::Overloaded);
        }
        self.end = End::Linger;
        self.stage = Stage::Flushing;
        let _ = self.flush();
    }
}

/// Answers a method that is allowed nowhere: 501 if it is unknown; 405 by the service, which knows
/// what the path allows; for `*` and for an authority, which no service knows, 405 from here.
fn refuse_method<'a>(
    head: &Head<'_>,
    reply: Reply<'a>,
    call: impl FnOnce(Reply<'a>) -> Outcome,
) -> Outcome {
    match head.method {
        Method::Unknown => reply.fault(Fault::UnknownMethod),
        _ if head.path.first() == Some(&b'/') => return call(reply),
        _ => reply.send(
            Status::MethodNotAllowed,
            TEXT,
            &[("Allow", "GET, HEAD, POST")],
            |out| {
                out.extend_from_slice(b"method not allowed\n");
            },
        ),
    }
    Outcome::Done
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
