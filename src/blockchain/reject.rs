//! Why a request is INVALID.
//!
//! The client is only ever told `INVALID`; by the reasons tests see which rule it was. Rule numbers are those of
//! docs/protocol/blockchain.md §4. When several rules are broken, the cheapest check wins: the code looks
//! at shape, order and balances before it hashes, and hashes before it verifies signatures.

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
