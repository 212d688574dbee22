//! The users of the tweets in a batch: each user's state before the batch, and the changes.
//!
//! A state is read from the store once per batch, however many tweets and contacts the user has; `pairs` and
//! `rewrite` take it from here.

use crate::etl::{
    error::EtlError,
    record::escape::unescape,
    record::excluded::Excluded,
    record::records::{UserRecord, UserStateRecord},
    stage::users::{Profile, write_user_state},
    update::{events::Events, refused::Refused},
};
use crate::store::{StoredTweet, Update};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// The users of all tweets that a batch adds or removes.
#[derive(Default)]
pub(super) struct ChangedUsers(BTreeMap<u64, ChangedUser>);

/// A user's state, from a `p1` record.
#[derive(Default)]
struct UserState {
    profile: Option<Profile>,
    /// Ascending.
    tweet_ids: Vec<u64>,
    /// Counts by tag, as record fields.
    tags: BTreeMap<Vec<u8>, u64>,
}

/// A user's state, and what the batch changes in it.
#[derive(Default)]
pub(super) struct ChangedUser {
    state: UserState,
    /// Screen name and description before the batch.
    names_before: Option<(Vec<u8>, Vec<u8>)>,
    /// The tweet with the profile was removed: the latest profile must be found in the remaining tweets.
    profile_lost: bool,
    /// The profile has changed.
    pub(super) profile_changed: bool,
    /// The counts before the batch of the hashtags that it changes, 0 for new ones.
    pub(super) tags_before: BTreeMap<Vec<u8>, u64>,
    /// Ids of removed tweets.
    ids_removed: BTreeSet<u64>,
    /// Ids of added tweets; they may replace removed ones.
    ids_added: BTreeSet<u64>,
    /// Removed contact tweets, as (other user, tweet id).
    pub(super) removed: BTreeSet<(u64, u64)>,
    /// Added contact tweets, by other user.
    pub(super) added: BTreeMap<u64, Vec<ContactTweet>>,
}

/// A contact tweet, with its strings as stored in values.
#[derive(Clone, Debug)]
pub(super) struct ContactTweet {
    pub(super) created_at: i64,
    pub(super) id: u64,
    pub(super) types: u32,
    pub(super) text: Vec<u8>,
    pub(super) tags: Vec<Vec<u8>>,
}

