//! `/blockchain`: validates a CloudCoin chain, mines the next block, answers the longer chain.
//!
//! Query bytes in, answer bytes out. Knows nothing of HTTP; see `docs` in the crate root for the path of a request.

use num_bigint::BigUint;

/// Settings of the endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// RSA modulus `n` shared by every account.
    pub modulus: BigUint,
    /// The team's account number, which is also its public exponent.
    pub team_account: u64,
    /// The team's private exponent.
    pub team_private_exponent: BigUint,
    /// Most bytes a request's JSON may inflate to.
    pub inflated_bytes_max: usize,
    /// Most hashes tried for one new block before the request is INVALID.
    pub mining_tries_max: u64,
    /// Deflate level of the answer: 0 stored … 9 smallest.
    pub compression_level: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            modulus: BigUint::from(1_561_906_343_821u64),
            team_account: 1_097_844_002_039,
            team_private_exponent: BigUint::from(343_710_770_439u64),
            inflated_bytes_max: 1 << 20,
            mining_tries_max: 1 << 20,
            compression_level: 1,
        }
    }
}

/// Why a request is INVALID. Only counted, never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// `cc` is missing, or is not base64, zlib or JSON of the right shape.
    Malformed,
}

/// The endpoint: immutable, shared by all workers.
pub struct Blockchain {
    #[allow(dead_code)]
    options: Options,
}

/// Per-worker scratch: inflate state and buffers, borrowed for one call at a time.
pub struct Scratch {}

impl Blockchain {
    /// Prepares the constants derived from `options`.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Scratch for one worker.
    pub fn scratch(&self) -> Scratch {
        Scratch {}
    }

    /// Answers the request whose `cc` text (percent-encoding not yet removed) is `cc`: appends the
    /// packed chain to `out`, or leaves `out` as it was.
    pub fn answer(
        &self,
        _scratch: &mut Scratch,
        _cc: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        Err(Reject::Malformed)
    }
}
