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

use std::{io, process};

use memchr::memmem::Finder;
use trident_baseline::{
    args::Args,
    epoll::{accept, close, close_unless_waiting, listen, response, watch},
    on_threads, sys,
};

const USAGE: &str = "raw_epoll --port P [--threads 1] [--mode noscan|scan] [--response-bytes 153]";

/// One read takes at most this much; also the largest pipelined batch.
const READ_BYTES: usize = 64 << 10;
/// Most requests counted in one read: 64 KiB of the shortest requests a client here sends.
const PIPELINED_MAX: usize = 1024;
const EVENTS: usize = 1024;

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
    on_threads(threads, move || {
        serve(port, responses, responses.len() / copies)
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
            let count = if scan {
                finder.find_iter(&buffer[..n]).count().min(PIPELINED_MAX)
            } else {
                1
            };
            let out = &responses[..count * response_bytes];
            // SAFETY: pointer and length describe `out`. The result is ignored: clients that do not read are out of
            // scope.
            unsafe { libc::send(fd, out.as_ptr().cast(), out.len(), libc::MSG_NOSIGNAL) };
        }
    }
}
