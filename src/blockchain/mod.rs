//! `/blockchain`: validates a CloudCoin chain, mines the next block, answers the longer chain.
//!
//! Query bytes in, answer bytes out; this module does not know HTTP. `app` keeps one [`Blockchain`] for all
//! workers and one [`Scratch`] per worker and calls [`Blockchain::answer`]. The protocol is
//! docs/protocol/blockchain.md. The path of a request, one module per line:
//!
//! ```text
//! wire        cc to a zlib stream to JSON
//! request     JSON to arrays of blocks and transactions   (codec::json, transaction; §2)
//! chain       every rule that needs no hash               (balances; §4: 1 to 4, 7, 8, 10 to 14)
//! new_block   completes the new transactions, adds the reward
//! hash        hashes of transactions and blocks           (sha256; §4: 5, 9)
//! sign        signatures                                  (field; §4: 6)
//! mine        the search for the new block's pow          (§5)
//! new_block   the longer chain's JSON, with the old blocks as sent
//! wire        JSON to a zlib stream to text
//! ```
//!
//! `span` has positions in the request's text; `reject` and `explain` say why a request is INVALID.
//!
//! # Where this differs from the reference
//!
//! The protocol's reference is written in Python. Where the protocol's text leaves a question open, this
//! module does as the reference does, down to duplicate keys, `null`, `-0` and `pow` texts that are not
//! numbers. It differs where only the reference's interpreter explains the behaviour:
//!
//! - `NaN`, `Infinity` and `-Infinity` are not JSON: INVALID everywhere. The reference reads them as
//!   numbers and accepts them as the value of an ignored key.
//! - A string that holds half a surrogate pair has no UTF-8 form and no hash: INVALID in a member. In an
//!   ignored value it passes. The reference fails without an answer where it must hash or write such a
//!   string.
//! - An integer of more than 4,300 digits passes as an ignored value, and ignored values may nest
//!   `json::DEPTH_MAX` deep; the reference refuses such integers and nesting deeper than about 990.
//! - These are bounded: the search for a new block ([`Options::mining_tries_max`]), the dynamic blocks of
//!   the zlib stream, and the transactions to sign with a modulus of 64 bits and more
//!   ([`sign::SLOW_OWN_TXS_MAX`]).

pub mod balances;
pub mod chain;
mod explain;
mod field;
pub mod hash;
mod json;
pub mod mine;
pub mod new_block;
mod reject;
pub mod request;
mod sha256;
pub mod sign;
mod span;
#[cfg(test)]
mod tests;
mod transaction;
pub mod wire;

pub use reject::Reject;

use balances::Balances;
use hash::Batch;
use num_bigint::BigUint;
use request::ChainRequest;
use sign::Rsa;
use wire::Wire;

/// Bytes each buffer of a [`Scratch`] keeps between requests: twenty times what genuine requests need.
pub const KEPT_BYTES: usize = 64 << 10;

/// Settings of the endpoint.
#[derive(Clone)]
pub struct Options {
    /// RSA modulus `n` shared by every account; not 0. It may have any length, but signatures in a request
    /// are integers below 2^63 (§2), so with a larger modulus only the team's own new transactions can be
    /// valid.
    pub modulus: BigUint,
    /// The team's account number, which is also its public exponent.
    pub team_account: u64,
    /// The team's private exponent.
    pub team_private_exponent: BigUint,
    /// Most bytes a request's JSON may inflate to.
    pub inflated_bytes_max: usize,
    /// Most hashes tried for one new block before the request is INVALID.
    ///
    /// A search blocks its worker, so the default of 65,536 is chosen for at most 2 ms: 0.7 ms with
    /// AVX-512, 1.7 ms with SHA-NI, some 13 ms with neither. Genuine targets need 16 to 37 tries on
    /// average, `007` needs 585: by chance they fail once in 10^48 requests. `001`, with 4,096 tries, fails
    /// once in 8,900,000; `0001` fails one time in three. Counted up to `mine::TRIES_MAX`.
    pub mining_tries_max: u64,
    /// Deflate level of the answer: 0 stored … 9 smallest.
    pub compression_level: u8,
}

