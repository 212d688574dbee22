//! The names table: every family, its labels and the question it answers.
//!
//! Members of one family stand together; names follow `trident_<noun>_<unit>_total`, the unit only
//! where the noun does not say it. `docs/metrics.md` is made from this file (`reference`), the
//! dashboard and the alert rules may name nothing else.

/// An enum with one variant for each series of the families listed.
macro_rules! families {
    ($(#[$doc:meta])* $Series:ident; $($family:literal, $help:literal { $($name:ident = $labels:literal,)* })*) => {
        $(#[$doc])*
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Series { $($($name,)*)* }

        impl $Series {
            /// Every series; `ALL[s as usize] == s`.
            pub const ALL: &'static [$Series] = &[$($($Series::$name,)*)*];

            /// The metric family.
            pub const fn family(self) -> &'static str {
                match self { $($($Series::$name => $family,)*)* }
            }

            /// The question the family answers.
            pub const fn help(self) -> &'static str {
                match self { $($($Series::$name => $help,)*)* }
            }

            /// The labels with their braces, or nothing.
            pub const fn labels(self) -> &'static str {
                match self { $($($Series::$name => $labels,)*)* }
            }
        }
    };
}

/// What was asked for, as far as the latency histograms tell requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Endpoint {
    Blockchain,
    QrEncode,
    QrDecode,
    QrPicture,
    Twitter,
    Auth,
    Tweets,
    Other,
}

impl Endpoint {
    /// Every endpoint; `ALL[e as usize] == e`.
    pub const ALL: &'static [Endpoint] = &[
        Self::Blockchain,
        Self::QrEncode,
        Self::QrDecode,
        Self::QrPicture,
        Self::Twitter,
        Self::Auth,
        Self::Tweets,
        Self::Other,
    ];

    /// The value of the label `endpoint`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blockchain => "blockchain",
            Self::QrEncode => "qrcode_encode",
            Self::QrDecode => "qrcode_decode",
            Self::QrPicture => "qrcode_picture",
            Self::Twitter => "twitter",
            Self::Auth => "auth",
            Self::Tweets => "tweets",
            Self::Other => "other",
        }
    }
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Outcome {
    Valid,
    Invalid,
    ClientError,
    ServerError,
}

impl Counter {
    /// The endpoint of a series of `trident_requests_total`; `Other` for every other counter.
    pub const fn endpoint(self) -> Endpoint {
        match self {
            Self::BlockchainValid | Self::BlockchainInvalid => Endpoint::Blockchain,
            Self::QrEncodeValid | Self::QrEncodeInvalid => Endpoint::QrEncode,
            Self::QrDecodeValid | Self::QrDecodeInvalid => Endpoint::QrDecode,
            Self::QrPictureValid | Self::QrPictureTooLong => Endpoint::QrPicture,
            Self::TwitterValid
            | Self::TwitterNothing
            | Self::TwitterInvalid
            | Self::TwitterUnavailable => Endpoint::Twitter,
            Self::AuthIssued | Self::AuthVerified | Self::AuthRefused => Endpoint::Auth,
            Self::TweetsTaken | Self::TweetsRefused | Self::TweetsFailed => Endpoint::Tweets,
            _ => Endpoint::Other,
        }
    }

    /// The outcome of a series of `trident_requests_total`; `None` for every other counter.
    pub const fn outcome(self) -> Option<Outcome> {
        Some(match self {
            Self::BlockchainValid
            | Self::QrEncodeValid
            | Self::QrDecodeValid
            | Self::QrPictureValid
            | Self::TwitterValid
            | Self::TwitterNothing
            | Self::AuthIssued
            | Self::AuthVerified
            | Self::TweetsTaken
            | Self::OtherValid => Outcome::Valid,
            Self::BlockchainInvalid
            | Self::QrEncodeInvalid
            | Self::QrDecodeInvalid
            | Self::QrInvalid
            | Self::TwitterInvalid => Outcome::Invalid,
            Self::QrPictureTooLong
            | Self::AuthRefused
            | Self::TweetsRefused
            | Self::OtherRefused => Outcome::ClientError,
            Self::TwitterUnavailable | Self::TweetsFailed | Self::OtherFailed => {
                Outcome::ServerError
            }
            _ => return None,
        })
    }
}

