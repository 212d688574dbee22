//! The accept loop: one thread for all listeners, which may sleep where a coroutine may not.
//!
//! A connection's descriptor number decides its worker, so one listener per worker would gain nothing. One
//! thread that blocks in `poll` keeps accept errors, the connection limit and failing memory away from the
//! workers.
//!
//! `system` is the seam to the kernel; the simulation has another behind it.

mod system;

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::{Shutdown, TcpListener},
    os::unix::net::UnixStream,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::SockRef;

use system::Linux;
pub(super) use system::System;

use super::{
    Fault, Heads, Mode, Reply, Service, conn,
    pulse::{AcceptBeat, Pulse},
    server::{Hosted, Server},
};
use crate::metrics::{self, Counter};

/// Connections accepted from one listener before the other listeners get their turn.
const BATCH: usize = 64;

/// Pause after an accept error that passes only with time.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How long a refused connection stays open, so that the client reads the 503 before a reset can discard
/// it.
const REFUSED_OPEN: Duration = Duration::from_millis(500);

/// Refused connections that may stay open at once; beyond this the oldest is closed.
const REFUSED_MAX: usize = 128;

/// Time for pending handshakes to complete after the last SYN was accepted: a round trip.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest time spent on emptying a queue: it may fill again, because the kernel did not stop handshakes, or accepting may
/// fail for want of descriptors or memory.
const GIVE_UP: Duration = Duration::from_secs(2);

/// What is known of a listener's queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Queue {
    /// No connection waits.
    Empty,
    /// Accepting failed for a cause that passes only with time.
    Stuck,
    /// Further connections may wait.
    Waiting,
}

/// A socket to accept from, and what serves its connections.
pub struct Listener(Source<Linux>);

/// A [`Listener`] of any world.
pub(super) struct Source<W: System> {
    pub(super) socket: W::Listener,
    pub(super) inherited: bool,
    pub(super) start: W::Start,
}

impl Listener {
    /// A listener whose connections `hosted` serves. The socket options of an `inherited` listener stay as
    /// they are: other processes accept from it too, now or later.
    pub fn new<S: Service>(socket: TcpListener, inherited: bool, hosted: &Arc<Hosted<S>>) -> Self {
        let hosted = Arc::clone(hosted);
        Self(Source {
            socket,
            inherited,
            start: Box::new(move |stream| conn::start(&hosted, stream)),
        })
    }
}

/// A running accept loop. Stops when dropped.
pub struct Acceptor {
    /// A byte wakes the thread, the end of the stream stops it.
    wake: UnixStream,
    beat: Arc<AcceptBeat>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Starts accepting on `listeners`, whose services run on `server`.
    pub fn start(server: &Arc<Server>, listeners: Vec<Listener>) -> io::Result<Self> {
        for Listener(listener) in &listeners {
            listener.socket.set_nonblocking(true)?;
            if listener.inherited {
                continue;
            }
            // Connections inherit these.
            let socket = SockRef::from(&listener.socket);
            socket.set_tcp_nodelay(true)?;
            if server.limits.send_buffer_bytes > 0 {
                socket.set_send_buffer_size(server.limits.send_buffer_bytes)?;
            }
        }
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let beat = Arc::new(AcceptBeat::default());
        let sources = listeners.into_iter().map(|listener| listener.0).collect();
        let mut accepting = Loop::new(Linux::new(woken), server, sources, Arc::clone(&beat))?;
        let thread = thread::Builder::new()
            .name("accept".into())
            .spawn(move || while !accepting.has_ended() {})?;
        Ok(Self {
            wake,
            beat,
            thread: Some(thread),
        })
    }

    /// Accepts every connection made so far, then stops accepting and returns.
    ///
    /// Closing a listener resets the connections in its queue, and their clients may have sent requests. So
    /// our own listener first stops taking SYNs, then its queue is emptied, then it is closed. An inherited
    /// listener is only closed, never shut down: the next process accepts from its queue.
    pub fn stop(mut self) {
        self.end();
    }

    /// A probe of whether this thread and the workers make progress.
    pub fn pulse(&self) -> io::Result<Pulse> {
        Ok(Pulse::new(Arc::clone(&self.beat), self.wake.try_clone()?))
    }

    fn end(&mut self) {
        self.beat.stop();
        let _ = self.wake.shutdown(Shutdown::Write); // fails only if it has been
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported where it happened
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.end();
    }
}

/// The loop itself, in any world.
pub(super) struct Loop<W: System> {
    system: W,
    server: Arc<Server>,
    listeners: Vec<Source<W>>,
    beat: Arc<AcceptBeat>,
    /// Closed for a moment when descriptors run out, so that a waiting connection can be accepted and
    /// refused.
    spare: Option<W::Spare>,
    /// Refused connections, and when they were.
    refused: VecDeque<(W::Stream, Duration)>,
    heads: Heads,
}

impl<W: System> Loop<W> {
    /// A loop that accepts from `listeners`. Fails if there is no spare descriptor.
    pub(super) fn new(
        system: W,
        server: &Arc<Server>,
        listeners: Vec<Source<W>>,
        beat: Arc<AcceptBeat>,
    ) -> io::Result<Self> {
        Ok(Self {
            spare: Some(system.spare()?),
            system,
            server: Arc::clone(server),
            listeners,
            beat,
            refused: VecDeque::new(),
            heads: Heads::default(),
        })
    }

