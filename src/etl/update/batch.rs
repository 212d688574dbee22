//! A batch of tweets and its way into the store.

use crate::etl::{
    error::EtlError,
    record::dropped::Dropped,
    record::excluded::Excluded,
    record::records::TweetRecord,
    stage::counts::Counts,
    stage::map::Mapper,
    stage::tweets::canonical_order,
    update::{changed_users::ChangedUsers, events::Events, refused::Refused, rewrite},
};
use crate::store::{Store, Work};
use serde::Serialize;
use std::collections::BTreeMap;

/// The records of lines that passed the filter, one per tweet id.
#[derive(Debug, Default)]
pub struct Batch {
    records: BTreeMap<u64, Vec<u8>>,
    counts: Counts,
    duplicates: u64,
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
    /// Lines not kept because the batch or the store has another line with their tweet id.
    pub duplicates: u64,
    /// Tweets that the store did not have.
    pub tweets_new: u64,
    /// Tweets that replaced a stored tweet with the same id.
    pub tweets_replaced: u64,
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
        Ok(batch)
    }

    fn add(&mut self, id: u64, record: Vec<u8>) -> Result<(), EtlError> {
        let Some(kept) = self.records.get_mut(&id) else {
            self.records.insert(id, record);
            return Ok(());
        };
        self.duplicates += 1;
        if is_better(&record, kept)? {
            *kept = record;
        }
        Ok(())
    }

    /// Changes the store, as a whole or not at all.
    pub fn apply(&self, store: &Store, value_bytes_max: usize) -> Result<Applied, Refused> {
        if self.records.is_empty() {
            store.check_updates()?;
            return Ok(self.applied());
        }
        let mut update = store.update()?;
        let excluded = Excluded::from_fields(update.excluded()?);
        let mut applied = self.applied();
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (id, record) in &self.records {
            match update.tweet(*id)? {
                None => applied.tweets_new += 1,
                Some(kept) if is_better(record, kept)? => {
                    applied.tweets_replaced += 1;
                    removed.push(kept.to_vec());
                }
                Some(_) => {
                    applied.duplicates += 1;
                    continue;
                }
            }
            added.push((*id, record));
        }
        if added.is_empty() {
            applied.work = update.work();
            return Ok(applied);
        }
        for (id, record) in &added {
            update.put_tweet(*id, record)?;
        }
        let mut changed = ChangedUsers::default();
        for record in &removed {
            changed.remove(&Events::of(record, &excluded)?, &update)?;
        }
        for (_, record) in &added {
            changed.add(&Events::of(record, &excluded)?, &update)?;
        }
        changed.settle(&mut update, &excluded)?;
        applied.users_touched = rewrite::write(&changed, &mut update, value_bytes_max)?;
        applied.work = update.work();
        applied.batch = update.commit()?.batches;
        Ok(applied)
    }

    fn applied(&self) -> Applied {
        let c = &self.counts;
        let rules = Dropped::ALL.iter().map(|rule| rule.name());
        let mut dropped: BTreeMap<_, _> = rules.zip(c.dropped).collect();
        dropped.insert("too_long", c.dropped_too_long);
        Applied {
            batch: 0,
            lines: c.lines,
            bytes: c.bytes,
            dropped,
            duplicates: self.duplicates,
            tweets_new: 0,
            tweets_replaced: 0,
            users_touched: 0,
            work: Work::default(),
        }
    }
}

/// Whether to keep `a` rather than `b`, a record of the same tweet.
fn is_better(a: &[u8], b: &[u8]) -> Result<bool, EtlError> {
    Ok(canonical_order(&TweetRecord::parse(a)?, &TweetRecord::parse(b)?).is_gt())
}
