//! Every bound that the HTTP loop enforces, and the defaults. Each is a setting; `config/trident.toml` gives the
//! reasons.

use std::time::Duration;

/// Descriptors a process may need besides `connections_max`: connections just refused (128), to the
/// authority (up to 1024) and the database, two for each worker, listeners, store and log.
pub const OTHER_DESCRIPTORS_MAX: usize = 2048;

/// Bounds of one server. Input past a bound gets the status named beside it and never makes memory grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest request line in bytes, CRLF not counted; 414 above.
    pub request_line_bytes_max: usize,
    /// Most bytes of all field lines together; 431 above.
    pub head_bytes_max: usize,
    /// Most field lines; 431 above.
    pub header_count_max: usize,
    /// Longest request body after chunked decoding; 413 above.
    pub body_bytes_max: usize,
    /// Most bytes of chunk extensions and trailers together in one chunked body; 400 above.
    pub chunk_overhead_bytes_max: usize,
    /// Requests served on one connection before the server closes it; 0 = no limit.
    pub requests_per_connection_max: u64,
    /// Pipelined requests answered before the answers are written out.
    pub pipelined_batch_max: usize,
    /// Time in microseconds after which a turn answers no further request; the connection waits behind those that use
    /// less.
    pub turn_us: u64,
    /// Answer bytes collected before they are written out.
    pub write_buffer_bytes_max: usize,
    /// The kernel's send buffer of a connection (`SO_SNDBUF`, which the kernel doubles for its own
    /// needs); 0 lets the kernel choose. It comes on top of `write_buffer_bytes_max`.
    pub send_buffer_bytes: usize,
    /// Open connections; a further one gets 503 and is closed.
    pub connections_max: usize,
    /// Time from the first byte of a request to the end of its head; 408 after.
    pub head_timeout: Duration,
    /// Time from the end of a head to the end of its body; 408 after.
    pub body_timeout: Duration,
    /// Time a connection may stay without a request; then it is closed.
    pub idle_timeout: Duration,
    /// Time without progress while a client does not read its answers; then the connection is reset.
    pub write_timeout: Duration,
    /// Slowest transfer that is waited for, of bodies, answers and bytes dropped after a refusal. The deadline of a
    /// transfer starts again whenever it has moved as many bytes as this rate moves within the deadline's time.
    pub bytes_per_second_min: usize,
    /// How long the peer's further bytes are dropped after a refused request or `Connection: close`.
    pub linger_timeout: Duration,
    /// Most bytes dropped in that time on one connection.
    pub linger_bytes_max: usize,
    /// Most bytes of incomplete requests and unread answers in all connections together; a request
    /// that would need more gets 503.
    pub buffered_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes_max: 64 << 10,
            head_bytes_max: 16 << 10,
            header_count_max: 100,
            body_bytes_max: 1 << 20,
            chunk_overhead_bytes_max: 8 << 10,
            requests_per_connection_max: 0,
            pipelined_batch_max: 256,
            turn_us: 250,
            write_buffer_bytes_max: 256 << 10,
            send_buffer_bytes: 128 << 10,
            connections_max: 20_000,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            bytes_per_second_min: 1 << 10,
            linger_timeout: Duration::from_secs(2),
            linger_bytes_max: 2 << 20,
            buffered_bytes_max: 512 << 20,
        }
    }
}

impl Limits {
    /// Bytes that must have moved before a deadline of `timeout` starts again.
    pub(super) fn quota_bytes(&self, timeout: Duration) -> usize {
        let bytes = (self.bytes_per_second_min as u128) * timeout.as_millis() / 1000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    }
}
