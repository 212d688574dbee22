//! The reading half of a connection: reads what has arrived, answers complete requests, keeps the rest.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use may::net::TcpStream;
use rustix::net::RecvFlags;
use tracing::warn;

use super::{Conn, End, Next, Readable, Stage, Step};
use crate::{
    http::{Service, watch::Phase, worker::Scratch},
    log::Throttle,
    metrics::{self, Counter, turn},
};

/// Unused capacity that a connection may keep behind its waiting bytes.
const SLACK_BYTES: usize = 4 << 10;

/// Time after which a turn ends although it has requests left.
///
/// One read holds at most four hundred plain requests, which take a tenth of this. But the search for a
/// block's pow may take 2 ms, and a batch of those must not hold up the worker's other connections.
const TURN_MAX: Duration = Duration::from_millis(1);

/// A turn's share of its worker's time.
#[derive(Default)]
struct Share {
    began: Option<Instant>,
}

impl Share {
    /// Whether the next request must wait for another turn. Reads the clock after 1, 2, 4, 8, 16, 32, …
    /// answers: a turn of one request never reads it, and a turn of sixteen pays 6 ns per request.
    fn is_used_up(&mut self, answered: usize) -> bool {
        let look = answered != 0 && (answered.is_power_of_two() || answered.is_multiple_of(16));
        look && self.began.get_or_insert_with(Instant::now).elapsed() >= TURN_MAX
    }
}

/// One `recv`, straight to the kernel: around each call the C library arms and disarms the cancellation
/// of threads, which nothing here uses, with two locked instructions (a tenth of a request's
/// instructions).
pub(super) fn receive(stream: &TcpStream, into: &mut [u8]) -> rustix::io::Result<usize> {
    Ok(rustix::net::recv(stream.inner(), into, RecvFlags::empty())?.0)
}

impl<S: Service> Conn<S> {
    /// Reads once, answers, writes once.
    pub(super) fn exchange(&mut self, input: &mut [u8], scratch: &mut Scratch<S>) -> Next {
        loop {
            let fresh = if self.resume {
                0
            } else {
                match self.receive(input) {
                    Ok(0) => return Next::Close,
                    Ok(n) => n,
                    Err(ErrorKind::WouldBlock) => return Next::Wait,
                    Err(_) => {
                        metrics::add(Counter::ConnectionsReset, 1);
                        return Next::Close;
                    }
                }
            };
            turn::begin();
            if self.tail.is_empty() {
                self.answer_fresh(&input[..fresh], scratch)
            } else {
                self.answer_tail(scratch)
            }
            let next = self.write_out(scratch);
            if let Some(slow) = turn::end() {
                log_slow(&slow, fresh, scratch.output.len());
            }
            if let Some(next) = next {
                return next;
            }
            match self.readable {
                _ if self.resume => return Next::Again,
                Readable::Now => return Next::Again,
                Readable::OnEvent => return Next::Wait,
                Readable::ToEnd if fresh == 0 || fresh == input.len() => return Next::Again,
                // That read took the last bytes. No event will announce the end of the stream: read it now.
                Readable::ToEnd => scratch.output.clear(),
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
        self.readable = match (self.readable, n == input.len()) {
            (Readable::ToEnd, _) => Readable::ToEnd,
            (_, true) => Readable::Now,
            (_, false) => Readable::OnEvent,
        };
        metrics::add(Counter::BytesRead, n as u64);
        Ok(n)
    }

    /// Answers the complete requests in `fresh`; the rest becomes `tail`, which is empty before.
    fn answer_fresh(&mut self, fresh: &[u8], scratch: &mut Scratch<S>) {
        let (rest, answered) = self.answer(fresh, scratch);
        if !rest.is_empty() && !self.end.is_set() {
            self.tail = rest.to_vec();
        }
        self.watch_open(answered);
    }

    /// Answers the complete requests in `tail`.
    #[inline(never)]
    fn answer_tail(&mut self, scratch: &mut Scratch<S>) {
        let mut tail = std::mem::take(&mut self.tail);
        let (rest, answered) = self.answer(&tail, scratch);
        if !rest.is_empty() && !self.end.is_set() {
            let rest_bytes = rest.len();
            tail.drain(..tail.len() - rest_bytes);
            // Spare capacity from a read or an earlier body would not be counted in the budget.
            if tail.capacity() > 2 * rest_bytes + SLACK_BYTES {
                tail.shrink_to_fit();
            }
            self.tail = tail;
        }
        self.watch_open(answered);
    }

    /// Answers the complete requests in `bytes` up to the limits of a turn. Returns the remaining bytes,
    /// and whether any request was answered.
    #[inline(always)] // two callers, and a tenth of a request's instructions
    fn answer<'b>(&mut self, bytes: &'b [u8], scratch: &mut Scratch<S>) -> (&'b [u8], bool) {
        let (mut at, mut answered) = (0, 0);
        let mut share = Share::default();
        self.resume = false;
        while !self.end.is_set() && bytes.len() - at >= self.tail_needed_bytes.max(1) {
            let limits = &self.server.limits;
            if answered >= limits.pipelined_batch_max
                || scratch.output.len() >= limits.write_buffer_bytes_max
                || share.is_used_up(answered)
            {
                self.resume = true;
                break;
            }
            self.tail_needed_bytes = 0;
            let step = self.step(&bytes[at..], scratch);
            let (Step::Answered(n) | Step::Deferred(n) | Step::Incomplete(n) | Step::Last(n)) =
                step;
            at += n;
            match step {
                Step::Incomplete(_) => break,
                Step::Deferred(_) => {
                    self.resume = true;
                    break;
                }
                Step::Last(_) if at < bytes.len() => self.end = End::Linger,
                Step::Answered(_) | Step::Last(_) => answered += 1,
            }
        }
        (&bytes[at..], answered > 0)
    }

    /// Sets the deadline for what an open connection waits for now.
    pub(super) fn watch_open(&mut self, answered: bool) {
        let limits = &self.server.limits;
        let body = self.tail_needed_bytes > 0 || self.partial_body.is_some();
        match (&self.stage, body, self.tail.is_empty() || self.resume) {
            (Stage::Deferred(..), _, _) => self.watch.pause(),
            (_, true, _) if answered => self.watch.start(Phase::Body, limits.body_timeout),
            (_, true, _) => self.watch.ensure(Phase::Body, limits.body_timeout),
            (_, false, true) => self.watch.start(Phase::Idle, limits.idle_timeout),
            (_, false, false) if answered => self.watch.start(Phase::Head, limits.head_timeout),
            (_, false, false) => self.watch.ensure(Phase::Head, limits.head_timeout),
        }
    }
}

/// Logs a slow turn, at most one per second: slow turns often come together.
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
