//! A byte-bounded cache from byte strings to byte strings, shared by all workers.
//!
//! Sharded by hash so that workers rarely meet; whole keys are compared, so a hash collision can
//! never give a wrong answer; hashes are seeded per process, so a client cannot aim for collisions.
//! Names nothing of ours: hits and misses are counted by whoever asks.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;

/// Locks of the cache: with four workers the chance of meeting at one is a few per cent, and a lookup
/// holds it for the copy of one answer.
const SHARDS: usize = 64;

/// What an entry costs besides its bytes: table slot, list links, allocator headers.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// End of the list of a shard.
const NONE: u32 = u32::MAX;

/// A cache; all methods may be called from any thread.
pub struct Cache {
    shards: Box<[Mutex<Shard>]>,
    hasher: DefaultHashBuilder,
    bytes_max: AtomicUsize,
}

/// Entries in a slab, found through a table of indexes, linked from most to least recently used.
#[derive(Default)]
struct Shard {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// Slots of `entries` without an entry.
    free: Vec<u32>,
    bytes: usize,
    newest: Link,
    oldest: Link,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Default for Link {
    fn default() -> Self {
        Self(NONE)
    }
}

struct Entry {
    hash: u64,
    key: Box<[u8]>,
    value: Box<[u8]>,
    newer: Link,
    older: Link,
}

impl Cache {
    /// An empty cache that holds at most `bytes_max` bytes of keys, values and bookkeeping; with 0 it
    /// never holds anything.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            bytes_max: AtomicUsize::new(bytes_max),
        }
    }

    /// Whether anything can be in the cache.
    pub fn is_on(&self) -> bool {
        self.bytes_max.load(Relaxed) > 0
    }

    /// Appends the value of `key` to `out`; false if there is none.
    pub fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        let Some(slot) = shard.find(hash, key) else {
            return false;
        };
        shard.unlink(slot);
        shard.push_newest(slot);
        out.extend_from_slice(&shard.entries[slot as usize].value);
        true
    }

    /// Keeps `value` for `key`, making room by dropping what was used least recently; returns how many
    /// entries were dropped. An entry that would fill a shard on its own is not kept.
    pub fn put(&self, key: &[u8], value: &[u8]) -> u64 {
        let bytes_max = self.bytes_max.load(Relaxed) / SHARDS;
        let hash = self.hasher.hash_one(key);
        if key.len() + value.len() + ENTRY_OVERHEAD_BYTES > bytes_max {
            return 0;
        }
        let entry = Entry {
            hash,
            key: key.into(),
            value: value.into(),
            newer: Link(NONE),
            older: Link(NONE),
        };
        let mut shard = self.shard(hash).lock();
        if let Some(slot) = shard.find(hash, key) {
            shard.remove(slot);
        }
        let evicted = shard.make_room(bytes_max - entry.bytes());
        shard.insert(entry);
        evicted
    }

    /// Sets another bound, effective at once; returns how many entries were dropped.
    pub fn set_bytes_max(&self, bytes_max: usize) -> u64 {
        self.bytes_max.store(bytes_max, Relaxed);
        self.shards
            .iter()
            .map(|shard| shard.lock().make_room(bytes_max / SHARDS))
            .sum()
    }

    /// Entries held now.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().index.len())
            .sum()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held now, bookkeeping included.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The table uses the low bits and the top seven; take the shard from between.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.key.len() + self.value.len() + ENTRY_OVERHEAD_BYTES
    }
}

impl Shard {
    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.index
            .find(hash, |slot| *self.entries[*slot as usize].key == *key)
            .copied()
    }

    fn insert(&mut self, entry: Entry) {
        let hash = entry.hash;
        self.bytes += entry.bytes();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let entries = &self.entries;
        self.index
            .insert_unique(hash, slot, |slot| entries[*slot as usize].hash);
        self.push_newest(slot);
    }

    /// Drops the oldest entries until at most `bytes` are held; returns how many.
    fn make_room(&mut self, bytes: usize) -> u64 {
        let mut dropped = 0;
        while self.bytes > bytes && self.oldest.0 != NONE {
            self.remove(self.oldest.0);
            dropped += 1;
        }
        dropped
    }

    fn remove(&mut self, slot: u32) {
        self.unlink(slot);
        let entry = &mut self.entries[slot as usize];
        self.bytes -= entry.bytes();
        let hash = entry.hash;
        entry.key = Box::default();
        entry.value = Box::default();
        if let Ok(found) = self.index.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
    }

    fn push_newest(&mut self, slot: u32) {
        let before = self.newest;
        let entry = &mut self.entries[slot as usize];
        (entry.newer, entry.older) = (Link(NONE), before);
        match before.0 {
            NONE => self.oldest = Link(slot),
            before => self.entries[before as usize].newer = Link(slot),
        }
        self.newest = Link(slot);
    }

    fn unlink(&mut self, slot: u32) {
        let Entry { newer, older, .. } = self.entries[slot as usize];
        match newer.0 {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        match older.0 {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(cache: &Cache, key: &str) -> Option<String> {
        let mut out = Vec::new();
        cache
            .get(key.as_bytes(), &mut out)
            .then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_was_put_is_got_and_the_last_value_wins() {
        let cache = Cache::new(1 << 20);
        assert_eq!(get(&cache, "a"), None);
        cache.put(b"a", b"1");
        cache.put(b"b", b"2");
        cache.put(b"a", b"3");
        assert_eq!(
            (get(&cache, "a"), get(&cache, "b")),
            (Some("3".into()), Some("2".into()))
        );
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_cache_of_no_bytes_holds_nothing() {
        let cache = Cache::new(0);
        cache.put(b"a", b"1");
        assert!(!cache.is_on() && cache.is_empty());
    }

    #[test]
    fn it_stays_within_its_bound_and_keeps_what_is_used() {
        let bytes_max = 64 << 10;
        let cache = Cache::new(bytes_max);
        cache.put(b"kept", b"value");
        let mut evicted = 0;
        for n in 0..20_000u32 {
            evicted += cache.put(&n.to_le_bytes(), &[0; 100]);
            assert!(
                get(&cache, "kept").is_some(),
                "used after every insertion, dropped at {n}"
            );
            assert!(cache.bytes() <= bytes_max);
        }
        assert_eq!(evicted as usize, 20_001 - cache.len());
        cache.put(b"too large", &vec![0; bytes_max]);
        assert_eq!(get(&cache, "too large"), None);
    }

    #[test]
    fn lowering_the_bound_drops_the_oldest_at_once() {
        let cache = Cache::new(1 << 20);
        for n in 0..1000u32 {
            cache.put(&n.to_le_bytes(), &[0; 100]);
        }
        let evicted = cache.set_bytes_max(64 << 10) as usize;
        assert_eq!(evicted, 1000 - cache.len());
        assert!(cache.bytes() <= 64 << 10);
        cache.set_bytes_max(0);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn entries_agree_with_a_plain_map_under_random_use() {
        let cache = Cache::new(1 << 20); // nothing is evicted: 500 keys fit
        let mut map = std::collections::HashMap::new();
        let mut state = 1u64;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = format!("key{}", state >> 33 & 511);
            if state >> 50 & 1 == 0 {
                cache.put(key.as_bytes(), &state.to_le_bytes());
                map.insert(key, state);
            } else {
                let mut out = Vec::new();
                let found = cache
                    .get(key.as_bytes(), &mut out)
                    .then(|| u64::from_le_bytes(out.try_into().unwrap()));
                assert_eq!(found, map.get(&key).copied());
            }
        }
        assert_eq!(cache.len(), map.len());
    }
}
