//! When the pool grows and shrinks, as a pure function.

use serde::{Deserialize, Serialize};

/// Fewest nodes of a pool.
pub const NODES_MIN: usize = 1;

/// Most nodes of a pool.
pub const NODES_MAX: usize = 8;

/// When and how the pool is resized.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Whether it is resized automatically.
    pub automatic: bool,
    /// The pool grows above this miss rate.
    pub max_miss_rate: f64,
    /// The pool shrinks below this miss rate.
    pub min_miss_rate: f64,
    /// Factor of the number of nodes for growing; rounded up.
    pub expand_ratio: f64,
    /// Factor of the number of nodes for shrinking; rounded down.
    pub shrink_ratio: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            automatic: false,
            max_miss_rate: 0.5,
            min_miss_rate: 0.1,
            expand_ratio: 2.0,
            shrink_ratio: 0.5,
        }
    }
}

impl Policy {
    /// Refuses values that make no sense.
    pub fn checked(self) -> Result<Self, &'static str> {
        let rates = 0.0..=1.0;
        if !rates.contains(&self.min_miss_rate) || !rates.contains(&self.max_miss_rate) {
            Err("miss rates are from 0 to 1")
        } else if self.min_miss_rate >= self.max_miss_rate {
            Err("min_miss_rate is not below max_miss_rate")
        } else if !(1.0..=NODES_MAX as f64).contains(&self.expand_ratio) {
            Err("expand_ratio is not from 1 to 8")
        } else if !(0.0..=1.0).contains(&self.shrink_ratio) {
            Err("shrink_ratio is not from 0 to 1")
        } else {
            Ok(self)
        }
    }
}

/// How many nodes the pool should have after a minute with this miss rate; `None` if there were no gets.
pub fn decide(nodes: usize, miss_rate: Option<f64>, policy: &Policy) -> usize {
    let count = nodes as f64;
    let wanted = match miss_rate {
        _ if !policy.automatic => return nodes,
        Some(rate) if rate > policy.max_miss_rate => (count * policy.expand_ratio).ceil(),
        Some(rate) if rate < policy.min_miss_rate => (count * policy.shrink_ratio).floor(),
        _ => count,
    };
    (wanted as usize).clamp(NODES_MIN, NODES_MAX)
}
