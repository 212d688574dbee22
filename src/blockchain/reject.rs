//! Why a request is INVALID.
//!
//! The client is told `INVALID` and nothing more. Tests and `trident explain` name the reason. Rule numbers
//! are those of docs/protocol/blockchain.md §4. When several rules are broken, the cheapest check wins: the
//! code looks at shape, order and balances before it hashes, and hashes before it verifies signatures.

/// Whether a member that was read to its end has the form that it must have.
pub(crate) type Validity = Result<(), Reject>;

/// The first rule found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// `cc` is missing, empty or not base64 in either alphabet (§1).
    Base64,
    /// Not a complete zlib stream, or its Adler-32 is wrong (§1).
    Zlib,
    /// Inflates to more than [`Options::inflated_bytes_max`](super::Options::inflated_bytes_max) (§1).
    InflatedSize,
    /// Not JSON: bad syntax, bad UTF-8, or nested deeper than [`DEPTH_MAX`](super::json::DEPTH_MAX) (§1).
    Json,
    /// A member of the request or of a block is missing or of the wrong JSON type (§2).
    Shape,
    /// The set of keys is none of the three a transaction may have (§2).
    TransactionKeys,
    /// A member of a transaction has the wrong JSON type or is not below 2^63 (§2).
    TransactionValue,
    /// Rule 1: a block's `id` is not its index.
    BlockId,
    /// Rule 2: not exactly one reward, at the end of a block.
    RewardPlace,
    /// Rules 3 and 12: a time is no decimal number below 2^63 or does not increase.
    Time,
    /// Rules 4 and 13: an amount, fee, account or signature is negative.
    Negative,
    /// Rule 5: a transaction's hash.
    TransactionHash,
    /// Rule 6: a transaction's signature.
    Signature,
    /// Rules 7 and 13: the sender does not have amount plus fee.
    Overdraft,
    /// Rule 8: a reward's amount.
    RewardAmount,
    /// Rule 9: a block's hash.
    BlockHash,
    /// Rule 10: a block's hash is not below its target.
    Target,
    /// Rule 11: a reward among the new transactions.
    NewReward,
    /// More new transactions to sign than [`SLOW_OWN_TXS_MAX`](super::sign::SLOW_OWN_TXS_MAX), under a
    /// modulus with which that takes long.
    OwnTransactions,
    /// No hash can be below `new_target`.
    TargetUnreachable,
    /// No hash below `new_target` within
    /// [`Options::mining_tries_max`](super::Options::mining_tries_max) tries (§5).
    MiningTries,
}

impl Reject {
    /// Every reason.
    pub const ALL: [Self; 21] = [
        Self::Base64,
        Self::Zlib,
        Self::InflatedSize,
        Self::Json,
        Self::Shape,
        Self::TransactionKeys,
        Self::TransactionValue,
        Self::BlockId,
        Self::RewardPlace,
        Self::Time,
        Self::Negative,
        Self::TransactionHash,
        Self::Signature,
        Self::Overdraft,
        Self::RewardAmount,
        Self::BlockHash,
        Self::Target,
        Self::NewReward,
        Self::OwnTransactions,
        Self::TargetUnreachable,
        Self::MiningTries,
    ];

    /// The reason in snake case, for labels and messages.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// The rule's place in the documents, and the rule in one sentence.
    pub(crate) fn rule(self) -> (&'static str, &'static str) {
        let (_, section, rule) = self.entry();
        (section, rule)
    }

    /// Name, place and text: the table of all reasons.
    fn entry(self) -> (&'static str, &'static str, &'static str) {
        macro_rules! section {
            ($place:literal) => {
                concat!("docs/protocol/blockchain.md ", $place)
            };
        }
        match self {
            Self::Base64 => ("base64", section!("§1"), "cc is base64 text"),
            Self::Zlib => (
                "zlib",
                section!("§1"),
                "cc holds a complete zlib stream with its Adler-32",
            ),
            Self::InflatedSize => (
                "inflated_size",
                section!("§1"),
                "the inflated size is bounded",
            ),
            Self::Json => ("json", section!("§1"), "the stream holds JSON"),
            Self::Shape => (
                "shape",
                section!("§2"),
                "every member is there and of its type",
            ),
            Self::TransactionKeys => (
                "transaction_keys",
                section!("§2"),
                "the set of keys is one of the three a transaction may have",
            ),
            Self::TransactionValue => (
                "transaction_value",
                section!("§2"),
                "members are strings or integers below 2^63",
            ),
            Self::BlockId => (
                "block_id",
                section!("§4, rule 1"),
                "a block's id is its index",
            ),
            Self::RewardPlace => (
                "reward_place",
                section!("§4, rule 2"),
                "a block has exactly one reward, at its end",
            ),
            Self::Time => (
                "time",
                section!("§4, rules 3 and 12"),
                "time is strictly greater than that of the transaction before",
            ),
            Self::Negative => (
                "negative",
                section!("§4, rules 4 and 13"),
                "no amount, fee, account or signature is negative",
            ),
            Self::TransactionHash => (
                "transaction_hash",
                section!("§4, rule 5"),
                "hash is CCHash(time|send|recv|amt|fee)",
            ),
            Self::Signature => (
                "signature",
                section!("§4, rule 6"),
                "sig to the power of send, modulo the modulus, is the hash",
            ),
            Self::Overdraft => (
                "overdraft",
                section!("§4, rules 7 and 13"),
                "the sender has amount plus fee",
            ),
            Self::RewardAmount => (
                "reward_amount",
                section!("§4, rule 8"),
                "a reward is 500000000 >> (id / 2)",
            ),
            Self::BlockHash => (
                "block_hash",
                section!("§4, rule 9"),
                "a block's hash is CCHash(seed + pow)",
            ),
            Self::Target => (
                "target",
                section!("§4, rule 10"),
                "a block's hash is below its target",
            ),
            Self::NewReward => (
                "new_reward",
                section!("§4, rule 11"),
                "there is no reward among the new transactions",
            ),
            Self::OwnTransactions => (
                "own_transactions",
                section!("§3"),
                "with a long modulus a request has few transactions to sign",
            ),
            Self::TargetUnreachable => (
                "target_unreachable",
                section!("§4, \"Also INVALID\""),
                "some hash can be below new_target",
            ),
            Self::MiningTries => (
                "mining_tries",
                section!("§5"),
                "the search for the new block's pow is bounded",
            ),
        }
    }
}
