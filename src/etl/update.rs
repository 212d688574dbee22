//! More tweets for a store that keeps history: afterwards it holds what a run over the old and the new
//! input would have made.
//!
//! ```text
//! lines → map → Batch → tweets kept anew or in the place of another → people → values → Update
//! ```
//!
//! Lines become records and records become events by the same code as in a run. The events of tweets
//! that are replaced are taken back, those of new ones are added to what is known about each user
//! (`people`), and every value that tells of a changed user is written again (`values`).
//!
//! Called by `app` on a thread of its own. Not here: how the batch came, and the store's files.

mod people;
mod values;

use super::{
    error::EtlError,
    exclude::Excluded,
    extract::Dropped,
    map::Mapper,
    record::TweetRecord,
    report::Counts,
    tweets::{TweetOutput, TweetReducer, canonical_order},
};
use crate::twitter::{
    model::{Corrupt, TooLarge},
    store::{StoreError, Update, UpdateError},
};
use people::People;
use serde::Serialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a batch was not taken. Nothing of it is in the store.
#[derive(Debug, Error)]
pub enum Refused {
    /// A user's value would become larger than is allowed.
    #[error("the value of user {user} would have {bytes} bytes, the limit is {bytes_max}")]
    ValueTooLarge {
        /// The user.
        user: u64,
        /// What it would need.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A user's value would not fit the format.
    #[error("the value of user {user} would be too large: {source}")]
    Format {
        /// The user.
        user: u64,
        /// The format's limit.
        source: TooLarge,
    },
    /// A value in the store cannot be read.
    #[error("the value of user {user} is damaged: {source}; restore the store from a snapshot")]
    Damaged {
        /// The user.
        user: u64,
        /// What is wrong with it.
        source: Corrupt,
    },
    /// The history in the store contradicts itself.
    #[error("the store's history: {0}")]
    History(#[from] EtlError),
    /// The store.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Update(error.into())
    }
}

/// Lines that passed the filter, one record per tweet id.
#[derive(Debug, Default)]
pub struct Batch {
    records: BTreeMap<u64, Vec<u8>>,
    counts: Counts,
    duplicates: u64,
}

/// What became of a batch.
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
    /// Lines whose tweet id the batch or the store has already, and that are not the ones kept.
    pub duplicates: u64,
    /// Tweets the store did not have.
    pub tweets_new: u64,
    /// Tweets that took the place of one with their id.
    pub tweets_replaced: u64,
    /// Users whose value was written: their answers may have changed.
    pub users_touched: u64,
}

impl Batch {
    /// Reads lines as the map stage does.
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

    /// Changes the store within `update`, which the caller has begun and this commits.
    pub fn apply(
        &self,
        mut update: Update<'_>,
        value_bytes_max: usize,
    ) -> Result<Applied, Refused> {
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
            return Ok(applied);
        }
        for (id, record) in &added {
            update.put_tweet(*id, record)?;
        }
        let mut people = People::default();
        for record in &removed {
            people.remove(&Events::of(record, &excluded)?, &update)?;
        }
        for (_, record) in &added {
            people.add(&Events::of(record, &excluded)?, &update)?;
        }
        people.settle(&mut update, &excluded)?;
        applied.users_touched = values::write(&people, &mut update, value_bytes_max)?;
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
        }
    }
}

/// Whether `a` is to be kept rather than `b`, a record of the same tweet.
fn is_better(a: &[u8], b: &[u8]) -> Result<bool, EtlError> {
    Ok(canonical_order(&TweetRecord::parse(a)?, &TweetRecord::parse(b)?).is_gt())
}

/// What a tweet says about users: their records, as the second stage of a run makes them.
struct Events(Vec<u8>);

impl Events {
    fn of(record: &[u8], excluded: &Excluded) -> Result<Self, EtlError> {
        let mut events = Self(Vec::new());
        let mut reducer = TweetReducer::new(excluded);
        reducer.line(record, &mut events)?;
        reducer.finish(&mut events)?;
        Ok(events)
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.0.split(|&byte| byte == b'\n');
        lines.filter(|line| !line.is_empty())
    }
}

impl TweetOutput for Events {
    fn kept(&mut self, _record: &[u8]) -> Result<(), EtlError> {
        Ok(())
    }

    fn tag(&mut self, _tag: &[u8]) -> Result<(), EtlError> {
        Ok(())
    }

    fn event(&mut self, _user: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        write(&mut self.0);
        self.0.push(b'\n');
        Ok(())
    }
}
