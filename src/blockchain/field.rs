//! Modular exponentiation in machine words, for the RSA of `sign`.
//!
//! [`Small`] works modulo a prime below 2^30 and [`Wide`] modulo an odd number below 2^63, both in
//! Montgomery form (a·R mod n stands for a; R is 2^32 and 2^64). No division happens after construction
//! except to reduce exponents. It is not constant-time: every verified value is public, and the team's
//! exponent is a published constant of the exercise.

/// Primes must be below this: sums and products of unreduced values then fit their words.
pub const SMALL_PRIME_MAX: u64 = 1 << 30;

/// Arithmetic modulo an odd prime below 2^30. Values are kept below twice the prime, so a multiplication
/// ends without a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Small {
    prime: u64,
    /// -prime^-1 mod 2^32.
    minus_inverse: u32,
    /// R mod prime: the number 1.
    one: u64,
    /// R^2 mod prime: takes a word into the form.
    r2: u64,
    /// R^3 mod prime: takes a word times 2^32 into the form.
    r3: u64,
}

impl Small {
    /// Precomputes the constants; `prime` is odd and below [`SMALL_PRIME_MAX`].
    pub fn new(prime: u32) -> Self {
        let wide = u64::from(prime);
        debug_assert!(prime % 2 == 1 && wide < SMALL_PRIME_MAX);
        let one = (1 << 32) % wide;
        let r2 = one * one % wide;
        Self {
            prime: wide,
            minus_inverse: minus_inverse(wide) as u32,
            one,
            r2,
            r3: r2 * one % wide,
        }
    }

    /// `a` times `b`.
    #[inline]
    pub fn mul(&self, a: u64, b: u64) -> u64 {
        let product = a * b;
        let multiple = (product as u32).wrapping_mul(self.minus_inverse);
        (product + u64::from(multiple) * self.prime) >> 32
    }

    /// `a` less `b`.
    #[inline]
    pub fn subtract(&self, a: u64, b: u64) -> u64 {
        let difference = a + 2 * self.prime - b;
        if difference >= 2 * self.prime {
            difference - 2 * self.prime
        } else {
            difference
        }
    }

    /// Any number, reduced, in Montgomery form.
    #[inline]
    pub fn enter(&self, number: u64) -> u64 {
        let low = self.mul(number & 0xffff_ffff, self.r2);
        let sum = low + self.mul(number >> 32, self.r3);
        if sum >= 2 * self.prime {
            sum - 2 * self.prime
        } else {
            sum
        }
    }

    /// The number below the prime that `value` represents.
    #[inline]
    pub fn leave(&self, value: u64) -> u64 {
        self.reduce(self.mul(value, 1))
    }

    /// Whether two values represent the same number.
    #[inline]
    pub fn equal(&self, a: u64, b: u64) -> bool {
        self.reduce(a) == self.reduce(b)
    }

    #[inline]
    fn reduce(&self, value: u64) -> u64 {
        if value >= self.prime {
            value - self.prime
        } else {
            value
        }
    }

    /// An exponent below the prime that gives the same power as `exponent` of every number.
    ///
    /// By Fermat prime - 1 may be subtracted while the exponent stays above 0: 0^0 is 1, but 0 to any other
    /// exponent is 0.
    #[inline]
    pub fn reduce_exponent(&self, exponent: u64) -> u64 {
        exponent
            .checked_sub(1)
            .map_or(0, |less| less % (self.prime - 1) + 1)
    }
}

/// `bases` to `exponents`, the first modulo the first prime, the second modulo the second.
///
/// From the exponent's low end: the chain of squares does not wait for the products, and the two primes'
/// chains do not wait for each other, which is worth more than the products a window would save.
#[inline]
pub fn small_powers(fields: [&Small; 2], bases: [u64; 2], exponents: [u64; 2]) -> [u64; 2] {
    let [p, q] = fields;
    let [mut square_p, mut square_q] = bases;
    let [mut exponent_p, mut exponent_q] = exponents;
    let (mut power_p, mut power_q) = (p.one, q.one);
    while (exponent_p | exponent_q) != 0 {
        let product_p = p.mul(power_p, square_p);
        let product_q = q.mul(power_q, square_q);
        power_p = if exponent_p & 1 == 1 {
            product_p
        } else {
            power_p
        };
        power_q = if exponent_q & 1 == 1 {
            product_q
        } else {
            power_q
        };
        square_p = p.mul(square_p, square_p);
        square_q = q.mul(square_q, square_q);
        exponent_p >>= 1;
        exponent_q >>= 1;
    }
    [power_p, power_q]
}

/// Arithmetic modulo an odd number below 2^63.
#[derive(Clone, Copy, Debug)]
pub struct Wide {
    modulus: u64,
    /// -modulus^-1 mod 2^64.
    minus_inverse: u64,
    /// R mod modulus: the number 1.
    one: u64,
    /// R^2 mod modulus: takes a word into the form.
    r2: u64,
}

impl Wide {
    /// Precomputes the constants; `modulus` is odd and below 2^63.
    pub fn new(modulus: u64) -> Self {
        debug_assert!(modulus % 2 == 1 && modulus < 1 << 63);
        let one = ((1u128 << 64) % u128::from(modulus)) as u64;
        let r2 = (u128::from(one) * u128::from(one) % u128::from(modulus)) as u64;
        Self {
            modulus,
            minus_inverse: minus_inverse(modulus),
            one,
            r2,
        }
    }