families! {
    /// A counter.
    Counter;
    "trident_connections_accepted_total", "Connections accepted." {
        ConnectionsAccepted = "",
    }
    "trident_connections_refused_total", "Connections answered 503 because too many were open." {
        ConnectionsRefused = "",
    }
    "trident_connections_closed_total", "Connections ended." {
        ConnectionsClosed = "",
    }
    "trident_connections_reset_total", "Connections the peer broke off: a read or a write failed." {
        ConnectionsReset = "",
    }
    "trident_connections_expired_total", "Connections ended by a timeout, by what they were waiting for." {
        ExpiredIdle = "{phase=\"idle\"}",
        ExpiredHead = "{phase=\"head\"}",
        ExpiredBody = "{phase=\"body\"}",
        ExpiredWrite = "{phase=\"write\"}",
        ExpiredLinger = "{phase=\"linger\"}",
    }
    "trident_accept_errors_total", "Connections that could not be taken over, by cause: raise RLIMIT_NOFILE for descriptors." {
        AcceptDescriptors = "{cause=\"descriptors\"}",
        AcceptMemory = "{cause=\"memory\"}",
        AcceptOther = "{cause=\"other\"}",
    }
    "trident_requests_total", "Requests answered by a handler, by endpoint and outcome: INVALID is an answer of 200, 4xx and 5xx are statuses." {
        BlockchainValid = "{endpoint=\"blockchain\",outcome=\"valid\"}",
        BlockchainInvalid = "{endpoint=\"blockchain\",outcome=\"invalid\"}",
        QrEncodeValid = "{endpoint=\"qrcode_encode\",outcome=\"valid\"}",
        QrEncodeInvalid = "{endpoint=\"qrcode_encode\",outcome=\"invalid\"}",
        QrDecodeValid = "{endpoint=\"qrcode_decode\",outcome=\"valid\"}",
        QrDecodeInvalid = "{endpoint=\"qrcode_decode\",outcome=\"invalid\"}",
        QrPictureValid = "{endpoint=\"qrcode_picture\",outcome=\"valid\"}",
        QrPictureTooLong = "{endpoint=\"qrcode_picture\",outcome=\"4xx\"}",
        QrInvalid = "{endpoint=\"qrcode_other\",outcome=\"invalid\"}",
        TwitterValid = "{endpoint=\"twitter\",outcome=\"valid\"}",
        TwitterNothing = "{endpoint=\"twitter\",outcome=\"nothing_to_list\"}",
        TwitterInvalid = "{endpoint=\"twitter\",outcome=\"invalid\"}",
        TwitterUnavailable = "{endpoint=\"twitter\",outcome=\"5xx\"}",
        AuthIssued = "{endpoint=\"rest_auth\",outcome=\"valid\"}",
        AuthVerified = "{endpoint=\"rest_verify\",outcome=\"valid\"}",
        AuthRefused = "{endpoint=\"auth\",outcome=\"4xx\"}",
        TweetsTaken = "{endpoint=\"tweets\",outcome=\"valid\"}",
        TweetsRefused = "{endpoint=\"tweets\",outcome=\"4xx\"}",
        TweetsFailed = "{endpoint=\"tweets\",outcome=\"5xx\"}",
        OtherValid = "{endpoint=\"other\",outcome=\"valid\"}",
        OtherRefused = "{endpoint=\"other\",outcome=\"4xx\"}",
        OtherFailed = "{endpoint=\"other\",outcome=\"5xx\"}",
    }
    "trident_request_faults_total", "Requests refused before a handler saw them, by what was wrong with them; handler_fault is a handler that panicked or did not answer." {
        BadMethod = "{kind=\"bad_method\"}",
        UnknownMethod = "{kind=\"unknown_method\"}",
        BadTarget = "{kind=\"bad_target\"}",
        BadVersion = "{kind=\"bad_version\"}",
        UnsupportedVersion = "{kind=\"unsupported_version\"}",
        BadPreface = "{kind=\"bad_preface\"}",
        LineTooLong = "{kind=\"line_too_long\"}",
        HeadTooLarge = "{kind=\"head_too_large\"}",
        TooManyFields = "{kind=\"too_many_fields\"}",
        BadFieldLine = "{kind=\"bad_field_line\"}",
        MissingHost = "{kind=\"missing_host\"}",
        RepeatedHost = "{kind=\"repeated_host\"}",
        BadHost = "{kind=\"bad_host\"}",
        BadContentLength = "{kind=\"bad_content_length\"}",
        AmbiguousLength = "{kind=\"ambiguous_length\"}",
        BadTransferEncoding = "{kind=\"bad_transfer_encoding\"}",
        UnknownTransferCoding = "{kind=\"unknown_transfer_coding\"}",
        BadChunk = "{kind=\"bad_chunk\"}",
        ChunkOverhead = "{kind=\"chunk_overhead\"}",
        BodyTooLarge = "{kind=\"body_too_large\"}",
        UnknownExpectation = "{kind=\"unknown_expectation\"}",
        HeadTimeout = "{kind=\"head_timeout\"}",
        BodyTimeout = "{kind=\"body_timeout\"}",
        TooManyConnections = "{kind=\"too_many_connections\"}",
        Overloaded = "{kind=\"overloaded\"}",
        HandlerFault = "{kind=\"handler_fault\"}",
    }
    "trident_handler_panics_total", "Panics caught in handlers; each costs one connection." {
        HandlerPanics = "",
    }
    "trident_bytes_total", "Bytes of requests read and of answers written." {
        BytesRead = "{direction=\"in\"}",
        BytesWritten = "{direction=\"out\"}",
    }
    "trident_slow_requests_total", "Turns slower than log.slow_request_ms; the log tells of some of them." {
        SlowRequests = "",
    }
    "trident_blockchain_mining_tries_total", "Hashes tried for new blocks: the work that the requests' targets ask for." {
        MiningTries = "",
    }
    "trident_cache_lookups_total", "Lookups in the answer cache of /blockchain, by result." {
        CacheHits = "{result=\"hit\"}",
        CacheMisses = "{result=\"miss\"}",
    }
    "trident_cache_evictions_total", "Answers dropped from the cache to make room." {
        CacheEvictions = "",
    }
    "trident_store_lookups_total", "Lookups of users in the store of /twitter, by result; corrupt ones are answered 500, failed ones 500, or 503 if the store is a database." {
        StoreFound = "{result=\"found\"}",
        StoreMissing = "{result=\"missing\"}",
        StoreCorrupt = "{result=\"corrupt\"}",
        StoreFailed = "{result=\"failed\"}",
    }
    "trident_store_cache_lookups_total", "Lookups of users in the cache in front of a database, by result." {
        StoreCacheHits = "{result=\"hit\"}",
        StoreCacheMisses = "{result=\"miss\"}",
    }
    "trident_store_cache_evictions_total", "Users dropped from that cache to make room, or because the data were replaced." {
        StoreCacheEvictions = "",
    }
    "trident_store_refused_total", "Lookups of users answered 503, by reason: too many wait, too late, database down." {
        StoreRefusedBusy = "{reason=\"busy\"}",
        StoreRefusedDeadline = "{reason=\"deadline\"}",
        StoreRefusedDown = "{reason=\"down\"}",
    }
    "trident_database_statements_total", "Statements that look users up in a database, by outcome." {
        DatabaseStatementsOk = "{outcome=\"ok\"}",
        DatabaseStatementsFailed = "{outcome=\"failed\"}",
    }
    "trident_database_keys_total", "Users asked for in those statements; by statement it tells how many lookups share one." {
        DatabaseKeys = "",
    }
    "trident_database_connects_total", "Attempts to connect to a database, by outcome." {
        DatabaseConnectsOk = "{outcome=\"ok\"}",
        DatabaseConnectsFailed = "{outcome=\"failed\"}",
    }
    "trident_store_reloads_total", "Reloads of the store of /twitter, by outcome; after a failed one the old store goes on serving." {
        ReloadReplaced = "{outcome=\"replaced\"}",
        ReloadUnchanged = "{outcome=\"unchanged\"}",
        ReloadFailed = "{outcome=\"failed\"}",
    }
    "trident_ingest_batches_total", "Batches of POST /twitter/tweets, by outcome; only accepted ones changed the store." {
        IngestAccepted = "{outcome=\"accepted\"}",
        IngestRefused = "{outcome=\"refused\"}",
        IngestFailed = "{outcome=\"failed\"}",
    }
    "trident_ingest_tweets_total", "Tweets of accepted batches, by what became of them." {
        IngestNew = "{result=\"new\"}",
        IngestReplaced = "{result=\"replaced\"}",
        IngestDuplicate = "{result=\"duplicate\"}",
        IngestDropped = "{result=\"dropped\"}",
    }
    "trident_ingest_values_total", "Values of users written by accepted batches." {
        IngestValues = "",
    }
    "trident_auth_calls_total", "Calls for a token of a decoded message, by authority and outcome; a failed one is answered INVALID." {
        AuthCallsEmbedded = "{authority=\"embedded\",outcome=\"ok\"}",
        AuthCallsOk = "{authority=\"rest\",outcome=\"ok\"}",
        AuthCallsFailed = "{authority=\"rest\",outcome=\"failed\"}",
    }
    "trident_admin_controls_total", "Controls used on the admin address, by outcome; refused ones lacked the token, were off, came from a page of another site, had a wrong value or found the same one under way; failed ones are answered 5xx." {
        ControlsDone = "{outcome=\"done\"}",
        ControlsRefused = "{outcome=\"refused\"}",
        ControlsFailed = "{outcome=\"failed\"}",
    }
}

