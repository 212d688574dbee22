//! What a run did: counted per worker, added up per stage, kept in the manifest, printed at the end.

use super::{extract::Dropped, tags::TagReport};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Numbers that stages add to. They depend on the input only, never on workers or order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Input lines.
    pub lines: u64,
    /// Uncompressed input bytes, newlines included.
    pub bytes: u64,
    /// Lines dropped, by rule, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Lines longer than `input::LINE_BYTES_MAX`, dropped unread.
    pub dropped_too_long: u64,
    /// Lines that pass the filter.
    pub valid: u64,
    /// Valid lines whose tweet id had been seen.
    pub duplicates: u64,
    /// Tweets after deduplication.
    pub tweets: u64,
    /// Tags of these tweets, repeats included.
    pub tag_occurrences: u64,
    /// Users with a profile: senders and retweeted users.
    pub profiles: u64,
    /// Users with a contact: those that get a value.
    pub users: u64,
    /// Contacts of all users: a pair counts twice, a self contact once.
    pub directed_pairs: u64,
    /// Self contacts.
    pub self_pairs: u64,
    /// Contact tweets of all users.
    pub contact_tweets: u64,
    /// Bytes of all values.
    pub value_bytes: u64,
}

impl Counts {
    /// Adds `other` to every number.
    pub fn add(&mut self, other: &Self) {
        let Self {
            lines,
            bytes,
            dropped,
            dropped_too_long,
            valid,
            duplicates,
            tweets,
            tag_occurrences,
            profiles,
            users,
            directed_pairs,
            self_pairs,
            contact_tweets,
            value_bytes,
        } = self;
        for (mine, others) in dropped.iter_mut().zip(&other.dropped) {
            *mine += others;
        }
        *lines += other.lines;
        *bytes += other.bytes;
        *dropped_too_long += other.dropped_too_long;
        *valid += other.valid;
        *duplicates += other.duplicates;
        *tweets += other.tweets;
        *tag_occurrences += other.tag_occurrences;
        *profiles += other.profiles;
        *users += other.users;
        *directed_pairs += other.directed_pairs;
        *self_pairs += other.self_pairs;
        *contact_tweets += other.contact_tweets;
        *value_bytes += other.value_bytes;
    }
}

/// A file that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkippedFile {
    /// The file.
    pub path: PathBuf,
    /// What was wrong, with the position.
    pub reason: String,
}

/// One stage of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageReport {
    /// `map`, `tweets`, `tags`, `users`, `values` or `build`.
    pub stage: String,
    /// Wall time.
    pub seconds: f64,
    /// Bytes the stage read: uncompressed input for `map`, work files for the others.
    pub read_bytes: u64,
    /// Threads it ran on.
    pub workers: usize,
}

impl StageReport {
    /// Millions of bytes read per second and worker.
    pub fn mb_per_second_per_core(&self) -> f64 {
        self.read_bytes as f64 / 1e6 / self.seconds.max(1e-9) / self.workers.max(1) as f64
    }
}

/// The whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was counted.
    pub counts: Counts,
    /// Files read only in part, with `skip_bad_files`.
    pub skipped_files: Vec<SkippedFile>,
    /// The stages, in order; those finished by an earlier, interrupted run included.
    pub stages: Vec<StageReport>,
    /// Frequencies of hashtags.
    pub tags: TagReport,
}

impl Report {
    /// Wall time of all stages.
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }

    /// Unordered pairs of users, self contacts included.
    pub fn pairs(&self) -> u64 {
        (self.counts.directed_pairs + self.counts.self_pairs) / 2
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let c = &self.counts;
        let mut dropped: BTreeMap<&str, u64> = Dropped::ALL
            .iter()
            .map(|reason| reason.name())
            .zip(c.dropped)
            .collect();
        dropped.insert("too_long", c.dropped_too_long);
        let stages: Vec<_> = self
            .stages
            .iter()
            .map(|stage| {
                serde_json::json!({
                    "stage": stage.stage,
                    "seconds": stage.seconds,
                    "read_bytes": stage.read_bytes,
                    "workers": stage.workers,
                    "mb_per_second_per_core": stage.mb_per_second_per_core(),
                })
            })
            .collect();
        serde_json::json!({
            "lines": c.lines, "bytes": c.bytes, "dropped": dropped, "valid": c.valid,
            "duplicates": c.duplicates, "tweets": c.tweets, "profiles": c.profiles,
            "users": c.users, "pairs": self.pairs(), "directed_pairs": c.directed_pairs,
            "contact_tweets": c.contact_tweets, "tag_occurrences": c.tag_occurrences,
            "tags": self.tags.distinct(), "value_bytes": c.value_bytes,
            "seconds": self.seconds(), "stages": stages, "skipped_files": self.skipped_files,
        })
    }
}

/// The report for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counts;
        writeln!(f, "lines read          {:>14}", c.lines)?;
        for (reason, count) in Dropped::ALL.iter().zip(c.dropped) {
            writeln!(f, "  dropped: {:<12} {:>10}", reason.name(), count)?;
        }
        writeln!(
            f,
            "  dropped: {:<12} {:>10}",
            "too_long", c.dropped_too_long
        )?;
        writeln!(f, "  duplicates        {:>14}", c.duplicates)?;
        writeln!(f, "tweets              {:>14}", c.tweets)?;
        writeln!(f, "profiles            {:>14}", c.profiles)?;
        writeln!(f, "users stored        {:>14}", c.users)?;
        writeln!(f, "pairs of users      {:>14}", self.pairs())?;
        writeln!(f, "hashtags            {:>14}", self.tags.distinct())?;
        writeln!(f, "bytes read          {:>14}", c.bytes)?;
        writeln!(f, "bytes stored        {:>14}", c.value_bytes)?;
        for stage in &self.stages {
            let (name, seconds, workers) = (&stage.stage, stage.seconds, stage.workers);
            let rate = stage.mb_per_second_per_core();
            writeln!(
                f,
                "{name:<7} {seconds:>9.2} s  {rate:>7.0} MB/s per core, {workers} workers"
            )?;
        }
        for file in &self.skipped_files {
            writeln!(f, "not read to the end: {}", file.reason)?;
        }
        Ok(())
    }
}
