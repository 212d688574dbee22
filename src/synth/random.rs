//! Random numbers that are the same on every machine: integers only, no logarithms, no clocks.

/// Mixes 64 bits (the finaliser of splitmix64): close numbers give unrelated ones.
pub const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A sequence that depends on a seed, on what it is for, and on a number.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence for item `index` of `purpose`.
    pub fn new(seed: u64, purpose: u64, index: u64) -> Self {
        Self(mix(mix(mix(seed).wrapping_add(purpose)).wrapping_add(index)))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// True in `part` of a thousand cases.
    pub fn per_mille(&mut self, part: u64) -> bool {
        self.below(1000) < part
    }

    /// One of `items`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        *self.pick_ref(items)
    }

    /// One of `items`, which must not be empty.
    pub fn pick_ref<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// A number below `end` for which every power of two is about equally likely: a few small numbers are drawn most
    /// often, as with popular accounts and tags.
    pub fn popular(&mut self, end: u64) -> u64 {
        let magnitudes = u64::from(64 - end.leading_zeros());
        loop {
            let least = 1u64 << self.below(magnitudes);
            let number = least + self.below(least) - 1;
            if number < end {
                return number;
            }
        }
    }

    /// A number below `end`, small ones more likely: the product of two uniform ones.
    pub fn skewed(&mut self, end: u64) -> u64 {
        let reached = self.below(end) + 1;
        self.below(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_the_same_for_ever() {
        let mut random = Random::new(1, 2, 3);
        assert_eq!(random.bits(), 8_067_101_194_408_944_102);
        let numbers: Vec<_> = (0..6).map(|_| random.below(10)).collect();
        assert_eq!(numbers, [9, 2, 9, 0, 3, 2]);
        // The first number of splitmix64 from seed 0, as published.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn numbers_stay_in_range_and_reach_its_ends() {
        let mut random = Random::new(5, 0, 0);
        for end in [1u64, 2, 3, 10] {
            let mut seen = [[false; 10]; 3];
            for _ in 0..2000 {
                let drawn = [random.below(end), random.popular(end), random.skewed(end)];
                for (seen, number) in seen.iter_mut().zip(drawn) {
                    seen[number as usize] = true;
                }
            }
            for seen in seen {
                assert!(
                    seen.iter()
                        .enumerate()
                        .all(|(n, &s)| s == ((n as u64) < end)),
                    "{end}"
                );
            }
        }
    }
}
