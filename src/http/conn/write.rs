//! The writing half of a connection: back-pressure, lingering, expiry and the buffer budget.

use std::{io::ErrorKind, sync::atomic::Ordering::Relaxed};

use super::{
    Conn, Next,
    socket::Socket,
    stage::{After, End, Input, Stage, Then, Unsent},
};
use crate::{
    http::{Fault, Service, parse, watch::Phase, worker::Scratch},
    metrics::{self, Counter},
};

impl<S: Service, K: Socket> Conn<S, K> {
    /// Writes this turn's answers where nothing else is left to do. As [`write_out`](Self::write_out), but the
    /// stage is not written again, which saves 3 % of a request's instructions.
    #[inline(always)]
    pub(super) fn write_answers(&mut self, scratch: &mut Scratch<S>) -> Option<Next> {
        let answers = &mut scratch.output; // never empty: every request has been answered
        match self.write(answers) {
            Ok(sent) if sent == answers.len() => None,
            Ok(sent) => {
                answers.drain(..sent);
                let after = After::Then(Then::Open(Input::Empty));
                self.write_out(Unsent::default(), after, scratch)
            }
            Err(_) => Some(Next::Close),
        }
    }

    /// Writes this turn's answers after the unsent ones, and enters the stage that follows. `None`: all is
    /// written and the connection is open.
    pub(super) fn write_out(
        &mut self,
        unsent: Unsent,
        after: After,
        scratch: &mut Scratch<S>,
    ) -> Option<Next> {
        let Ok(unsent) = self.send_all(unsent, &scratch.output) else {
            return Some(Next::Close);
        };
        let all_sent = unsent.bytes.is_empty();
        match after {
            After::Then(Then::Open(input)) if all_sent => {
                self.stage = Stage::Open(input);
                None
            }
            After::Then(Then::End(End::Now)) if all_sent => Some(Next::Close),
            After::Then(Then::End(End::Linger)) if all_sent => Some(self.start_linger()),
            After::Then(then) => {
                self.stage = Stage::Flushing(unsent, then);
                Some(Next::Wait)
            }
            // Earlier answers go first: a wake meanwhile is noticed when they are written.
            After::Deferred(awaited) => {
                self.stage = Stage::Deferred(awaited, unsent);
                if !all_sent {
                    return Some(Next::Wait);
                }
                self.watch.pause();
                Some(Next::Park)
            }
        }
    }

    /// Sends `unsent` and then `answers`; returns what the socket did not take. An error: it is broken.
    fn send_all(&mut self, mut unsent: Unsent, answers: &[u8]) -> Result<Unsent, ErrorKind> {
        if !unsent.bytes.is_empty() {
            unsent.bytes.extend_from_slice(answers);
        } else if !answers.is_empty() {
            let sent = self.write(answers)?;
            if sent == answers.len() {
                return Ok(unsent); // nearly always
            }
            unsent.bytes = answers[sent..].to_vec();
        } else {
            return Ok(unsent);
        }
        self.flush(unsent)
    }

    /// Writes as much of `unsent` as the socket takes; returns the rest.
    #[cold]
    fn flush(&mut self, mut unsent: Unsent) -> Result<Unsent, ErrorKind> {
        let start = unsent.start;
        loop {
            match self.write(&unsent.bytes[unsent.start..])? {
                0 => break,
                n => unsent.start += n,
            }
            if unsent.start == unsent.bytes.len() {
                return Ok(Unsent::default()); // an idle connection owns no buffer
            }
        }
        let timeout = self.hosted.server.limits.write_timeout;
        self.progress(Phase::Write, timeout, unsent.start - start);
        Ok(unsent)
    }

    /// One `send`; 0 if the socket has no room.
    #[inline(always)] // with its result in a register: 2 % of a request's instructions
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        match self.socket.send(bytes) {
            Ok(n) => {
                metrics::add(Counter::BytesWritten, n as u64);
                Ok(n)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => {
                metrics::add(Counter::ConnectionsReset, 1);
                Err(error.kind())
            }
        }
    }

