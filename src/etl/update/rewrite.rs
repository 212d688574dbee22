//! Rewrites every value that contains a user whom a batch has changed.
//!
//! A value repeats name, description and common hashtags of each contact, so a changed user is written into
//! the values of all its contacts. Everything else is copied from the old value.

use crate::etl::{
    error::EtlError,
    record::escape::unescape,
    record::records::UserStateRecord,
    stage::tag_list::TagList,
    update::{
        changed_users::{ChangedUser, ChangedUsers, ContactTweet},
        refused::Refused,
    },
};
use crate::store::{
    Update,
    value::{Contact, Encoder, User},
};
use std::collections::{BTreeMap, BTreeSet};

/// Returns how many values were written.
pub(super) fn write(
    changed: &ChangedUsers,
    update: &mut Update<'_>,
    value_bytes_max: usize,
) -> Result<u64, Refused> {
    let mut encoder = Encoder::default();
    let mut value = Vec::new();
    let mut written = 0;
    for user in affected_users(changed, update)? {
        value.clear();
        let contacts = encode(user, changed, update, &mut encoder)?;
        encoder
            .finish(user, &mut value)
            .map_err(|source| Refused::Format { user, source })?;
        if value.len() > value_bytes_max {
            return Err(Refused::ValueTooLarge {
                user,
                bytes: value.len() as u64,
                bytes_max: value_bytes_max as u64,
            });
        }
        let new = (contacts > 0).then_some(value.as_slice());
        if update.value(user)? != new {
            update.put_value(user, new)?;
            written += 1;
        }
    }
    Ok(written)
}

/// All users whose value may change.
fn affected_users(changed: &ChangedUsers, update: &Update<'_>) -> Result<BTreeSet<u64>, Refused> {
    let mut users = BTreeSet::new();
    for (user, person) in changed.iter() {
        let own_contacts_changed = !(person.removed.is_empty() && person.added.is_empty());
        if own_contacts_changed || person.tags_changed {
            users.insert(user);
        }
        if person.profile_changed || person.tags_changed {
            // A new or removed contact is the other user of an added or removed tweet.
            let value = update.value(user)?;
            let contacts = value.map(|value| parse(user, value)).transpose()?;
            users.extend(
                contacts
                    .into_iter()
                    .flat_map(|value| value.contacts().map(|contact| contact.other_id)),
            );
        }
    }
    Ok(users)
}

/// Gives `encoder` all contacts of `user` and returns their number.
fn encode(
    user: u64,
    changed: &ChangedUsers,
    update: &Update<'_>,
    encoder: &mut Encoder,
) -> Result<usize, Refused> {
    let unchanged = ChangedUser::default();
    let changes = changed.get(user).unwrap_or(&unchanged);
    let old = update
        .value(user)?
        .map(|value| parse(user, value))
        .transpose()?;
    let mut contacts: BTreeMap<u64, Option<Contact<'_>>> =
        changes.added.keys().map(|other| (*other, None)).collect();
    contacts.extend(old.iter().flat_map(|old| {
        old.contacts()
            .map(|contact| (contact.other_id, Some(contact)))
    }));
    let mut own_tags = None;
    let mut count = 0;
    for (other, contact) in &contacts {
        let tweets = tweets(*other, contact.as_ref(), changes);
        if tweets.is_empty() {
            continue;
        }
        count += 1;
        let own = *other == user;
        let peer = changed.get(*other);
        // The batch has no tweet of this contact: copy the old one.
        let state = match (contact, peer) {
            (Some(contact), None) if !changes.tags_changed => {
                let (name, about) = (contact.screen_name, contact.description);
                encoder.contact(*other, own, contact.same, name, about);
                None
            }
            _ => Some(person(*other, update)?),
        };
        if let Some(state) = state {
            let (name, about) = (unescape(state.screen_name), unescape(state.description));
            let tags_changed = changes.tags_changed || peer.is_some_and(|peer| peer.tags_changed);
            let same = match contact {
                _ if own => 0,
                Some(contact) if !tags_changed => contact.same,
                _ => {
                    let own_tags = match &own_tags {
                        Some(tags) => tags,
                        None => own_tags.insert(tags(user, update)?),
                    };
                    own_tags.same(&list(&state)?)
                }
            };
            encoder.contact(*other, own, same, &name, &about);
        }
        for tweet in &tweets {
            let tags = tweet.tags.iter().copied();
            encoder.tweet(tweet.id, tweet.created_at, tweet.types, tweet.text, tags);
        }
    }
    Ok(count)
}

/// A contact tweet of the old value or of the batch.
struct Tweet<'t> {
    created_at: i64,
    id: u64,
    types: u32,
    text: &'t [u8],
    tags: Vec<&'t [u8]>,
}

impl<'t> From<&'t ContactTweet> for Tweet<'t> {
    fn from(tweet: &'t ContactTweet) -> Self {
        Self {
            created_at: tweet.created_at,
            id: tweet.id,
            types: tweet.types,
            text: &tweet.text,
            tags: tweet.tags.iter().map(Vec::as_slice).collect(),
        }
    }
}

/// The contact tweets with `other` after the batch, in order of time.
fn tweets<'t>(
    other: u64,
    contact: Option<&Contact<'t>>,
    changes: &'t ChangedUser,
) -> Vec<Tweet<'t>> {
    let left = contact
        .into_iter()
        .flat_map(Contact::tweets)
        .map(|tweet| Tweet {
            created_at: tweet.created_at,
            id: tweet.id,
            types: tweet.types,
            text: tweet.text,
            tags: tweet.tags().collect(),
        });
    let mut tweets: Vec<Tweet<'t>> = left
        .filter(|tweet| !changes.removed.contains(&(other, tweet.id)))
        .collect();
    tweets.extend(
        changes
            .added
            .get(&other)
            .into_iter()
            .flatten()
            .map(Tweet::from),
    );
    tweets.sort_unstable_by_key(|tweet| (tweet.created_at, tweet.id));
    tweets
}

fn parse(user: u64, value: &[u8]) -> Result<User<'_>, Refused> {
    User::parse(value).map_err(|source| Refused::Damaged { user, source })
}

/// The stored state of a user.
fn person<'u>(user: u64, update: &'u Update<'_>) -> Result<UserStateRecord<'u>, Refused> {
    let what = "a contact is not in the history";
    let record = update
        .person(user)?
        .ok_or(EtlError::Incomplete { user, what })?;
    Ok(UserStateRecord::parse(record)?)
}

fn tags(user: u64, update: &Update<'_>) -> Result<TagList, Refused> {
    list(&person(user, update)?)
}

fn list(person: &UserStateRecord<'_>) -> Result<TagList, Refused> {
    let mut list = TagList::default();
    let what = "the tags of the user are malformed";
    let user = person.user;
    list.set(person.tags())
        .ok_or(EtlError::Incomplete { user, what })?;
    Ok(list)
}
