//! Fourth stage: encodes all records of a user as the user's value.
//!
//! Its input is sorted `b1`, `c2 … m` and `c2 … t` records. Both sides of every pair are here: the user's
//! counts, the contact's profile and counts, and their contact tweets.

use crate::etl::{
    error::EtlError, record::escape::unescape, record::fields::Fields, record::records::UserRecord,
    stage::counts::Counts, stage::tag_list::TagList,
};
use crate::store::value::{Encoder, SpillError, Value};
use std::{collections::HashMap, path::PathBuf};

/// Bytes that stay allocated for the next value.
const VALUE_BYTES_KEPT: usize = 1 << 20;

/// Reads stored runs of counts by their references (see [`crate::etl::stage::users::UserOutput::store_tags`]).
pub trait TagSource {
    /// Replaces `out` by the run that `reference` stands for.
    fn read(&mut self, reference: &[u8], out: &mut Vec<u8>) -> Result<(), EtlError>;
}

/// What a [`ValueBuilder`] may take of the machine.
#[derive(Clone, Debug)]
pub struct Room {
    /// For long lists of hashtags, and again for the value that is being made.
    pub bytes: usize,
    /// For what there is of a larger value.
    pub directory: PathBuf,
}

/// Encodes one user after another.
pub struct ValueBuilder<S> {
    source: S,
    room: Room,
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
    tweets: u64,
}

impl<S: TagSource> ValueBuilder<S> {
    /// A builder that reads references from `source`.
    pub fn new(source: S, room: Room) -> Self {
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
                bytes_max: room.bytes,
            },
            room,
            counts: Counts::default(),
        }
    }

    /// Takes the next record. If it begins another user, `put` gets the value of the previous one.
    pub fn line(
        &mut self,
        line: &[u8],
        put: impl FnMut(u64, Value<'_>) -> Result<(), EtlError>,
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
                let own = other == user;
                let same = if own { 0 } else { self.same(tags, line)? };
                let (name, description) = (unescape(screen_name), unescape(description));
                self.encoder.contact(other, own, same, &name, &description);
                self.contact = Some(Contact { other, tweets: 0 });
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
                contact.tweets += 1;
                let tags: Vec<_> = tags.map(unescape).collect();
                let tags = tags.iter().map(|tag| tag.as_ref());
                self.encoder
                    .tweet(id, created_at, types, &unescape(text), tags);
                let directory = &self.room.directory;
                let spilled = self.encoder.spill(directory, self.room.bytes);
                spilled.map_err(|e| EtlError::io("write", directory, 0, e))
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
        mut put: impl FnMut(u64, Value<'_>) -> Result<(), EtlError>,
    ) -> Result<(), EtlError> {
        let Some(user) = self.user.take() else {
            return Ok(());
        };
        self.close_contact(user)?;
        self.own_tags.clear();
        self.counts.users += 1;
        if self.encoder.is_spilled() {
            let (bytes, read) = self.encoder.finish_spilled(user).map_err(|e| match e {
                SpillError::TooLarge(source) => EtlError::User { user, source },
                SpillError::Io(e) => EtlError::io("read", &self.room.directory, 0, e),
            })?;
            self.counts.value_bytes += bytes;
            return put(user, Value::Stream { bytes, read });
        }
        self.value.clear();
        self.encoder
            .finish(user, &mut self.value)
            .map_err(|source| EtlError::User { user, source })?;
        self.counts.value_bytes += self.value.len() as u64;
        let result = put(user, Value::Whole(&self.value));
        self.value.clear();
        self.value.shrink_to(VALUE_BYTES_KEPT);
        result
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn close_contact(&mut self, user: u64) -> Result<(), EtlError> {
        let Some(Contact { other, tweets }) = self.contact.take() else {
            return Ok(());
        };
        if tweets == 0 {
            let what = "an m record comes without contact tweets";
            return Err(EtlError::Incomplete { user, what });
        }
        self.counts.directed_pairs += 1;
        self.counts.self_pairs += u64::from(other == user);
        self.counts.contact_tweets += tweets;
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

    fn room(bytes: usize) -> Room {
        Room {
            bytes,
            directory: std::env::temp_dir(),
        }
    }

    fn line(short: &str) -> Vec<u8> {
        let line = format!("00000000000000000{short}");
        line.replace("c2\t", "c2\t00000000000000000").into_bytes()
    }

    #[test]
    fn records_become_values() {
        let mut builder = ValueBuilder::new(Stored, room(1 << 20));
        let mut dump = String::new();
        let mut values = 0;
        let mut put = |user, value: Value<'_>| {
            let Value::Whole(value) = value else {
                panic!("a small value in a file");
            };
            User::verify(user, value).unwrap();
            user_line(user, value, &mut dump).unwrap();
            values += 1;
            Ok(())
        };
        for short in [
            "10\tb1\t5\ta\t1\tb",
            "10\tc2\t10\tm\tn\\tm\td\t5\ta\t1\tb",
            "10\tc2\t10\tt\t100000000009\t0000000000000000008\t1\tt\\n\ta",
            "10\tc2\t11\tm\t\t\t6\ta\t1\tq",
            "10\tc2\t11\tt\t100000000009\t0000000000000000008\t1\tearlier",
            "10\tc2\t11\tt\t100000000010\t0000000000000000007\t2\tlater\ta",
            "10\tc2\t12\tm\t\t\t@0:1:2",
            "10\tc2\t12\tt\t100000000009\t0000000000000000008\t1\tx",
            "11\tc2\t10\tm\tn\td\t5\ta\t1\tb",
            "11\tc2\t10\tt\t100000000009\t0000000000000000008\t1\tx",
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
            &["10\tc2\t11\tt\t100000000009\t0000000000000000008\t1\tx"][..],
            &[
                "10\tc2\t11\tm\t\t",
                "10\tc2\t12\tt\t100000000009\t0000000000000000008\t1\tx",
            ],
            &["10\tc2\t11\tm\t\t", "10\tc2\t12\tm\t\t"],
            &["10\ta1\t1\t1\t1\t\t"],
        ] {
            let mut builder = ValueBuilder::new(Stored, room(1 << 20));
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
