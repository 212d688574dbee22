//! What the epoll servers share: sockets, and a response of a given length.

use std::{io, net::SocketAddr, os::fd::IntoRawFd};

use socket2::{Domain, Socket, Type};

use crate::{fixed_body, sys};

const BACKLOG: i32 = 4096;

/// A response of exactly `total_bytes`, or `None` if no head fits.
///
/// The longest body that fits is taken; where the head grows by a digit, whitespace before the length fills the byte that is
/// left.
pub fn response(total_bytes: usize) -> Option<Vec<u8>> {
    let with_body = |body_bytes: usize, space: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Content-Type: text/plain\r\nContent-Length:{space}{body_bytes}\r\n\r\n{}",
            fixed_body(body_bytes)
        )
    };
    (0..total_bytes).rev().find_map(|body_bytes| {
        let unfilled = total_bytes.checked_sub(with_body(body_bytes, " ").len())?;
        Some(with_body(body_bytes, &" ".repeat(1 + unfilled)).into_bytes())
    })
}

/// A listener of its own for each thread on one port.
pub fn listen(port: u16) -> io::Result<i32> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into_raw_fd())
}

/// Adds a descriptor to an epoll instance.
pub fn watch(epoll: i32, fd: i32, interest: i32) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: interest as u32,
        u64: fd as u64,
    };
    // SAFETY: `event` outlives the call.
    sys::check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) } as isize)?;
    Ok(())
}

/// Accepts one connection and watches it, edge triggered.
pub fn accept(epoll: i32, listener: i32) {
    let on: libc::c_int = 1;
    // SAFETY: null addresses are allowed; the option pointer and size describe `on`.
    let fd = unsafe {
        let fd = libc::accept4(
            listener,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_NONBLOCK,
        );
        libc::setsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            size_of_val(&on) as u32,
        );
        fd
    };
    let interest = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET;
    if fd >= 0 && watch(epoll, fd, interest).is_err() {
        close(fd);
    }
}

/// Closes a connection whose read failed, unless there was nothing to read.
pub fn close_unless_waiting(fd: i32) {
    if io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock {
        close(fd);
    }
}

/// Closes a connection.
pub fn close(fd: i32) {
    // SAFETY: `fd` came from accept and is not used again: epoll forgets it with the close.
    unsafe { libc::close(fd) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_has_the_length_asked_for() {
        for total_bytes in (150..260).chain(1_090..1_130).chain(10_100..10_130) {
            let response = response(total_bytes).unwrap();
            assert_eq!(response.len(), total_bytes);
            let text = String::from_utf8(response).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!(" {}", body.len())), "{head}");
        }
        assert!(response(50).is_none());
    }
}
