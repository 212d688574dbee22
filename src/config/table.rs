//! The table of all settings, and nothing but the table.
//!
//! A setting is one entry here and one field in an options struct. File parsing, environment,
//! flags, help, man page, `check-config` and `config/trident.toml` all follow from it. Sections are
//! contiguous, settings without a section first: that is the order of the file.
//!
//! The second half of the entries is in `endpoints`; `entry` has what most entries share.

use super::{
    field::Rule,
    setting::{Secrecy, Setting},
};
use entry::{PLAIN, TIMEOUT_MS, TOKEN, integer, is_token};

mod endpoints;
mod entry;

/// Every setting, in the order of the file.
pub static SETTINGS: &[Setting] =
    &joined::<{ SERVER.len() + endpoints::SETTINGS.len() }>(SERVER, endpoints::SETTINGS);

/// The setting named `key`.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Both halves of the table in one.
const fn joined<const N: usize>(first: &[Setting], second: &[Setting]) -> [Setting; N] {
    let mut all = [PLAIN; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < first.len() {
            first[index]
        } else {
            second[index - first.len()]
        };
        index += 1;
    }
    all
}

/// The server: sockets, limits, timeouts.
const SERVER: &[Setting] = &[
    Setting {
        key: "listen",
        flag: Some(("listen", "ADDR:PORT")),
        field: |draft| &mut draft.serve.listen,
        summary: "address and port to serve on; repeatable",
        reason: "Give the flag several times, a list in the file, or commas in the environment to \
                 serve on several. Port 0 lets the kernel choose. Sockets passed in by systemd \
                 take the place of this list.",
        ..PLAIN
    },
    Setting {
        key: "admin",
        flag: Some(("admin", "ADDR:PORT")),
        field: |draft| &mut draft.serve.admin,
        summary: "address and port of the admin listener, or \"off\"",
        reason: "Metrics and state for operators, on the loopback interface so that only this \
                 machine sees them. The health checks /healthz and /readyz are answered on both \
                 listeners.",
        ..PLAIN
    },
    Setting {
        key: "workers",
        flag: Some(("workers", "N")),
        field: |draft| &mut draft.serve.workers,
        rule: integer(0, 1024),
        summary: "worker threads; 0 = one per processor",
        reason: "Each has its own event loop; a connection stays on one worker for life. More workers than processors only add \
                 context switches; fewer leave processors to other programs.",
        ..PLAIN
    },
    Setting {
        key: "pin_workers",
        field: |draft| &mut draft.serve.pin_workers,
        summary: "pin each worker thread to one processor",
        reason: "Pinning keeps a worker's connections in one cache. Turn it off where other \
                 programs are pinned to the same processors.",
        ..PLAIN
    },
    Setting {
        key: "stack_bytes",
        field: |draft| &mut draft.serve.stack_bytes,
        rule: Rule::Integer {
            min: 32_768,
            max: 8_388_608,
            step: 4096,
        },
        summary: "stack of one connection's coroutine",
        reason: "Whole pages of 4096 bytes. Only pages that were touched occupy memory. The minimum \
                 leaves room for a panic that prints its backtrace, about 21,000 bytes.",
        ..PLAIN
    },
    Setting {
        key: "backlog",
        field: |draft| &mut draft.serve.backlog,
        rule: integer(1, 65_535),
        summary: "connections the kernel keeps waiting for the accept loop",
        reason: "The kernel cuts it to net.core.somaxconn, 4096 by default.",
        ..PLAIN
    },
    Setting {
        key: "cache_bytes",
        flag: Some(("cache-bytes", "BYTES")),
        field: |draft| &mut draft.app.cache_bytes,
        rule: integer(0, 1 << 40),
        summary: "memory for all answer caches together; 0 = none",
        reason: "A cache helps only where the same request comes again; the hit rate is in the \
                 metrics.",
        ..PLAIN
    },
    Setting {
        key: "admin_token",
        field: |draft| &mut draft.serve.operator.token,
        rule: Rule::Text {
            holds: is_token,
            allowed: TOKEN,
        },
        secrecy: Secrecy::Hidden,
        summary: "token for the controls on the admin address; \"\" = they are off",
        reason: "Whoever sends it may set and clear the cache, reload the store and drain the \
                 server. `openssl rand -hex 16` makes one. Prefer the environment: other users of \
                 the machine can read a command line.",
        ..PLAIN
    },
    Setting {
        key: "admin_hosts",
        field: |draft| &mut draft.serve.operator.hosts,
        summary: "names the admin address is reached by, separated by commas",
        reason: "Addresses and names without a dot need not be listed. Any other name in Host is \
                 refused except for metrics and health checks: a page on the web could have its own \
                 name resolve to this machine.",
        ..PLAIN
    },
    Setting {
        key: "drain.accept_ms",
        field: |draft| &mut draft.serve.drain.accept,
        rule: integer(0, 3_600_000),
        summary: "after SIGTERM: how long new connections are accepted at least",
        reason: "Readiness fails and every answer says `Connection: close` at once; accepting goes \
                 on until the balancer directs nothing here any more. An NLB notices after 13 s \
                 (checks of 5 s, twice, and a timeout of 3 s) and was seen to direct connections \
                 for 40 s more; the default has a quarter more than that. After SIGINT accepting \
                 ends as soon as nobody is connected.",
        ..PLAIN
    },
    Setting {
        key: "drain.quiet_ms",
        field: |draft| &mut draft.serve.drain.quiet,
        rule: integer(0, 3_600_000),
        summary: "then accepting goes on until nobody has asked for this long",
        reason: "Health checks do not count. 0 = accepting ends after drain.accept_ms.",
        ..PLAIN
    },
    Setting {
        key: "drain.finish_ms",
        field: |draft| &mut draft.serve.drain.finish,
        rule: integer(0, 3_600_000),
        summary: "time before drain.deadline_ms in which requests in flight are finished",
        reason: "Accepting ends then, even if clients still connect; not before drain.accept_ms has passed.",
        ..PLAIN
    },
    Setting {
        key: "drain.deadline_ms",
        field: |draft| &mut draft.serve.drain.deadline,
        rule: integer(1, 3_600_000),
        summary: "after a stop signal: when the process ends, even with requests in flight",
        reason: "Counted from the signal like drain.accept_ms, and longer than it. Keep it below \
                 the service manager's own limit (TimeoutStopSec in systemd).",
        ..PLAIN
    },
    Setting {
        key: "http.request_line_bytes_max",
        field: |draft| &mut draft.serve.limits.request_line_bytes_max,
        rule: integer(256, 16 << 20),
        summary: "longest request line, line end not counted; 414 above",
        reason: "RFC 9112 asks for at least 8000. The longest genuine /blockchain target is 716 \
                 bytes; the default leaves room for chains of a hundred blocks. Larger ones belong \
                 in the body of a POST.",
        ..PLAIN
    },
    Setting {
        key: "http.head_bytes_max",
        field: |draft| &mut draft.serve.limits.head_bytes_max,
        rule: integer(256, 16 << 20),
        summary: "most bytes of all header fields together; 431 above",
        reason: "Cookies and tracing headers of browsers behind proxies stay below 8 kB.",
        ..PLAIN
    },
    Setting {
        key: "http.header_count_max",
        field: |draft| &mut draft.serve.limits.header_count_max,
        rule: integer(1, 1000),
        summary: "most header fields; 431 above",
        reason: "A browser behind two proxies sends about 20.",
        ..PLAIN
    },
    Setting {
        key: "http.body_bytes_max",
        field: |draft| &mut draft.serve.limits.body_bytes_max,
        rule: integer(0, 1 << 30),
        summary: "longest request body after chunked decoding; 413 above",
        reason: "A body is held in memory while it arrives.",
        ..PLAIN
    },
    Setting {
        key: "http.chunk_overhead_bytes_max",
        field: |draft| &mut draft.serve.limits.chunk_overhead_bytes_max,
        rule: integer(0, 1 << 20),
        summary: "most bytes of chunk extensions and trailers in one body; 400 above",
        reason: "Both are read and ignored, so a client could send them without end.",
        ..PLAIN
    },
    Setting {
        key: "http.requests_per_connection_max",
        field: |draft| &mut draft.serve.limits.requests_per_connection_max,
        rule: integer(0, i64::MAX as u64),
        summary: "requests served on one connection before it is closed; 0 = no limit",
        reason: "A limit spreads long-lived clients over a growing fleet again, at the price of \
                 handshakes.",
        ..PLAIN
    },
    Setting {
        key: "http.pipelined_batch_max",
        field: |draft| &mut draft.serve.limits.pipelined_batch_max,
        rule: integer(1, 65_536),
        summary: "pipelined requests answered before the answers are written out",
        reason: "Also how long one flooding connection may hold its worker.",
        ..PLAIN
    },
    Setting {
        key: "http.turn_us",
        field: |draft| &mut draft.serve.limits.turn_us,
        rule: integer(1, 1_000_000),
        summary: "time after which a connection's turn answers no further request",
        reason: "Requests of less than a tenth of it, nearly all, are pipelined through one turn as before. A connection \
                 whose turn took as long waits behind those that use less, and each worker gives one such \
                 connection a turn before it looks at its sockets again: 64 clients that pipeline dear requests \
                 hold up a cheap one by one of these, and a dear one by one for each client before it.",
        ..PLAIN
    },
    Setting {
        key: "http.write_buffer_bytes_max",
        field: |draft| &mut draft.serve.limits.write_buffer_bytes_max,
        rule: integer(4096, 64 << 20),
        summary: "answer bytes collected before they are written out",
        reason: "Also the most that waits for a client that does not read, apart from one answer in \
                 progress.",
        ..PLAIN
    },
    Setting {
        key: "http.send_buffer_bytes",
        field: |draft| &mut draft.serve.limits.send_buffer_bytes,
        rule: integer(0, 64 << 20),
        summary: "the kernel's send buffer of a connection; 0 lets the kernel choose",
        reason: "Left alone it grows to 4 MB for each client that does not read, and a slow reader's \
                 progress shows only when a third of it has become free. Inherited listeners keep \
                 theirs (SendBuffer= in a socket unit).",
        ..PLAIN
    },
    Setting {
        key: "http.connections_max",
        field: |draft| &mut draft.serve.limits.connections_max,
        rule: integer(1, 1_000_000),
        summary: "open connections; one more gets 503 and is closed",
        reason: "Each takes a file descriptor and two memory mappings: keep it below RLIMIT_NOFILE \
                 and below half of vm.max_map_count (65530 by default). A warning tells when it \
                 is not.",
        ..PLAIN
    },
    Setting {
        key: "http.head_timeout_ms",
        field: |draft| &mut draft.serve.limits.head_timeout,
        rule: TIMEOUT_MS,
        summary: "time from the first byte of a request to the end of its head; 408 after",
        reason: "Bounds a client that sends one byte at a time. Any genuine head arrives in one \
                 packet.",
        ..PLAIN
    },
    Setting {
        key: "http.body_timeout_ms",
        field: |draft| &mut draft.serve.limits.body_timeout,
        rule: TIMEOUT_MS,
        summary: "time from the end of a head to the end of its body; 408 after",
        reason: "Starts again while the body comes at http.bytes_per_second_min, so slow links need no larger \
                 value.",
        ..PLAIN
    },
    Setting {
        key: "http.idle_timeout_ms",
        field: |draft| &mut draft.serve.limits.idle_timeout,
        rule: TIMEOUT_MS,
        summary: "time a connection may stay without a request; closed after",
        reason: "Keep it below the balancer's own idle timeout, 350 s for an NLB: the side that \
                 waits longer sends its request into a connection that is gone. A warning tells \
                 when it is not.",
        ..PLAIN
    },
    Setting {
        key: "http.write_timeout_ms",
        field: |draft| &mut draft.serve.limits.write_timeout,
        rule: TIMEOUT_MS,
        summary: "time for a client to read its answers; reset after",
        reason: "Starts again while the client reads at http.bytes_per_second_min. What waits is bounded by \
                 http.write_buffer_bytes_max for each such client.",
        ..PLAIN
    },
    Setting {
        key: "http.bytes_per_second_min",
        field: |draft| &mut draft.serve.limits.bytes_per_second_min,
        rule: integer(1, 1 << 30),
        summary: "slowest transfer that is waited for, in bytes per second",
        reason: "http.body_timeout_ms, http.write_timeout_ms and http.linger_timeout_ms start again whenever so \
                 many bytes have moved as this rate gives in their time. A byte now and then keeps no connection. \
                 What a client reads is seen when its kernel has taken about a third of http.send_buffer_bytes.",
        ..PLAIN
    },
    Setting {
        key: "http.linger_timeout_ms",
        field: |draft| &mut draft.serve.limits.linger_timeout,
        rule: TIMEOUT_MS,
        summary: "time the peer's bytes are dropped after the last answer; closed after",
        reason: "Starts again while they come at http.bytes_per_second_min, up to http.linger_bytes_max. Closing while the peer still sends would reset the connection and with it the answer \
                 on its way (RFC 9112, 9.6).",
        ..PLAIN
    },
    Setting {
        key: "http.linger_bytes_max",
        field: |draft| &mut draft.serve.limits.linger_bytes_max,
        rule: integer(0, 1 << 30),
        summary: "most bytes dropped that way on one connection",
        reason: "More than a client is likely to have sent before it reads a refusal.",
        ..PLAIN
    },
    Setting {
        key: "http.buffered_bytes_max",
        field: |draft| &mut draft.serve.limits.buffered_bytes_max,
        rule: integer(1 << 20, 1 << 40),
        summary: "most bytes that wait in all connections together; 503 above",
        reason: "Incomplete requests and unread answers, with the room their buffers keep for more. Keeps many slow \
                 clients with large bodies from taking all memory.",
        ..PLAIN
    },
];
