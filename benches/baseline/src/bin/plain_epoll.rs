//! A plain epoll server: read, scan, write, no checks. Like the leaders of public benchmarks without io_uring.
//!
//! As `raw_epoll`, one thread = one SO_REUSEPORT listener + one edge-triggered epoll instance, one recv and one send per
//! event. Unlike it, a request is looked at: its head is searched for its end, its target compared, an answer appended
//! for each, and what is incomplete waits for more. No limits, timeouts, fields, methods or slow readers.

use std::io;

use memchr::{memchr, memmem::Finder};
use trident_baseline::{
    args::Args,
    epoll::{accept, close, close_unless_waiting, listen, response, watch},
    on_threads, sys,
};

const USAGE: &str = "plain_epoll --port P [--threads 1] [--response-bytes 153]";

const READ_BYTES: usize = 64 << 10;
const EVENTS: usize = 1024;
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

fn main() -> io::Result<()> {
    let mut args = Args::from_env(USAGE);
    let port: u16 = args.require("port");
    let threads: usize = args.take("threads", 1);
    let response_bytes: usize = args.take("response-bytes", 153);
    args.finish();
    let answer = response(response_bytes).ok_or_else(|| io::Error::other("too short"))?;
    let answer: &'static [u8] = answer.leak();
    on_threads(threads, move || Worker::new(port, answer)?.run())
}

struct Worker {
    listener: i32,
    epoll: i32,
    answer: &'static [u8],
    end: Finder<'static>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// By descriptor: the beginning of a request.
    begun: Vec<Vec<u8>>,
}

impl Worker {
    fn new(port: u16, answer: &'static [u8]) -> io::Result<Self> {
        let listener = listen(port)?;
        // SAFETY: no pointers involved.
        let epoll = sys::check(unsafe { libc::epoll_create1(0) } as isize)? as i32;
        watch(epoll, listener, libc::EPOLLIN)?;
        Ok(Self {
            listener,
            epoll,
            answer,
            end: Finder::new(b"\r\n\r\n"),
            input: vec![0; READ_BYTES],
            output: Vec::new(),
            begun: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        loop {
            // SAFETY: pointer and count describe `events`, exclusively borrowed for the call.
            let ready =
                unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), EVENTS as i32, -1) };
            for event in &events[..ready.max(0) as usize] {
                let fd = event.u64 as i32;
                if fd == self.listener {
                    accept(self.epoll, self.listener);
                } else {
                    self.serve(fd);
                }
            }
        }
    }

    fn serve(&mut self, fd: i32) {
        let input = &mut self.input;
        // SAFETY: pointer and length describe `input`, exclusively borrowed for the call.
        let n = unsafe { libc::recv(fd, input.as_mut_ptr().cast(), READ_BYTES, 0) };
        let Ok(n) = sys::check(n) else {
            return close_unless_waiting(fd);
        };
        if self.begun.len() <= fd as usize {
            self.begun.resize_with(fd as usize + 1, Vec::new);
        }
        let begun = &mut self.begun[fd as usize];
        if n == 0 {
            begun.clear();
            return close(fd);
        }
        self.output.clear();
        if begun.is_empty() {
            let used = answer(&input[..n], &self.end, self.answer, &mut self.output);
            begun.extend_from_slice(&input[used..n]);
        } else {
            begun.extend_from_slice(&input[..n]);
            let used = answer(begun, &self.end, self.answer, &mut self.output);
            begun.drain(..used);
        }
        let output = &self.output;
        // SAFETY: pointer and length describe `output`. The result is ignored: clients that do not read are out of
        // scope.
        unsafe { libc::send(fd, output.as_ptr().cast(), output.len(), libc::MSG_NOSIGNAL) };
    }
}

/// Appends an answer for each complete request in `bytes`; returns the bytes used.
fn answer(bytes: &[u8], end: &Finder<'_>, answer: &[u8], output: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(length) = end.find(&bytes[at..]) {
        let target = bytes[at..].get(4..).unwrap_or_default();
        let target = &target[..memchr(b' ', target).unwrap_or(0)];
        output.extend_from_slice(match target {
            b"/healthz" => answer,
            _ if target.starts_with(b"/healthz?") => answer,
            _ => NOT_FOUND,
        });
        at += length + 4;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complete_request_is_answered() {
        let end = Finder::new(b"\r\n\r\n");
        let mut output = Vec::new();
        let bytes = b"GET /healthz HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\nGET /healthz?a HTTP/1.1\r\n\r\nGET /healthz HT";
        let used = answer(bytes, &end, b"!", &mut output);
        assert_eq!(&bytes[used..], b"GET /healthz HT");
        assert_eq!(output, [b"!", NOT_FOUND, b"!"].concat());
    }
}
