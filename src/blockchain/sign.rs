//! Signatures: RSA with one modulus for all accounts (docs/protocol/blockchain.md §3).
//!
//! Called by the endpoint for rule 6 and by `new_block` for the team's own transactions. The arithmetic is
//! chosen once, by the modulus: by the Chinese remainder theorem if it is the product of two small primes,
//! as the default is (60 ns for a verification); in 64-bit Montgomery form if it is odd and below 2^63 (160
//! ns); with `num-bigint` otherwise (2,900 ns and more).

use super::{
    Reject,
    field::{Small, Wide, small_powers, two_small_primes},
    transaction::{Kind, Transaction},
};
use crate::codec::decimal;
use num_bigint::BigUint;

/// Most transactions signed per request when signing is slow (`Ring::Big`): 100 ms at 4096 bits, during
/// which the worker serves no other connection. Genuine requests have at most 2.
pub const SLOW_OWN_TXS_MAX: usize = 16;

/// The modulus and the team's key, ready for use.
pub struct Rsa {
    ring: Ring,
    /// The modulus if it is below 2^63, else more than any hash.
    modulus_or_max: u64,
}

/// The arithmetic modulo n, with the team's private exponent in the form that it needs.
enum Ring {
    /// n is the product of two primes below 2^30.
    TwoPrimes(TwoPrimes),
    /// n is odd and below 2^63.
    Montgomery {
        wide: Wide,
        private_exponent: Vec<u64>,
    },
    /// Any other n.
    Big {
        modulus: BigUint,
        private_exponent: BigUint,
    },
}

struct TwoPrimes {
    p: Small,
    q: Small,
    /// The second prime.
    q_number: u64,
    /// q^-1 modulo p, in p's form.
    q_inverse: u64,
    /// The private exponent reduced for each prime.
    private_exponents: [u64; 2],
}

impl Rsa {
    /// Chooses the arithmetic. A modulus of 0 counts as 1.
    pub fn new(modulus: &BigUint, private_exponent: &BigUint) -> Self {
        let word = u64::try_from(modulus)
            .ok()
            .map(|n| n.max(1))
            .filter(|&n| n < 1 << 63);
        let ring = match word {
            Some(n) if n % 2 == 1 => match two_small_primes(n) {
                Some(primes) => Ring::TwoPrimes(TwoPrimes::new(primes, private_exponent)),
                None => Ring::Montgomery {
                    wide: Wide::new(n),
                    private_exponent: private_exponent.to_u64_digits(),
                },
            },
            _ => Ring::Big {
                modulus: modulus.clone(),
                private_exponent: private_exponent.clone(),
            },
        };
        Self {
            ring,
            modulus_or_max: word.unwrap_or(u64::MAX),
        }
    }

    /// Refuses a request with too many of the team's transactions to sign. Called before the search for
    /// their block.
    pub fn check_own_count(&self, txs: &[Transaction]) -> Result<(), Reject> {
        let own = txs.iter().filter(|tx| tx.kind == Kind::Own);
        match self.ring {
            Ring::Big { .. } if own.count() > SLOW_OWN_TXS_MAX => Err(Reject::OwnTransactions),
            _ => Ok(()),
        }
    }

    /// Rule 6 for every signed transaction.
    pub fn check(&self, txs: &[Transaction]) -> Result<(), Reject> {
        let signed = |tx: &&Transaction| tx.kind == Kind::Signed;
        let holds = |tx: &Transaction| self.verify(tx.sig.value, tx.send.value, tx.hash_value());
        if txs.iter().filter(signed).all(holds) {
            Ok(())
        } else {
            Err(Reject::Signature)
        }
    }

    /// Whether `sig` to the power of the account number `send` is `hash` modulo n. A hash of n or more is
    /// never equal.
    #[inline]
    pub fn verify(&self, sig: u64, send: u64, hash: u32) -> bool {
        let hash = u64::from(hash);
        if hash >= self.modulus_or_max {
            return false;
        }
        match &self.ring {
            Ring::TwoPrimes(primes) => primes.verify(sig, send, hash),
            Ring::Montgomery { wide, .. } => wide.power(sig, &[send]) == hash,
            Ring::Big { modulus, .. } => {
                BigUint::from(sig).modpow(&BigUint::from(send), modulus) == BigUint::from(hash)
            }
        }
    }

    /// Appends the team's signature of `hash` to `out`, in decimal.
    pub fn write_signature(&self, hash: u32, out: &mut Vec<u8>) {
        match &self.ring {
            Ring::TwoPrimes(primes) => decimal::write_u64(out, primes.sign(hash.into())),
            Ring::Montgomery {
                wide,
                private_exponent,
            } => {
                decimal::write_u64(out, wide.power(hash.into(), private_exponent));
            }
            Ring::Big {
                modulus,
                private_exponent,
            } => {
                let signature = BigUint::from(hash).modpow(private_exponent, modulus);
                out.extend_from_slice(signature.to_str_radix(10).as_bytes());
            }
        }
    }
}

impl TwoPrimes {
    fn new((p, q): (u32, u32), private_exponent: &BigUint) -> Self {
        let (small_p, small_q) = (Small::new(p), Small::new(q));
        // Fermat: q^(p-2) is q's inverse modulo p.
        let [q_inverse, _] = small_powers(
            [&small_p; 2],
            [small_p.enter(q.into()); 2],
            [u64::from(p) - 2; 2],
        );
        // As `Small::reduce_exponent` does, for an exponent of any length.
        let reduced = |prime: u32| match private_exponent.bits() {
            0 => 0,
            _ => u64::try_from((private_exponent - 1u32) % (prime - 1)).map_or(0, |less| less + 1),
        };
        let private_exponents = [reduced(p), reduced(q)];
        Self {
            p: small_p,
            q: small_q,
            q_number: q.into(),
            q_inverse,
            private_exponents,
        }
    }

    #[inline]
    fn verify(&self, sig: u64, send: u64, hash: u64) -> bool {
        let exponents = [self.p.reduce_exponent(send), self.q.reduce_exponent(send)];
        let bases = [self.p.enter(sig), self.q.enter(sig)];
        let [power_p, power_q] = small_powers([&self.p, &self.q], bases, exponents);
        // The hash is below n, so equal residues mean equal numbers.
        self.p.equal(power_p, self.p.enter(hash)) & self.q.equal(power_q, self.q.enter(hash))
    }

    /// `hash` to the private exponent modulo n, by Garner's formula.
    fn sign(&self, hash: u64) -> u64 {
        let bases = [self.p.enter(hash), self.q.enter(hash)];
        let [power_p, power_q] = small_powers([&self.p, &self.q], bases, self.private_exponents);
        let residue_q = self.q.leave(power_q);
        let difference = self.p.subtract(power_p, self.p.enter(residue_q));
        residue_q + self.q_number * self.p.leave(self.p.mul(difference, self.q_inverse))
    }
}
