//! The names table: every family, its labels and the question it answers.
//!
//! Series of a family are together; names follow `trident_<noun>_<unit>_total`, without a unit if the noun
//! implies it. `docs/metrics.md` is generated from this file (`reference`); the dashboard and the alert
//! rules may use only these names.

use std::fmt;

use super::series::{Label, label_values, series, write_labels};

label_values! {
    /// The label `endpoint` of a request.
    Endpoint {
        /// `/blockchain`.
        Blockchain = "blockchain",
        /// `/qrcode?type=encode` without a picture format.
        QrEncode = "qrcode_encode",
        /// `/qrcode?type=decode`.
        QrDecode = "qrcode_decode",
        /// `/qrcode?type=encode` as a picture.
        QrPicture = "qrcode_picture",
        /// `/qrcode` with parameters that ask for none of these.
        QrOther = "qrcode_other",
        /// `/twitter`.
        Twitter = "twitter",
        /// `/twitter/tweets`.
        Tweets = "tweets",
        /// `/rest_auth`.
        RestAuth = "rest_auth",
        /// `/rest_verify`.
        RestVerify = "rest_verify",
        /// Everything else: pages, health checks, unknown paths.
        Other = "other",
        /// The operator: live page, metrics, state, history and controls of the admin address. Does not count as
        /// traffic.
        Admin = "admin",
    }
}

label_values! {
    /// How a request was answered: the label `outcome` of `trident_requests_total`.
    Outcome {
        /// 200 with a result.
        Valid = "valid",
        /// 200 with nothing to list.
        Empty = "empty",
        /// 200 with INVALID.
        Invalid = "invalid",
        /// A status of 400 to 499.
        ClientError = "4xx",
        /// A status of 500 or more.
        ServerError = "5xx",
    }
}

/// The series of requests first: their labels are typed, because `turn` and the live page read them.
macro_rules! counters {
    ($family:literal, $help:literal { $($request:ident = $endpoint:ident, $outcome:ident;)* } $($other:tt)*) => {
        series! {
            /// A counter.
            Counter;
            $family, $help {
                $($request {
                    endpoint: Endpoint::$endpoint.name(),
                    outcome: Outcome::$outcome.name()
                },)*
            }
            $($other)*
        }

        impl Counter {
            /// The endpoint of a series of requests; `Other` for every other counter.
            pub const fn endpoint(self) -> Endpoint {
                match self {
                    $(Self::$request => Endpoint::$endpoint,)*
                    _ => Endpoint::Other,
                }
            }

            /// The outcome of a series of requests; `None` for every other counter.
            pub const fn outcome(self) -> Option<Outcome> {
                match self {
                    $(Self::$request => Some(Outcome::$outcome),)*
                    _ => None,
                }
            }
        }
    };
}

