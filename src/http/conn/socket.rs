//! What a connection needs of its socket: the seam between the turns and the world.
//!
//! A turn reads, writes and ends through a [`Socket`] and says with [`Next`](super::Next) what it waits for. The world
//! is a coroutine with a TCP socket, or the simulation of the tests (`sim`), which decides every arrival and every
//! failure from a seed.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

use may::net::TcpStream;
use rustix::{
    io::{Result, retry_on_intr},
    net::{RecvFlags, SendFlags, recv, send},
};

/// A connected stream socket that never blocks.
pub(super) trait Socket {
    /// Its number, which is also that of its slot in `watch`.
    fn number(&self) -> RawFd;

    /// Takes bytes that have arrived; 0 at the end of the stream.
    fn try_receive(&self, into: &mut [u8]) -> Result<usize>;

    /// Takes as many of `bytes` as it has room for.
    fn try_send(&self, bytes: &[u8]) -> Result<usize>;

    /// As [`try_receive`](Self::try_receive). An interrupted call is made again: no event would follow it.
    #[inline]
    fn receive(&self, into: &mut [u8]) -> Result<usize> {
        retry_on_intr(|| self.try_receive(into))
    }

    /// As [`try_send`](Self::try_send), again when interrupted.
    #[inline]
    fn send(&self, bytes: &[u8]) -> Result<usize> {
        retry_on_intr(|| self.try_send(bytes))
    }

    /// Ends the sending side.
    fn end_sending(&self) -> io::Result<()>;

    /// Closing it will drop what the peer has not read, instead of trying to send it for minutes.
    fn reset_on_close(&self);
}

/// `recv` and `send` go straight to the kernel: around each call the C library arms and disarms the cancellation of
/// threads, which nothing here uses, with two locked instructions (a tenth of a request's instructions).
impl Socket for TcpStream {
    fn number(&self) -> RawFd {
        self.inner().as_raw_fd()
    }

    fn try_receive(&self, into: &mut [u8]) -> Result<usize> {
        Ok(recv(self.inner(), into, RecvFlags::empty())?.0)
    }

    fn try_send(&self, bytes: &[u8]) -> Result<usize> {
        send(self.inner(), bytes, SendFlags::NOSIGNAL)
    }

    fn end_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset_on_close(&self) {
        let _ = socket2::SockRef::from(self.inner()).set_linger(Some(Duration::ZERO));
    }
}
