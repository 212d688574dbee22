//! Records: the data between the stages, in work files and through pipes alike.
//!
//! A record is one line of fields between tabs. The first field is the key, 19 digits with leading
//! zeros; the second is the kind, a letter and the version. Strings are UTF-8, escaped as
//! `crate::etl::record::escape` says; other numbers are plain decimal. `tag…` stands for any number of fields.
//!
//! | after | kind | fields |
//! | --- | --- | --- |
//! | map | `t1` | tweet id, `t1`, created_at, user, reply target or `-`, retweeted user or `-`, screen_name, description, retweeted screen_name, retweeted description, text, tag… (as posted) |
//! | | `d1` | tweet id, `d1`: the tweet is deleted, whatever `t1` records it has |
//! | reduce of tweets | `a1` | user, `a1`, created_at, tweet id, 1 for the sender or 0 for the retweeted user, screen_name, description: one sighting of a profile |
//! | | `b1` | user, `b1`, then count, tag (lower-cased) again and again: tags the user posted, excluded ones left out; several such records add up |
//! | | `c2` … `t` | user, `c2`, other user (19 digits), `t`, created_at plus 10^11 (12 digits), tweet id (19 digits), types, text, tag… (lower-cased): one contact tweet |
//! | reduce of users | `b1` | as above, one per user, tags ascending |
//! | | `c2` … `m` | user, `c2`, other user (19 digits), `m`, the other's screen_name and description, then count, tag … of the other, ascending; or, in work files only, one field `@file:offset:bytes` where those fields are |
//! | | `c2` … `t` | as above |
//! | history | `p1` | user, `p1`, created_at, tweet id and sender flag of the profile or `-` three times, screen_name, description, number of tweets, the ids of all tweets the user takes part in (ascending), then count, tag … |
//!
//! A store needs the history to take in more tweets later: the `t1` record of every kept tweet, the `d1` record of every
//! deleted one and a `p1` record of every user. It goes to the sink on request, without a shuffle.
//!
//! A shuffle is a sort by bytes (`LC_ALL=C sort`) within any partition by key. The fixed width of keys
//! makes this numeric order. The letters are chosen so that each stage reads first what it needs first: a
//! deletion before tweets, a profile and tags before contacts, `m` before the `t` of the same contact. Those come in
//! the order of the value, by time and id, so that none has to wait in memory.

use crate::etl::{
    error::EtlError,
    record::fields::{
        Fields, flag, key_number, number, optional, push_field, push_key, signed, time,
    },
};

/// A `t1` record, its fields still escaped.
#[derive(Clone, Copy, Debug)]
pub struct TweetRecord<'a> {
    /// Tweet id.
    pub id: u64,
    /// Seconds since 1970.
    pub created_at: i64,
    /// Sender.
    pub user: u64,
    /// The user replied to.
    pub reply: Option<u64>,
    /// The retweeted user.
    pub retweet: Option<u64>,
    /// Sender's screen name.
    pub screen_name: &'a [u8],
    /// Sender's description.
    pub description: &'a [u8],
    /// Retweeted user's screen name.
    pub retweet_screen_name: &'a [u8],
    /// Retweeted user's description.
    pub retweet_description: &'a [u8],
    /// Outer text.
    pub text: &'a [u8],
    /// Tags as posted; possibly none.
    pub tags: Fields<'a>,
}

impl<'a> TweetRecord<'a> {
    /// Reads a line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, EtlError> {
        Self::fields(line).ok_or_else(|| EtlError::record(line))
    }

    fn fields(line: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(line);
        let id = key_number(fields.next()?)?;
        if fields.next()? != b"t1" {
            return None;
        }
        Some(Self {
            id,
            created_at: signed(fields.next()?)?,
            user: number(fields.next()?)?,
            reply: optional(fields.next()?)?,
            retweet: optional(fields.next()?)?,
            screen_name: fields.next()?,
            description: fields.next()?,
            retweet_screen_name: fields.next()?,
            retweet_description: fields.next()?,
            text: fields.next()?,
            tags: fields,
        })
    }
}

/// The tweet that a `d1` record deletes; `None` for other records.
pub fn deleted_id(line: &[u8]) -> Option<u64> {
    let mut fields = Fields::of(line);
    let id = key_number(fields.next()?)?;
    (fields.next()? == b"d1" && fields.next().is_none()).then_some(id)
}

/// Appends the `d1` record of a tweet.
pub fn push_deletion(out: &mut Vec<u8>, id: u64) {
    push_key(out, id);
    push_field(out, b"d1");
}

/// A record keyed by a user; strings still escaped.
#[derive(Clone, Copy, Debug)]
pub enum UserRecord<'a> {
    /// `a1`: a sighting of the user's profile.
    Profile {
        /// (created_at, tweet id, is sender): the greatest one wins.
        stamp: (i64, u64, bool),
        /// Screen name.
        screen_name: &'a [u8],
        /// Description.
        description: &'a [u8],
    },
    /// `b1`: counts and tags in turn.
    Tags(Fields<'a>),
    /// `c2 … m`: a contact's profile and counts.
    Peer {
        /// The contact's screen name.
        screen_name: &'a [u8],
        /// The contact's description.
        description: &'a [u8],
        /// The contact's counts and tags in turn, or one reference.
        tags: Fields<'a>,
    },
    /// `c2 … t`: a contact tweet.
    Tweet {
        /// Seconds since 1970.
        created_at: i64,
        /// Tweet id.
        id: u64,
        /// Type bits of `store::value`.
        types: u32,
        /// Outer text.
        text: &'a [u8],
        /// Lower-cased tags.
        tags: Fields<'a>,
    },
}

