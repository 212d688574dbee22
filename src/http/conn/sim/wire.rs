//! A simulated socket and everything between it and its client: the kernel's two buffers, ends, resets, epoll's edges.

use std::{any::Any, cell::RefCell, collections::VecDeque, io, os::fd::RawFd, rc::Rc};

use rustix::io::{Errno, Result};

use super::{Fault, clock::SimClock, fate::Fate, plan::Plan};
use crate::http::conn::socket::Socket;

/// Epoll's flags.
const IN: usize = 0x1;
const OUT: usize = 0x4;
const ERR_HUP: usize = 0x8 | 0x10;
const RDHUP: usize = 0x2000;

/// The flags by their names.
pub(super) fn names(events: usize) -> String {
    let names = [
        (IN, "IN"),
        (OUT, "OUT"),
        (ERR_HUP, "ERR HUP"),
        (RDHUP, "RDHUP"),
    ];
    let set = names.iter().filter(|(flag, _)| events & flag != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

/// The connection as the kernel sees it.
pub(super) struct Wire {
    fate: Rc<Fate>,
    fault: Option<Fault>,
    /// Whether calls fail now and then for want of memory.
    lacks_memory: bool,
    /// A call did.
    pub(super) has_failed: bool,
    /// Bytes that have arrived and that the server has not read.
    arrived: VecDeque<u8>,
    /// The client has ended its side.
    is_ended: bool,
    is_reset: bool,
    /// Bytes that the server has sent and the client has not read.
    sent: VecDeque<u8>,
    /// How much `sent` may hold.
    room: usize,
    /// How many bytes it takes at once.
    sent_bytes: usize,
    was_full: bool,
    /// The server has ended its side.
    pub(super) is_answered: bool,
    /// The server has closed its socket.
    pub(super) is_closed: bool,
    /// The watcher has shut down the receiving side.
    is_shut: bool,
    /// Events that no wait has taken.
    events: usize,
}

pub(super) type Shared = Rc<RefCell<Wire>>;

impl Wire {
    pub(super) fn new(fate: &Rc<Fate>, room: usize, plan: &Plan, fault: Option<Fault>) -> Shared {
        Rc::new(RefCell::new(Self {
            fate: Rc::clone(fate),
            fault,
            lacks_memory: plan.lacks_memory,
            has_failed: false,
            arrived: VecDeque::new(),
            is_ended: false,
            is_reset: false,
            sent: VecDeque::new(),
            room,
            sent_bytes: plan.sent_bytes,
            was_full: false,
            is_answered: false,
            is_closed: false,
            is_shut: false,
            events: OUT,
        }))
    }

    /// Bytes of the client arrive.
    pub(super) fn arrive(&mut self, bytes: &[u8]) {
        if self.is_closed {
            return self.sent.clear(); // the kernel answers with a reset
        }
        self.arrived.extend(bytes);
        self.raise(IN);
    }

    pub(super) fn end(&mut self) {
        self.is_ended = true;
        self.raise(IN | RDHUP);
    }

    pub(super) fn reset(&mut self) {
        self.is_reset = true;
        self.arrived.clear();
        self.sent.clear();
        self.raise(IN | RDHUP | ERR_HUP);
    }

    /// What the watcher does to an expired connection.
    pub(super) fn shut_down(&mut self, both: bool) {
        self.is_shut = true;
        self.is_answered |= both;
        self.raise(IN | RDHUP);
    }

    fn raise(&mut self, events: usize) {
        if self.fault == Some(Fault::LostEvent) && self.fate.one_in(20) {
            let names = names(events);
            return self.fate.tell(|| format!("    the event {names} is lost"));
        }
        self.events |= events;
    }

    /// The events since the last wait; `None` if there are none.
    pub(super) fn take_events(&mut self) -> Option<usize> {
        Some(std::mem::take(&mut self.events)).filter(|events| *events != 0)
    }

    pub(super) fn has_events(&self) -> bool {
        self.events != 0
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.sent.is_empty()
    }

    /// The client reads up to `most` bytes. Returns how many it got.
    pub(super) fn read(&mut self, most: usize, into: &mut Vec<u8>) -> usize {
        let count = most.min(self.sent.len());
        let (front, back) = self.sent.as_slices();
        let from_front = count.min(front.len());
        into.extend_from_slice(&front[..from_front]);
        into.extend_from_slice(&back[..count - from_front]);
        self.sent.drain(..count);
        if self.was_full && self.sent.len() <= self.room / 2 {
            self.was_full = false;
            self.raise(OUT);
        }
        count
    }

    /// A failure of any call, if chance has one.
    fn fail(&mut self) -> Result<()> {
        if self.fate.one_in(16) {
            return Err(Errno::INTR);
        }
        if self.lacks_memory && self.fate.one_in(100) {
            self.has_failed = true;
            return Err(self.fate.of(&[Errno::NOBUFS, Errno::NOMEM]));
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize> {
        self.fail()?;
        if self.is_reset {
            return Err(Errno::CONNRESET);
        }
        let count = into.len().min(self.arrived.len());
        if count == 0 && !self.is_ended && !self.is_shut {
            return Err(Errno::AGAIN);
        }
        let (front, back) = self.arrived.as_slices();
        let from_front = count.min(front.len());
        into[..from_front].copy_from_slice(&front[..from_front]);
        into[from_front..count].copy_from_slice(&back[..count - from_front]);
        self.arrived.drain(..count);
        Ok(count)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize> {
        self.fail()?;
        if self.is_reset || self.is_answered {
            return Err(self.fate.of(&[Errno::PIPE, Errno::CONNRESET]));
        }
        let mut count = bytes.len().min(self.room.saturating_sub(self.sent.len()));
        self.was_full |= count < bytes.len();
        if count == 0 {
            return Err(Errno::AGAIN);
        }
        count = count.min(self.sent_bytes);
        if self.fate.one_in(16) {
            count = 1 + self.fate.below(count);
        }
        let bytes = &bytes[..count];
        match self.fault {
            Some(Fault::LostByte) if self.fate.one_in(8) => self.sent.extend(&bytes[1..]),
            Some(Fault::SentTwice) if self.fate.one_in(8) => {
                self.sent.extend(bytes);
                self.sent.extend(bytes);
            }
            _ => self.sent.extend(bytes),
        }
        Ok(count)
    }

    fn tell(&self, call: &str, outcome: Result<usize>) {
        self.fate.tell(|| match outcome {
            Ok(count) => format!("    {call}: {count} bytes"),
            Err(error) => format!("    {call}: {}", name_of(error)),
        });
    }
}

/// The name of an error of these calls.
fn name_of(error: Errno) -> &'static str {
    match error {
        Errno::INTR => "EINTR",
        Errno::AGAIN => "EAGAIN",
        Errno::CONNRESET => "ECONNRESET",
        Errno::PIPE => "EPIPE",
        Errno::NOBUFS => "ENOBUFS",
        _ => "ENOMEM",
    }
}

/// The server's end of a [`Wire`].
pub(super) struct SimSocket {
    pub(super) number: RawFd,
    pub(super) wire: Shared,
    pub(super) clock: Rc<SimClock>,
    /// Its descriptor, where those are counted.
    pub(super) _descriptor: Option<Box<dyn Any>>,
}

impl Socket for SimSocket {
    fn number(&self) -> RawFd {
        self.number
    }

    fn try_receive(&self, into: &mut [u8]) -> Result<usize> {
        self.clock.at_system_call();
        let wire = &mut *self.wire.borrow_mut();
        let outcome = wire.receive(into);
        wire.tell("recv", outcome);
        outcome
    }

    fn try_send(&self, bytes: &[u8]) -> Result<usize> {
        self.clock.at_system_call();
        let wire = &mut *self.wire.borrow_mut();
        let outcome = wire.send(bytes);
        wire.tell("send", outcome);
        outcome
    }

    fn end_sending(&self) -> io::Result<()> {
        self.clock.at_system_call();
        let wire = &mut *self.wire.borrow_mut();
        if wire.is_reset {
            wire.fate.tell(|| "    shutdown: ENOTCONN".to_owned());
            return Err(Errno::NOTCONN.into());
        }
        wire.fate
            .tell(|| "    shutdown of the sending side".to_owned());
        wire.is_answered = true;
        Ok(())
    }

    fn reset_on_close(&self) {
        self.wire.borrow_mut().sent.clear();
    }
}

impl Drop for SimSocket {
    /// The kernel resets a connection that is closed with bytes unread, and the client loses answers.
    fn drop(&mut self) {
        let wire = &mut *self.wire.borrow_mut();
        if !wire.arrived.is_empty() {
            let count = wire.arrived.len();
            wire.fate
                .tell(|| format!("    close, which resets: {count} bytes were not read"));
            wire.sent.clear();
        }
        wire.is_closed = true;
        wire.is_answered = true;
    }
}