families! {
    /// A value read when it is asked for.
    Gauge;
    "trident_phase", "What the process is doing: 1 at the phase it is in." {
        PhaseStarting = "{phase=\"starting\"}",
        PhaseReady = "{phase=\"ready\"}",
        PhaseDraining = "{phase=\"draining\"}",
        PhaseFinishing = "{phase=\"finishing\"}",
        PhaseStopped = "{phase=\"stopped\"}",
    }
    "trident_workers", "Worker threads: as many processors can be busy with requests." {
        Workers = "",
    }
    "trident_connections_open", "Connections open now." {
        ConnectionsOpen = "",
    }
    "trident_connections_idle", "Open connections that wait for a further request." {
        ConnectionsIdle = "",
    }
    "trident_connections_limit", "Most connections that may be open: http.connections_max." {
        ConnectionsLimit = "",
    }
    "trident_buffered_bytes", "Bytes of incomplete requests and unread answers waiting in all connections." {
        BufferedBytes = "",
    }
    "trident_buffered_limit_bytes", "Most of these: http.buffered_bytes_max; requests above are answered 503." {
        BufferedLimit = "",
    }
    "trident_cache_entries", "Answers in the cache of /blockchain." {
        CacheEntries = "",
    }
    "trident_cache_bytes", "Memory these answers take, bookkeeping included." {
        CacheBytes = "",
    }
    "trident_cache_limit_bytes", "Most memory they may take; 0 = the cache is off." {
        CacheLimit = "",
    }
    "trident_store_users", "Users in the open store of /twitter, as its build recorded them." {
        StoreUsers = "",
    }
    "trident_store_contacts", "Contacts of all these users." {
        StoreContacts = "",
    }
    "trident_store_contact_tweets", "Tweets between them; a tweet counts once from either end." {
        StoreTweets = "",
    }
    "trident_store_value_bytes", "Bytes of all stored values." {
        StoreValueBytes = "",
    }
    "trident_database_up", "Whether lookups are sent to the database of /twitter." {
        DatabaseUp = "",
    }
    "trident_database_connections", "Connections to the database that look users up." {
        DatabaseConnections = "",
    }
    "trident_database_waiting", "Lookups without an answer from the database." {
        DatabaseWaiting = "",
    }
    "trident_store_cache_bytes", "Bytes in the cache in front of the database." {
        StoreCacheBytes = "",
    }
    "trident_store_cache_capacity_bytes", "Most bytes it may hold." {
        StoreCacheLimit = "",
    }
    "trident_store_cache_entries", "Users in it, existing or not." {
        StoreCacheEntries = "",
    }
    "process_cpu_seconds_total", "Processor time used, user and system." {
        ProcessCpu = "",
    }
    "process_resident_memory_bytes", "Memory in use: pages in RAM, those of the store included." {
        ProcessResident = "",
    }
    "process_virtual_memory_bytes", "Address space in use; the store is mapped whole." {
        ProcessVirtual = "",
    }
    "process_open_fds", "File descriptors open." {
        ProcessOpenFds = "",
    }
    "process_max_fds", "Most file descriptors that may be open: RLIMIT_NOFILE." {
        ProcessMaxFds = "",
    }
    "process_threads", "Threads: workers and helpers." {
        ProcessThreads = "",
    }
    "process_start_time_seconds", "When the process started, in seconds since 1970." {
        ProcessStart = "",
    }
}

