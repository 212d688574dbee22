//! A batch of tweets and deletions and its way into the store.

use crate::etl::{
    error::EtlError,
    record::dropped::Dropped,
    record::excluded::Excluded,
    record::notice::Notice,
    record::records::{TweetRecord, deleted_id},
    stage::counts::Counts,
    stage::map::Mapper,
    stage::tweets::canonical_order,
    update::{changed_users::ChangedUsers, events::Events, refused::Refused, rewrite},
};
use crate::store::{Store, StoredTweet, Update, UpdateError, Work};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The content of the lines, whatever their order: one record per tweet id, but none for a deleted tweet.
#[derive(Debug, Default)]
pub struct Batch {
    tweets: BTreeMap<u64, Lines>,
    deletions: BTreeSet<u64>,
    counts: Counts,
}

/// The lines of one tweet.
#[derive(Debug)]
struct Lines {
    count: u64,
    /// The record to keep.
    best: Vec<u8>,
}

/// The result of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Number of this batch since the store was built; 0 when it changed nothing.
    pub batch: u64,
    /// Lines read.
    pub lines: u64,
    /// Their bytes, newlines included.
    pub bytes: u64,
    /// Lines dropped, by rule.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Lines that are notices, by kind. Deletions have an effect.
    pub notices: BTreeMap<&'static str, u64>,
    /// Lines not kept because the batch or the store has another line with their tweet id.
    pub duplicates: u64,
    /// Lines not kept because their tweet is deleted.
    pub deleted: u64,
    /// Tweets that the store did not have.
    pub tweets_new: u64,
    /// Tweets that replaced a stored tweet with the same id.
    pub tweets_replaced: u64,
    /// Stored tweets that were deleted.
    pub tweets_deleted: u64,
    /// Users whose value was written: their answers may have changed.
    pub users_touched: u64,
    /// What it cost.
    pub work: Work,
}

