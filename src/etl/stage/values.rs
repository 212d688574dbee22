//! Fourth stage: encodes all records of a user as the user's value.
//!
//! Its input is sorted `b1`, `c1 … m` and `c1 … t` records. Both sides of every pair are here: the user's
//! counts, the contact's profile and counts, and their contact tweets.

use crate::etl::{
    error::EtlError, record::escape::unescape, record::fields::Fields, record::records::UserRecord,
    stage::counts::Counts, stage::tag_list::TagList,
};
use crate::store::value::Encoder;
use std::collections::HashMap;

/// Bytes that stay allocated for the next value.
const VALUE_BYTES_KEPT: usize = 1 << 20;

/// Reads stored runs of counts by their references (see [`crate::etl::stage::users::UserOutput::store_tags`]).
pub trait TagSource {
    /// Replaces `out` by the run that `reference` stands for.
    fn read(&mut self, reference: &[u8], out: &mut Vec<u8>) -> Result<(), EtlError>;
}

/// Encodes one user after another.
pub struct ValueBuilder<S> {
    source: S,
    user: Option<u64>,
    own_tags: TagList,
    contact: Option<Contact>,
    encoder: Encoder,
    value: Vec<u8>,
    stored: StoredTags,
    counts: Counts,
}

/// The current contact.
struct Contact {
    other: u64,
    same: u64,
    screen_name: Vec<u8>,
    description: Vec<u8>,
    tweets: Vec<Tweet>,
    /// Texts and tags of the tweets, as record fields.
    fields: Vec<u8>,
}

struct Tweet {
    created_at: i64,
    id: u64,
    types: u32,
    /// Ranges of `fields`: text, tags with tabs between them.
    text: std::ops::Range<usize>,
    tags: std::ops::Range<usize>,
}

impl<S: TagSource> ValueBuilder<S> {
    /// A builder that reads references from `source` and caches up to `cache_bytes` of them.
    pub fn new(source: S, cache_bytes: usize) -> Self {
        Self {
            source,
            user: None,
            own_tags: TagList::default(),
            contact: None,
            encoder: Encoder::default(),
            value: Vec::new(),
            stored: StoredTags {
                lists: HashMap::new(),
                bytes: 0,
                bytes_max: cache_bytes,
            },
            counts: Counts::default(),
        }
    }

    /// Takes the next record. If it begins another user, `put` gets the value of the previous one.
    pub fn line(
        &mut self,
        line: &[u8],
        put: impl FnMut(u64, &[u8]) -> Result<(), EtlError>,
    ) -> Result<(), EtlError> {
        let (user, other, record) = UserRecord::parse(line)?;
        if self.user != Some(user) {
            self.finish(put)?;
            self.user = Some(user);
        }
        match record {
            UserRecord::Tags(counts) => self
                .own_tags
                .set(counts)
                .ok_or_else(|| EtlError::record(line)),
            UserRecord::Peer {
                screen_name,
                description,
                tags,
            } => {
                self.close_contact(user)?;
                let same = if other == user {
                    0
                } else {
                    self.same(tags, line)?
                };
                self.contact = Some(Contact {
                    other,
                    same,
                    screen_name: unescape(screen_name).into_owned(),
                    description: unescape(description).into_owned(),
                    tweets: Vec::new(),
                    fields: Vec::new(),
                });
                Ok(())
            }
            UserRecord::Tweet {
                created_at,
                id,
                types,
                text,
                tags,
            } => {
                let contact = self
                    .contact
                    .as_mut()
                    .filter(|contact| contact.other == other);
                let what = "a contact tweet comes without the contact's m record";
                let contact = contact.ok_or(EtlError::Incomplete { user, what })?;
                let start = contact.fields.len();
                contact.fields.extend_from_slice(text);
                let middle = contact.fields.len();
                contact.fields.extend_from_slice(tags.rest());
                let (text, tags) = (start..middle, middle..contact.fields.len());
                contact.tweets.push(Tweet {
                    created_at,
                    id,
                    types,
                    text,
                    tags,
                });
                Ok(())
            }
            UserRecord::Profile { .. } => Err(EtlError::Incomplete {
                user,
                what: "they have not been through `reduce` twice",
            }),
        }
    }

