//! A file of request targets, turned into request bytes and learned response lengths.
//!
//! One target per line; what follows a tab is the expected answer, for `scripts/bench` only. The
//! requests of one pipelined batch lie next to each other in one buffer, so a batch is one slice and
//! one send. Response lengths are learned once per target before the load starts: responses are
//! deterministic and a Date header keeps its length, so the load itself only has to count bytes.

use std::{
    fs, io,
    io::{Read, Write},
    net::TcpStream,
    ops::Range,
    path::Path,
    time::Duration,
};

use memchr::memmem;

/// First bytes of every response that counts as an answer.
pub const OK: &[u8] = b"HTTP/1.1 200";

/// Longest response the clients accept, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// A server that says nothing for this long in the first pass has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A connection to a server on this host, ready for [`Targets::learn`].
pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    Ok(stream)
}

/// The requests of a workload, in the order they are sent.
pub struct Targets {
    /// All requests, then the first `depth` again, so that every batch is contiguous.
    requests: Vec<u8>,
    /// Where each request starts in `requests`; one more entry for the end.
    request_starts: Vec<usize>,
    /// Sum of the response lengths before each request, same indices.
    response_starts: Vec<usize>,
    count: usize,
    depth: usize,
}

impl Targets {
    /// Reads a file of targets for batches of `depth` requests to `127.0.0.1:port`.
    pub fn read(path: &Path, depth: usize, port: u16) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| line.split('\t').next().unwrap_or(line))
            .collect();
        if lines.is_empty() || depth == 0 {
            return Err(io::Error::other("no targets, or depth 0"));
        }
        let mut requests = Vec::new();
        let mut request_starts = vec![0];
        for target in lines.iter().cycle().take(lines.len() + depth) {
            write!(
                requests,
                "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
            )?;
            request_starts.push(requests.len());
        }
        Ok(Self {
            requests,
            request_starts,
            response_starts: Vec::new(),
            count: lines.len(),
            depth,
        })
    }

    /// Sends every target once and remembers the response lengths; an answer other than 200 is an
    /// error that shows it.
    pub fn learn(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut total = 0;
        self.response_starts = vec![0];
        let mut lengths = Vec::with_capacity(self.count);
        for index in 0..self.count {
            stream.write_all(&self.requests[self.request(index)])?;
            lengths.push(read_response(stream)?);
        }
        for length in lengths.iter().cycle().take(self.count + self.depth) {
            total += length;
            self.response_starts.push(total);
        }
        Ok(())
    }

    /// Number of targets in the file.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Requests per batch.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Mean length of a request in bytes.
    pub fn request_bytes_mean(&self) -> f64 {
        self.request_starts[self.count] as f64 / self.count as f64
    }

    /// Mean length of a response in bytes, head included.
    pub fn response_bytes_mean(&self) -> f64 {
        self.response_starts[self.count] as f64 / self.count as f64
    }

    /// The bytes of the batch that starts with target `index`.
    #[inline]
    pub fn batch(&self, index: usize) -> &[u8] {
        &self.requests[self.request_starts[index]..self.request_starts[index + self.depth]]
    }

    /// Length of all responses to the batch that starts with target `index`, in bytes.
    #[inline]
    pub fn batch_response_bytes(&self, index: usize) -> usize {
        self.response_starts[index + self.depth] - self.response_starts[index]
    }

    /// The target that starts the next batch.
    #[inline]
    pub fn after_batch(&self, index: usize) -> usize {
        let next = index + self.depth;
        if next < self.count {
            next
        } else {
            next % self.count
        }
    }

    fn request(&self, index: usize) -> Range<usize> {
        self.request_starts[index]..self.request_starts[index + 1]
    }
}

/// Reads one response from a blocking stream with nothing else in flight; its length in bytes.
pub fn read_response(stream: &mut TcpStream) -> io::Result<usize> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let n = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..n]);
        let length = response_bytes(&bytes)?;
        if length == Some(bytes.len()) {
            return Ok(bytes.len());
        }
        if n == 0 || bytes.len() > length.unwrap_or(RESPONSE_BYTES_MAX) {
            return Err(refused(&bytes));
        }
    }
}

/// Length of the response at the start of `bytes`, from its Content-Length; `None` = head
/// incomplete.
fn response_bytes(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head_end) = memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &bytes[..head_end];
    let length = head.split(|&b| b == b'\n').find_map(content_length);
    match length {
        Some(length) if head.starts_with(OK) => Ok(Some(head_end + 4 + length)),
        _ => Err(refused(bytes)),
    }
}

fn content_length(line: &[u8]) -> Option<usize> {
    let (name, value) = line.split_at_checked("content-length:".len())?;
    if !name.eq_ignore_ascii_case(b"content-length:") {
        return None;
    }
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// An error that shows the response nobody wanted.
pub fn refused(bytes: &[u8]) -> io::Error {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]);
    io::Error::other(format!("not a 200 answer: {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_head_and_body() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length:  5\r\n\r\n";
        assert_eq!(response_bytes(head).unwrap(), Some(head.len() + 5));
        assert_eq!(response_bytes(&head[..20]).unwrap(), None);
    }

    #[test]
    fn other_status_or_no_length_is_refused() {
        assert!(response_bytes(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(response_bytes(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