impl std::fmt::Debug for Options {
    /// Everything but the private exponent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("modulus", &self.modulus)
            .field("team_account", &self.team_account)
            .field("inflated_bytes_max", &self.inflated_bytes_max)
            .field("mining_tries_max", &self.mining_tries_max)
            .field("compression_level", &self.compression_level)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            modulus: BigUint::from(1_561_906_343_821u64),
            team_account: 1_097_844_002_039,
            team_private_exponent: BigUint::from(343_710_770_439u64),
            inflated_bytes_max: 256 << 10,
            mining_tries_max: 1 << 16,
            compression_level: 1,
        }
    }
}

/// The endpoint: immutable, shared by all workers.
pub struct Blockchain {
    options: Options,
    rsa: Rsa,
}

/// Per-worker scratch: coder states and buffers, borrowed for one call at a time.
///
/// A warm call allocates nothing. After a request of unusual size the buffers shrink back to [`KEPT_BYTES`]
/// each, so that one large chain does not hold memory forever.
pub struct Scratch {
    wire: Wire,
    request: ChainRequest,
    balances: Balances,
    messages: Batch,
    hashes: Batch,
    text: Vec<u8>,
    mining_tries: u64,
}

impl Blockchain {
    /// Prepares the constants derived from `options`.
    pub fn new(options: Options) -> Self {
        let rsa = Rsa::new(&options.modulus, &options.team_private_exponent);
        Self { options, rsa }
    }

    /// Scratch for one worker.
    pub fn scratch(&self) -> Scratch {
        Scratch {
            wire: Wire::new(
                self.options.inflated_bytes_max,
                self.options.compression_level,
            ),
            request: ChainRequest::default(),
            balances: Balances::default(),
            messages: Batch::default(),
            hashes: Batch::default(),
            text: Vec::new(),
            mining_tries: 0,
        }
    }

    /// Answers the request whose `cc` text (percent-encoding not yet removed) is `cc`: appends the packed
    /// chain to `out`, or leaves `out` unchanged.
    pub fn answer(
        &self,
        scratch: &mut Scratch,
        cc: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        scratch.mining_tries = 0;
        let outcome = self.extend(scratch, cc);
        if outcome.is_ok() {
            scratch.wire.pack(&scratch.text, out);
        }
        scratch.shrink();
        outcome
    }

    /// Leaves the longer chain's JSON in `scratch.text`.
    fn extend(&self, scratch: &mut Scratch, cc: &[u8]) -> Result<(), Reject> {
        let Scratch {
            wire,
            request,
            balances,
            messages,
            hashes,
            text,
            mining_tries,
        } = scratch;
        let Options {
            team_account,
            mining_tries_max,
            ..
        } = self.options;
        let json = wire.unpack(cc)?;
        request.parse(json)?;
        self.rsa.check_own_count(&request.new_txs)?;
        let threshold = mine::threshold(request.new_target.of(json, &request.unescaped));
        if threshold == 0 {
            return Err(Reject::TargetUnreachable);
        }
        let chain_end_ns = chain::check(request, json, team_account, balances)?;
        new_block::complete(request, team_account, chain_end_ns);
        hash::check_transactions(request, json, messages)?;
        hash::check_blocks(request, json, messages, hashes)?;
        self.rsa.check(&request.chain_txs)?;
        self.rsa.check(&request.new_txs)?;
        let seed_state = hash::new_seed_state(request, messages);
        let found = mine::search(&seed_state, threshold, mining_tries_max);
        // The first number tried is 0.
        *mining_tries = found.map_or(mining_tries_max, |found| found.pow + 1);
        let found = found.ok_or(Reject::MiningTries)?;
        text.clear();
        new_block::write(request, json, &self.rsa, found, text);
        Ok(())
    }
}

impl Scratch {
    /// Hashes tried for the block of the last call; 0 without a search.
    pub fn mining_tries(&self) -> u64 {
        self.mining_tries
    }

    fn shrink(&mut self) {
        self.wire.shrink_to(KEPT_BYTES);
        self.request.shrink_to(KEPT_BYTES);
        self.balances.shrink_to(KEPT_BYTES);
        self.messages.shrink_to(KEPT_BYTES);
        self.hashes.shrink_to(KEPT_BYTES);
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
    }
}