    /// Ends the last user.
    pub fn finish(
        &mut self,
        mut put: impl FnMut(u64, &[u8]) -> Result<(), EtlError>,
    ) -> Result<(), EtlError> {
        let Some(user) = self.user.take() else {
            return Ok(());
        };
        self.close_contact(user)?;
        self.own_tags.clear();
        self.value.clear();
        self.encoder
            .finish(user, &mut self.value)
            .map_err(|source| EtlError::User { user, source })?;
        self.counts.users += 1;
        self.counts.value_bytes += self.value.len() as u64;
        let result = put(user, &self.value);
        self.value.clear();
        self.value.shrink_to(VALUE_BYTES_KEPT);
        result
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn close_contact(&mut self, user: u64) -> Result<(), EtlError> {
        let Some(mut contact) = self.contact.take() else {
            return Ok(());
        };
        if contact.tweets.is_empty() {
            let what = "an m record comes without contact tweets";
            return Err(EtlError::Incomplete { user, what });
        }
        let own = contact.other == user;
        self.counts.directed_pairs += 1;
        self.counts.self_pairs += u64::from(own);
        self.counts.contact_tweets += contact.tweets.len() as u64;
        let Contact {
            other,
            same,
            screen_name,
            description,
            tweets,
            fields,
        } = &mut contact;
        self.encoder
            .contact(*other, own, *same, screen_name, description);
        // Sorted by bytes, times of different lengths are not in numeric order.
        tweets.sort_unstable_by_key(|tweet| (tweet.created_at, tweet.id));
        for tweet in tweets {
            let text = unescape(&fields[tweet.text.clone()]);
            let tags: Vec<_> = Fields::of(&fields[tweet.tags.clone()])
                .map(unescape)
                .collect();
            let tags = tags.iter().map(|tag| tag.as_ref());
            self.encoder
                .tweet(tweet.id, tweet.created_at, tweet.types, &text, tags);
        }
        Ok(())
    }

    /// For every tag of both users, the sum of its two counts; all added up.
    fn same(&mut self, mut tags: Fields<'_>, line: &[u8]) -> Result<u64, EtlError> {
        if self.own_tags.is_empty() {
            return Ok(0);
        }
        if tags.rest().first() == Some(&b'@') {
            let other = self.stored.get(tags.rest(), &mut self.source)?;
            return Ok(self.own_tags.same(other));
        }
        let mut same = 0u64;
        while let Some(entry) = tags.next_count() {
            let (count, tag) = entry.ok_or_else(|| EtlError::record(line))?;
            if let Some(own) = self.own_tags.get(tag) {
                same = same.saturating_add(own).saturating_add(count);
            }
        }
        Ok(same)
    }
}

/// Lists of tags by reference. Emptied when full: only a few hub users are in it.
struct StoredTags {
    lists: HashMap<Vec<u8>, TagList>,
    bytes: usize,
    bytes_max: usize,
}

impl StoredTags {
    fn get(&mut self, reference: &[u8], source: &mut impl TagSource) -> Result<&TagList, EtlError> {
        if !self.lists.contains_key(reference) {
            let mut fields = Vec::new();
            source.read(reference, &mut fields)?;
            let mut list = TagList::default();
            list.set(Fields::of(&fields))
                .ok_or_else(|| EtlError::record(&fields))?;
            if self.bytes + list.bytes() > self.bytes_max {
                self.lists.clear();
                self.bytes = 0;
            }
            self.bytes += list.bytes();
            self.lists.insert(reference.to_vec(), list);
        }
        self.lists
            .get(reference)
            .ok_or_else(|| EtlError::record(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::value::{User, dump::user_line};

    struct Stored;

    impl TagSource for Stored {
        fn read(&mut self, reference: &[u8], out: &mut Vec<u8>) -> Result<(), EtlError> {
            assert_eq!(reference, b"@0:1:2");
            out.extend_from_slice(b"6\ta\t1\tq");
            Ok(())
        }
    }

    fn line(short: &str) -> Vec<u8> {
        let line = format!("00000000000000000{short}");
        line.replace("c1\t", "c1\t00000000000000000").into_bytes()
    }

    #[test]
    fn records_become_values() {
        let mut builder = ValueBuilder::new(Stored, 0);
        let mut dump = String::new();
        let mut values = 0;
        let mut put = |user, value: &[u8]| {
            User::verify(user, value).unwrap();
            user_line(user, value, &mut dump).unwrap();
            values += 1;
            Ok(())
        };
        for short in [
            "10\tb1\t5\ta\t1\tb",
            "10\tc1\t10\tm\tn\\tm\td\t5\ta\t1\tb",
            "10\tc1\t10\tt\t9\t8\t1\tt\\n\ta",
            "10\tc1\t11\tm\t\t\t6\ta\t1\tq",
            "10\tc1\t11\tt\t10\t7\t2\tlater\ta",
            "10\tc1\t11\tt\t9\t8\t1\tearlier",
            "10\tc1\t12\tm\t\t\t@0:1:2",
            "10\tc1\t12\tt\t9\t8\t1\tx",
            "11\tc1\t10\tm\tn\td\t5\ta\t1\tb",
            "11\tc1\t10\tt\t9\t8\t1\tx",
        ] {
            builder.line(&line(short), &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap();
        assert_eq!(values, 2);
        let counts = builder.counts();
        assert_eq!(
            (counts.users, counts.directed_pairs, counts.self_pairs),
            (2, 4, 1)
        );
        for part in [
            "\"user_id\":10,\"screen_name\":\"n\\tm\",\"description\":\"d\",\"replies\":1,\"retweets\":0,\"same\":0,",
            "\"user_id\":11,\"screen_name\":\"\",\"description\":\"\",\"replies\":1,\"retweets\":1,\"same\":11,",
            "\"latest\":[8,7,7],\"tweets\":[{\"id\":8,\"created_at\":9,\"types\":1,\"text\":\"earlier\"",
            "\"user_id\":12,\"screen_name\":\"\",\"description\":\"\",\"replies\":1,\"retweets\":0,\"same\":11,",
            "{\"user_id\":11,\"contacts\":[{\"user_id\":10,\"screen_name\":\"n\",\"description\":\"d\",\"replies\":1,\"retweets\":0,\"same\":0,",
        ] {
            assert!(dump.contains(part), "{part}\n{dump}");
        }
    }

    #[test]
    fn records_that_do_not_fit_together_are_errors() {
        for lines in [
            &["10\tc1\t11\tt\t9\t8\t1\tx"][..],
            &["10\tc1\t11\tm\t\t", "10\tc1\t12\tt\t9\t8\t1\tx"],
            &["10\tc1\t11\tm\t\t", "10\tc1\t12\tm\t\t"],
            &["10\ta1\t1\t1\t1\t\t"],
        ] {
            let mut builder = ValueBuilder::new(Stored, 0);
            let feed = lines
                .iter()
                .try_for_each(|short| builder.line(&line(short), |_, _| Ok(())));
            assert!(
                matches!(feed, Err(EtlError::Incomplete { user: 10, .. })),
                "{lines:?}"
            );
        }
    }
}
