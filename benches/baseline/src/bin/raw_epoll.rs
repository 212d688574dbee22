//! The limit: an epoll loop that parses nothing and answers a fixed response.
//!
//! One thread = one SO_REUSEPORT listener + one epoll instance; per event one recv and one send,
//! edge triggered, TCP_NODELAY. Whatever a real server takes beyond this is its own doing.
//!
//! * `--mode noscan`: one response per read. Right only without pipelining.
//! * `--mode scan`: counts CRLFCRLF and answers that many responses; a delimiter split over two
//!   reads is not seen, so batches must fit one read (`READ_BYTES`).
//!
//! `--response-bytes` is the length of the whole response, head included, to match the server it is
//! compared with.

use std::{io, net::SocketAddr, os::fd::IntoRawFd, process, thread};

use memchr::memmem::Finder;
use socket2::{Domain, Socket, Type};
use trident_baseline::{args::Args, fixed_body, sys};

const USAGE: &str = "raw_epoll --port P [--threads 1] [--mode noscan|scan] [--response-bytes 153]";

/// One read takes at most this much; also the largest pipelined batch.
const READ_BYTES: usize = 64 << 10;
/// Most requests counted in one read: 64 KiB of the shortest requests a client here sends.
const PIPELINED_MAX: usize = 1024;
const EVENTS: usize = 1024;
const BACKLOG: i32 = 4096;

fn main() -> io::Result<()> {
    let mut args = Args::from_env(USAGE);
    let port: u16 = args.require("port");
    let threads: usize = args.take("threads", 1);
    let mode = args.take("mode", "noscan".to_owned());
    let response_bytes: usize = args.take("response-bytes", 153);
    args.finish();
    if mode != "scan" && mode != "noscan" {
        eprintln!("{USAGE}");
        process::exit(64);
    }
    let copies = if mode == "scan" { PIPELINED_MAX } else { 1 };
    let response = response(response_bytes).ok_or_else(|| io::Error::other("too short"))?;
    let responses: &'static [u8] = response.repeat(copies).leak();
    let workers: Vec<_> = (0..threads)
        .map(|_| thread::spawn(move || serve(port, responses, responses.len() / copies)))
        .collect();
    for worker in workers {
        worker
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("panic")))?;
    }
    Ok(())
}

/// A response of exactly `total_bytes`, or `None` if no head fits.
///
/// The longest body that fits is taken; where the head grows by a digit the Server name fills the
/// byte that is left.
fn response(total_bytes: usize) -> Option<Vec<u8>> {
    let with_body = |body_bytes: usize, server: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nServer: {server}\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Content-Type: text/plain\r\nContent-Length: {body_bytes}\r\n\r\n{}",
            fixed_body(body_bytes)
        )
    };
    (0..total_bytes).rev().find_map(|body_bytes| {
        let unfilled = total_bytes.checked_sub(with_body(body_bytes, "R").len())?;
        Some(with_body(body_bytes, &"R".repeat(1 + unfilled)).into_bytes())
    })
}

fn serve(port: u16, responses: &[u8], response_bytes: usize) -> io::Result<()> {
    let listener = listen(port)?;
    // SAFETY: no pointers involved.
    let epoll = sys::check(unsafe { libc::epoll_create1(0) } as isize)? as i32;
    watch(epoll, listener, libc::EPOLLIN)?;
    let finder = Finder::new(b"\r\n\r\n");
    let scan = responses.len() > response_bytes;
    let mut buffer = vec![0; READ_BYTES];
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    loop {
        // SAFETY: pointer and count describe `events`, exclusively borrowed for the call.
        let ready =
            unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), EVENTS as i32, -1) }.max(0);
        for event in &events[..ready as usize] {
            let fd = event.u64 as i32;
            if fd == listener {
                accept(epoll, listener);
                continue;
            }
            // SAFETY: pointer and length describe `buffer`, exclusively borrowed for the call.
            let n = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), READ_BYTES, 0) };
            let Ok(n) = sys::check(n) else {
                close_unless_waiting(fd);
                continue;
            };
            if n == 0 {
                close(fd);
                continue;
            }
            let count = match scan {
                true => finder.find_iter(&buffer[..n]).count().min(PIPELINED_MAX),
                false => 1,
            };
            let out = &responses[..count * response_bytes];
            // SAFETY: pointer and length describe `out`. The result is not looked at: a client that
            // does not read is none of this server's business.
            unsafe { libc::send(fd, out.as_ptr().cast(), out.len(), libc::MSG_NOSIGNAL) };
        }
    }
}

fn listen(port: u16) -> io::Result<i32> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into_raw_fd())
}

fn watch(epoll: i32, fd: i32, interest: i32) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: interest as u32,
        u64: fd as u64,
    };
    // SAFETY: `event` outlives the call.
    sys::check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) } as isize)?;
    Ok(())
}

fn accept(epoll: i32, listener: i32) {
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

fn close_unless_waiting(fd: i32) {
    if io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock {
        close(fd);
    }
}

fn close(fd: i32) {
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
