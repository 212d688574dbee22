//! Why a request is INVALID.
//!
//! The client is only ever told `INVALID`; the reasons exist to be counted. Rule numbers are those of
//! docs/protocol/blockchain.md §4. When several rules are broken, the cheapest check wins: the code looks
//! at shape, order and balances before it hashes, and hashes before it verifies signatures.

/// The first rule found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
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
    /// Every reason, in the order of the discriminants: `ALL[r as usize] == r`.
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

    /// The reason as a metric label: lowercase words joined by `_`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Zlib => "zlib",
            Self::InflatedSize => "inflated_size",
            Self::Json => "json",
            Self::Shape => "shape",
            Self::TransactionKeys => "transaction_keys",
            Self::TransactionValue => "transaction_value",
            Self::BlockId => "block_id",
            Self::RewardPlace => "reward_place",
            Self::Time => "time",
            Self::Negative => "negative",
            Self::TransactionHash => "transaction_hash",
            Self::Signature => "signature",
            Self::Overdraft => "overdraft",
            Self::RewardAmount => "reward_amount",
            Self::BlockHash => "block_hash",
            Self::Target => "target",
            Self::NewReward => "new_reward",
            Self::OwnTransactions => "own_transactions",
            Self::TargetUnreachable => "target_unreachable",
            Self::MiningTries => "mining_tries",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reject;
    use std::collections::BTreeSet;

    #[test]
    fn all_is_in_discriminant_order_and_names_are_distinct() {
        for (index, reject) in Reject::ALL.into_iter().enumerate() {
            assert_eq!(reject as usize, index);
        }
        let names: BTreeSet<_> = Reject::ALL.into_iter().map(Reject::name).collect();
        assert_eq!(names.len(), Reject::ALL.len());
    }
}
