//! The reading half of a connection: reads what has arrived, answers complete requests, keeps the rest.

use std::{io::ErrorKind, time::Duration};

use tracing::warn;

use super::{
    Conn, Next, Readable,
    socket::Socket,
    stage::{After, End, Input, Stage, Step, Stop, Then, Unsent},
};
use crate::{
    http::{Service, buffer::append, watch::Phase, worker::Scratch},
    log::Throttle,
    metrics::{self, Counter, turn},
};

/// The bytes used, the requests answered in this turn, and why it stopped before the end of the bytes, if it did.
type Outcome = (usize, usize, Option<Stop>);

/// Unused capacity that a connection may keep behind its waiting bytes.
const SLACK_BYTES: usize = 4 << 10;

impl<S: Service, K: Socket> Conn<S, K> {
    /// Reads once, answers, writes once.
    #[inline(always)] // the way of nearly every request
    pub(super) fn exchange(&mut self, buffer: &mut [u8], scratch: &mut Scratch<S>) -> Next {
        let fresh = match self.stage {
            Stage::Open(Input::Batch(_)) => 0,
            _ => match self.receive(buffer) {
                Ok(fresh) => fresh,
                Err(next) => return next,
            },
        };
        turn::begin();
        let after = match self.stage {
            Stage::Open(Input::Empty) => self.answer_fresh(&buffer[..fresh], scratch),
            _ => self.answer_begun(&buffer[..fresh], scratch),
        };
        let next = match after {
            None => self.write_answers(scratch), // nearly always
            Some(after) => self.write_out(Unsent::default(), after, scratch),
        };
        let answer_bytes = scratch.output.len();
        let is_costly = turn::end(self.hosted.server.turn_ns, |slow| {
            log_slow(&slow, fresh, answer_bytes);
        });
        if is_costly {
            return self.after_costly(next);
        }
        if let Some(next) = next {
            return next;
        }
        match (&self.stage, self.readable) {
            (Stage::Open(Input::Batch(_)), _) | (_, Readable::Now) => Next::Again,
            (_, Readable::OnEvent) => Next::Wait,
            (_, Readable::ToEnd) if fresh == 0 || fresh == buffer.len() => Next::Again,
            (_, Readable::ToEnd) => Next::AtOnce, // that read took the last bytes
        }
    }

    /// What follows a costly turn that would end with `next`; `None`: all is written and the connection is open.
    #[cold]
    fn after_costly(&self, next: Option<Next>) -> Next {
        match next {
            Some(Next::Wait) => Next::WaitBehind,
            Some(Next::Again) => Next::AgainBehind,
            Some(next) => next,
            None => match (&self.stage, self.readable) {
                (Stage::Open(Input::Batch(_)), _) => Next::AgainBehind,
                (_, Readable::OnEvent) => Next::WaitBehind,
                (_, Readable::Now | Readable::ToEnd) => Next::AgainBehind,
            },
        }
    }

    /// Reads into `buffer`. An error says what the turn ends with.
    #[inline]
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Next> {
        match self.socket.receive(buffer) {
            Ok(0) => Err(Next::Close),
            Ok(n) => {
                self.readable = match (self.readable, n == buffer.len()) {
                    (Readable::ToEnd, _) => Readable::ToEnd,
                    (_, true) => Readable::Now,
                    (_, false) => Readable::OnEvent,
                };
                metrics::add(Counter::BytesRead, n as u64);
                Ok(n)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Next::Wait),
            Err(_) => {
                metrics::add(Counter::ConnectionsReset, 1);
                Err(Next::Close)
            }
        }
    }

    /// Answers the complete requests in `fresh`, while nothing is held. `None`: no bytes are left.
    #[inline(always)] // the way of nearly every request: 3 % of its instructions
    fn answer_fresh(&mut self, fresh: &[u8], scratch: &mut Scratch<S>) -> Option<After> {
        let outcome = self.answer(fresh, 0, scratch);
        self.after_fresh(fresh, outcome)
    }

    /// What follows once as much of `fresh` was answered as `outcome` says. `None`: no bytes are left.
    #[inline(always)]
    fn after_fresh(&mut self, fresh: &[u8], outcome: Outcome) -> Option<After> {
        let (at, answered, stop) = outcome;
        let Some(stop) = stop else {
            self.watch.start_ms(Phase::Idle, self.hosted.server.idle_ms);
            return None;
        };
        Some(self.stop(stop, fresh[at..].to_vec(), answered > 0))
    }

