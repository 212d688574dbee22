//! A byte-bounded cache from byte strings to byte strings, shared by all workers.
//!
//! Sharded by hash so that workers rarely meet; whole keys are compared, so a hash collision can
//! never give a wrong answer; hashes are seeded per process, so a client cannot aim for collisions.
//! Bound and replacement policy may be changed while it is in use. An entry is at most as large as a shard, so a cache
//! for a few large values has fewer shards ([`Cache::with_shards`]). It names no other module.

use std::{
    fmt,
    hash::BuildHasher,
    mem,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Locks of the cache: with four workers the chance that two meet at one is a few per cent, and a lookup holds it while
/// it copies one answer.
const SHARDS: usize = 64;

/// What an entry costs besides its bytes: table slot, list links, allocator headers.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// End of the list of a shard.
const NONE: u32 = u32::MAX;

/// Attempts to draw a slot with an entry before the oldest entry is dropped instead. After the bound was lowered, most
/// slots may be free.
const DRAWS_MAX: usize = 16;

/// Which entry makes room for a new one. Its word in settings, states and JSON is `lru` or `random`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The one used least recently: best where some keys are asked for again and again.
    #[default]
    Lru,
    /// Any entry: a hit moves nothing, and a scan over more keys than fit still gets a share of hits.
    Random,
}

/// The text names no [`Policy`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("expected lru or random")]
pub struct UnknownPolicy;

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Lru, Self::Random];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Random => "random",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(word: &str) -> Result<Self, UnknownPolicy> {
        let named = Self::ALL.into_iter().find(|policy| policy.name() == word);
        named.ok_or(UnknownPolicy)
    }
}

/// The settings, the content and the counts of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Most bytes it may hold.
    pub bytes_max: usize,
    /// Bytes it holds, bookkeeping included.
    pub bytes: usize,
    /// Entries it holds.
    pub entries: usize,
    /// Which entry makes room.
    pub policy: Policy,
    /// Look-ups since the start that found their key.
    pub hits: u64,
    /// Look-ups since the start that did not.
    pub misses: u64,
}

/// A cache; all methods may be called from any thread.
pub struct Cache {
    shards: Box<[Mutex<Shard>]>,
    hasher: DefaultHashBuilder,
    bytes_max: AtomicUsize,
    random: AtomicBool,
}

/// Entries in a slab, found through a table of indexes, linked from most to least recently used.
#[derive(Default)]
struct Shard {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// Slots of `entries` without an entry.
    free: Vec<u32>,
    bytes: usize,
    hits: u64,
    misses: u64,
    newest: Link,
    oldest: Link,
    /// State of the generator behind [`Policy::Random`].
    draw: u64,
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
    value: Arc<[u8]>,
    /// The slot has an entry.
    used: bool,
    newer: Link,
    older: Link,
}

impl Cache {
    /// An empty cache that holds at most `bytes_max` bytes of keys, values and bookkeeping; with 0 it stays empty.
    pub fn new(bytes_max: usize) -> Self {
        Self::with_shards(bytes_max, SHARDS)
    }

    /// Like [`new`](Self::new), with this many shards (at least one). An entry larger than a shard's part of
    /// `bytes_max` is not kept.
    pub fn with_shards(bytes_max: usize, shards: usize) -> Self {
        Self {
            shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            bytes_max: AtomicUsize::new(bytes_max),
            random: AtomicBool::new(false),
        }
    }

    /// Whether anything can be in the cache.
    pub fn is_on(&self) -> bool {
        self.bytes_max.load(Relaxed) > 0
    }