counters! {
    "trident_requests_total", "Requests answered by a handler, by endpoint and outcome: valid, empty and invalid are answers of 200, 4xx and 5xx are statuses." {
        BlockchainValid = Blockchain, Valid;
        BlockchainInvalid = Blockchain, Invalid;
        QrEncodeValid = QrEncode, Valid;
        QrEncodeInvalid = QrEncode, Invalid;
        QrDecodeValid = QrDecode, Valid;
        QrDecodeInvalid = QrDecode, Invalid;
        QrPictureValid = QrPicture, Valid;
        QrPictureTooLong = QrPicture, ClientError;
        QrInvalid = QrOther, Invalid;
        TwitterValid = Twitter, Valid;
        TwitterEmpty = Twitter, Empty;
        TwitterInvalid = Twitter, Invalid;
        TwitterRefused = Twitter, ClientError;
        TwitterUnavailable = Twitter, ServerError;
        TweetsValid = Tweets, Valid;
        TweetsRefused = Tweets, ClientError;
        TweetsFailed = Tweets, ServerError;
        AuthIssued = RestAuth, Valid;
        AuthRefused = RestAuth, ClientError;
        AuthVerified = RestVerify, Valid;
        VerifyRefused = RestVerify, ClientError;
        OtherValid = Other, Valid;
        OtherRefused = Other, ClientError;
        OtherFailed = Other, ServerError;
        AdminValid = Admin, Valid;
        AdminRefused = Admin, ClientError;
        AdminFailed = Admin, ServerError;
    }
    "trident_connections_accepted_total", "Connections accepted." {
        ConnectionsAccepted,
    }
    "trident_connections_refused_total", "Connections answered 503 because too many were open." {
        ConnectionsRefused,
    }
    "trident_connections_closed_total", "Connections ended." {
        ConnectionsClosed,
    }
    "trident_connections_reset_total", "Connections the peer broke off: a read or a write failed." {
        ConnectionsReset,
    }
    "trident_connections_expired_total", "Connections ended by a timeout, by the phase they were in." {
        ExpiredIdle { phase: "idle" },
        ExpiredHead { phase: "head" },
        ExpiredBody { phase: "body" },
        ExpiredWrite { phase: "write" },
        ExpiredLinger { phase: "linger" },
    }
    "trident_accept_errors_total", "Connections that could not be accepted, by reason; descriptors: raise RLIMIT_NOFILE." {
        AcceptDescriptors { reason: "descriptors" },
        AcceptMemory { reason: "memory" },
        AcceptOther { reason: "other" },
    }
    "trident_request_faults_total", "Requests refused by the HTTP loop, by reason; handler_fault: a handler panicked or did not answer." {
        BadMethod { reason: "bad_method" },
        UnknownMethod { reason: "unknown_method" },
        BadTarget { reason: "bad_target" },
        BadVersion { reason: "bad_version" },
        UnsupportedVersion { reason: "unsupported_version" },
        BadPreface { reason: "bad_preface" },
        LineTooLong { reason: "line_too_long" },
        HeadTooLarge { reason: "head_too_large" },
        TooManyFields { reason: "too_many_fields" },
        BadFieldLine { reason: "bad_field_line" },
        MissingHost { reason: "missing_host" },
        RepeatedHost { reason: "repeated_host" },
        BadHost { reason: "bad_host" },
        BadContentLength { reason: "bad_content_length" },
        AmbiguousLength { reason: "ambiguous_length" },
        BadTransferEncoding { reason: "bad_transfer_encoding" },
        UnknownTransferCoding { reason: "unknown_transfer_coding" },
        BadChunk { reason: "bad_chunk" },
        ChunkOverhead { reason: "chunk_overhead" },
        BodyTooLarge { reason: "body_too_large" },
        UnknownExpectation { reason: "unknown_expectation" },
        HeadTimeout { reason: "head_timeout" },
        BodyTimeout { reason: "body_timeout" },
        TooManyConnections { reason: "too_many_connections" },
        Overloaded { reason: "overloaded" },
        HandlerFault { reason: "handler_fault" },
    }
    "trident_handler_panics_total", "Panics caught in handlers; each costs one connection." {
        HandlerPanics,
    }
    "trident_bytes_total", "Bytes of requests read and of answers written." {
        BytesRead { direction: "in" },
        BytesWritten { direction: "out" },
    }
    "trident_slow_requests_total", "Turns slower than log.slow_request_ms; the log shows one a second at most." {
        SlowRequests,
    }
    "trident_blockchain_mining_tries_total", "Hashes tried to mine new blocks; the targets in the requests decide how many." {
        MiningTries,
    }
    "trident_cache_lookups_total", "Lookups in the answer cache of /blockchain, by result." {
        CacheHits { result: "hit" },
        CacheMisses { result: "miss" },
    }
    "trident_cache_evictions_total", "Answers dropped from the cache to make room." {
        CacheEvictions,
    }
    "trident_store_lookups_total", "Lookups of users in the store of /twitter, by result; corrupt is answered 500, failed 500 or, from a database, 503." {
        StoreFound { result: "found" },
        StoreMissing { result: "missing" },
        StoreCorrupt { result: "corrupt" },
        StoreFailed { result: "failed" },
    }
    "trident_store_cache_lookups_total", "Lookups of users in the cache in front of a database, by result." {
        StoreCacheHits { result: "hit" },
        StoreCacheMisses { result: "miss" },
    }
    "trident_store_cache_evictions_total", "Users dropped from this cache to make room, or because the data was replaced." {
        StoreCacheEvictions,
    }
    "trident_store_refused_total", "Lookups of users answered 503, by reason: too many are waiting, the deadline has passed, the database is down." {
        StoreRefusedBusy { reason: "busy" },
        StoreRefusedDeadline { reason: "deadline" },
        StoreRefusedDown { reason: "down" },
    }
    "trident_database_statements_total", "Statements that look users up in a database, by outcome." {
        DatabaseStatementsOk { outcome: "ok" },
        DatabaseStatementsFailed { outcome: "failed" },
    }
    "trident_database_keys_total", "Users asked for in these statements; divided by the statements: how many lookups share one." {
        DatabaseKeys,
    }
    "trident_database_connects_total", "Attempts to connect to a database, by outcome." {
        DatabaseConnectsOk { outcome: "ok" },
        DatabaseConnectsFailed { outcome: "failed" },
    }
    "trident_store_reloads_total", "Reloads of the store of /twitter, by outcome; after a failed one the old store keeps serving." {
        ReloadReplaced { outcome: "replaced" },
        ReloadUnchanged { outcome: "unchanged" },
        ReloadFailed { outcome: "failed" },
    }
    "trident_ingest_batches_total", "Batches of tweets, or single deletions, by outcome; only accepted ones changed the store." {
        IngestAccepted { outcome: "accepted" },
        IngestRefused { outcome: "refused" },
        IngestFailed { outcome: "failed" },
    }
    "trident_ingest_tweets_total", "Tweets of accepted batches, by result; deleted: stored ones that a batch deleted, of_deleted: lines of deleted tweets." {
        IngestNew { result: "new" },
        IngestReplaced { result: "replaced" },
        IngestDuplicate { result: "duplicate" },
        IngestDropped { result: "dropped" },
        IngestDeleted { result: "deleted" },
        IngestOfDeleted { result: "of_deleted" },
    }
    "trident_ingest_notices_total", "Notices of Twitter's streams in accepted batches, by kind; deletions have an effect." {
        NoticeDelete { notice: "delete" },
        NoticeScrubGeo { notice: "scrub_geo" },
        NoticeLimit { notice: "limit" },
        NoticeStatusWithheld { notice: "status_withheld" },
        NoticeUserWithheld { notice: "user_withheld" },
        NoticeWarning { notice: "warning" },
    }
    "trident_ingest_values_total", "Values of users written by accepted batches." {
        IngestValues,
    }
    "trident_auth_calls_total", "Requests for an auth token, by authority and outcome; a failed one is answered INVALID." {
        AuthCallsEmbedded { authority: "embedded", outcome: "ok" },
        AuthCallsOk { authority: "rest", outcome: "ok" },
        AuthCallsFailed { authority: "rest", outcome: "failed" },
    }
    "trident_admin_controls_total", "Controls used on the admin address, by outcome; refused: no token, controls off, sent by a page of another site, a wrong value, or the same control under way; failed: answered 5xx." {
        ControlsDone { outcome: "done" },
        ControlsRefused { outcome: "refused" },
        ControlsFailed { outcome: "failed" },
    }
}

