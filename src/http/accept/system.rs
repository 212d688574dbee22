//! What the accept loop needs of the system: the seam between the loop and the world.
//!
//! The world is Linux, or the simulation of the tests (`conn::sim::gate`), which decides every connection, every failure
//! and every moment from a seed.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    num::NonZeroU32,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

/// Listeners, connections, descriptors and time.
pub(in crate::http) trait System {
    /// A listening socket that never blocks.
    type Listener;
    /// An accepted connection. Dropping it closes it.
    type Stream;
    /// A descriptor that can be given up. Dropping it does.
    type Spare;
    /// Starts a connection; false if it cannot be served.
    type Start: Fn(Self::Stream) -> bool;

    /// Waits at most `timeout` for connections, or to be woken. Says whether it was woken, and which of the listeners
    /// are ready.
    fn wait<'l>(
        &self,
        listeners: impl Iterator<Item = &'l Self::Listener>,
        timeout: Option<Duration>,
    ) -> (bool, Vec<usize>)
    where
        Self::Listener: 'l;

    /// Takes note of what woke the thread; true if it shall stop.
    fn is_stopped(&mut self) -> bool;

    /// The next connection in a listener's queue.
    fn accept(&self, listener: &Self::Listener) -> io::Result<Self::Stream>;

    /// Makes the kernel refuse further SYNs to a listener: their clients reach another process or nobody. What is in its
    /// queue stays there, and ACKs that complete earlier handshakes still pass.
    fn refuse_new_handshakes(&self, listener: &Self::Listener) -> io::Result<()>;

    /// A descriptor of no use.
    fn spare(&self) -> io::Result<Self::Spare>;

    /// Time since the loop began.
    fn now(&self) -> Duration;

    fn sleep(&self, time: Duration);

    /// Answers are written whole; waiting for ACKs only delays them.
    fn set_nodelay(&self, stream: &Self::Stream);

    /// Writes an answer into an empty send buffer, which takes it whole, be it in parts. Reads what the peer has sent, so
    /// that closing does not reset the connection.
    fn answer(&self, stream: &Self::Stream, answer: &[u8]);

    /// Ends the sending side.
    fn end_sending(&self, stream: &Self::Stream);
}

/// The world of a server.
pub(super) struct Linux {
    /// A byte here wakes the thread, the end of the stream stops it.
    woken: UnixStream,
    begun: Instant,
}

impl Linux {
    pub(super) fn new(woken: UnixStream) -> Self {
        Self {
            woken,
            begun: Instant::now(),
        }
    }
}

impl System for Linux {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Spare = File;
    type Start = Box<dyn Fn(TcpStream) -> bool + Send>;

    fn wait<'l>(
        &self,
        listeners: impl Iterator<Item = &'l TcpListener>,
        timeout: Option<Duration>,
    ) -> (bool, Vec<usize>) {
        let mut polled: Vec<_> = listeners
            .map(|listener| PollFd::new(listener, PollFlags::IN))
            .chain([PollFd::new(&self.woken, PollFlags::IN)])
            .collect();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        if poll(&mut polled, timeout.as_ref()).is_err() {
            return (false, Vec::new()); // interrupted
        }
        let is_ready = |index: &usize| !polled[*index].revents().is_empty();
        let listeners = polled.len() - 1;
        let ready = (0..listeners).filter(is_ready).collect();
        (is_ready(&listeners), ready)
    }

    fn is_stopped(&mut self) -> bool {
        matches!(self.woken.read(&mut [0; 64]), Ok(0))
    }

    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept()?.0)
    }

    /// A listener that is bound to an interface gets the SYNs of that interface alone, and this one does not exist. It
    /// takes no privilege (Linux 5.7), unlike a socket filter, for which kernels since June 2026 ask `CAP_NET_ADMIN`.
    fn refuse_new_handshakes(&self, listener: &TcpListener) -> io::Result<()> {
        const NO_INTERFACE: Option<NonZeroU32> = NonZeroU32::new(i32::MAX as u32);
        // Linux has one option for both families, which is what this sets.
        SockRef::from(listener).bind_device_by_index_v4(NO_INTERFACE)
    }

    fn spare(&self) -> io::Result<File> {
        File::open("/dev/null")
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }

    fn set_nodelay(&self, stream: &TcpStream) {
        let _ = stream.set_nodelay(true);
    }

    fn answer(&self, mut stream: &TcpStream, answer: &[u8]) {
        let _ = stream.set_nonblocking(true);
        let _ = stream.write_all(answer);
        let _ = stream.read(&mut [0; 1024]);
    }

    fn end_sending(&self, stream: &TcpStream) {
        let _ = stream.shutdown(Shutdown::Write);
    }
}