    /// Appends the value of `key` to `out`; false if there is none.
    pub fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.find(key, |value| out.extend_from_slice(value))
            .is_some()
    }

    /// The value of `key` without a copy; it lives on if it is dropped from the cache meanwhile.
    pub fn get_shared(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.find(key, Arc::clone)
    }

    fn find<R>(&self, key: &[u8], take: impl FnOnce(&Arc<[u8]>) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        let Some(slot) = shard.find(hash, key) else {
            shard.misses += 1;
            return None;
        };
        shard.hits += 1;
        if !self.random.load(Relaxed) {
            shard.unlink(slot);
            shard.push_newest(slot);
        }
        Some(take(&shard.entries[slot as usize].value))
    }

    /// Keeps a copy of `value` for `key`, making room as the policy says; returns how many entries were dropped. An
    /// entry that would fill a shard on its own is not kept, and the key's previous value is dropped.
    pub fn put(&self, key: &[u8], value: &[u8]) -> u64 {
        if self.fits(key, value) {
            self.put_shared(key, value.into())
        } else {
            self.remove(key);
            0
        }
    }

    /// [`put`](Self::put) without the copy.
    pub fn put_shared(&self, key: &[u8], value: Arc<[u8]>) -> u64 {
        let hash = self.hasher.hash_one(key);
        let entry = Entry {
            hash,
            key: key.into(),
            value,
            used: true,
            newer: Link(NONE),
            older: Link(NONE),
        };
        let mut shard = self.shard(hash).lock();
        // Under the lock: whoever lowers the bound afterwards takes every shard's lock.
        let room = self.shard_bytes_max().checked_sub(entry.bytes());
        if let Some(slot) = shard.find(hash, key) {
            shard.remove(slot);
        }
        let Some(room) = room else { return 0 };
        let evicted = shard.make_room(room, self.policy());
        shard.insert(entry);
        evicted
    }

    /// Drops an entry; its value if it was there. This is no look-up: it is neither a hit nor a miss.
    pub fn remove(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        let slot = shard.find(hash, key)?;
        Some(shard.remove(slot))
    }

    fn fits(&self, key: &[u8], value: &[u8]) -> bool {
        key.len() + value.len() + ENTRY_OVERHEAD_BYTES <= self.shard_bytes_max()
    }

    fn shard_bytes_max(&self) -> usize {
        self.bytes_max.load(Relaxed) / self.shards.len()
    }

    /// Which entry makes room for a new one.
    pub fn policy(&self) -> Policy {
        if self.random.load(Relaxed) {
            Policy::Random
        } else {
            Policy::Lru
        }
    }

    /// Changes the policy, effective with the next entry that has to go. [`Policy::Lru`] does not know which entries
    /// were used while [`Policy::Random`] was set.
    pub fn set_policy(&self, policy: Policy) {
        self.random.store(policy == Policy::Random, Relaxed);
    }

    /// Drops every entry; returns how many.
    pub fn clear(&self) -> u64 {
        self.make_room(0)
    }

    /// Sets another bound, effective at once; returns how many entries were dropped.
    pub fn set_bytes_max(&self, bytes_max: usize) -> u64 {
        self.bytes_max.store(bytes_max, Relaxed);
        self.make_room(bytes_max / self.shards.len())
    }

    fn make_room(&self, shard_bytes: usize) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.lock().make_room(shard_bytes, self.policy()))
            .sum()
    }

    /// Its settings, its present content and its counts; each shard's are read at one moment.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            bytes_max: self.bytes_max.load(Relaxed),
            policy: self.policy(),
            ..Stats::default()
        };
        for shard in &self.shards {
            let shard = shard.lock();
            stats.bytes += shard.bytes;
            stats.entries += shard.index.len();
            stats.hits += shard.hits;
            stats.misses += shard.misses;
        }
        stats
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

    /// The keys of all entries, in no order; each shard's keys are read at one moment.
    pub fn keys(&self) -> Vec<Box<[u8]>> {
        let keys = |shard: &Mutex<Shard>| -> Vec<_> {
            let shard = shard.lock();
            let key = |slot: &u32| shard.entries[*slot as usize].key.clone();
            shard.index.iter().map(key).collect()
        };
        self.shards.iter().flat_map(keys).collect()
    }

    /// Bytes held now, bookkeeping included.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The table uses the low bits and the top seven; take the shard from between.
        &self.shards[(hash >> 40) as usize % self.shards.len()]
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

    /// Drops entries until at most `bytes` are held; returns how many.
    fn make_room(&mut self, bytes: usize, policy: Policy) -> u64 {
        let mut dropped = 0;
        while self.bytes > bytes && self.oldest.0 != NONE {
            let slot = match policy {
                Policy::Lru => self.oldest.0,
                Policy::Random => self.any(),
            };
            self.remove(slot);
            dropped += 1;
        }
        if self.index.is_empty() {
            (self.entries, self.free) = (Vec::new(), Vec::new()); // a bound of 0 holds nothing
        }
        dropped
    }

    /// Some entry, each as likely as any other.
    fn any(&mut self) -> u32 {
        for _ in 0..DRAWS_MAX {
            // Knuth's linear congruential generator: good enough to pick a slot.
            self.draw = self
                .draw
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let slot = ((self.draw >> 32) * self.entries.len() as u64) >> 32;
            if self.entries[slot as usize].used {
                return slot as u32;
            }
        }
        self.oldest.0
    }

    /// Drops the entry in a slot; its value.
    fn remove(&mut self, slot: u32) -> Arc<[u8]> {
        self.unlink(slot);
        let entry = &mut self.entries[slot as usize];
        self.bytes -= entry.bytes();
        let hash = entry.hash;
        entry.key = Box::default();
        let value = mem::take(&mut entry.value);
        entry.used = false;
        if let Ok(found) = self.index.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        value
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
mod tests;
