//! System calls the standard library does not offer, each behind a safe function.
//!
//! Used by the load clients and the raw epoll server; the other servers need none of it.

use std::{
    io, mem,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::fd::AsRawFd,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

/// Pins the calling thread (and threads it starts later) to one core.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is a valid empty set; CPU_SET checks nothing, so the index is
    // checked here; the pointer and the size describe the same local value.
    let done = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        if core >= libc::CPU_SETSIZE as usize {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &set)
    };
    check(done as isize).map(drop)
}

/// CPU time used so far by all threads of a process, user and system together.
///
/// Nanosecond resolution, unlike the 10 ms ticks of /proc/PID/stat.
pub fn cpu_time(pid: i32) -> io::Result<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` outlives the call.
    let error = unsafe { libc::clock_getcpuclockid(pid, &mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` outlives the call.
    check(unsafe { libc::clock_gettime(clock, &mut now) } as isize)?;
    Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}

/// A connection to this host from the `number`th loopback address: each has its own ports, which a closed connection
/// keeps for a minute.
pub fn connect_from(number: usize, port: u16) -> io::Result<TcpStream> {
    const IP_BIND_ADDRESS_NO_PORT: libc::c_int = 24; // the port is chosen with the destination
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let on: libc::c_int = 1;
    // SAFETY: pointer and size describe `on`.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as u32,
        )
    };
    check(set as isize)?;
    let source = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + number as u32);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_tcp_nodelay(true)?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

/// One recv that never waits; `None` = nothing there yet.
#[inline]
pub fn recv_now(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: pointer and length describe `buffer`, exclusively borrowed for the call.
    let n = unsafe {
        libc::recv(
            stream.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    would_block_is_none(n)
}

/// One send that never waits; `None` = the socket buffer is full.
#[inline]
pub fn send_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: pointer and length describe `bytes`, borrowed for the call.
    let n = unsafe {
        libc::send(
            stream.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
        )
    };
    would_block_is_none(n)
}

/// The result of a system call as a `Result`.
pub fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[inline]
fn would_block_is_none(result: isize) -> io::Result<Option<usize>> {
    match check(result) {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}