/// A family with one series, always 1, whose labels say something in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Info {
    /// The program.
    Build,
    /// The store of `/twitter`.
    Store,
}

impl Info {
    /// Every family; `ALL[i as usize] == i`.
    pub const ALL: &'static [Info] = &[Self::Build, Self::Store];

    /// The metric family.
    pub const fn family(self) -> &'static str {
        match self {
            Self::Build => "trident_build_info",
            Self::Store => "trident_store_info",
        }
    }

    /// The question the family answers.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Build => "Which program this is: version and commit.",
            Self::Store => {
                "Which data is served: path, content checksum and the program that built it."
            }
        }
    }
}

/// A family of latency histograms, by endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// In the handler.
    Handler,
    /// From read to written.
    Request,
}

impl Latency {
    /// Every family; `ALL[l as usize] == l`.
    pub const ALL: &'static [Latency] = &[Self::Handler, Self::Request];

    /// The metric family.
    pub const fn family(self) -> &'static str {
        match self {
            Self::Handler => "trident_handler_seconds",
            Self::Request => "trident_request_seconds",
        }
    }

    /// The question the family answers.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Handler => {
                "Time to parse and handle a request, by endpoint; calls to an external authority included."
            }
            Self::Request => {
                "Time from having read a request to having written its answer, by endpoint; pipelined requests are written together."
            }
        }
    }
}
