//! Chooses the next entry: an endpoint by weight, then its entries in turn.

use crate::load::plan::corpus::Corpus;

/// Draws entries for one worker.
pub struct Picker<'a> {
    corpus: &'a Corpus,
    /// Sums of the weights up to each endpoint, the last one being 1.
    sums: Vec<f64>,
    /// Next entry of each endpoint.
    next: Vec<usize>,
    random: Random,
    /// In a corpus with an order: the next entry, and how many workers share them.
    sequence: Option<(usize, usize)>,
}

impl<'a> Picker<'a> {
    /// The picker of one of several workers: each starts at another place in the corpus, or takes its share of entries
    /// that have an order.
    pub fn new(corpus: &'a Corpus, number: usize, workers: usize) -> Self {
        let mut random = Random::new(number as u64);
        let start = |entries: &Vec<usize>| random.below(entries.len());
        Self {
            next: corpus.entries_of.iter().map(start).collect(),
            sums: Vec::new(),
            corpus,
            random,
            sequence: corpus.in_order.then_some((number, workers)),
        }
    }

    /// Draws endpoints by `weights` from now on.
    pub fn weigh(&mut self, weights: &[f64]) {
        let whole: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let add = |weight: &f64| {
            sum += weight / whole;
            sum
        };
        self.sums = weights.iter().map(add).collect();
    }

    /// Index of the next entry.
    pub fn pick(&mut self) -> usize {
        if let Some((next, workers)) = &mut self.sequence {
            let entry = *next % self.corpus.entries_len();
            *next += *workers;
            return entry;
        }
        let point = self.random.unit();
        let found = self.sums.iter().position(|sum| point < *sum);
        // Rounding may leave the last sum below 1: then take the last endpoint with a weight.
        let endpoint = found.unwrap_or_else(|| {
            let last = self.sums.last().copied().unwrap_or_default();
            self.sums.iter().position(|sum| *sum == last).unwrap_or(0)
        });
        let entries = &self.corpus.entries_of[endpoint];
        let next = &mut self.next[endpoint];
        *next = (*next + 1) % entries.len();
        entries[*next]
    }

    /// A number from 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        self.random.unit()
    }
}

/// xorshift64*: good enough to mix requests, and only a few instructions.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // SplitMix64's increment: neighbouring seeds lie far apart, and no seed is 0.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_come_by_weight_and_entries_in_turn() {
        let corpus = Corpus {
            endpoints: vec!["a".into(), "b".into(), "c".into()],
            entries_of: vec![vec![0, 2], vec![1], vec![3]],
            ..Corpus::default()
        };
        let mut picker = Picker::new(&corpus, 7, 8);
        picker.weigh(&[1.0, 3.0, 0.0]);
        let picked: Vec<usize> = (0..10_000).map(|_| picker.pick()).collect();
        let count = |entry| picked.iter().filter(|picked| **picked == entry).count();
        assert!(count(0).abs_diff(count(2)) <= 1);
        assert!((7_300..7_700).contains(&count(1)), "{}", count(1));
        assert_eq!(count(3), 0);
    }

    #[test]
    fn workers_share_entries_that_have_an_order() {
        let corpus = Corpus {
            endpoints: vec!["a".into(), "b".into()],
            entries_of: vec![vec![0, 1, 4], vec![2, 3]],
            in_order: true,
            ..Corpus::default()
        };
        let of = |number| {
            let mut picker = Picker::new(&corpus, number, 2);
            [(); 4].map(|()| picker.pick())
        };
        assert_eq!((of(0), of(1)), ([0, 2, 4, 1], [1, 3, 0, 2]));
    }
}