    #[inline]
    fn mul(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let multiple = (product as u64).wrapping_mul(self.minus_inverse);
        let sum = ((product + u128::from(multiple) * u128::from(self.modulus)) >> 64) as u64;
        if sum >= self.modulus {
            sum - self.modulus
        } else {
            sum
        }
    }

    /// `base` to the power of `exponent`, whose 64-bit digits come lowest first, reduced.
    pub fn power(&self, base: u64, exponent: &[u64]) -> u64 {
        let mut square = self.mul(base % self.modulus, self.r2);
        let mut power = self.one;
        for (index, &digit) in exponent.iter().enumerate() {
            let highest = index + 1 == exponent.len();
            let bits = if highest {
                u64::BITS - digit.leading_zeros()
            } else {
                u64::BITS
            };
            for bit in 0..bits {
                let product = self.mul(power, square);
                power = if digit >> bit & 1 == 1 {
                    product
                } else {
                    power
                };
                square = self.mul(square, square);
            }
        }
        self.mul(power, 1)
    }
}

/// -odd^-1 mod 2^64, by Newton's iteration: each step doubles the number of right bits, five to begin with.
fn minus_inverse(odd: u64) -> u64 {
    let mut inverse = odd.wrapping_mul(3) ^ 2;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// The two different odd primes below [`SMALL_PRIME_MAX`] whose product is `number`, if it has that form.
///
/// Pollard's rho: some thousand steps for the default modulus. Called only at construction. It gives up
/// after so many steps that a factor below 2^30 would almost certainly have been found.
pub fn two_small_primes(number: u64) -> Option<(u32, u32)> {
    const STEPS_MAX: u32 = 1 << 19;
    if number.is_multiple_of(2) || number >= SMALL_PRIME_MAX * SMALL_PRIME_MAX {
        return None;
    }
    let step = |x: u64| ((u128::from(x) * u128::from(x) + 1) % u128::from(number)) as u64;
    let (mut slow, mut fast) = (2 % number, 2 % number);
    for _ in 0..STEPS_MAX {
        slow = step(slow);
        fast = step(step(fast));
        let factor = gcd(slow.abs_diff(fast), number);
        if factor != 1 {
            let (p, q) = (
                u32::try_from(factor).ok()?,
                u32::try_from(number / factor).ok()?,
            );
            let fits = |prime| u64::from(prime) < SMALL_PRIME_MAX && is_prime(prime);
            return (p != q && fits(p) && fits(q)).then_some((p, q));
        }
    }
    None
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn is_prime(number: u32) -> bool {
    number >= 2
        && (2..)
            .take_while(|d| d * d <= number)
            .all(|d| !number.is_multiple_of(d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    const PRIMES: [u32; 7] = [3, 5, 97, 65_537, 1_231_697, 1_268_093, 1_073_741_789];

    fn reference(base: u64, exponent: u64, modulus: u64) -> u64 {
        let power = BigUint::from(base).modpow(&exponent.into(), &modulus.into());
        power.try_into().unwrap()
    }

    #[test]
    fn factors_of_the_default_modulus_and_of_others() {
        let sorted = |n| two_small_primes(n).map(|(p, q)| (p.min(q), p.max(q)));
        assert_eq!(sorted(1_561_906_343_821), Some((1_231_697, 1_268_093)));
        assert_eq!(
            sorted(1_073_741_789 * 1_073_741_783),
            Some((1_073_741_783, 1_073_741_789))
        );
        assert_eq!(sorted(15), Some((3, 5)));
        for other in [
            0,
            1,
            2,
            7,
            9,
            22,
            27,
            105,
            1 << 60,
            1_231_697 * 1_231_697,
            (1 << 61) - 1,
        ] {
            assert_eq!(sorted(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn small_is_num_bigint(
            p in prop::sample::select(&PRIMES[..]), q in prop::sample::select(&PRIMES[..]),
            base: u64, exponent: u64, low_exponent in 0u64..4, multiple in 0u64..1000,
        ) {
            let (fp, fq) = (Small::new(p), Small::new(q));
            for (base, exponent) in [
                (base, exponent), (base, low_exponent), (u64::from(p) * multiple, exponent),
                (0, low_exponent), (u64::MAX, u64::MAX), (base, u64::from(p - 1) * multiple),
            ] {
                let [power_p, power_q] = small_powers(
                    [&fp, &fq],
                    [fp.enter(base), fq.enter(base)],
                    [fp.reduce_exponent(exponent), fq.reduce_exponent(exponent)],
                );
                prop_assert_eq!(fp.leave(power_p), reference(base, exponent, p.into()));
                prop_assert_eq!(fq.leave(power_q), reference(base, exponent, q.into()));
                let expected = reference(base, exponent, p.into());
                prop_assert!(fp.equal(power_p, fp.enter(expected)));
                prop_assert!(!fp.equal(power_p, fp.enter(expected + 1)));
            }
        }

        #[test]
        fn wide_is_num_bigint(modulus: u64, base: u64, exponent: u64, small in 0u64..100) {
            for modulus in [modulus >> 1 | 1, small | 1, (1 << 63) - 1] {
                let wide = Wide::new(modulus);
                prop_assert_eq!(wide.power(base, &[exponent]), reference(base, exponent, modulus));
                prop_assert_eq!(wide.power(base, &[]), reference(base, 0, modulus));
                let long = BigUint::from_slice(&[7, 9, exponent as u32]);
                let expected = BigUint::from(base).modpow(&long, &modulus.into());
                prop_assert_eq!(wide.power(base, &long.to_u64_digits()), u64::try_from(expected).unwrap());
            }
        }
    }
}
