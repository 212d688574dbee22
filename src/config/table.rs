//! The table of all settings, and nothing but the table.
//!
//! A setting is one entry here and one field in an options struct. File parsing, environment,
//! flags, help, man page, `check-config` and `config/trident.toml` all follow from it. Sections are
//! contiguous, settings without a section first: that is the order of the file.

use super::{
    field::Rule,
    setting::{Secrecy, Setting},
};

/// The common case, to be completed.
const PLAIN: Setting = Setting {
    key: "",
    flag: None,
    env: None,
    field: |draft| &mut draft.log.level,
    rule: Rule::Any,
    secrecy: Secrecy::Public,
    summary: "",
    reason: "",
};

const fn integer(min: u64, max: u64) -> Rule {
    Rule::Integer { min, max, step: 1 }
}

/// A timeout: there is always one, and none is longer than a day.
const TIMEOUT_MS: Rule = integer(1, 86_400_000);

/// Every setting, in the order of the file.
pub static SETTINGS: &[Setting] = &[
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
        flag: Some(("cache-bytes", "N")),
        field: |draft| &mut draft.app.cache_bytes,
        rule: integer(0, 1 << 40),
        summary: "memory for all answer caches together; 0 = none",
        reason: "A cache helps only where the same request comes again; the hit rate is in the \
                 metrics.",
        ..PLAIN
    },
    Setting {
        key: "admin_token",
        field: |draft| &mut draft.serve.site.token,
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
        field: |draft| &mut draft.serve.site.hosts,
        summary: "names the admin address is reached by, separated by commas",
        reason: "Addresses and names without a dot need not be listed. Any other name in Host is \
                 refused except for metrics and health checks: a page on the web could have its own \
                 name resolve to this machine.",
        ..PLAIN
    },
    Setting {
        key: "drain.accept_ms",
        field: |draft| &mut draft.serve.drain_accept,
        rule: integer(0, 3_600_000),
        summary: "after a stop signal: how long new connections are still accepted",
        reason: "Readiness fails and every answer says `Connection: close` at once; accepting goes \
                 on until the balancer has noticed. Longer than its check interval times its \
                 threshold: 5 s x 2 for an NLB.",
        ..PLAIN
    },
    Setting {
        key: "drain.deadline_ms",
        field: |draft| &mut draft.serve.drain_deadline,
        rule: integer(1, 3_600_000),
        summary: "after a stop signal: when the process ends, whatever is still in flight",
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
        reason: "Raise it together with http.body_bytes_max for slow links.",
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
        summary: "time without progress while a client does not read its answers; reset after",
        reason: "What waits is bounded by http.write_buffer_bytes_max for each such client.",
        ..PLAIN
    },
    Setting {
        key: "http.linger_timeout_ms",
        field: |draft| &mut draft.serve.limits.linger_timeout,
        rule: TIMEOUT_MS,
        summary: "time the peer's bytes are dropped after the last answer; closed after",
        reason: "Closing while the peer still sends would reset the connection and with it the answer \
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
        reason: "Incomplete requests and unread answers. Keeps many slow clients with large bodies \
                 from taking all memory.",
        ..PLAIN
    },
    Setting {
        key: "team.name",
        flag: Some(("team", "NAME")),
        field: |draft| &mut draft.app.team_name,
        rule: Rule::Text {
            holds: is_identity,
            allowed: IDENTITY,
        },
        summary: "team name: first field of every answer",
        reason: "The first line of an answer is NAME,ACCOUNT. The name also goes into every auth \
                 token.",
        ..PLAIN
    },
    Setting {
        key: "team.aws_account",
        flag: Some(("aws-account", "ID")),
        field: |draft| &mut draft.app.aws_account,
        rule: Rule::Text {
            holds: is_identity,
            allowed: IDENTITY,
        },
        summary: "AWS account: second field of every answer",
        reason: "Twelve digits, in quotes in the file: as a number it would lose leading zeros. A \
                 warning tells when it is something else.",
        ..PLAIN
    },
    Setting {
        key: "blockchain.modulus",
        field: |draft| &mut draft.app.blockchain.modulus,
        rule: Rule::Decimal {
            min: 3,
            digits_max: 1233,
        },
        summary: "RSA modulus shared by all accounts, decimal",
        reason: "The default is the protocol's. Below 2^63 signatures take the fast path; up to \
                 4096 bits work. A warning tells when modulus, account and private exponent do not \
                 belong together.",
        ..PLAIN
    },
    Setting {
        key: "blockchain.team_account",
        field: |draft| &mut draft.app.blockchain.team_account,
        rule: Rule::Decimal {
            min: 1,
            digits_max: 19,
        },
        summary: "the team's account, which is also its public exponent, decimal, below 2^63",
        reason: "Receives the reward of every new block.",
        ..PLAIN
    },
    Setting {
        key: "blockchain.team_private_exponent",
        field: |draft| &mut draft.app.blockchain.team_private_exponent,
        rule: Rule::Decimal {
            min: 1,
            digits_max: 1233,
        },
        secrecy: Secrecy::Hidden,
        summary: "the team's private exponent, decimal",
        reason: "Signs the team's own transactions. The default is public; another value is not \
                 printed. Prefer the environment: other users of the machine can read a command \
                 line.",
        ..PLAIN
    },
    Setting {
        key: "blockchain.inflated_bytes_max",
        field: |draft| &mut draft.app.blockchain.inflated_bytes_max,
        rule: integer(1024, 1 << 30),
        summary: "most bytes a request's JSON may inflate to; INVALID above",
        reason: "A kilobyte of zlib can hold a megabyte of zeros. Genuine requests have one or two \
                 kilobytes; at the default bound the worst request holds a worker for some \
                 milliseconds.",
        ..PLAIN
    },
    Setting {
        key: "blockchain.mining_tries_max",
        field: |draft| &mut draft.app.blockchain.mining_tries_max,
        rule: integer(1, 1 << 32),
        summary: "most hashes tried for one new block; INVALID above",
        reason: "Genuine targets need 16 to 37 tries, three-digit ones some 600. The default is over \
                 after a millisecond or two, during which the worker's other connections wait.",
        ..PLAIN
    },
    Setting {
        key: "blockchain.compression_level",
        field: |draft| &mut draft.app.blockchain.compression_level,
        rule: integer(0, 9),
        summary: "deflate level of the answer: 0 stored, 1 fastest, 9 smallest",
        reason: "Readers accept every level. Level 1 is Trident's own one-pass encoder; the levels \
                 above cost several times its time and pay only where the network is the bottleneck.",
        ..PLAIN
    },
    Setting {
        key: "auth.mode",
        field: |draft| &mut draft.app.auth.mode,
        summary: "who computes tokens: \"embedded\" = this process, \"rest\" = auth.url",
        reason: "Embedded needs no network. Use rest where tokens must come from an authority \
                 that exists already.",
        ..PLAIN
    },
    Setting {
        key: "auth.key",
        field: |draft| &mut draft.app.auth.key,
        secrecy: Secrecy::Environment,
        summary: "key of the embedded authority, 64 hex digits; environment only",
        reason: "Make one with `openssl rand -hex 32`. Every instance of a fleet needs the same. \
                 Without a key a random one is made at start: tokens then do not survive a \
                 restart. Never printed, never taken from a flag or from the configuration file; \
                 auth.key_file is the other way.",
        ..PLAIN
    },
    Setting {
        key: "auth.key_file",
        field: |draft| &mut draft.auth_key_file,
        summary: "file that holds the key instead of TRIDENT_AUTH_KEY",
        reason: "64 hex digits and nothing else but white space. A warning tells when its \
                 permissions are wider than 0640.",
        ..PLAIN
    },
    Setting {
        key: "auth.url",
        field: |draft| &mut draft.app.auth.rest.url,
        rule: Rule::Text {
            holds: is_http_url,
            allowed: HTTP_URL,
        },
        summary: "address of the external authority; needed when auth.mode is \"rest\"",
        reason: "For example http://auth:9000/rest_auth. There is no TLS: the authority belongs \
                 into the same private network.",
        ..PLAIN
    },
    Setting {
        key: "auth.deadline_ms",
        field: |draft| &mut draft.app.auth.rest.deadline,
        rule: integer(1, 60_000),
        summary: "time the external authority has to answer, the retry included",
        reason: "After it the decode is answered INVALID.",
        ..PLAIN
    },
    Setting {
        key: "auth.connections_max",
        field: |draft| &mut draft.app.auth.rest.connections_max,
        rule: integer(1, 1024),
        summary: "connections to the external authority, hence calls under way at once",
        reason: "Each has a thread of its own, so that a slow authority stalls nobody else.",
        ..PLAIN
    },
    Setting {
        key: "auth.queue_max",
        field: |draft| &mut draft.app.auth.rest.queue_max,
        rule: integer(0, 1_000_000),
        summary: "calls that may wait for a connection; one more is refused at once",
        reason: "A full queue means that the authority is too slow; waiting longer would not help.",
        ..PLAIN
    },
    Setting {
        key: "twitter.store",
        flag: Some(("twitter-store", "DIR")),
        field: |draft| &mut draft.app.twitter.store,
        summary: "store of /twitter, or mysql:// URL; empty = sample",
        reason: "A directory made by `trident etl`. Relative paths start at the working directory. \
                 Opened before the first port is bound, and again on SIGHUP or POST /admin/reload: put \
                 a new store under this name, or point this symbolic link to it, then reload; no \
                 request fails. Never copy over a store in use. Or MariaDB or MySQL, filled by \
                 `trident etl load`: mysql://USER:PASSWORD@HOST:PORT/DATABASE, see \
                 docs/twitter-mysql.md. The password is never printed; give the address in the \
                 environment, because other users of the machine can read a command line. Empty is \
                 the small built-in sample.",
        ..PLAIN
    },
    Setting {
        key: "twitter.cache_bytes",
        field: |draft| &mut draft.app.twitter.mysql.cache_bytes,
        rule: integer(0, 1 << 40),
        summary: "memory for users of a store in a database; 0 = none",
        reason: "One 16th of it holds the ids of users that do not exist. What is cached is also \
                 served while the database is down. A value above one 64th is not kept. A store in a \
                 directory needs no cache. Changed while running by POST /admin/cache.",
        ..PLAIN
    },
    Setting {
        key: "twitter.cache_policy",
        field: |draft| &mut draft.app.twitter.mysql.cache_policy,
        summary: "which user leaves that cache for another one",
        reason: "\"lru\" drops the one asked for least recently; \"random\" drops any, which keeps a \
                 share of hits when more users are asked for in turn than fit.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_connections_max",
        field: |draft| &mut draft.app.twitter.mysql.connections_max,
        rule: integer(1, 256),
        summary: "connections to the database that look users up",
        reason: "One more watches for new data. Lookups that come while all are busy share the next \
                 statement, so few connections make large, cheap statements; raise it when the \
                 database reads from disk.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_batch_max",
        field: |draft| &mut draft.app.twitter.mysql.batch_max,
        rule: integer(1, 1024),
        summary: "users that one statement asks for",
        reason: "Statements are prepared for powers of two.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_queue_max",
        field: |draft| &mut draft.app.twitter.mysql.queue_max,
        rule: integer(1, 1_000_000),
        summary: "lookups that may wait for the database; one more gets 503",
        reason: "Those that are being asked for are counted. What the database answers within \
                 twitter.mysql_deadline_ms is the most that can be of use.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_deadline_ms",
        field: |draft| &mut draft.app.twitter.mysql.deadline,
        rule: integer(1, 60_000),
        summary: "time a lookup may take, waiting included; 503 after",
        reason: "A connection that has not answered for so long is replaced. While the database is \
                 known to be down the 503 comes at once.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_connect_timeout_ms",
        field: |draft| &mut draft.app.twitter.mysql.connect_timeout,
        rule: integer(1, 60_000),
        summary: "time for a connection to be made and the schema checked",
        reason: "Also how long the start waits for a database that does not answer; then everything \
                 else is served, and readiness waits for it.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_check_ms",
        field: |draft| &mut draft.app.twitter.mysql.check_interval,
        rule: integer(1, 3_600_000),
        summary: "time between two looks for new data in the database",
        reason: "How long users in the cache may be older than the table after a load. SIGHUP and POST \
                 /admin/reload look at once.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_outage_unready",
        field: |draft| &mut draft.app.twitter.mysql.outage_unready,
        summary: "whether an outage of the database makes /readyz fail",
        reason: "Readiness always waits for the first connection. A later outage meets every instance at \
                 once: were all of them unready, a balancer would have nobody to send cached users and \
                 the other endpoints to. Turn it on where each instance has a database of its own.",
        ..PLAIN
    },
    Setting {
        key: "twitter.nothing_to_list",
        field: |draft| &mut draft.app.twitter.nothing_to_list,
        summary: "what /twitter answers for a user without contacts to list",
        reason: "For unknown users and for users without a contact of the requested type: the first \
                 line and INVALID, the first line without its newline, or the first line with its \
                 newline.",
        ..PLAIN
    },
    Setting {
        key: "twitter.ingest",
        field: |draft| &mut draft.app.twitter.ingest.access,
        summary: "who may POST /twitter/tweets: \"off\", \"admin\" or \"public\"",
        reason: "Takes tweets into the store while it serves; the store must keep history. Off by \
                 default because it writes beside the store. \"admin\": on the admin address only. \
                 \"public\": on every address; nothing authenticates the sender.",
        ..PLAIN
    },
    Setting {
        key: "twitter.ingest_inflated_bytes_max",
        field: |draft| &mut draft.app.twitter.ingest.inflated_bytes_max,
        rule: integer(1 << 10, 1 << 32),
        summary: "most bytes of a batch of tweets once inflated; 413 above",
        reason: "What is sent is bounded by http.body_bytes_max. One batch at a time is inflated, and \
                 takes about three times this in memory.",
        ..PLAIN
    },
    Setting {
        key: "twitter.ingest_queue_max",
        field: |draft| &mut draft.app.twitter.ingest.queue_max,
        rule: integer(1, 10_000),
        summary: "batches of tweets that may wait; one more gets 503 at once",
        reason: "Batches are written one after the other. Each that waits holds its body, as sent.",
        ..PLAIN
    },
    Setting {
        key: "twitter.ingest_value_bytes_max",
        field: |draft| &mut draft.app.twitter.ingest.value_bytes_max,
        rule: integer(4 << 10, 1 << 32),
        summary: "largest value of one user that a batch may lead to; 422 above",
        reason: "Every batch that concerns a user writes the user's whole value. `trident etl` has no \
                 such limit but the format's 4 GiB.",
        ..PLAIN
    },
    Setting {
        key: "twitter.updates_bytes_max",
        field: |draft| &mut draft.app.twitter.ingest.updates_bytes_max,
        rule: integer(1 << 20, 1 << 40),
        summary: "most bytes of a store's updates on disk; 507 above",
        reason: "Address space that is reserved at the start; the file grows as it fills. \
                 `trident store fold` makes one store of the store and its updates.",
        ..PLAIN
    },
    Setting {
        key: "metrics.histograms",
        field: |draft| &mut draft.serve.measure.histograms,
        summary: "measure latencies by endpoint",
        reason: "Three reads of the processor's time counter for a request that comes alone, one for \
                 a pipelined one: 1.2 % of a fixed answer. Off, there is no log of slow \
                 requests either.",
        ..PLAIN
    },
    Setting {
        key: "profile.on",
        flag: Some(("profile-on", "SIGNAL")),
        field: |draft| &mut draft.serve.site.profile.on,
        rule: Rule::Text {
            holds: is_user_signal,
            allowed: "\"SIGUSR1\", \"SIGUSR2\" or \"\" for none",
        },
        summary: "signal for a flame graph of the next seconds",
        reason: "Into a file trident-PROCESS-TIME.svg. The signal is ignored while a recording is under \
                 way; without this setting it ends the process, as signals do.",
        ..PLAIN
    },
    Setting {
        key: "profile.seconds",
        field: |draft| &mut draft.serve.site.profile.seconds,
        rule: integer(1, crate::admin::profile::SECONDS_MAX),
        summary: "how long such a recording takes",
        reason: "199 samples are taken in a second of processor time.",
        ..PLAIN
    },
    Setting {
        key: "profile.directory",
        field: |draft| &mut draft.serve.site.profile.directory,
        summary: "where its file goes; empty = the directory for temporary files",
        reason: "The process needs permission to make files there.",
        ..PLAIN
    },
    Setting {
        key: "log.level",
        flag: Some(("log-level", "LEVEL")),
        env: Some("TRIDENT_LOG"),
        field: |draft| &mut draft.log.level,
        rule: Rule::Text {
            holds: crate::log::is_filter,
            allowed: LOG_LEVEL,
        },
        summary: "levels logged: off, error, warn, info, debug, trace",
        reason: "Levels by module follow a comma: info,trident::http=debug. Only changes of state \
                 are logged, never single requests.",
        ..PLAIN
    },
    Setting {
        key: "log.format",
        field: |draft| &mut draft.log.format,
        summary: "how it is logged to standard error: \"text\" or \"json\"",
        reason: "Text is one line of key=value fields per event, in colour on a terminal unless \
                 NO_COLOR is set. JSON is one object per line.",
        ..PLAIN
    },
    Setting {
        key: "log.slow_request_ms",
        field: |draft| &mut draft.serve.measure.slow,
        rule: integer(0, 86_400_000),
        summary: "requests that take as long as this are logged; 0 = none",
        reason: "From having read a request to having written its answer. At most one line a second, with \
                 endpoint, sizes and stage times; the metrics count all of them. Waiting for an \
                 external authority does not count.",
        ..PLAIN
    },
];

fn is_user_signal(text: &str) -> bool {
    matches!(text, "" | "SIGUSR1" | "SIGUSR2")
}

const TOKEN: &str = "16 to 256 visible ASCII characters, in quotes, or \"\" for none";

/// What an HTTP field can carry, and nobody guesses.
fn is_token(text: &str) -> bool {
    text.is_empty()
        || (16..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

const IDENTITY: &str = "a text of 1 to 64 bytes without commas and control characters, in quotes";

/// The first line of an answer is `name,account`: a comma or a line end would break it.
fn is_identity(text: &str) -> bool {
    (1..=64).contains(&text.len()) && !text.contains(|c: char| c == ',' || c.is_control())
}

const HTTP_URL: &str = "http://HOST[:PORT]/PATH without user and password, https not being built in, \
                        or \"\" for none";

/// User and password would be printed with the rest of the address.
fn is_http_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else {
        return text.is_empty();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !authority.is_empty()
        && !authority.starts_with(':')
        && !authority.contains('@')
        && rest.bytes().all(|b| b.is_ascii_graphic())
}

const LOG_LEVEL: &str =
    "off, error, warn, info, debug or trace, or MODULE=LEVEL, separated by commas";
