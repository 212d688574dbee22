//! Tests of the cache.

use super::*;

fn get(cache: &Cache, key: &str) -> Option<String> {
    let mut out = Vec::new();
    cache
        .get(key.as_bytes(), &mut out)
        .then(|| String::from_utf8(out).unwrap())
}

/// Waits until a thread of this process sleeps: it can only be at the lock that its caller holds.
fn await_sleep(thread: &std::path::Path) {
    let stat = std::path::Path::new("/proc").join(thread).join("stat");
    let sleeps = || {
        let text = std::fs::read_to_string(&stat).unwrap();
        text.rsplit(')').next().unwrap().starts_with(" S")
    };
    while !sleeps() {
        std::thread::yield_now();
    }
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

/// A thread that puts has seen the old bound and waits for the shard while the new one is set.
#[test]
fn an_entry_that_comes_after_the_bound_was_lowered_is_not_kept() {
    for (bytes_max, value_bytes) in [(0, 1), (64 << 10, 2000)] {
        let cache = Cache::new(1 << 20);
        let mut shard = cache.shard(cache.hasher.hash_one(b"a".as_slice())).lock();
        std::thread::scope(|scope| {
            let (begins, begun) = std::sync::mpsc::channel();
            let cache = &cache;
            scope.spawn(move || {
                let this_thread = std::fs::read_link("/proc/thread-self").unwrap();
                begins.send(this_thread).unwrap();
                cache.put(b"a", &vec![0; value_bytes])
            });
            await_sleep(&begun.recv().unwrap());
            // The effect of `set_bytes_max` on this shard.
            cache.bytes_max.store(bytes_max, Relaxed);
            shard.make_room(bytes_max / SHARDS, Policy::Lru);
            drop(shard);
        });
        assert_eq!((cache.len(), cache.bytes()), (0, 0), "{bytes_max}");
    }
}

#[test]
fn a_value_that_does_not_fit_takes_the_old_one_with_it() {
    let large = vec![0; 64 << 10];
    let put: [fn(&Cache, &[u8]) -> u64; 2] = [
        |cache, value| cache.put(b"a", value),
        |cache, value| cache.put_shared(b"a", value.into()),
    ];
    for put in put {
        let cache = Cache::new(64 << 10);
        cache.put(b"b", b"other");
        cache.put(b"a", b"old");
        assert_eq!(put(&cache, &large), 0);
        assert_eq!((get(&cache, "a"), cache.len()), (None, 1));
    }
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

#[test]
fn a_shared_value_outlives_its_entry() {
    let cache = Cache::new(1 << 20);
    cache.put_shared(b"a", b"1".as_slice().into());
    let value = cache.get_shared(b"a").unwrap();
    assert_eq!(cache.clear(), 1);
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
    assert_eq!(&*value, b"1");
    assert!(cache.get_shared(b"a").is_none());
}

#[test]
fn one_shard_holds_entries_as_large_as_the_cache() {
    let value = vec![7; 50_000];
    let (many, one) = (Cache::new(64 << 10), Cache::with_shards(64 << 10, 1));
    many.put(b"a", &value);
    one.put(b"a", &value);
    assert_eq!((many.len(), one.len()), (0, 1));
    assert_eq!(one.put(b"b", &value), 1);
    assert!(one.get_shared(b"a").is_none() && one.get_shared(b"b").is_some());
}

#[test]
fn keys_are_those_that_are_held() {
    let cache = Cache::new(1 << 20);
    for n in 0..500u32 {
        cache.put(&n.to_be_bytes(), b"value");
    }
    for n in (0..500u32).step_by(2) {
        let removed = cache.remove(&n.to_be_bytes());
        assert_eq!(removed.as_deref(), Some(b"value".as_slice()));
        assert_eq!(cache.remove(&n.to_be_bytes()), None);
    }
    let mut keys = cache.keys();
    keys.sort_unstable();
    let odd: Vec<Box<[u8]>> = (1..500u32)
        .step_by(2)
        .map(|n| n.to_be_bytes().into())
        .collect();
    assert_eq!(keys, odd);
}

#[test]
fn hits_and_misses_are_counted_and_removals_are_neither() {
    let cache = Cache::new(1 << 20);
    for n in 0..100u32 {
        cache.put(&n.to_be_bytes(), b"value");
    }
    let mut out = Vec::new();
    for n in 60..200u32 {
        assert_eq!(cache.get(&n.to_be_bytes(), &mut out), n < 100);
    }
    for n in 90..110u32 {
        assert_eq!(cache.get_shared(&n.to_be_bytes()).is_some(), n < 100);
        cache.remove(&n.to_be_bytes());
    }
    cache.clear();
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (40 + 10, 100 + 10));
    assert_eq!((stats.entries, stats.bytes), (0, 0));
}

#[test]
fn a_policy_is_its_word_everywhere() {
    for policy in Policy::ALL {
        assert_eq!(policy.to_string().parse(), Ok(policy));
        let json = format!("\"{policy}\"");
        assert_eq!(serde_json::to_string(&policy).unwrap(), json);
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    }
    for word in ["", "LRU", "fifo"] {
        assert_eq!(word.parse::<Policy>(), Err(UnknownPolicy));
    }
}

/// Twice as many keys as fit, asked for in turn: the policies differ most.
#[test]
fn a_scan_defeats_lru_and_not_random() {
    let hits = |policy| {
        let cache = Cache::new(64 * 100 * 200);
        cache.set_policy(policy);
        let mut hits = 0;
        for round in 0..20 {
            for key in 0..12_800u32 {
                let key = key.to_le_bytes();
                if cache.get_shared(&key).is_some() {
                    hits += usize::from(round > 4);
                } else {
                    cache.put(&key, &[0; 100]);
                }
            }
        }
        assert!(cache.bytes() <= 64 * 100 * 200);
        hits
    };
    let (lru, random) = (hits(Policy::Lru), hits(Policy::Random));
    assert!(lru < 2000, "{lru}");
    assert!(random > 30_000, "{random}");
}

#[test]
fn policy_and_bound_change_under_use() {
    let cache = Cache::new(1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..20_000u32 {
                    let key = (n.wrapping_mul(thread + 1) % 5000).to_le_bytes();
                    match cache.get_shared(&key) {
                        Some(value) => assert_eq!(&value[..4], key),
                        None => drop(cache.put(&key, &[key, key].concat())),
                    }
                }
            });
        }
        for round in 0..200 {
            let policy = if round % 2 == 0 {
                Policy::Random
            } else {
                Policy::Lru
            };
            cache.set_policy(policy);
            cache.set_bytes_max([1 << 20, 0, 64 << 10][round % 3]);
        }
    });
    cache.set_bytes_max(64 << 10);
    let state = cache.stats();
    assert!(
        state.bytes <= 64 << 10 && state.entries == cache.len(),
        "{state:?}"
    );
    cache.set_policy(Policy::Random);
    let dropped = cache.set_bytes_max(0);
    assert_eq!((dropped as usize, cache.len()), (state.entries, 0));
}
