//! Quantiles of a latency histogram, and its bars for a chart.

use crate::load::format::rounded;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies in microseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean: f64,
    /// Half of the latencies are shorter.
    pub p50: f64,
    /// 90 % are shorter.
    pub p90: f64,
    /// 99 % are shorter.
    pub p99: f64,
    /// 99.9 % are shorter.
    pub p999: f64,
    /// 99.99 % are shorter.
    pub p9999: f64,
    /// 99.999 % are shorter.
    pub p99999: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    /// The latencies in a histogram of nanoseconds.
    pub fn of(ns: &Histogram<u32>) -> Self {
        if ns.is_empty() {
            return Self::default();
        }
        let us = |ns: f64| rounded(ns / 1e3);
        let quantile = |q: f64| us(ns.value_at_quantile(q) as f64);
        Self {
            mean: us(ns.mean()),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            p9999: quantile(0.9999),
            p99999: quantile(0.99999),
            max: us(ns.max() as f64),
        }
    }
}

/// A bar of the latency histogram.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// Latencies up to this one and above the previous bar.
    pub up_to_us: f64,
    /// Number of such latencies.
    pub count: u64,
}

/// Bars of growing width, so that microseconds and seconds fit into one picture.
pub fn bars(ns: &Histogram<u32>) -> Vec<Bar> {
    let mut bars = Vec::new();
    let (mut low, mut high) = (0u64, 1_000.0f64);
    while low <= ns.max() && !ns.is_empty() {
        let up_to = high as u64;
        bars.push(Bar {
            up_to_us: rounded(up_to as f64 / 1e3),
            count: ns
                .iter_recorded()
                .filter(|value| (low..up_to).contains(&value.value_iterated_to()))
                .map(|value| u64::from(value.count_at_value()))
                .sum(),
        });
        low = up_to;
        high *= 1.25;
    }
    let empty = bars.iter().take_while(|bar| bar.count == 0).count();
    bars.split_off(empty)
}
