//! Why a request is INVALID.
//!
//! The client gets only `INVALID`; tests and `trident explain` show the reason. Rule numbers are those of
//! docs/protocol/blockchain.md §4. When several rules are broken, the cheapest check wins: the code checks
//! shape, order and balances before it hashes, and hashes before it verifies signatures.

/// Whether a member, read to its end, has the right form.
pub(crate) type Validity = Result<(), Reject>;

crate::reject::rejects! {
    /// The first rule found broken.
    Reject, "blockchain.md" {
        /// `cc` is missing, empty or not base64 in either alphabet (§1).
        Base64 = "base64", "§1", "cc is base64 text";
        /// Not a complete zlib stream, or its Adler-32 is wrong (§1).
        Zlib = "zlib", "§1", "cc holds a complete zlib stream with its Adler-32";
        /// Inflates to more than [`Options::inflated_bytes_max`](super::Options::inflated_bytes_max) (§1).
        InflatedSize = "inflated_size", "§1", "the inflated size is bounded";
        /// Not JSON: bad syntax, bad UTF-8, or nested deeper than `DEPTH_MAX` (§1).
        Json = "json", "§1", "the stream holds JSON";
        /// A member of the request or of a block is missing or of the wrong JSON type (§2).
        Shape = "shape", "§2", "every member is there and of its type";
        /// The set of keys is none of the three a transaction may have (§2).
        TransactionKeys = "transaction_keys", "§2", "the set of keys is one of the three a transaction may have";
        /// A member of a transaction has the wrong JSON type or is not below 2^63 (§2).
        TransactionValue = "transaction_value", "§2", "members are strings or integers below 2^63";
        /// Rule 1: a block's `id` is not its index.
        BlockId = "block_id", "§4, rule 1", "a block's id is its index";
        /// Rule 2: not exactly one reward, at the end of a block.
        RewardPlace = "reward_place", "§4, rule 2", "a block has exactly one reward, at its end";
        /// Rules 3 and 12: a time is no decimal number below 2^63 or does not increase.
        Time = "time", "§4, rules 3 and 12", "time is strictly greater than that of the transaction before";
        /// Rules 4 and 13: an amount, fee, account or signature is negative.
        Negative = "negative", "§4, rules 4 and 13", "no amount, fee, account or signature is negative";
        /// Rule 5: a transaction's hash.
        TransactionHash = "transaction_hash", "§4, rule 5", "hash is CCHash(time|send|recv|amt|fee)";
        /// Rule 6: a transaction's signature.
        Signature = "signature", "§4, rule 6", "sig to the power of send, modulo the modulus, is the hash";
        /// Rules 7 and 13: the sender does not have amount plus fee.
        Overdraft = "overdraft", "§4, rules 7 and 13", "the sender has amount plus fee";
        /// Rule 8: a reward's amount.
        RewardAmount = "reward_amount", "§4, rule 8", "a reward is 500000000 >> (id / 2)";
        /// Rule 9: a block's hash.
        BlockHash = "block_hash", "§4, rule 9", "a block's hash is CCHash(seed + pow)";
        /// Rule 10: a block's hash is not below its target.
        Target = "target", "§4, rule 10", "a block's hash is below its target";
        /// Rule 11: a reward among the new transactions.
        NewReward = "new_reward", "§4, rule 11", "there is no reward among the new transactions";
        /// More new transactions to sign than [`SLOW_OWN_TXS_MAX`](super::sign::SLOW_OWN_TXS_MAX), under a
        /// modulus with which that takes long.
        OwnTransactions = "own_transactions", "§3", "with a long modulus a request has few transactions to sign";
        /// No hash can be below `new_target`.
        TargetUnreachable = "target_unreachable", "§4", "some hash can be below new_target";
        /// No hash below `new_target` within
        /// [`Options::mining_tries_max`](super::Options::mining_tries_max) tries (§5).
        MiningTries = "mining_tries", "§5", "the search for the new block's pow is bounded";
    }
}
