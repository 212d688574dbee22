//! Which values a batch changes, and by how much it changes the shared hashtags of each pair.
//!
//! A value repeats name and description of each contact, and `same`, the counts of all hashtags that both users posted.
//! So a user whose name has changed is written into the values of all contacts; a user whose counts have changed is
//! written only into those of contacts who posted one of these tags. The new `same` follows from the stored one and the
//! tags that changed. So neither list of tags is read as a whole, except that of a contact who is not in the batch.

use crate::etl::{
    error::EtlError,
    record::records::UserStateRecord,
    update::{
        changed_users::{ChangedUser, ChangedUsers},
        refused::Refused,
    },
};
use crate::store::{
    Update,
    value::{Contact, User},
};
use std::collections::{BTreeMap, BTreeSet};

/// The result.
#[derive(Default)]
pub(super) struct ChangedPairs {
    /// Users whose value may change, ascending.
    pub(super) users: BTreeSet<u64>,
    /// The new `same` of pairs that had contact before; the lesser id first.
    same: BTreeMap<(u64, u64), u64>,
}

impl ChangedPairs {
    pub(super) fn of(changed: &ChangedUsers, update: &Update<'_>) -> Result<Self, Refused> {
        let mut pairs = Self::default();
        update.prefetch_values(changed.iter().map(|(user, _)| user))?;
        for (user, changed_user) in changed.iter() {
            if !(changed_user.removed.is_empty() && changed_user.added.is_empty()) {
                pairs.users.insert(user);
            }
            if !changed_user.profile_changed && changed_user.tags_before.is_empty() {
                continue;
            }
            // A new contact is the other user of an added tweet, so it is in the batch.
            let Some(value) = update.value(user)? else {
                continue;
            };
            let value = parse(user, value)?;
            if !changed_user.tags_before.is_empty() {
                let others = value.contacts().map(|contact| contact.other_id);
                update
                    .prefetch_user_states(others.filter(|other| changed.get(*other).is_none()))?;
            }
            for contact in value.contacts() {
                pairs.contact(user, changed_user, &contact, changed, update)?;
            }
        }
        Ok(pairs)
    }

    fn contact(
        &mut self,
        user: u64,
        changed_user: &ChangedUser,
        contact: &Contact<'_>,
        changed: &ChangedUsers,
        update: &Update<'_>,
    ) -> Result<(), Refused> {
        let other = contact.other_id;
        if changed_user.profile_changed {
            self.users.insert(other);
        }
        if changed_user.tags_before.is_empty() || other == user {
            return Ok(());
        }
        let change = match changed.get(other) {
            Some(peer) => between_changed(changed_user, peer),
            None => {
                let what = "a contact is not in the history";
                let record = update.user_state(other)?;
                let record = record.ok_or(EtlError::Incomplete { user: other, what })?;
                with_unchanged(changed_user, &UserStateRecord::parse(record)?)?
            }
        };
        if change != Change::default() {
            self.same.insert(key(user, other), change.of(contact.same));
            self.users.extend([user, other]);
        }
        Ok(())
    }

    /// The `same` of a pair after the batch, if it was `stored` before.
    pub(super) fn same(&self, user: u64, other: u64, stored: u64) -> u64 {
        self.same.get(&key(user, other)).copied().unwrap_or(stored)
    }
}

/// The `same` of two users without a contact before the batch; reads the shorter list.
pub(super) fn same_of_new(a: &ChangedUser, b: &ChangedUser) -> u64 {
    let (short, long) = if a.tags().len() <= b.tags().len() {
        (a, b)
    } else {
        (b, a)
    };
    let shared = short.tags().iter().filter_map(|(tag, &count)| {
        let other = long.tags().get(tag)?;
        Some(count.saturating_add(*other))
    });
    shared.fold(0, u64::saturating_add)
}

fn key(a: u64, b: u64) -> (u64, u64) {
    (a.min(b), a.max(b))
}

/// How much leaves and how much enters the `same` of a pair.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Change {
    before: u64,
    after: u64,
}

impl Change {
    /// Notes a tag with the counts of both users, before and after.
    fn tag(&mut self, a: (u64, u64), b: (u64, u64)) {
        let sum = |a: u64, b: u64| {
            if a > 0 && b > 0 {
                a.saturating_add(b)
            } else {
                0
            }
        };
        let (before, after) = (sum(a.0, b.0), sum(a.1, b.1));
        if before != after {
            self.before = self.before.saturating_add(before);
            self.after = self.after.saturating_add(after);
        }
    }

    fn of(self, same: u64) -> u64 {
        same.saturating_sub(self.before).saturating_add(self.after)
    }
}

fn between_changed(a: &ChangedUser, b: &ChangedUser) -> Change {
    let mut change = Change::default();
    let of_b_alone = b
        .tags_before
        .keys()
        .filter(|tag| !a.tags_before.contains_key(*tag));
    for tag in a.tags_before.keys().chain(of_b_alone) {
        change.tag(a.counts(tag), b.counts(tag));
    }
    change
}

fn with_unchanged(
    changed_user: &ChangedUser,
    other: &UserStateRecord<'_>,
) -> Result<Change, EtlError> {
    let mut change = Change::default();
    let mut tags = other.tags();
    while let Some(entry) = tags.next_count() {
        let what = "the tags of the user are malformed";
        let user = other.user;
        let (count, tag) = entry.ok_or(EtlError::Incomplete { user, what })?;
        if changed_user.tags_before.contains_key(tag) {
            change.tag(changed_user.counts(tag), (count, count));
        }
    }
    Ok(change)
}

/// Reads a stored value.
pub(super) fn parse(user: u64, value: &[u8]) -> Result<User<'_>, Refused> {
    User::parse(value).map_err(|source| Refused::Damaged { user, source })
}