    /// Answers the complete requests in the bytes that the connection holds, with `fresh` behind them.
    #[inline(never)]
    fn answer_begun(&mut self, fresh: &[u8], scratch: &mut Scratch<S>) -> Option<After> {
        let Stage::Open(input) = std::mem::take(&mut self.stage) else {
            return Some(After::Then(Then::End(End::Now))); // no other stage reads
        };
        self.moved_bytes += fresh.len();
        match input {
            Input::Empty => self.answer_after(fresh, 0, scratch),
            Input::Batch(held) | Input::Head(held) => {
                Some(self.answer_held(held, fresh, 0, scratch))
            }
            Input::Body(held, needed) => Some(self.answer_held(held, fresh, needed, scratch)),
            Input::Chunked(partial) => match self.continue_chunked(partial, fresh, scratch) {
                Step::Answered(n) => self.answer_after(&fresh[n..], 1, scratch),
                Step::Stop(n, stop) => Some(self.stop(stop, fresh[n..].to_vec(), false)),
            },
        }
    }

    /// Answers the complete requests in `fresh`, after `answered` others of this turn. `None`: no bytes are left.
    fn answer_after(
        &mut self,
        fresh: &[u8],
        answered: usize,
        scratch: &mut Scratch<S>,
    ) -> Option<After> {
        let outcome = self.answer_begun_bytes(fresh, answered, scratch);
        self.after_fresh(fresh, outcome)
    }

    /// As [`answer`](Self::answer), where it is not in line.
    #[inline(never)]
    fn answer_begun_bytes(
        &mut self,
        bytes: &[u8],
        answered: usize,
        scratch: &mut Scratch<S>,
    ) -> Outcome {
        self.answer(bytes, answered, scratch)
    }

    /// Answers the complete requests in `held` with `fresh` behind it, once they have `needed` bytes.
    fn answer_held(
        &mut self,
        mut held: Vec<u8>,
        fresh: &[u8],
        needed: usize,
        scratch: &mut Scratch<S>,
    ) -> After {
        let most = if needed > 0 { needed } else { usize::MAX };
        append(&mut held, fresh, most);
        let (at, answered, stop) = if held.len() < needed {
            (0, 0, Some(Stop::Body(needed)))
        } else {
            self.answer_begun_bytes(&held, 0, scratch)
        };
        held.drain(..at);
        // Spare capacity from earlier requests would not be counted in the budget.
        if held.capacity() > 2 * held.len() + SLACK_BYTES {
            held.shrink_to_fit();
        }
        self.stop(stop.unwrap_or(Stop::Head), held, answered > 0)
    }

    /// What follows a turn that stopped before `rest`. Sets the deadline of that, if it is more input.
    fn stop(&mut self, stop: Stop, rest: Vec<u8>, answered: bool) -> After {
        let after = stop.after(rest);
        if let After::Then(Then::Open(input)) = &after {
            self.watch_input(input.phase(), answered);
        }
        after
    }

    /// Answers the complete requests in `bytes` up to the limits of a turn, `answered` of which it has had.
    #[inline(always)] // a tenth of a request's instructions
    fn answer(&mut self, bytes: &[u8], mut answered: usize, scratch: &mut Scratch<S>) -> Outcome {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if rest.is_empty() {
                return (at, answered, None);
            }
            let limits = &self.hosted.server.limits;
            if answered >= limits.pipelined_batch_max
                || scratch.output.len() >= limits.write_buffer_bytes_max
                || answered != 0 && turn::is_over(self.hosted.server.turn_ns)
            {
                return (at, answered, Some(Stop::Turn));
            }
            match self.step(rest, scratch) {
                Step::Answered(n) => at += n,
                Step::Stop(n, stop) => return (at + n, answered, Some(stop)),
            }
            answered += 1;
        }
    }

    /// Sets the deadline of `phase`. It goes on from the turn before if nothing was answered since.
    pub(super) fn watch_input(&mut self, phase: Phase, answered: bool) {
        let limits = &self.hosted.server.limits;
        match phase {
            Phase::Head if answered => self.watch.start(phase, limits.head_timeout),
            Phase::Head => drop(self.watch.ensure(phase, limits.head_timeout)),
            Phase::Body if answered => {
                self.moved_bytes = 0;
                self.watch.start(phase, limits.body_timeout);
            }
            Phase::Body => {
                let timeout = limits.body_timeout;
                self.progress(phase, timeout, 0);
            }
            _ => self.watch.start(Phase::Idle, limits.idle_timeout),
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
