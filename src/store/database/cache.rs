//! Caches values and absences, so that the database need not be asked again.
//!
//! Absences have a separate cache: requests for users that do not exist are unlimited and must not evict
//! users that do.

use super::Value;
use crate::{
    cache::{Cache, Policy, Stats},
    metrics::{self, Counter},
};

/// The share of the bytes that absences may take, as a divisor: at the default 16 MiB, 150,000 users.
const ABSENT_SHARE: usize = 16;

/// Both caches.
pub(super) struct ValueCache {
    values: Cache,
    absent: Cache,
}

impl ValueCache {
    pub(super) fn new(bytes_max: usize, policy: Policy) -> Self {
        let cache = Self {
            values: Cache::new(0),
            absent: Cache::new(0),
        };
        cache.set(Some(bytes_max), Some(policy));
        cache
    }

    /// The cached value of a user; `Some(None)` = the user does not exist.
    #[inline]
    pub(super) fn get(&self, user_id: u64) -> Option<Option<Value>> {
        let key = user_id.to_be_bytes();
        if let Some(value) = self.values.get_shared(&key) {
            return Some(Some(value));
        }
        self.absent.get_shared(&key).map(|_| None)
    }

    pub(super) fn keep(&self, user_id: u64, value: Option<Value>) {
        let key = user_id.to_be_bytes();
        let evicted = match value {
            Some(value) => self.values.put_shared(&key, value),
            None => self.absent.put(&key, &[]),
        };
        metrics::add(Counter::StoreCacheEvictions, evicted);
    }

    /// Changes the given settings, effective at once.
    pub(super) fn set(&self, bytes_max: Option<usize>, policy: Option<Policy>) {
        if let Some(policy) = policy {
            self.values.set_policy(policy);
            self.absent.set_policy(policy);
        }
        if let Some(bytes_max) = bytes_max {
            let absent = bytes_max / ABSENT_SHARE;
            let evicted =
                self.values.set_bytes_max(bytes_max - absent) + self.absent.set_bytes_max(absent);
            metrics::add(Counter::StoreCacheEvictions, evicted);
        }
    }

    /// Drops what is kept of a user, because it has changed.
    pub(super) fn forget(&self, user_id: u64) {
        let key = user_id.to_be_bytes();
        self.values.remove(&key);
        self.absent.remove(&key);
    }

    /// Drops everything, because the data were replaced.
    pub(super) fn clear(&self) {
        let evicted = self.values.clear() + self.absent.clear();
        metrics::add(Counter::StoreCacheEvictions, evicted);
    }

    pub(super) fn stats(&self) -> Stats {
        let (values, absent) = (self.values.stats(), self.absent.stats());
        Stats {
            bytes_max: values.bytes_max + absent.bytes_max,
            bytes: values.bytes + absent.bytes,
            entries: values.entries + absent.entries,
            policy: values.policy,
            // What is in neither is looked for in both, what is absent misses among the values first.
            hits: values.hits + absent.hits,
            misses: absent.misses,
        }
    }
}
