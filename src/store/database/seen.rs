//! Which data this instance has seen, and which of them it may keep.
//!
//! Every read says which batch it saw. An answer never contains data that a batch seen before has changed:
//!
//! | the read saw | then |
//! | --- | --- |
//! | the last batch that is known | it is kept and answered |
//! | a later one | first the users that changed since are dropped (`follow`) |
//! | an earlier one, and the user has not changed since | it is kept and answered |
//! | an earlier one, and the user has changed, or nobody remembers | it is asked for again |
//!
//! The lock makes the comparison and the insertion one step, because another thread notes the batches of this instance.

use super::{
    ask::Read,
    cache::ValueCache,
    schema::{Batch, Version},
};
use crate::store::Meta;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Batches whose users are remembered.
const BATCHES_MAX: usize = 1024;

/// Users that are remembered in all these batches together: 8 MiB.
const USERS_MAX: usize = 1 << 20;

/// What has been seen.
#[derive(Default)]
pub(super) struct Seen(Mutex<State>);

#[derive(Default)]
struct State {
    version: Option<Version>,
    /// How often the data were replaced.
    generation: u64,
    /// The last batches, ascending and without a gap up to the last one seen. Their users ascend.
    recent: VecDeque<(u64, Box<[u64]>)>,
    recent_users: usize,
    /// Since when every host that was checked is behind.
    behind_since: Option<Instant>,
}

/// What was known when a statement was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    generation: u64,
    batch: Batch,
}

/// How the version on a host compares with the data seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// Nothing new.
    Same,
    /// The first version that was seen.
    First,
    /// The data were replaced; the cache is cleared.
    Replaced,
    /// There are later batches; their changes must be read before anything else.
    Ahead(Mark),
    /// A batch that was seen is missing.
    Behind(u64),
    /// The batch has been missing for too long; the cache is cleared and starts from this version.
    WentBack(u64),
}

/// A batch and the users that it has changed; `None`: too many to list.
pub(super) type Change = (u64, Option<Box<[u64]>>);

/// The changes of batches, by their numbers.
pub(super) type Changes = Vec<Change>;

/// Whether a value that was read may be answered, or must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Usable,
    Stale,
}

impl Mark {
    pub(super) fn batch(&self) -> Batch {
        self.batch
    }
}

impl Seen {
    pub(super) fn mark(&self) -> Mark {
        self.0.lock().mark()
    }

    /// The metadata of the served store.
    pub(super) fn meta(&self) -> Option<Meta> {
        self.0.lock().version.as_ref().map(|seen| seen.meta.clone())
    }

    /// How often the data were set or replaced.
    pub(super) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Compares a host's version with the data seen so far. `patience`: how long a missing batch may stay missing.
    pub(super) fn note(&self, found: &Version, cache: &ValueCache, patience: Duration) -> Noted {
        let mut state = self.0.lock();
        let noted = state.compare(found, patience);
        match noted {
            Noted::Same | Noted::Ahead(_) => state.behind_since = None,
            Noted::Behind(_) => {}
            Noted::First | Noted::Replaced | Noted::WentBack(_) => {
                let generation = state.generation + 1;
                *state = State {
                    version: Some(found.clone()),
                    generation,
                    ..State::default()
                };
                cache.clear();
            }
        }
        noted
    }

    /// Drops the users that batches after `since`, up to `to`, have changed. If the changes of a batch are unknown,
    /// clears the cache.
    pub(super) fn advance(&self, since: Mark, to: u64, changes: Changes, cache: &ValueCache) {
        let mut state = self.0.lock();
        let known = state.mark();
        let is_same_load = known.generation == since.generation;
        if !is_same_load || known.batch.number >= to {
            return;
        }
        let is_gapless = changes
            .iter()
            .map(|(batch, _)| *batch)
            .eq(since.batch.number + 1..=to);
        if let Some(version) = &mut state.version {
            version.batch.number = to;
        }
        let told: Option<Vec<_>> = changes
            .into_iter()
            .map(|(batch, users)| Some((batch, users?)))
            .collect();
        match told.filter(|_| is_gapless) {
            Some(told) => {
                for (batch, users) in told {
                    users.iter().for_each(|user| cache.forget(*user));
                    // Other threads may have been faster.
                    if batch > known.batch.number {
                        state.remember(batch, users);
                    }
                }
            }
            None => {
                cache.clear();
                state.forget();
            }
        }
    }

    /// Whether all of `reads` are of batches that are known by now.
    pub(super) fn knows(&self, reads: &[Read]) -> bool {
        let known = self.mark().batch;
        reads
            .iter()
            .all(|read| read.batch.loaded == known.loaded && read.batch.number <= known.number)
    }

    /// Keeps a value unless it may have changed since it was read.
    pub(super) fn keep(&self, id: u64, read: &Read, sent: Mark, cache: &ValueCache) -> Freshness {
        let state = self.0.lock();
        let known = state.mark();
        let is_current = known.generation == sent.generation;
        if read.batch.loaded != known.batch.loaded {
            // The data were replaced meanwhile. An answer never mixes both, but these values are not kept.
            return if is_current {
                Freshness::Stale
            } else {
                Freshness::Usable
            };
        }
        if state.has_changed(id, read.batch.number) {
            return Freshness::Stale;
        }
        if let Some(Ok(value)) = &read.answer
            && is_current
        {
            cache.keep(id, value.clone());
        }
        Freshness::Usable
    }
}

impl State {
    fn mark(&self) -> Mark {
        Mark {
            generation: self.generation,
            batch: self
                .version
                .as_ref()
                .map(|seen| seen.batch)
                .unwrap_or_default(),
        }
    }

    fn compare(&mut self, found: &Version, patience: Duration) -> Noted {
        let Some(seen) = &self.version else {
            return Noted::First;
        };
        let (known, new) = (seen.batch, found.batch);
        if seen.meta != found.meta || known.loaded != new.loaded {
            return Noted::Replaced;
        }
        if new.number > known.number {
            return Noted::Ahead(self.mark());
        }
        if new.number == known.number {
            return Noted::Same;
        }
        let since = *self.behind_since.get_or_insert_with(Instant::now);
        if since.elapsed() < patience {
            Noted::Behind(known.number)
        } else {
            Noted::WentBack(known.number)
        }
    }

    /// Whether the user may have changed after this batch.
    fn has_changed(&self, id: u64, batch: u64) -> bool {
        if batch >= self.mark().batch.number {
            return false;
        }
        let covers = |(first, _): &(u64, _)| *first <= batch + 1;
        if !self.recent.front().is_some_and(covers) {
            return true;
        }
        let mut later = self.recent.iter().rev();
        later
            .by_ref()
            .take_while(|(number, _)| *number > batch)
            .any(|(_, users)| users.binary_search(&id).is_ok())
    }

    fn remember(&mut self, batch: u64, users: Box<[u64]>) {
        self.recent_users += users.len();
        self.recent.push_back((batch, users));
        while self.recent.len() > BATCHES_MAX || self.recent_users > USERS_MAX {
            let Some((_, users)) = self.recent.pop_front() else {
                break;
            };
            self.recent_users -= users.len();
        }
    }

    fn forget(&mut self) {
        self.recent.clear();
        self.recent_users = 0;
    }
}

#[cfg(test)]
mod tests;
