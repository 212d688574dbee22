//! Which reads are kept, answered, or asked for again.

use super::*;
use crate::{
    cache::Policy,
    store::database::{lookups::Answer, schema::SCHEMA_VERSION},
};
use std::sync::Arc;

const PATIENCE: Duration = Duration::from_secs(3600);

fn batch(number: u64) -> Batch {
    Batch { loaded: 7, number }
}

fn version(number: u64) -> Version {
    let content = crate::store::embedded::Content::default();
    Version {
        schema: SCHEMA_VERSION,
        meta: content.meta(),
        batch: batch(number),
    }
}

fn read(text: &str, number: u64) -> Read {
    let answer: Answer = Ok(Some(Arc::from(text.as_bytes())));
    Read {
        answer: Some(answer),
        batch: batch(number),
    }
}

fn cached(cache: &ValueCache, id: u64) -> Option<String> {
    let value = cache.get(id)??;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

fn users(ids: &[u64]) -> Option<Box<[u64]>> {
    Some(ids.into())
}

/// An instance that has seen the batches up to 5, with the users 1 to 9 in its cache.
fn at_five() -> (Seen, ValueCache) {
    let (seen, cache) = (Seen::default(), ValueCache::new(1 << 20, Policy::Lru));
    assert_eq!(seen.note(&version(5), &cache, PATIENCE), Noted::First);
    let sent = seen.mark();
    for id in 1..10 {
        let kept = seen.keep(id, &read("five", 5), sent, &cache);
        assert_eq!(kept, Freshness::Usable);
    }
    (seen, cache)
}

fn advance(seen: &Seen, cache: &ValueCache, to: u64, changes: Changes) {
    let Noted::Ahead(since) = seen.note(&version(to), cache, PATIENCE) else {
        panic!("no later batch");
    };
    seen.advance(since, to, changes, cache);
}

#[test]
fn a_batch_costs_the_users_that_it_changed() {
    let (seen, cache) = at_five();
    advance(
        &seen,
        &cache,
        7,
        vec![(6, users(&[1, 3])), (7, users(&[3, 8]))],
    );
    let there: Vec<u64> = (1..10).filter(|id| cached(&cache, *id).is_some()).collect();
    assert_eq!(there, [2, 4, 5, 6, 7, 9]);
    assert_eq!(seen.note(&version(7), &cache, PATIENCE), Noted::Same);
}

#[test]
fn what_is_not_told_costs_everything() {
    for changes in [
        vec![],
        vec![(7, users(&[1]))],
        vec![(6, users(&[1]))],
        vec![(6, None), (7, users(&[1]))],
        vec![(6, users(&[1])), (6, users(&[1])), (7, users(&[1]))],
    ] {
        let (seen, cache) = at_five();
        advance(&seen, &cache, 7, changes.clone());
        assert!(
            (1..10).all(|id| cached(&cache, id).is_none()),
            "{changes:?}"
        );
        // The changes are forgotten, so an earlier read cannot be trusted.
        let sent = seen.mark();
        let freshness = seen.keep(2, &read("six", 6), sent, &cache);
        assert_eq!(freshness, Freshness::Stale);
        assert_eq!(
            seen.keep(2, &read("seven", 7), sent, &cache),
            Freshness::Usable
        );
    }
}

/// A statement was under way, or its host is behind.
#[test]
fn what_was_read_before_a_batch_is_not_kept_after_it() {
    let (seen, cache) = at_five();
    let sent = seen.mark();
    advance(
        &seen,
        &cache,
        7,
        vec![(6, users(&[1, 3])), (7, users(&[8]))],
    );
    for (id, number, freshness) in [
        (1, 5, Freshness::Stale),
        (3, 5, Freshness::Stale),
        (8, 6, Freshness::Stale),
        (1, 6, Freshness::Usable),
        (2, 5, Freshness::Usable),
        // Batches that are not remembered.
        (9, 4, Freshness::Stale),
    ] {
        let got = seen.keep(id, &read("late", number), sent, &cache);
        assert_eq!(got, freshness, "{id} at {number}");
        let text = cached(&cache, id);
        let is_kept = text.as_deref() == Some("late");
        assert_eq!(is_kept, freshness == Freshness::Usable, "{id} at {number}");
    }
}

/// Two tasks read the same changes, one of them later: nothing is noted twice or lost.
#[test]
fn those_who_come_later_change_nothing() {
    let (seen, cache) = at_five();
    let Noted::Ahead(early) = seen.note(&version(6), &cache, PATIENCE) else {
        panic!("no later batch");
    };
    advance(&seen, &cache, 7, vec![(6, users(&[1])), (7, users(&[2]))]);
    let sent = seen.mark();
    seen.keep(1, &read("seven", 7), sent, &cache);
    seen.advance(early, 6, vec![(6, users(&[1]))], &cache);
    assert_eq!(cached(&cache, 1).as_deref(), Some("seven"));
    assert_eq!(seen.mark(), sent);
    // A later reader has one batch more: repeated changes drop their users again and are remembered once.
    seen.advance(
        early,
        8,
        vec![(6, users(&[1])), (7, users(&[2])), (8, users(&[3]))],
        &cache,
    );
    assert_eq!(seen.mark().batch(), batch(8));
    let freshness = |id, number| seen.keep(id, &read("x", number), seen.mark(), &cache);
    assert_eq!(
        [
            freshness(3, 7),
            freshness(2, 6),
            freshness(2, 7),
            freshness(4, 5)
        ],
        [
            Freshness::Stale,
            Freshness::Stale,
            Freshness::Usable,
            Freshness::Usable
        ]
    );
}

#[test]
fn hosts_that_are_behind_are_waited_for_and_then_believed() {
    let (seen, cache) = at_five();
    let behind = |patience| seen.note(&version(4), &cache, patience);
    assert_eq!(behind(PATIENCE), Noted::Behind(5));
    assert!(cached(&cache, 1).is_some());
    // Another host has it: the time starts over.
    assert_eq!(seen.note(&version(5), &cache, PATIENCE), Noted::Same);
    assert!(seen.0.lock().behind_since.is_none());
    assert_eq!(behind(PATIENCE), Noted::Behind(5));
    assert_eq!(behind(Duration::ZERO), Noted::WentBack(5));
    assert!(cached(&cache, 1).is_none());
    assert_eq!(seen.mark().batch(), batch(4));
}

#[test]
fn another_load_drops_everything_although_its_store_is_the_same() {
    let (seen, cache) = at_five();
    let sent = seen.mark();
    let mut other = version(5);
    other.batch.loaded = 8;
    assert_eq!(seen.note(&other, &cache, PATIENCE), Noted::Replaced);
    assert!(cached(&cache, 1).is_none());
    // A value asked for before answers the waiting lookups and is not kept.
    assert_eq!(
        seen.keep(1, &read("old", 5), sent, &cache),
        Freshness::Usable
    );
    assert!(cached(&cache, 1).is_none());
}