impl Batch {
    /// Reads lines like the map stage.
    pub fn read(text: &[u8]) -> Result<Self, EtlError> {
        let mut batch = Self::default();
        let mut mapper = Mapper::default();
        mapper.count_block(text.len() as u64, 0);
        let (mut record, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            if let Some(id) = mapper.line(&rest[..end], &mut record) {
                batch.add(id, std::mem::take(&mut record))?;
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        batch.counts = mapper.counts();
        batch.drop_deleted();
        Ok(batch)
    }

    /// Deletes one tweet.
    pub fn deletion(id: u64) -> Self {
        Self {
            deletions: BTreeSet::from([id]),
            ..Self::default()
        }
    }

    fn add(&mut self, id: u64, record: Vec<u8>) -> Result<(), EtlError> {
        if deleted_id(&record).is_some() {
            self.deletions.insert(id);
            return Ok(());
        }
        let Some(lines) = self.tweets.get_mut(&id) else {
            let (count, best) = (1, record);
            self.tweets.insert(id, Lines { count, best });
            return Ok(());
        };
        lines.count += 1;
        if is_better(&record, &lines.best)? {
            lines.best = record;
        }
        Ok(())
    }

    /// A deletion wins over its tweet, whichever line came first.
    fn drop_deleted(&mut self) {
        for id in &self.deletions {
            let lines = self.tweets.remove(id);
            self.counts.deleted += lines.map_or(0, |lines| lines.count);
        }
        self.counts.duplicates = self.tweets.values().map(|lines| lines.count - 1).sum();
    }

    /// The result, if no line is a tweet to keep or a deletion: no store needs to be asked.
    pub fn of_nothing(&self) -> Option<Applied> {
        let is_empty = self.tweets.is_empty() && self.deletions.is_empty();
        is_empty.then(|| self.applied())
    }

    /// Changes the store, as a whole or not at all.
    pub fn apply(&self, store: &Store, value_bytes_max: usize) -> Result<Applied, Refused> {
        if let Some(applied) = self.of_nothing() {
            store.check_updates()?;
            return Ok(applied);
        }
        self.apply_within(store.update()?, value_bytes_max)
    }

    /// The same within `update`, which the caller began; commits it.
    pub fn apply_within(
        &self,
        mut update: Update<'_>,
        value_bytes_max: usize,
    ) -> Result<Applied, Refused> {
        let excluded = Excluded::from_fields(update.excluded()?);
        let mut applied = self.applied();
        let changes = self.changes(&update, &mut applied)?;
        if changes.deleted.is_empty() && changes.added.is_empty() {
            applied.work = update.work();
            return Ok(applied);
        }
        changes.store_tweets(&mut update)?;
        let mut changed = changes.users(&update, &excluded)?;
        changed.settle(&mut update, &excluded)?;
        applied.users_touched = rewrite::write(&changed, &mut update, value_bytes_max)?;
        applied.work = update.work();
        applied.batch = update.commit()?;
        Ok(applied)
    }

    /// Compares the batch with what is stored.
    fn changes(&self, update: &Update<'_>, applied: &mut Applied) -> Result<Changes<'_>, Refused> {
        let mut changes = Changes::default();
        update.prefetch_tweets(self.tweets.keys().chain(&self.deletions).copied())?;
        for &id in &self.deletions {
            match update.tweet(id)? {
                Some(StoredTweet::Deleted) => continue,
                Some(StoredTweet::Kept(record)) => {
                    applied.tweets_deleted += 1;
                    changes.removed.push(record.to_vec());
                }
                None => {}
            }
            changes.deleted.push(id);
        }
        for (&id, Lines { count, best }) in &self.tweets {
            match update.tweet(id)? {
                None => applied.tweets_new += 1,
                Some(StoredTweet::Kept(kept)) if is_better(best, kept)? => {
                    applied.tweets_replaced += 1;
                    changes.removed.push(kept.to_vec());
                }
                Some(StoredTweet::Kept(_)) => {
                    applied.duplicates += 1;
                    continue;
                }
                Some(StoredTweet::Deleted) => {
                    applied.duplicates -= count - 1;
                    applied.deleted += count;
                    continue;
                }
            }
            changes.added.push((id, best));
        }
        Ok(changes)
    }

    fn applied(&self) -> Applied {
        let c = &self.counts;
        let rules = Dropped::ALL.iter().map(|rule| rule.name());
        let mut dropped: BTreeMap<_, _> = rules.zip(c.dropped).collect();
        dropped.insert("too_long", c.dropped_too_long);
        let notices = Notice::ALL.iter().map(|notice| notice.name());
        Applied {
            batch: 0,
            lines: c.lines,
            bytes: c.bytes,
            dropped,
            notices: notices.zip(c.notices).collect(),
            duplicates: c.duplicates,
            deleted: c.deleted,
            tweets_new: 0,
            tweets_replaced: 0,
            tweets_deleted: 0,
            users_touched: 0,
            work: Work::default(),
        }
    }
}

/// What a batch changes in the store's tweets.
#[derive(Default)]
struct Changes<'b> {
    /// Records of stored tweets that are replaced or deleted.
    removed: Vec<Vec<u8>>,
    /// Tweets that the store does not know as deleted yet.
    deleted: Vec<u64>,
    /// Tweets to store.
    added: Vec<(u64, &'b [u8])>,
}

impl Changes<'_> {
    fn store_tweets(&self, update: &mut Update<'_>) -> Result<(), UpdateError> {
        for id in &self.deleted {
            update.put_deletion(*id)?;
        }
        for (id, record) in &self.added {
            update.put_tweet(*id, record)?;
        }
        Ok(())
    }

    /// The users whom this changes.
    fn users(&self, update: &Update<'_>, excluded: &Excluded) -> Result<ChangedUsers, Refused> {
        let removed = self.removed.iter().map(Vec::as_slice);
        let removed: Vec<Events> = removed
            .map(|record| Events::of(record, excluded))
            .collect::<Result<_, _>>()?;
        let added: Vec<Events> = (self.added.iter())
            .map(|(_, record)| Events::of(record, excluded))
            .collect::<Result<_, _>>()?;
        let mut users = Vec::new();
        for events in removed.iter().chain(&added) {
            users.extend(events.users()?);
        }
        update.prefetch_user_states(users)?;
        let mut changed = ChangedUsers::default();
        for events in &removed {
            changed.remove(events, update)?;
        }
        for events in &added {
            changed.add(events, update)?;
        }
        Ok(changed)
    }
}

/// Whether to keep `a` rather than `b`, a record of the same tweet.
fn is_better(a: &[u8], b: &[u8]) -> Result<bool, EtlError> {
    Ok(canonical_order(&TweetRecord::parse(a)?, &TweetRecord::parse(b)?).is_gt())
}