impl<'a> UserRecord<'a> {
    /// Reads a line without its newline: user, other user (0 if there is no other user), record.
    pub fn parse(line: &'a [u8]) -> Result<(u64, u64, Self), EtlError> {
        Self::fields(line).ok_or_else(|| EtlError::record(line))
    }

    fn fields(line: &'a [u8]) -> Option<(u64, u64, Self)> {
        let mut fields = Fields::of(line);
        let user = key_number(fields.next()?)?;
        let kind = fields.next()?;
        if kind == b"c2" {
            let other = key_number(fields.next()?)?;
            return Some((user, other, Self::contact(fields)?));
        }
        let record = match kind {
            b"a1" => Self::Profile {
                stamp: (
                    signed(fields.next()?)?,
                    number(fields.next()?)?,
                    flag(fields.next()?)?,
                ),
                screen_name: fields.next()?,
                description: fields.next()?,
            },
            b"b1" => Self::Tags(fields),
            _ => return None,
        };
        Some((user, 0, record))
    }

    fn contact(mut fields: Fields<'a>) -> Option<Self> {
        match fields.next()? {
            b"m" => Some(Self::Peer {
                screen_name: fields.next()?,
                description: fields.next()?,
                tags: fields,
            }),
            b"t" => Some(Self::Tweet {
                created_at: time(fields.next()?)?,
                id: key_number(fields.next()?)?,
                types: number(fields.next()?).and_then(|types| match types {
                    1..=3 => Some(types as u32),
                    _ => None,
                })?,
                text: fields.next()?,
                tags: fields,
            }),
            _ => None,
        }
    }
}

/// A `p1` record: a user's state for later updates; strings still escaped.
#[derive(Clone, Copy, Debug)]
pub struct UserStateRecord<'a> {
    /// The user.
    pub user: u64,
    /// When the profile was sighted: (created_at, tweet id, is sender); `None` for a user who has
    /// only been replied to.
    pub stamp: Option<(i64, u64, bool)>,
    /// Screen name, or empty.
    pub screen_name: &'a [u8],
    /// Description, or empty.
    pub description: &'a [u8],
    /// Number of ids at the front of `rest`.
    pub tweet_count: usize,
    /// The tweet ids, then counts and tags in turn.
    pub rest: Fields<'a>,
}

impl<'a> UserStateRecord<'a> {
    /// Reads a line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, EtlError> {
        Self::fields(line).ok_or_else(|| EtlError::record(line))
    }

    /// Ids of the tweets in which the user is sender, reply target or retweeted user.
    pub fn tweet_ids(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.rest.take(self.tweet_count).filter_map(number)
    }

    /// Counts and tags in turn.
    pub fn tags(&self) -> Fields<'a> {
        let mut rest = self.rest;
        rest.by_ref().take(self.tweet_count).for_each(drop);
        rest
    }

    fn fields(line: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(line);
        let user = key_number(fields.next()?)?;
        if fields.next()? != b"p1" {
            return None;
        }
        let stamp = match (fields.next()?, fields.next()?, fields.next()?) {
            (b"-", b"-", b"-") => None,
            (created_at, id, sender) => Some((signed(created_at)?, number(id)?, flag(sender)?)),
        };
        Some(Self {
            user,
            stamp,
            screen_name: fields.next()?,
            description: fields.next()?,
            tweet_count: number(fields.next()?)? as usize,
            rest: fields,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etl::record::fields::key;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_panic(line in "[0-9]{0,20}[\tabcmt1-]{0,3}[\t0-9tma@:-]{0,30}") {
            let _ = TweetRecord::parse(line.as_bytes());
            let _ = UserRecord::parse(line.as_bytes());
            if let Ok(state) = UserStateRecord::parse(line.as_bytes()) {
                state.tweet_ids().for_each(drop);
                state.tags().for_each(drop);
            }
            let _ = key(line.as_bytes());
        }
    }

    #[test]
    fn persons_are_read_back() {
        let line = b"0000000000000000013\tp1\t5\t6\t1\tme\t\t2\t6\t8\t1\tz";
        let state = UserStateRecord::parse(line).unwrap();
        assert_eq!((state.user, state.stamp), (13, Some((5, 6, true))));
        assert_eq!(state.tweet_ids().collect::<Vec<_>>(), [6, 8]);
        assert_eq!(state.tags().next_count(), Some(Some((1, b"z".as_slice()))));
        let unknown = UserStateRecord::parse(b"0000000000000000014\tp1\t-\t-\t-\t\t\t0").unwrap();
        assert_eq!((unknown.stamp, unknown.tags().count()), (None, 0));
    }
}
