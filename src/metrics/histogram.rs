//! Log-linear histograms of durations: four buckets to an octave, up to 17 s.
//!
//! A bucket's width is at most a quarter of its lower bound, so a percentile read off it is accurate within about a
//! tenth, whatever the durations are. The exported bounds are those of every second bucket, exact.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Buckets in an octave, as a power of two.
const SUB_BITS: u32 = 2;

/// The last bucket begins below 2^`OCTAVES` ns and takes everything above.
const OCTAVES: u32 = 34;

/// Buckets of a histogram.
const BUCKETS: usize = ((OCTAVES - SUB_BITS + 1) << SUB_BITS) as usize;

/// One thread's buckets. Written by it alone, read by everybody.
pub(super) struct Cells {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
        }
    }
}

/// Adds to a cell that only this thread writes: no read-modify-write needed.
#[inline]
pub(super) fn bump(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Cells {
    /// Adds `n` durations of `nanoseconds` each.
    #[inline]
    pub(super) fn add(&self, nanoseconds: u64, n: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(nanoseconds)) {
            bump(bucket, n);
        }
        bump(&self.sum_ns, nanoseconds.wrapping_mul(n));
    }
}

/// The bucket a duration falls into.
#[inline]
fn bucket_of(nanoseconds: u64) -> usize {
    let octave = (nanoseconds | 1).ilog2();
    if octave < SUB_BITS {
        return nanoseconds as usize;
    }
    let shift = octave - SUB_BITS;
    let sub = (nanoseconds >> shift) as usize & ((1 << SUB_BITS) - 1);
    (((shift as usize + 1) << SUB_BITS) | sub).min(BUCKETS - 1)
}

/// Where a bucket begins, in nanoseconds.
fn start_of(bucket: usize) -> u64 {
    let (group, sub) = (bucket >> SUB_BITS, bucket & ((1 << SUB_BITS) - 1));
    match group {
        0 => sub as u64,
        _ => ((1 << SUB_BITS) | sub as u64) << (group - 1),
    }
}

/// The sum of some histograms, or the difference of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    buckets: Vec<u64>,
    sum_ns: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            sum_ns: 0,
        }
    }
}

impl Distribution {
    pub(super) fn add_cells(&mut self, cells: &Cells) {
        for (sum, cell) in self.buckets.iter_mut().zip(&cells.buckets) {
            *sum += cell.load(Relaxed);
        }
        self.sum_ns = self.sum_ns.wrapping_add(cells.sum_ns.load(Relaxed));
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += count;
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }

    /// What was added since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        Self {
            buckets: pairs.map(|(now, then)| now.saturating_sub(*then)).collect(),
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
        }
    }

    /// Durations added.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Sum of all durations in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The duration in nanoseconds that the fraction `quantile` (0 to 1) of all durations stays within, interpolated in
    /// its bucket; `None` if there are no durations.
    pub fn quantile_ns(&self, quantile: f64) -> Option<f64> {
        let rank = self.count() as f64 * quantile;
        let mut below = 0.0;
        for (bucket, count) in self.buckets.iter().enumerate().filter(|(_, n)| **n > 0) {
            let count = *count as f64;
            let (start, end) = (start_of(bucket) as f64, start_of(bucket + 1) as f64);
            if below + count >= rank {
                return Some(start + (end - start) * ((rank - below) / count).clamp(0.0, 1.0));
            }
            below += count;
        }
        None
    }

    /// Exported bounds in nanoseconds, exclusive, with the number of durations below each: two to an
    /// octave from 512 ns to 4.3 s.
    pub(super) fn cumulative(&self) -> Vec<(u64, u64)> {
        const FIRST_NS: u64 = 1 << 9;
        const LAST_NS: u64 = 1 << 32;
        let mut below = 0;
        let mut bounds = Vec::new();
        for (bucket, count) in self.buckets.iter().enumerate() {
            let start = start_of(bucket);
            if bucket % 2 == 0 && (FIRST_NS..=LAST_NS).contains(&start) {
                bounds.push((start, below));
            }
            below += count;
        }
        bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        for bucket in 0..BUCKETS {
            let (start, end) = (start_of(bucket), start_of(bucket + 1));
            assert!(start < end);
            assert_eq!((bucket_of(start), bucket_of(end - 1)), (bucket, bucket));
            assert!(
                end - start <= (start / 4).max(1),
                "bucket {bucket} is too wide"
            );
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let cells = Cells::default();
        let durations: Vec<u64> = (1..=10_000).map(|n| n * 137).collect();
        durations.iter().for_each(|ns| cells.add(*ns, 1));
        let mut sum = Distribution::default();
        assert_eq!(sum.quantile_ns(0.5), None);
        sum.add_cells(&cells);
        assert_eq!(sum.sum_ns(), durations.iter().sum::<u64>());
        for quantile in [0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let truth = 1_370_000.0 * quantile;
            let read = sum.quantile_ns(quantile).unwrap();
            assert!(
                (read / truth - 1.0).abs() < 0.15,
                "{quantile}: {read} for {truth}"
            );
        }
    }

    #[test]
    fn exported_counts_are_exact_at_their_bounds() {
        let cells = Cells::default();
        for ns in [0, 511, 512, 767, 768, 1023, 1024, u64::MAX] {
            cells.add(ns, 2);
        }
        let mut sum = Distribution::default();
        sum.add_cells(&cells);
        let bounds = sum.cumulative();
        assert_eq!(bounds[..3], [(512, 4), (768, 8), (1024, 12)]);
        assert_eq!(bounds.last(), Some(&(1 << 32, 14)));
        assert_eq!(sum.count(), 16);
        assert_eq!(sum.since(&sum).count(), 0);
    }
}
