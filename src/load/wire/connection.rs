//! One connection of a worker: a non-blocking socket, bytes to send, requests in flight.
//!
//! It holds no policy: `worker` decides what to send when, and what an answer means.

use crate::load::wire::target::Target;
use rustix::event::epoll::{self, EventData, EventFlags};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// No socket; the next request opens one.
    Closed,
    /// The handshake is under way; requests wait in the output.
    Connecting,
    /// Requests are sent at once.
    Open,
}

/// When a connection ends, as those of browsers and mobile clients do; `None` = with the run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Lifetime {
    /// Requests that it carries.
    pub requests: Option<u32>,
    /// Its greatest age when a request is sent.
    pub age: Option<Duration>,
}

/// A connection; `P` is its owner's data about a request in flight.
pub struct Connection<P> {
    /// Index of its target.
    pub target: usize,
    /// Its state.
    pub state: ConnectionState,
    /// Its slots, used or not: each allows one request in flight.
    pub slots: usize,
    /// Slots that wait for the next connection, because the lifetime of this one is over.
    pub held: usize,
    /// Requests sent on it.
    pub carried: u32,
    opened: Option<Instant>,
    /// Requests in flight, in the order of sending.
    pub in_flight: VecDeque<P>,
    /// The start of an incomplete answer.
    pub received: Vec<u8>,
    output: Vec<u8>,
    socket: Option<TcpStream>,
}

/// The result of a read.
pub enum Received {
    /// This many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other side has ended its stream.
    End,
    /// The connection broke.
    Broken,
}

impl<P> Connection<P> {
    /// A closed connection to the target at index `target`.
    pub fn new(target: usize) -> Self {
        Self {
            target,
            state: ConnectionState::Closed,
            slots: 0,
            held: 0,
            carried: 0,
            opened: None,
            in_flight: VecDeque::new(),
            received: Vec::new(),
            output: Vec::new(),
            socket: None,
        }
    }

    /// The buffer of bytes to send; [`flush`](Self::flush) sends them.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether it has lived as long as it may, so that the next request needs another one.
    pub fn is_over(&self, lifetime: Lifetime, now: Instant) -> bool {
        lifetime.requests.is_some_and(|most| self.carried >= most)
            || lifetime.age.is_some_and(|age| {
                let opened = self.opened;
                opened.is_some_and(|opened| now.saturating_duration_since(opened) >= age)
            })
    }

    /// Starts a handshake; events carry `token`.
    ///
    /// # Errors
    /// No descriptor, no local port, no route.
    pub fn connect(&mut self, target: &Target, poll: &OwnedFd, token: usize) -> io::Result<()> {
        let domain = Domain::for_address(target.address);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&target.address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        // Edge-triggered and registered for everything once: no further epoll_ctl per request.
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(poll, &socket, EventData::new_u64(token as u64), events)?;
        self.socket = Some(socket.into());
        self.opened = Some(Instant::now());
        self.state = ConnectionState::Connecting;
        Ok(())
    }

    /// Handles an event while connecting; false when the handshake failed.
    pub fn finish_connecting(&mut self, writable: bool) -> bool {
        match self.socket.as_ref().map(TcpStream::take_error) {
            Some(Ok(None)) => {
                if writable {
                    self.state = ConnectionState::Open;
                }
                true
            }
            _ => false,
        }
    }

    /// Sends as much as the socket takes; false when the connection broke.
    pub fn flush(&mut self) -> bool {
        let (ConnectionState::Open, Some(socket)) = (self.state, &mut self.socket) else {
            return true; // sent once the connection is open
        };
        let mut sent = 0;
        while sent < self.output.len() {
            match socket.write(&self.output[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.output.drain(..sent);
        true
    }

    /// Reads once into `buffer`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Received {
        let Some(socket) = &mut self.socket else {
            return Received::Nothing;
        };
        match socket.read(buffer) {
            Ok(0) => Received::End,
            Ok(bytes) => Received::Bytes(bytes),
            Err(error) if error.kind() == ErrorKind::Interrupted => Received::Bytes(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Nothing,
            Err(_) => Received::Broken,
        }
    }

    /// Drops the socket, unsent bytes and a partial answer. Requests in flight stay listed.
    pub fn close(&mut self) {
        self.socket = None; // closing takes it out of the epoll set
        self.state = ConnectionState::Closed;
        self.carried = 0;
        self.opened = None;
        self.output.clear();
        self.received.clear();
    }
}