    /// Waits for work once and does it; true if the loop was stopped and has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        let (woken, ready) = self.wait();
        if self.beat.answer(|| woken && self.system.is_stopped()) {
            self.finish();
            return true;
        }
        self.close_refused();
        for index in ready {
            self.accept_batch(index);
        }
        false
    }

    /// Waits for work. Returns whether the thread was woken, and which listeners are ready.
    fn wait(&self) -> (bool, Vec<usize>) {
        let timeout = (!self.refused.is_empty()).then_some(REFUSED_OPEN);
        let sockets = self.listeners.iter().map(|listener| &listener.socket);
        self.system.wait(sockets, timeout)
    }

    /// Stops new handshakes on our own listeners and accepts the connections in their queues.
    fn finish(&mut self) {
        self.listeners.retain(|listener| !listener.inherited);
        // Where that is not to be had (a sandbox, an emulator) a connection that is made at the very end may be reset.
        let is_fed = self.listeners.iter().fold(false, |fed, listener| {
            self.system.refuse_new_handshakes(&listener.socket).is_err() | fed
        });
        let settled = self.system.now() + SETTLE;
        let give_up = settled + GIVE_UP;
        let mut queue = Queue::Empty;
        loop {
            let now = self.system.now();
            let goes_on = match queue {
                Queue::Empty => !self.listeners.is_empty() && now < settled,
                Queue::Stuck => now < give_up,
                Queue::Waiting => !is_fed || now < give_up,
            };
            if !goes_on {
                return;
            }
            if queue == Queue::Empty {
                self.system.sleep(SETTLE / 20);
            }
            let batches = (0..self.listeners.len()).map(|index| self.accept_batch(index));
            queue = batches.max().unwrap_or(Queue::Empty);
        }
    }

    /// Accepts a batch of connections. Returns what is left of the listener's queue.
    fn accept_batch(&mut self, index: usize) -> Queue {
        for _ in 0..BATCH {
            match self.system.accept(&self.listeners[index].socket) {
                Ok(stream) => {
                    metrics::add(Counter::ConnectionsAccepted, 1);
                    self.admit(index, stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Queue::Empty,
                Err(error) => match self.recover(index, &error) {
                    Queue::Waiting => {}
                    queue => return queue,
                },
            }
        }
        Queue::Waiting
    }

    /// What is left of the queue after `error`; accepting may go on at once if it is `Waiting`.
    #[cold]
    fn recover(&mut self, index: usize, error: &io::Error) -> Queue {
        match error.raw_os_error() {
            // The peer left before it was accepted, or a signal interrupted the call.
            Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO | libc::EPERM) => {
                metrics::add(Counter::AcceptOther, 1);
                Queue::Waiting
            }
            Some(libc::EMFILE | libc::ENFILE) => self.refuse_with_spare(index),
            cause => {
                let memory = matches!(cause, Some(libc::ENOBUFS | libc::ENOMEM));
                metrics::add(
                    if memory {
                        Counter::AcceptMemory
                    } else {
                        Counter::AcceptOther
                    },
                    1,
                );
                self.system.sleep(BACK_OFF);
                Queue::Stuck
            }
        }
    }

    /// Descriptors ran out: accepts one waiting connection with the spare descriptor, refuses and closes
    /// it, so that clients get an answer instead of waiting in a stuck queue.
    fn refuse_with_spare(&mut self, index: usize) -> Queue {
        self.refused.clear(); // these hold descriptors too
        self.spare = None;
        let accepted = self.system.accept(&self.listeners[index].socket);
        // Without descriptors accept(2) fails on an empty queue too: then there is nobody to refuse.
        let is_queue_empty =
            matches!(&accepted, Err(error) if error.kind() == ErrorKind::WouldBlock);
        if is_queue_empty {
            self.spare = self.system.spare().ok();
            return Queue::Empty;
        }
        metrics::add(Counter::AcceptDescriptors, 1);
        if let Ok(stream) = accepted {
            self.write_refusal(&stream);
        }
        self.spare = self.system.spare().ok();
        self.system.sleep(Duration::from_millis(1)); // a full descriptor table must not become a busy loop
        if self.spare.is_some() {
            Queue::Waiting
        } else {
            Queue::Stuck
        }
    }

    fn admit(&mut self, index: usize, stream: W::Stream) {
        let server = &self.server;
        if server.open.fetch_add(1, Relaxed) >= server.limits.connections_max {
            server.open.fetch_sub(1, Relaxed);
            return self.refuse(stream);
        }
        let listener = &self.listeners[index];
        if listener.inherited {
            self.system.set_nodelay(&stream); // connections of our own listeners inherit this
        }
        if !(listener.start)(stream) {
            self.server.open.fetch_sub(1, Relaxed);
        }
    }

    #[cold]
    fn refuse(&mut self, stream: W::Stream) {
        metrics::add(Counter::ConnectionsRefused, 1);
        self.write_refusal(&stream);
        self.system.end_sending(&stream);
        if self.refused.len() >= REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((stream, self.system.now()));
    }

    fn write_refusal(&mut self, stream: &W::Stream) {
        let mut answer = Vec::new();
        self.heads.refresh();
        let mode = Mode {
            head_only: false,
            keep_alive: false,
            minor: 1,
        };
        let fault = Fault::TooManyConnections;
        metrics::add(fault.counter(), 1);
        Reply::new(&mut answer, &mut self.heads, mode).fault(fault);
        self.system.answer(stream, &answer);
    }

    fn close_refused(&mut self) {
        let now = self.system.now();
        while self
            .refused
            .front()
            .is_some_and(|(_, since)| now.saturating_sub(*since) >= REFUSED_OPEN)
        {
            self.refused.pop_front();
        }
    }
}
