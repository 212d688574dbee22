//! The accept loop: one thread for all listeners, which may sleep where a coroutine may not.
//!
//! A connection's descriptor number decides its worker, so one listener per worker would gain nothing. One
//! thread that blocks in `poll` keeps accept errors, the connection limit and failing memory away from the
//! workers.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    num::NonZeroU32,
    os::unix::net::UnixStream,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

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

/// How long a queue is emptied that may go on filling, because the kernel did not stop new handshakes.
const FED_MAX: Duration = Duration::from_secs(2);

/// A socket to accept from, and what serves its connections.
pub struct Listener {
    socket: TcpListener,
    inherited: bool,
    /// Starts a connection; false if it cannot be served.
    start: Box<dyn Fn(TcpStream) -> bool + Send>,
}

impl Listener {
    /// A listener whose connections `hosted` serves. The socket options of an `inherited` listener stay as
    /// they are: other processes accept from it too, now or later.
    pub fn new<S: Service>(socket: TcpListener, inherited: bool, hosted: &Arc<Hosted<S>>) -> Self {
        let hosted = Arc::clone(hosted);
        Self {
            socket,
            inherited,
            start: Box::new(move |stream| conn::start(&hosted, stream)),
        }
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
        for listener in &listeners {
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
        let spare = File::open("/dev/null")?;
        let mut accepting = Loop {
            server: Arc::clone(server),
            listeners,
            woken,
            beat: Arc::clone(&beat),
            spare: Some(spare),
            refused: VecDeque::new(),
            heads: Heads::default(),
        };
        let thread = thread::Builder::new()
            .name("accept".into())
            .spawn(move || accepting.run())?;
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

struct Loop {
    server: Arc<Server>,
    listeners: Vec<Listener>,
    woken: UnixStream,
    beat: Arc<AcceptBeat>,
    /// Closed for a moment when descriptors run out, so that a waiting connection can be accepted and
    /// refused.
    spare: Option<File>,
    refused: VecDeque<(TcpStream, Instant)>,
    heads: Heads,
}

impl Loop {
    fn run(&mut self) {
        loop {
            let (stop, ready) = self.wait();
            self.beat.answer();
            if stop && self.is_stopped() {
                return self.finish();
            }
            self.close_refused();
            for index in ready {
                self.accept_batch(index);
            }
        }
    }

    /// Waits for work. Returns whether the thread was woken, and which listeners are ready.
    fn wait(&self) -> (bool, Vec<usize>) {
        let mut polled: Vec<_> = self
            .listeners
            .iter()
            .map(|listener| PollFd::new(&listener.socket, PollFlags::IN))
            .chain([PollFd::new(&self.woken, PollFlags::IN)])
            .collect();
        let refused_open = Timespec::try_from(REFUSED_OPEN).ok();
        let timeout = refused_open.as_ref().filter(|_| !self.refused.is_empty());
        if poll(&mut polled, timeout).is_err() {
            return (false, Vec::new()); // interrupted
        }
        let is_ready = |index: &usize| !polled[*index].revents().is_empty();
        let listeners = self.listeners.len();
        let ready = (0..listeners).filter(is_ready).collect();
        (is_ready(&listeners), ready)
    }

    /// Reads the bytes that woke the thread; true at the end of the stream.
    fn is_stopped(&mut self) -> bool {
        matches!(self.woken.read(&mut [0; 64]), Ok(0))
    }

    /// Stops new handshakes on our own listeners and accepts the connections in their queues.
    fn finish(&mut self) {
        self.listeners.retain(|listener| !listener.inherited);
        // Where that is not to be had (a sandbox, an emulator) a connection that is made at the very end may be reset.
        let is_fed = self.listeners.iter().fold(false, |fed, listener| {
            refuse_new_handshakes(&listener.socket).is_err() | fed
        });
        let settled = Instant::now() + SETTLE;
        let give_up = is_fed.then(|| settled + FED_MAX);
        let mut is_waiting = false;
        while is_waiting && give_up.is_none_or(|end| Instant::now() < end)
            || !self.listeners.is_empty() && Instant::now() < settled
        {
            if !is_waiting {
                thread::sleep(SETTLE / 20);
            }
            is_waiting =
                (0..self.listeners.len()).fold(false, |any, index| self.accept_batch(index) | any);
        }
    }

    /// Accepts a batch of connections; true if more may be waiting.
    fn accept_batch(&mut self, index: usize) -> bool {
        for _ in 0..BATCH {
            match self.listeners[index].socket.accept() {
                Ok((stream, _)) => {
                    metrics::add(Counter::ConnectionsAccepted, 1);
                    self.admit(index, stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => {
                    if !self.recover(index, &error) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Whether accepting may go on at once after `error`.
    #[cold]
    fn recover(&mut self, index: usize, error: &io::Error) -> bool {
        match error.raw_os_error() {
            // The peer left before it was accepted, or a signal interrupted the call.
            Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO | libc::EPERM) => {
                metrics::add(Counter::AcceptOther, 1);
                true
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
                thread::sleep(BACK_OFF);
                false
            }
        }
    }

    /// Descriptors ran out: accepts one waiting connection with the spare descriptor, refuses and closes
    /// it, so that clients get an answer instead of waiting in a stuck queue.
    fn refuse_with_spare(&mut self, index: usize) -> bool {
        self.refused.clear(); // these hold descriptors too
        self.spare = None;
        let accepted = self.listeners[index].socket.accept();
        // Without descriptors accept(2) fails on an empty queue too: then there is nobody to refuse.
        let is_queue_empty =
            matches!(&accepted, Err(error) if error.kind() == ErrorKind::WouldBlock);
        if is_queue_empty {
            self.spare = File::open("/dev/null").ok();
            return false;
        }
        metrics::add(Counter::AcceptDescriptors, 1);
        if let Ok((stream, _)) = accepted {
            self.write_refusal(&stream);
        }
        self.spare = File::open("/dev/null").ok();
        thread::sleep(Duration::from_millis(1)); // a full descriptor table must not become a busy loop
        self.spare.is_some()
    }

    fn admit(&mut self, index: usize, stream: TcpStream) {
        let server = &self.server;
        if server.open.fetch_add(1, Relaxed) >= server.limits.connections_max {
            server.open.fetch_sub(1, Relaxed);
            return self.refuse(stream);
        }
        let listener = &self.listeners[index];
        if listener.inherited {
            // Answers are written whole; waiting for ACKs only delays them. Connections of our own listeners inherit this.
            let _ = stream.set_nodelay(true);
        }
        if !(listener.start)(stream) {
            self.server.open.fetch_sub(1, Relaxed);
        }
    }

    #[cold]
    fn refuse(&mut self, stream: TcpStream) {
        metrics::add(Counter::ConnectionsRefused, 1);
        self.write_refusal(&stream);
        let _ = stream.shutdown(Shutdown::Write);
        if self.refused.len() >= REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((stream, Instant::now()));
    }

    fn write_refusal(&mut self, mut stream: &TcpStream) {
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
        // An empty send buffer takes the whole answer. What the peer already sent is read, so that closing
        // does not reset the connection.
        let _ = stream.set_nonblocking(true);
        let _ = stream.write(&answer);
        let _ = stream.read(&mut [0; 1024]);
    }

    fn close_refused(&mut self) {
        while self
            .refused
            .front()
            .is_some_and(|(_, since)| since.elapsed() >= REFUSED_OPEN)
        {
            self.refused.pop_front();
        }
    }
}

/// Makes the kernel refuse further SYNs to a listener: their clients reach another process or nobody. What is in its
/// queue stays there, and ACKs that complete earlier handshakes still pass.
///
/// A listener that is bound to an interface gets the SYNs of that interface alone, and this one does not exist. It
/// takes no privilege (Linux 5.7), unlike a socket filter, for which kernels since June 2026 ask `CAP_NET_ADMIN`.
fn refuse_new_handshakes(listener: &TcpListener) -> io::Result<()> {
    const NO_INTERFACE: Option<NonZeroU32> = NonZeroU32::new(i32::MAX as u32);
    // Linux has one option for both families, which is what this sets.
    SockRef::from(listener).bind_device_by_index_v4(NO_INTERFACE)
}
