//! What the stages count.

use crate::etl::record::{dropped::Dropped, notice::Notice};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Counters of the stages. They depend only on the input, not on workers or order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Input lines.
    pub lines: u64,
    /// Uncompressed input bytes, newlines included.
    pub bytes: u64,
    /// Lines dropped, by rule, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Lines longer than `reader::LINE_BYTES_MAX`, dropped unread.
    pub dropped_too_long: u64,
    /// Lines that are notices, by kind, in the order of [`Notice::ALL`].
    #[serde(default)]
    pub notices: [u64; Notice::ALL.len()],
    /// Lines that pass the filter.
    pub valid: u64,
    /// Valid lines in which an identifier and its `_str` differ.
    #[serde(default)]
    pub ids_differ: u64,
    /// Valid lines whose tweet id had been seen.
    pub duplicates: u64,
    /// Valid lines of deleted tweets.
    #[serde(default)]
    pub deleted: u64,
    /// Tweets after deduplication.
    pub tweets: u64,
    /// Tags of these tweets, repeats included.
    pub tag_occurrences: u64,
    /// Users with a profile: senders and retweeted users.
    pub profiles: u64,
    /// Users with a contact: each gets a value.
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
            notices,
            valid,
            ids_differ,
            duplicates,
            deleted,
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
        for (mine, others) in notices.iter_mut().zip(&other.notices) {
            *mine += others;
        }
        *lines += other.lines;
        *bytes += other.bytes;
        *dropped_too_long += other.dropped_too_long;
        *valid += other.valid;
        *ids_differ += other.ids_differ;
        *duplicates += other.duplicates;
        *deleted += other.deleted;
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
