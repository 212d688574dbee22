//! A simulated socket and everything between it and its client: the kernel's two buffers, ends, resets, epoll's edges.

use std::{cell::RefCell, collections::VecDeque, io, os::fd::RawFd, rc::Rc};

use rustix::io::{Errno, Result};

use super::{Fault, random::Random};
use crate::http::conn::socket::Socket;

/// Epoll's flags.
const IN: usize = 0x1;
const OUT: usize = 0x4;
const ERR_HUP: usize = 0x8 | 0x10;
const RDHUP: usize = 0x2000;

/// The connection as the kernel sees it.
pub(super) struct Wire {
    random: Random,
    fault: Option<Fault>,
    /// Bytes that have arrived and that the server has not read.
    arrived: VecDeque<u8>,
    /// The client has ended its side.
    is_ended: bool,
    is_reset: bool,
    /// Bytes that the server has sent and the client has not read.
    sent: VecDeque<u8>,
    /// How much `sent` may hold.
    room: usize,
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
    pub(super) fn new(random: Random, room: usize, fault: Option<Fault>) -> Shared {
        Rc::new(RefCell::new(Self {
            random,
            fault,
            arrived: VecDeque::new(),
            is_ended: false,
            is_reset: false,
            sent: VecDeque::new(),
            room,
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
        if self.fault == Some(Fault::LostEvent) && self.random.one_in(20) {
            return;
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

    /// The client reads up to `most` bytes.
    pub(super) fn read(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.sent.len());
        let bytes = self.sent.drain(..count).collect();
        if self.was_full && self.sent.len() <= self.room / 2 {
            self.was_full = false;
            self.raise(OUT);
        }
        bytes
    }
}

/// The server's end of a [`Wire`].
pub(super) struct SimSocket {
    pub(super) number: RawFd,
    pub(super) wire: Shared,
}

impl Socket for SimSocket {
    fn number(&self) -> RawFd {
        self.number
    }

    fn try_receive(&self, into: &mut [u8]) -> Result<usize> {
        let wire = &mut *self.wire.borrow_mut();
        if wire.random.one_in(16) {
            return Err(Errno::INTR);
        }
        if wire.is_reset {
            return Err(Errno::CONNRESET);
        }
        let count = into.len().min(wire.arrived.len());
        if count == 0 && !wire.is_ended && !wire.is_shut {
            return Err(Errno::AGAIN);
        }
        for (to, byte) in into.iter_mut().zip(wire.arrived.drain(..count)) {
            *to = byte;
        }
        Ok(count)
    }

    fn try_send(&self, bytes: &[u8]) -> Result<usize> {
        let wire = &mut *self.wire.borrow_mut();
        if wire.random.one_in(16) {
            return Err(Errno::INTR);
        }
        if wire.is_reset || wire.is_answered {
            return Err(wire.random.of(&[Errno::PIPE, Errno::CONNRESET]));
        }
        let count = bytes.len().min(wire.room.saturating_sub(wire.sent.len()));
        wire.was_full |= count < bytes.len();
        if count == 0 {
            return Err(Errno::AGAIN);
        }
        let is_unlucky = wire.random.one_in(8);
        match wire.fault {
            Some(Fault::LostByte) if is_unlucky => wire.sent.extend(&bytes[1..count]),
            Some(Fault::SentTwice) if is_unlucky => {
                wire.sent.extend(&bytes[..count]);
                wire.sent.extend(&bytes[..count]);
            }
            _ => wire.sent.extend(&bytes[..count]),
        }
        Ok(count)
    }

    fn end_sending(&self) -> io::Result<()> {
        let wire = &mut *self.wire.borrow_mut();
        if wire.is_reset {
            return Err(Errno::NOTCONN.into());
        }
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
            wire.sent.clear();
        }
        wire.is_closed = true;
        wire.is_answered = true;
    }
}