series! {
    /// A family whose series the caller of `write_text` gives: the reasons of INVALID.
    Invalid;
    "trident_invalid_total", "Answers INVALID, and 400 for the pages of `/twitter`, by the first rule that the request breaks; `trident explain` shows it for one request." {
        Reasons,
    }
}

/// Why an answer is INVALID, by the labels of `trident_invalid_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The label `endpoint`.
    pub endpoint: Endpoint,
    /// The label `reason`.
    pub name: &'static str,
}

impl Reason {
    /// Its labels.
    pub const fn labels(self) -> [Label; 2] {
        [("endpoint", self.endpoint.name()), ("reason", self.name)]
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Invalid::Reasons.family())?;
        write_labels(f, &self.labels())
    }
}

series! {
    /// A value that is read at a scrape.
    Gauge;
    "trident_phase", "Phase of the process: 1 for the present one." {
        PhaseStarting { phase: "starting" },
        PhaseReady { phase: "ready" },
        PhaseDraining { phase: "draining" },
        PhaseFinishing { phase: "finishing" },
        PhaseStopped { phase: "stopped" },
    }
    "trident_workers", "Worker threads; each can keep one processor busy." {
        Workers,
    }
    "trident_connections_open", "Connections open now." {
        ConnectionsOpen,
    }
    "trident_connections_idle", "Open connections that wait for their next request." {
        ConnectionsIdle,
    }
    "trident_connections_limit", "Limit of open connections: http.connections_max." {
        ConnectionsLimit,
    }
    "trident_buffered_bytes", "Bytes of incomplete requests and unsent answers in all connections." {
        BufferedBytes,
    }
    "trident_buffered_limit_bytes", "Limit of these bytes: http.buffered_bytes_max; requests beyond it are answered 503." {
        BufferedLimit,
    }
    "trident_cache_entries", "Answers in the cache of /blockchain." {
        CacheEntries,
    }
    "trident_cache_bytes", "Memory of these answers, bookkeeping included." {
        CacheBytes,
    }
    "trident_cache_limit_bytes", "Limit of this memory; 0 = the cache is off." {
        CacheLimit,
    }
    "trident_store_users", "Users in the open store of /twitter, as recorded by its build." {
        StoreUsers,
    }
    "trident_store_contacts", "Contacts of all these users." {
        StoreContacts,
    }
    "trident_store_contact_tweets", "Tweets between users and their contacts; a tweet counts once from either end." {
        StoreTweets,
    }
    "trident_store_value_bytes", "Bytes of all stored values." {
        StoreValueBytes,
    }
    "trident_store_open", "1 while the store of /twitter is open, 0 after it could not be opened again: /readyz is 503, and opening is tried every second. For stores in a directory." {
        StoreOpen,
    }
    "trident_ingest_waiting", "Batches of tweets that wait to be written; at twitter.ingest_queue_max the next one is answered 503." {
        IngestWaiting,
    }
    "trident_database_up", "1 while lookups are sent to the database of /twitter, 0 while it is down." {
        DatabaseUp,
    }
    "trident_database_connections", "Connections to the database that serve lookups." {
        DatabaseConnections,
    }
    "trident_database_waiting", "Lookups that wait for the database." {
        DatabaseWaiting,
    }
    "trident_store_cache_bytes", "Bytes in the cache in front of the database." {
        StoreCacheBytes,
    }
    "trident_store_cache_limit_bytes", "Limit of these bytes." {
        StoreCacheLimit,
    }
    "trident_store_cache_entries", "Users in this cache, those that do not exist included." {
        StoreCacheEntries,
    }
    "process_cpu_seconds_total", "Processor time used, user and system." {
        ProcessCpu,
    }
    "process_resident_memory_bytes", "Memory in RAM, pages of the mapped store included." {
        ProcessResident,
    }
    "process_virtual_memory_bytes", "Address space in use; the whole store is mapped." {
        ProcessVirtual,
    }
    "process_open_fds", "File descriptors open." {
        ProcessOpenFds,
    }
    "process_max_fds", "Limit of open file descriptors: RLIMIT_NOFILE." {
        ProcessMaxFds,
    }
    "process_threads", "Threads: workers and helpers." {
        ProcessThreads,
    }
    "process_start_time_seconds", "When the process started, in seconds since 1970." {
        ProcessStart,
    }
}

series! {
    /// A family with one series, always 1, whose labels hold the information.
    Info;
    "trident_build_info", "Which program this is: version, commit and build profile." {
        Build,
    }
    "trident_store_info", "Which data is served: path, content checksum, batches of tweets that came in since, and the program that built it." {
        Store,
    }
}

impl Info {
    /// The names of its labels; their values are known when it is read.
    pub const fn label_names(self) -> &'static [&'static str] {
        match self {
            Self::Build => &["version", "commit", "profile"],
            Self::Store => &["path", "checksum", "updates", "built_by"],
        }
    }
}

series! {
    /// A family of latency histograms, by endpoint.
    Latency;
    "trident_handler_seconds", "Time to parse and handle a request, by endpoint; calls to an external authority included." {
        Handler,
    }
    "trident_request_seconds", "Time from having read a request to having written its answer, by endpoint; pipelined requests are written together." {
        Request,
    }
}
