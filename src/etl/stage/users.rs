//! Third stage: sends every user's profile and counts to every contact.
//!
//! Its input is the sorted records of users. For each user with contacts it determines the profile (the
//! latest sighting) and the hashtag counts, writes the counts and the contact tweets back under the user's
//! key, and sends each contact a `c2 … m` record with profile and counts. So the next stage has both sides
//! of every pair together.

use crate::etl::{
    error::EtlError,
    record::fields::{push_field, push_key, push_number, push_signed},
    record::records::UserRecord,
    stage::counts::Counts,
};
use std::collections::BTreeMap;

/// Counts of up to so many bytes go into every `m` record. Longer ones are written once and referred to;
/// otherwise the output would grow with the product of a user's tags and contacts.
const INLINE_TAGS_BYTES: usize = 1024;

/// Where the stage sends its records.
pub trait UserOutput {
    /// A record of the current user; these come in ascending order.
    fn own(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError>;
    /// A record of another user.
    fn peer(&mut self, other: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError>;
    /// Stores the long run of counts of `user` and returns a reference to it, or `None` if every record must carry the
    /// run.
    fn store_tags(&mut self, user: u64, tags: &[u8]) -> Result<Option<Vec<u8>>, EtlError>;
    /// The `p1` record of the current user, if history is requested.
    fn user_state(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError>;
}

/// Processes one user after another.
#[derive(Default)]
pub struct UserReducer {
    user: Option<u64>,
    profile: Option<Profile>,
    tags: BTreeMap<Vec<u8>, u64>,
    /// Profile and counts in the form of an `m` record, tab first; built for the user's first contact.
    message: Option<Vec<u8>>,
    last_other: Option<u64>,
    /// Tweets in which the user takes part, if history is requested.
    tweet_ids: Option<Vec<u64>>,
    counts: Counts,
}

/// The latest sighting of a user.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// (created_at, tweet id, is sender).
    pub(crate) stamp: (i64, u64, bool),
    /// Screen name, still escaped.
    pub(crate) screen_name: Vec<u8>,
    /// Description, still escaped.
    pub(crate) description: Vec<u8>,
}

/// Appends the `p1` record of a user; `tweet_ids` ascend, tags are record fields.
pub(crate) fn write_user_state(
    user: u64,
    profile: Option<&Profile>,
    tweet_ids: &[u64],
    tags: &BTreeMap<Vec<u8>, u64>,
    record: &mut Vec<u8>,
) {
    push_key(record, user);
    push_field(record, b"p1");
    match profile {
        Some(Profile {
            stamp: (created_at, id, sender),
            screen_name,
            description,
        }) => {
            push_signed(record, *created_at);
            push_number(record, *id);
            push_number(record, u64::from(*sender));
            push_field(record, screen_name);
            push_field(record, description);
        }
        None => record.extend_from_slice(b"\t-\t-\t-\t\t"),
    }
    push_number(record, tweet_ids.len() as u64);
    for &id in tweet_ids {
        push_number(record, id);
    }
    write_tags(tags, record);
}

fn write_tags(tags: &BTreeMap<Vec<u8>, u64>, record: &mut Vec<u8>) {
    for (tag, count) in tags {
        push_number(record, *count);
        push_field(record, tag);
    }
}

impl UserReducer {
    /// A reducer that also writes a `p1` record for each user if `history` is set.
    pub fn new(history: bool) -> Self {
        Self {
            tweet_ids: history.then(Vec::new),
            ..Self::default()
        }
    }

    /// Takes the next record.
    pub fn line(&mut self, line: &[u8], out: &mut impl UserOutput) -> Result<(), EtlError> {
        let (user, other, record) = UserRecord::parse(line)?;
        if self.user != Some(user) {
            self.finish(out)?;
            self.user = Some(user);
        }
        match record {
            UserRecord::Profile {
                stamp,
                screen_name,
                description,
            } => {
                self.note_tweet(stamp.1);
                if self
                    .profile
                    .as_ref()
                    .is_none_or(|profile| profile.stamp < stamp)
                {
                    let (screen_name, description) = (screen_name.to_vec(), description.to_vec());
                    self.profile = Some(Profile {
                        stamp,
                        screen_name,
                        description,
                    });
                }
                Ok(())
            }
            UserRecord::Tags(mut counts) => {
                while let Some(entry) = counts.next_count() {
                    let (count, tag) = entry.ok_or_else(|| EtlError::record(line))?;
                    match self.tags.get_mut(tag) {
                        Some(total) => *total = total.saturating_add(count),
                        None => drop(self.tags.insert(tag.to_vec(), count)),
                    }
                }
                Ok(())
            }
            UserRecord::Tweet { id, .. } => {
                self.note_tweet(id);
                self.contact_tweet(user, other, line, out)
            }
            UserRecord::Peer { .. } => Err(EtlError::Incomplete {
                user,
                what: "they have been through this stage",
            }),
        }
    }

    /// Ends the last user.
    pub fn finish(&mut self, out: &mut impl UserOutput) -> Result<(), EtlError> {
        if let Some(user) = self.user.take()
            && let Some(mut tweet_ids) = self.tweet_ids.take()
        {
            tweet_ids.sort_unstable();
            tweet_ids.dedup();
            out.user_state(|record| {
                write_user_state(user, self.profile.as_ref(), &tweet_ids, &self.tags, record);
            })?;
            tweet_ids.clear();
            self.tweet_ids = Some(tweet_ids);
        }
        self.counts.profiles += u64::from(self.profile.is_some());
        self.profile = None;
        self.tags.clear();
        self.message = None;
        self.last_other = None;
        Ok(())
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn note_tweet(&mut self, id: u64) {
        if let Some(tweet_ids) = &mut self.tweet_ids {
            tweet_ids.push(id);
        }
    }

    fn contact_tweet(
        &mut self,
        user: u64,
        other: u64,
        line: &[u8],
        out: &mut impl UserOutput,
    ) -> Result<(), EtlError> {
        if self.message.is_none() {
            self.message = Some(self.settle(user, out)?);
        }
        if self.last_other != Some(other)
            && let Some(message) = &self.message
        {
            self.last_other = Some(other);
            out.peer(other, |record| {
                push_key(record, other);
                push_field(record, b"c2\t");
                push_key(record, user);
                push_field(record, b"m");
                record.extend_from_slice(message);
            })?;
        }
        out.own(|record| record.extend_from_slice(line))
    }

    /// Before the first contact: the user's own counts, and the message to all contacts.
    fn settle(&mut self, user: u64, out: &mut impl UserOutput) -> Result<Vec<u8>, EtlError> {
        let mut tags = Vec::new();
        write_tags(&self.tags, &mut tags);
        if !tags.is_empty() {
            out.own(|record| {
                push_key(record, user);
                push_field(record, b"b1");
                record.extend_from_slice(&tags);
            })?;
        }
        let mut message = Vec::new();
        let profile = self.profile.as_ref();
        push_field(
            &mut message,
            profile.map_or(&[], |profile| &profile.screen_name),
        );
        push_field(
            &mut message,
            profile.map_or(&[], |profile| &profile.description),
        );
        let reference = match tags.get(1..) {
            Some(fields) if fields.len() > INLINE_TAGS_BYTES => out.store_tags(user, fields)?,
            _ => None,
        };
        match reference {
            Some(reference) => push_field(&mut message, &reference),
            None => message.extend_from_slice(&tags),
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected {
        own: Vec<String>,
        peers: Vec<String>,
        persons: Vec<String>,
        refer: bool,
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line)
            .unwrap()
            .replace("00000000000000000", "")
    }

    impl UserOutput for Collected {
        fn own(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
            self.own.push(written(write));
            Ok(())
        }
        fn peer(&mut self, _: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
            self.peers.push(written(write));
            Ok(())
        }
        fn user_state(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
            self.persons.push(written(write));
            Ok(())
        }
        fn store_tags(&mut self, _: u64, tags: &[u8]) -> Result<Option<Vec<u8>>, EtlError> {
            assert!(tags.len() > INLINE_TAGS_BYTES);
            Ok(self.refer.then(|| b"@0:1:2".to_vec()))
        }
    }

    fn reduce(out: &mut Collected, lines: &[&str]) -> Counts {
        let mut reducer = UserReducer::new(true);
        for line in lines {
            let line = format!("00000000000000000{line}");
            let line = line.replace("c2\t", "c2\t00000000000000000");
            reducer.line(line.as_bytes(), out).unwrap();
        }
        reducer.finish(out).unwrap();
        reducer.counts()
    }

    #[test]
    fn the_latest_profile_and_the_sum_of_counts_go_to_each_contact_once() {
        let mut out = Collected::default();
        let counts = reduce(
            &mut out,
            &[
                "10\ta1\t5\t7\t0\told\t",
                "10\ta1\t5\t7\t1\tnew\tme",
                "10\ta1\t5\t6\t1\tolder\t",
                "10\tb1\t1\tz\t2\ta",
                "10\tb1\t1\tz",
                "10\tc2\t11\tt\t100000000005\t0000000000000000007\t1\tx",
                "10\tc2\t11\tt\t100000000006\t0000000000000000008\t1\ty",
                "10\tc2\t12\tt\t100000000006\t0000000000000000008\t2\ty",
                "13\ta1\t5\t6\t1\tno contact\t",
                "14\tc2\t10\tt\t100000000006\t0000000000000000008\t2\ty",
            ],
        );
        assert_eq!(
            out.own,
            [
                "10\tb1\t2\ta\t2\tz",
                "10\tc2\t11\tt\t100000000005\t07\t1\tx",
                "10\tc2\t11\tt\t100000000006\t08\t1\ty",
                "10\tc2\t12\tt\t100000000006\t08\t2\ty",
                "14\tc2\t10\tt\t100000000006\t08\t2\ty",
            ]
        );
        assert_eq!(
            out.peers,
            [
                "11\tc2\t10\tm\tnew\tme\t2\ta\t2\tz",
                "12\tc2\t10\tm\tnew\tme\t2\ta\t2\tz",
                "10\tc2\t14\tm\t\t",
            ]
        );
        assert_eq!(
            out.persons,
            [
                "10\tp1\t5\t7\t1\tnew\tme\t3\t6\t7\t8\t2\ta\t2\tz",
                "13\tp1\t5\t6\t1\tno contact\t\t1\t6",
                "14\tp1\t-\t-\t-\t\t\t1\t8",
            ]
        );
        assert_eq!(counts.profiles, 2);
    }

    #[test]
    fn long_counts_are_stored_once_where_that_is_possible() {
        let tags: String = (0..200).map(|i| format!("\t1\ttag{i:03}")).collect();
        let b1 = format!("10\tb1{tags}");
        for refer in [true, false] {
            let mut out = Collected {
                refer,
                ..Collected::default()
            };
            reduce(
                &mut out,
                &[
                    &b1,
                    "10\tc2\t11\tt\t100000000005\t0000000000000000007\t1\tx",
                ],
            );
            let expected = if refer { "\t@0:1:2" } else { &tags };
            assert_eq!(out.peers, [format!("11\tc2\t10\tm\t\t{expected}")]);
            assert_eq!(out.own[0], b1);
        }
    }
}