    /// Shuts down the sending side and begins to drop what the peer still sends.
    fn start_linger(&mut self) -> Next {
        if self.socket.end_sending().is_err() {
            return Next::Close;
        }
        self.moved_bytes = 0;
        self.watch
            .start(Phase::Linger, self.hosted.server.limits.linger_timeout);
        self.stage = Stage::Lingering(0);
        Next::Again
    }

    pub(super) fn linger(&mut self, dropped: usize, input: &mut [u8]) -> Next {
        let next = match self.socket.receive(input) {
            Ok(n) if n > 0 && dropped + n <= self.hosted.server.limits.linger_bytes_max => {
                let timeout = self.hosted.server.limits.linger_timeout;
                self.progress(Phase::Linger, timeout, n);
                self.stage = Stage::Lingering(dropped + n);
                return Next::Again;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Next::Wait,
            _ => Next::Close,
        };
        self.stage = Stage::Lingering(dropped);
        next
    }

    /// Ends an idle or new connection. A request may have arrived meanwhile: it is still in the socket and
    /// is answered before the end.
    #[cold]
    pub(super) fn expire_idle(&mut self) {
        metrics::add(Counter::ExpiredIdle, 1);
        self.requests_left = 1;
        let limits = &self.hosted.server.limits;
        self.watch.renew(Phase::Head, limits.head_timeout);
    }

    /// Ends a connection whose deadline passed; the watcher has shut down its socket.
    #[cold]
    pub(super) fn expire(&mut self, phase: Phase, scratch: &mut Scratch<S>) -> Next {
        let (counter, fault) = match phase {
            Phase::Idle | Phase::Fresh => (Counter::ExpiredIdle, None),
            Phase::Head => (Counter::ExpiredHead, Some(Fault::HeadTimeout)),
            Phase::Body => (Counter::ExpiredBody, Some(Fault::BodyTimeout)),
            Phase::Write => (Counter::ExpiredWrite, None),
            Phase::Linger | Phase::Handler => (Counter::ExpiredLinger, None),
        };
        metrics::add(counter, 1);
        if let Some(fault) = fault {
            let head_only = match &self.stage {
                Stage::Open(input) => parse::is_head(input.head()),
                _ => false,
            };
            self.refuse(fault, head_only, scratch);
            // As much as the socket takes, be it in parts: the connection ends either way.
            let mut rest = &scratch.output[..];
            while let Ok(sent @ 1..) = self.write(rest) {
                rest = &rest[sent..];
            }
        }
        if phase == Phase::Write {
            self.socket.reset_on_close();
        }
        Next::Close
    }

    /// Keeps the server's buffer budget; true if this connection's growth exceeds it.
    #[inline(always)]
    pub(super) fn exceeds_budget(&mut self) -> bool {
        match (&self.stage, self.counted_bytes) {
            (Stage::Open(Input::Empty), 0) => false, // nearly always
            _ => self.grows_beyond_budget(),
        }
    }

    #[inline(never)]
    fn grows_beyond_budget(&mut self) -> bool {
        let bytes = self.stage.buffered_bytes();
        if bytes == self.counted_bytes {
            return false;
        }
        let budget = &self.hosted.server.buffered_bytes;
        let others = budget
            .fetch_add(bytes, Relaxed)
            .saturating_sub(self.counted_bytes);
        budget.fetch_sub(self.counted_bytes, Relaxed);
        let grew = bytes > self.counted_bytes;
        self.counted_bytes = bytes;
        grew && others.saturating_add(bytes) > self.hosted.server.limits.buffered_bytes_max
    }

    /// Drops the received bytes and ends the connection after its pending answers.
    #[cold]
    pub(super) fn give_up(&mut self, scratch: &mut Scratch<S>) -> Next {
        let stage = std::mem::take(&mut self.stage);
        scratch.output.clear();
        if !stage.owes_answers() {
            self.refuse(Fault::Overloaded, false, scratch);
        }
        let after = After::Then(Then::End(End::Linger));
        let next = self.write_out(stage.into_unsent(), after, scratch);
        self.exceeds_budget();
        next.unwrap_or(Next::Close)
    }
}
