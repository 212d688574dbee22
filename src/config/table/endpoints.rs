//! The second half of the table: team, endpoints, stores, metrics, profiles and log.

use super::entry::{
    HTTP_URL, IDENTITY, LOG_LEVEL, PLAIN, TOKEN, integer, is_http_url, is_identity, is_token,
    is_user_signal,
};
use crate::config::{
    field::Rule,
    setting::{Secrecy, Setting},
};

/// The entries.
pub(super) const SETTINGS: &[Setting] = &[
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
                 4096 bits work, where one signature holds a worker for some 100 ms and a request \
                 with more than 16 to sign is INVALID. A warning tells when modulus, account and private exponent do not \
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
        reason: "Readers accept every level. Level 1, Trident's own one-pass encoder, sends 0.37 of \
                 the bytes of level 0; the levels above take longer for at most a hundredth fewer bytes.",
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
        summary: "connections to the external authority: the most calls under way at once",
        reason: "Each has a thread of its own, so that a slow authority stalls no other request.",
        ..PLAIN
    },
    Setting {
        key: "auth.queue_max",
        field: |draft| &mut draft.app.auth.rest.queue_max,
        rule: integer(1, 1_000_000),
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
                 `trident etl import`: mysql://USER:PASSWORD@HOST:PORT/DATABASE, see \
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
        key: "twitter.mysql_write_ms",
        field: |draft| &mut draft.app.twitter.mysql.write_timeout,
        rule: integer(1, 600_000),
        summary: "time a batch of tweets may take in the database; 503 after",
        reason: "All attempts together: a batch that meets another one, or loses its connection, is tried \
                 again from the start, after pauses that double up to a second.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_write_bytes_max",
        field: |draft| &mut draft.app.twitter.mysql.write_bytes_max,
        rule: integer(1 << 20, 1 << 40),
        summary: "bytes of records a batch may read and write there; 413 above",
        reason: "They are in memory until the batch is committed: values and states of the users in its \
                 tweets, and values of their contacts where a name or the hashtags have changed.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_changes_max",
        field: |draft| &mut draft.app.twitter.mysql.changes_max,
        rule: integer(1, 1_000_000),
        summary: "batches whose changes the database keeps",
        reason: "An instance that has missed batches drops the users that these have changed from its \
                 cache; one that has missed more than these drops all. Eight bytes a user.",
        ..PLAIN
    },
    Setting {
        key: "twitter.mysql_behind_ms",
        field: |draft| &mut draft.app.twitter.mysql.behind,
        rule: integer(0, 86_400_000),
        summary: "how long to wait for a host that has the last batch seen",
        reason: "Hosts that are behind are not asked, so that nobody gets old answers after new ones. When \
                 all are for so long, the batch counts as lost (a failover to a replica that did not have \
                 it), the log says so, and what is there is served.",
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
        key: "twitter.empty_answer",
        field: |draft| &mut draft.app.twitter.empty_answer,
        summary: "what /twitter answers for a user without contacts to list",
        reason: "For unknown users and for users without a contact of the requested type: the first \
                 line and INVALID, the first line without its newline, or the first line with its \
                 newline.",
        ..PLAIN
    },
    Setting {
        key: "twitter.ingest",
        field: |draft| &mut draft.app.twitter.ingest.access,
        summary: "which addresses take tweets and deletions: \"off\", \"admin\" or \"public\"",
        reason: "Takes tweets into the store while it serves; the store must keep history \
                 (`trident etl --keep-history`). Off by \
                 default because it writes beside the store. \"admin\": on the admin address only. \
                 \"public\": on every address; set twitter.ingest_token too.",
        ..PLAIN
    },
    Setting {
        key: "twitter.ingest_token",
        field: |draft| &mut draft.app.twitter.ingest.token,
        rule: Rule::Text {
            holds: is_token,
            allowed: TOKEN,
        },
        secrecy: Secrecy::Hidden,
        summary: "token that senders of tweets and deletions need, on every address; \"\" = none",
        reason: "Sent as `Authorization: Bearer TOKEN`; 401 without. `openssl rand -hex 16` makes one. \
                 Prefer the environment: other users of the machine can read a command line.",
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
                 a pipelined one: 1.2 % of a fixed answer. Off, two reads are left, which keep turns \
                 fair (http.turn_us), and there is no log of slow requests either.",
        ..PLAIN
    },
    Setting {
        key: "profile.on",
        flag: Some(("profile-on", "SIGNAL")),
        field: |draft| &mut draft.serve.operator.profile.on,
        rule: Rule::Text {
            holds: is_user_signal,
            allowed: "\"SIGUSR1\", \"SIGUSR2\" or \"\" for none",
        },
        summary: "signal for a flame graph of the next seconds",
        reason: "Into a file trident-PROCESS-TIME.svg. However often the signal comes while a recording is \
                 under way, one more follows; without this setting it ends the process, as signals do.",
        ..PLAIN
    },
    Setting {
        key: "profile.seconds",
        field: |draft| &mut draft.serve.operator.profile.seconds,
        rule: integer(1, crate::admin::profile::SECONDS_MAX),
        summary: "how long such a recording takes",
        reason: "199 samples are taken in a second of processor time.",
        ..PLAIN
    },
    Setting {
        key: "profile.directory",
        field: |draft| &mut draft.serve.operator.profile.directory,
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
