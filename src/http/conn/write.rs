//! The writing half of a connection: back-pressure, lingering, expiry and the buffer budget.

use std::{io::ErrorKind, net::Shutdown, sync::atomic::Ordering::Relaxed};

use may::net::TcpStream;
use rustix::net::SendFlags;

use super::{Conn, End, Next, Stage, read::receive};
use crate::{
    http::{Fault, Service, parse, watch::Phase, worker::Scratch},
    metrics::{self, Counter},
};

/// One `send`, straight to the kernel, like [`receive`].
fn send(stream: &TcpStream, bytes: &[u8]) -> rustix::io::Result<usize> {
    rustix::net::send(stream.inner(), bytes, SendFlags::NOSIGNAL)
}

impl<S: Service> Conn<S> {
    /// Writes this turn's answers after the unsent ones. `None`: all is written and the connection goes on.
    pub(super) fn write_out(&mut self, scratch: &mut Scratch<S>) -> Option<Next> {
        if self.unsent.is_empty() {
            if !scratch.output.is_empty() {
                match self.write(&scratch.output) {
                    Ok(n) if n == scratch.output.len() => {
                        if let (Stage::Open, End::No) = (&self.stage, self.end) {
                            return None; // nearly always
                        }
                    }
                    Ok(n) => self.unsent.extend_from_slice(&scratch.output[n..]),
                    Err(_) => return Some(Next::Close),
                }
            }
        } else {
            self.unsent.extend_from_slice(&scratch.output);
        }
        if !self.unsent.is_empty() && !self.flush() {
            return Some(Next::Close);
        }
        match (&self.stage, self.unsent.is_empty(), self.end) {
            // Earlier answers go first: a wake meanwhile is noticed when they are written.
            (Stage::Deferred(..), false, _) => Some(Next::Wait),
            (Stage::Deferred(..), true, _) => {
                self.watch.pause();
                Some(Next::Park)
            }
            (_, false, _) => {
                self.stage = Stage::Flushing;
                Some(Next::Wait)
            }
            (_, true, End::No | End::AfterNext) => None,
            (_, true, End::Now) => Some(Next::Close),
            (_, true, End::Linger) => Some(self.start_linger()),
        }
    }

    /// Writes as much of `unsent` as the socket takes; false if the connection is broken.
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
        if progress {
            self.watch
                .start(Phase::Write, self.server.limits.write_timeout)
        } else {
            self.watch
                .ensure(Phase::Write, self.server.limits.write_timeout)
        }
        true
    }

    /// One `send`; 0 if the socket has no room.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        match send(&self.stream, bytes) {
            Ok(n) => {
                metrics::add(Counter::BytesWritten, n as u64);
                Ok(n)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(0)
            }
            Err(error) => {
                metrics::add(Counter::ConnectionsReset, 1);
                Err(error.kind())
            }
        }
    }

    /// Shuts down the sending side and begins to drop what the peer still sends.
    fn start_linger(&mut self) -> Next {
        self.tail = Vec::new();
        self.partial_body = None;
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return Next::Close;
        }
        self.watch
            .start(Phase::Linger, self.server.limits.linger_timeout);
        self.stage = Stage::Lingering(0);
        Next::Again
    }

    pub(super) fn linger(&mut self, dropped: usize, input: &mut [u8]) -> Next {
        let next = match receive(&self.stream, input) {
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

    /// Ends an idle or new connection. A request may have arrived meanwhile: it is still in the socket and
    /// is answered before the end.
    #[cold]
    pub(super) fn expire_idle(&mut self) {
        metrics::add(Counter::ExpiredIdle, 1);
        self.end = End::AfterNext;
        let limits = &self.server.limits;
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
            let head = self
                .partial_body
                .as_ref()
                .map_or(&self.tail, |partial| &partial.head);
            let head_only = parse::is_head(head);
            self.refuse(fault, head_only, scratch);
            let _ = self.write(&scratch.output); // best effort: the connection ends either way
        }
        if phase == Phase::Write {
            // Without this the kernel would retry sending the unread answers for minutes.
            let _ = socket2::SockRef::from(self.stream.inner())
                .set_linger(Some(std::time::Duration::ZERO));
        }
        Next::Close
    }

    /// Keeps the server's buffer budget; true if this connection's growth exceeds it.
    pub(super) fn exceeds_budget(&mut self) -> bool {
        let partial = self
            .partial_body
            .as_ref()
            .map_or(0, |partial| partial.head.len() + partial.body.len());
        let bytes = self.tail.len() + partial + self.unsent.len();
        if bytes == self.counted_bytes {
            return false;
        }
        let budget = &self.server.buffered_bytes;
        let others = budget
            .fetch_add(bytes, Relaxed)
            .saturating_sub(self.counted_bytes);
        budget.fetch_sub(self.counted_bytes, Relaxed);
        let grew = bytes > self.counted_bytes;
        self.counted_bytes = bytes;
        grew && others.saturating_add(bytes) > self.server.limits.buffered_bytes_max
    }

    /// Drops the received bytes and ends the connection after its pending answers.
    #[cold]
    pub(super) fn give_up(&mut self, scratch: &mut Scratch<S>) -> Next {
        let owes = !self.unsent.is_empty();
        self.tail = Vec::new();
        self.partial_body = None;
        self.stage = Stage::Open;
        self.end = End::Linger;
        scratch.output.clear();
        if !owes {
            self.refuse(Fault::Overloaded, false, scratch);
        }
        let next = self.write_out(scratch).unwrap_or(Next::Close);
        self.exceeds_budget();
        next
    }
}
