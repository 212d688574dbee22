//! Latency histogram: 64 linear buckets per power of two, so any quantile is within 1.6 %.
//!
//! Fixed size, one increment per record: cheap enough to record every request of a client that
//! must stay far lighter than the server it measures.

/// log2 of the buckets per power of two.
const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
/// Up to 2^36 ns = 68 s; longer values land in the last bucket.
const POWERS: usize = 36 - SUB_BITS as usize + 1;

/// Counts of values in nanoseconds.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; SUB * (POWERS + 1)],
            total: 0,
        }
    }
}

impl Histogram {
    /// Counts one value.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        let last = self.counts.len() - 1;
        self.counts[bucket(ns).min(last)] += 1;
        self.total += 1;
    }

    /// Forgets everything, for the end of a warm-up.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// Number of values counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The value below which the share `q` (0 to 1) of all values lies, in microseconds; 0 when
    /// nothing was counted.
    pub fn quantile_us(&self, q: f64) -> f64 {
        let rank = (q * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return lower_bound(index) as f64 / 1e3;
            }
        }
        0.0
    }
}

#[inline]
fn bucket(ns: u64) -> usize {
    let shift = (64 - SUB_BITS - 1).saturating_sub(ns.leading_zeros());
    (ns >> shift) as usize + shift as usize * SUB
}

fn lower_bound(index: usize) -> u64 {
    let shift = (index / SUB).saturating_sub(1);
    ((index - shift * SUB) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        for ns in (0..5_000).chain((12..35).map(|p| (1 << p) + 12_345)) {
            let low = lower_bound(bucket(ns));
            let next = lower_bound(bucket(ns) + 1);
            assert!(low <= ns && ns < next, "{ns}: {low}..{next}");
            assert!(next - low <= 1 + low / SUB as u64, "{ns}: bucket too wide");
        }
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut histogram = Histogram::default();
        (1..=100_000).for_each(|us| histogram.record(us * 1_000));
        for (q, want) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let got = histogram.quantile_us(q);
            assert!((got / want - 1.0).abs() < 0.02, "{q}: {got} for {want}");
        }
    }
}
