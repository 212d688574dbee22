//! Rewrites every value that a batch has changed.
//!
//! Only changes are taken from the batch; everything else is copied from the old value.

use crate::etl::{
    error::EtlError,
    record::escape::unescape,
    update::{
        changed_users::{ChangedUser, ChangedUsers, ContactTweet},
        pairs::{ChangedPairs, parse, same_of_new},
        refused::Refused,
    },
};
use crate::store::{
    Update,
    value::{Contact, Encoder},
};
use std::collections::BTreeMap;

/// Returns how many values were written.
pub(super) fn write(
    changed: &ChangedUsers,
    update: &mut Update<'_>,
    value_bytes_max: usize,
) -> Result<u64, Refused> {
    let mut encoder = Encoder::default();
    let mut value = Vec::new();
    let mut written = 0;
    let pairs = ChangedPairs::of(changed, update)?;
    update.prefetch_values(pairs.users.iter().copied())?;
    for &user in &pairs.users {
        value.clear();
        let contacts = encode(user, changed, &pairs, update, &mut encoder)?;
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

/// Gives `encoder` all contacts of `user` and returns their number.
fn encode(
    user: u64,
    changed: &ChangedUsers,
    pairs: &ChangedPairs,
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
    let mut count = 0;
    for (other, contact) in &contacts {
        let tweets = tweets(*other, contact.as_ref(), changes);
        if tweets.is_empty() {
            continue;
        }
        count += 1;
        let own = *other == user;
        let peer = changed.get(*other);
        let (same, name, about) = match (contact, peer) {
            (Some(contact), None) => {
                let same = pairs.same(user, *other, contact.same);
                let (name, about) = (contact.screen_name, contact.description);
                (same, name.into(), about.into())
            }
            (contact, Some(peer)) => {
                let same = match contact {
                    Some(contact) => pairs.same(user, *other, contact.same),
                    None => same_of_new(changes, peer),
                };
                let (name, about) = peer.names();
                (same, unescape(name), unescape(about))
            }
            (None, None) => return Err(not_changed(*other).into()),
        };
        encoder.contact(*other, own, same, &name, &about);
        for tweet in &tweets {
            let tags = tweet.tags.iter().copied();
            encoder.tweet(tweet.id, tweet.created_at, tweet.types, tweet.text, tags);
        }
    }
    Ok(count)
}

/// For a new contact: it comes from an added tweet, which changes both of its users.
fn not_changed(user: u64) -> EtlError {
    let what = "a new contact is not in the batch";
    EtlError::Incomplete { user, what }
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