impl ChangedUsers {
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &ChangedUser)> {
        self.0
            .iter()
            .map(|(user, changed_user)| (*user, changed_user))
    }

    pub(super) fn get(&self, user: u64) -> Option<&ChangedUser> {
        self.0.get(&user)
    }

    /// Subtracts the events of a tweet.
    pub(super) fn remove(&mut self, events: &Events, update: &Update<'_>) -> Result<(), Refused> {
        for line in events.lines() {
            let (user, other, record) = UserRecord::parse(line)?;
            let changed_user = self.user(user, update)?;
            match record {
                UserRecord::Profile { stamp, .. } => {
                    changed_user.ids_removed.insert(stamp.1);
                    changed_user.profile_lost |= changed_user.state.stamp() == Some(stamp);
                }
                UserRecord::Tags(mut counts) => {
                    while let Some(entry) = counts.next_count() {
                        let (count, tag) = entry.ok_or_else(|| EtlError::record(line))?;
                        changed_user.change_tag(tag, |total| total.saturating_sub(count));
                    }
                }
                UserRecord::Tweet { id, .. } => {
                    changed_user.ids_removed.insert(id);
                    changed_user.removed.insert((other, id));
                }
                UserRecord::Peer { .. } => return Err(EtlError::record(line).into()),
            }
        }
        Ok(())
    }

    /// Adds the events of a tweet. Call it after all calls of [`remove`](Self::remove).
    pub(super) fn add(&mut self, events: &Events, update: &Update<'_>) -> Result<(), Refused> {
        for line in events.lines() {
            let (user, other, record) = UserRecord::parse(line)?;
            let changed_user = self.user(user, update)?;
            match record {
                UserRecord::Profile {
                    stamp,
                    screen_name,
                    description,
                } => {
                    changed_user.ids_added.insert(stamp.1);
                    changed_user.state.sight(stamp, screen_name, description);
                }
                UserRecord::Tags(mut counts) => {
                    while let Some(entry) = counts.next_count() {
                        let (count, tag) = entry.ok_or_else(|| EtlError::record(line))?;
                        changed_user.change_tag(tag, |total| total.saturating_add(count));
                    }
                }
                UserRecord::Tweet {
                    created_at,
                    id,
                    types,
                    text,
                    tags,
                } => {
                    changed_user.ids_added.insert(id);
                    changed_user
                        .added
                        .entry(other)
                        .or_default()
                        .push(ContactTweet {
                            created_at,
                            id,
                            types,
                            text: unescape(text).into_owned(),
                            tags: tags.map(|tag| unescape(tag).into_owned()).collect(),
                        });
                }
                UserRecord::Peer { .. } => return Err(EtlError::record(line).into()),
            }
        }
        Ok(())
    }

    /// Determines profiles and stores the new states. The tweets must be stored before.
    pub(super) fn settle(
        &mut self,
        update: &mut Update<'_>,
        excluded: &Excluded,
    ) -> Result<(), Refused> {
        let mut record = Vec::new();
        for (user, changed_user) in &mut self.0 {
            changed_user.settle_tweets_and_tags();
            if changed_user.profile_lost {
                changed_user.find_profile(*user, update, excluded)?;
            }
            changed_user.profile_changed = changed_user.state.names() != changed_user.names_before;
            let state = &changed_user.state;
            record.clear();
            write_user_state(
                *user,
                state.profile.as_ref(),
                &state.tweet_ids,
                &state.tags,
                &mut record,
            );
            let is_known = !state.tweet_ids.is_empty();
            update.put_person(*user, is_known.then_some(record.as_slice()))?;
        }
        Ok(())
    }

    /// The user's state, read from the store at the first request.
    fn user(&mut self, user: u64, update: &Update<'_>) -> Result<&mut ChangedUser, Refused> {
        let vacant = match self.0.entry(user) {
            Entry::Occupied(state) => return Ok(state.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let mut changed_user = ChangedUser::default();
        if let Some(record) = update.user_state(user)? {
            changed_user.state = UserState::read(record)?;
            changed_user.names_before = changed_user.state.names();
        }
        Ok(vacant.insert(changed_user))
    }
}

impl UserState {
    fn read(record: &[u8]) -> Result<Self, EtlError> {
        let changed_user = UserStateRecord::parse(record)?;
        let mut state = Self {
            profile: changed_user.stamp.map(|stamp| Profile {
                stamp,
                screen_name: changed_user.screen_name.to_vec(),
                description: changed_user.description.to_vec(),
            }),
            tweet_ids: changed_user.tweet_ids().collect(),
            tags: BTreeMap::new(),
        };
        let mut tags = changed_user.tags();
        while let Some(entry) = tags.next_count() {
            let (count, tag) = entry.ok_or_else(|| EtlError::record(record))?;
            state.tags.insert(tag.to_vec(), count);
        }
        Ok(state)
    }

    fn stamp(&self) -> Option<(i64, u64, bool)> {
        self.profile.as_ref().map(|profile| profile.stamp)
    }

    /// The part of the profile that contacts see.
    fn names(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let profile = self.profile.as_ref()?;
        Some((profile.screen_name.clone(), profile.description.clone()))
    }

    /// Takes a profile if it is the latest.
    fn sight(&mut self, stamp: (i64, u64, bool), screen_name: &[u8], description: &[u8]) {
        if self.stamp() < Some(stamp) {
            self.profile = Some(Profile {
                stamp,
                screen_name: screen_name.to_vec(),
                description: description.to_vec(),
            });
        }
    }

    /// How often the user posted a tag.
    fn count(&self, tag: &[u8]) -> u64 {
        self.tags.get(tag).copied().unwrap_or(0)
    }
}

impl ChangedUser {
    /// Counts by tag after the batch.
    pub(super) fn tags(&self) -> &BTreeMap<Vec<u8>, u64> {
        &self.state.tags
    }

    /// Counts of a tag before and after the batch.
    pub(super) fn counts(&self, tag: &[u8]) -> (u64, u64) {
        let after = self.state.count(tag);
        let before = self.tags_before.get(tag).copied().unwrap_or(after);
        (before, after)
    }

    /// Screen name and description after the batch, still escaped.
    pub(super) fn names(&self) -> (&[u8], &[u8]) {
        let profile = self.state.profile.as_ref();
        profile.map_or((b"", b""), |profile| {
            (
                profile.screen_name.as_slice(),
                profile.description.as_slice(),
            )
        })
    }

    fn change_tag(&mut self, tag: &[u8], change: impl FnOnce(u64) -> u64) {
        let before = self.state.count(tag);
        if !self.tags_before.contains_key(tag) {
            self.tags_before.insert(tag.to_vec(), before);
        }
        match change(before) {
            0 => drop(self.state.tags.remove(tag)),
            after => drop(self.state.tags.insert(tag.to_vec(), after)),
        }
    }

    /// Brings the tweet ids up to date, in one pass over them, and forgets tags whose counts are unchanged.
    fn settle_tweets_and_tags(&mut self) {
        let Self {
            state,
            ids_removed,
            ids_added,
            tags_before,
            ..
        } = self;
        state.tweet_ids.retain(|id| !ids_removed.contains(id));
        state.tweet_ids.extend(ids_added.iter());
        // Two ascending runs: this sort merges them.
        state.tweet_ids.sort();
        state.tweet_ids.dedup();
        tags_before.retain(|tag, before| state.tags.get(tag).copied().unwrap_or(0) != *before);
    }

    /// The latest profile in the user's tweets.
    fn find_profile(
        &mut self,
        user: u64,
        update: &Update<'_>,
        excluded: &Excluded,
    ) -> Result<(), Refused> {
        self.state.profile = None;
        update.prefetch_tweets(self.state.tweet_ids.iter().copied())?;
        for id in self.state.tweet_ids.clone() {
            let missing = || EtlError::Incomplete {
                user,
                what: "a tweet of the user is not in the history",
            };
            let Some(StoredTweet::Kept(tweet)) = update.tweet(id)? else {
                return Err(missing().into());
            };
            for line in Events::of(tweet, excluded)?.lines() {
                if let (
                    sighted,
                    _,
                    UserRecord::Profile {
                        stamp,
                        screen_name,
                        description,
                    },
                ) = UserRecord::parse(line)?
                    && sighted == user
                {
                    self.state.sight(stamp, screen_name, description);
                }
            }
        }
        Ok(())
    }
}
