//! Every counter: its family, labels and the question it answers.
//!
//! Counters of one family stand together; names follow `trident_<noun>_<unit>_total`.

macro_rules! counters {
    ($($family:literal, $help:literal { $($name:ident = $labels:literal,)* })*) => {
        /// A counter.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($($name,)*)* }

        impl Counter {
            /// Every counter; `ALL[c as usize] == c`.
            pub const ALL: &'static [Counter] = &[$($(Counter::$name,)*)*];

            /// The metric family.
            pub const fn family(self) -> &'static str {
                match self { $($(Counter::$name => $family,)*)* }
            }

            /// The question the family answers.
            pub const fn help(self) -> &'static str {
                match self { $($(Counter::$name => $help,)*)* }
            }

            /// The labels with their braces, or nothing.
            pub const fn labels(self) -> &'static str {
                match self { $($(Counter::$name => $labels,)*)* }
            }
        }
    };
}

counters! {
    "trident_connections_accepted_total", "Connections accepted." {
        ConnectionsAccepted = "",
    }
    "trident_connections_refused_total", "Connections answered 503 because too many were open." {
        ConnectionsRefused = "",
    }
    "trident_connections_closed_total", "Connections ended." {
        ConnectionsClosed = "",
    }
    "trident_connections_expired_total", "Connections ended by a timeout, by what they were waiting for." {
        ExpiredIdle = "{phase=\"idle\"}",
        ExpiredHead = "{phase=\"head\"}",
        ExpiredBody = "{phase=\"body\"}",
        ExpiredWrite = "{phase=\"write\"}",
        ExpiredLinger = "{phase=\"linger\"}",
    }
    "trident_accept_errors_total", "accept(2) calls that failed, by cause." {
        AcceptDescriptors = "{cause=\"descriptors\"}",
        AcceptMemory = "{cause=\"memory\"}",
        AcceptOther = "{cause=\"other\"}",
    }
    "trident_requests_total", "Requests handed to a handler." {
        Requests = "",
    }
    "trident_request_faults_total", "Requests refused before a handler saw them: malformed, too large or too slow." {
        RequestFaults = "",
    }
    "trident_handler_panics_total", "Panics caught in handlers; each costs one connection." {
        HandlerPanics = "",
    }
    "trident_answers_total", "Answers of the endpoints, by outcome." {
        BlockchainValid = "{endpoint=\"blockchain\",outcome=\"valid\"}",
        BlockchainInvalid = "{endpoint=\"blockchain\",outcome=\"invalid\"}",
        QrEncodeValid = "{endpoint=\"qrcode\",type=\"encode\",outcome=\"valid\"}",
        QrEncodeInvalid = "{endpoint=\"qrcode\",type=\"encode\",outcome=\"invalid\"}",
        QrDecodeValid = "{endpoint=\"qrcode\",type=\"decode\",outcome=\"valid\"}",
        QrDecodeInvalid = "{endpoint=\"qrcode\",type=\"decode\",outcome=\"invalid\"}",
        QrInvalid = "{endpoint=\"qrcode\",type=\"other\",outcome=\"invalid\"}",
        QrRendered = "{endpoint=\"qrcode\",type=\"render\",outcome=\"valid\"}",
        TwitterValid = "{endpoint=\"twitter\",outcome=\"valid\"}",
        TwitterNothing = "{endpoint=\"twitter\",outcome=\"nothing_to_list\"}",
        TwitterInvalid = "{endpoint=\"twitter\",outcome=\"invalid\"}",
        TwitterUnavailable = "{endpoint=\"twitter\",outcome=\"unavailable\"}",
        AuthIssued = "{endpoint=\"rest_auth\",outcome=\"valid\"}",
        AuthVerified = "{endpoint=\"rest_verify\",outcome=\"valid\"}",
        AuthInvalid = "{endpoint=\"rest_auth\",outcome=\"invalid\"}",
    }
    "trident_cache_lookups_total", "Lookups in the answer cache of /blockchain, by result." {
        CacheHits = "{result=\"hit\"}",
        CacheMisses = "{result=\"miss\"}",
    }
    "trident_cache_evictions_total", "Answers dropped from the cache to make room." {
        CacheEvictions = "",
    }
    "trident_store_lookups_total", "Lookups of users in the store of /twitter, by result; corrupt and failed ones are answered 500." {
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
    "trident_auth_calls_total", "Calls to an external auth authority, by outcome." {
        AuthCallsOk = "{outcome=\"ok\"}",
        AuthCallsFailed = "{outcome=\"failed\"}",
    }
    "trident_bytes_total", "Bytes of requests read and of answers written." {
        BytesRead = "{direction=\"in\"}",
        BytesWritten = "{direction=\"out\"}",
    }
}
