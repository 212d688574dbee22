//! The value stored per user: everything about the user's contacts that does not depend on the
//! phrase and the hashtag of a query.
//!
//! Written by `etl` ([`Encoder`]), read by the query and by `dump` ([`User`]). A value is one byte
//! string, little-endian, without alignment requirements, read in place:
//!
//! | bytes | part |
//! | --- | --- |
//! | 32 | header: `TUV`, version 2 (1 byte); then as u32: contacts, tweets, tags, bytes of names, texts and tag names, CRC-32 of the user's id (u64) and of everything but these four bytes |
//! | 48 each | contacts, by ascending id: other id u64, product f64, same u64; then as u32: end of its tweets, latest reply, latest retweet, latest of both (indices of tweets, `0xFFFF_FFFF` when there is none), end of its screen name, end of its description |
//! | 32 each | tweets, contact by contact, each by ascending (created_at, id): id u64, created_at i64 (seconds since 1970), end of its text u32, end of its tags u32, types u32 (1 reply, 2 retweet, 3 both), zero u32 |
//! | 4 each | tags, tweet by tweet, in the tweet's order: end of the tag's name u32 |
//! | | names: screen name and description of each contact, UTF-8 |
//! | | texts: one per tweet, UTF-8, each followed by [`TEXT_SEPARATOR`] |
//! | | tag names: lower-cased, UTF-8 |
//!
//! Every "end" counts from the start of its part; an entry starts where the previous one ends. So the only
//! structure to check is that ends never decrease and that the last end equals the length of the part.
//! [`User::parse`] checks this in one pass over the tables before any entry is read: for any bytes, reading
//! never panics and never leaves the value. [`User::verify`] also checks checksum, UTF-8 and order, which
//! not every lookup needs.
//!
//! All texts are in one run, separated by a byte that no UTF-8 text contains. So a query may search them
//! one by one, or the whole user in one pass without matching a phrase across two tweets.

pub mod dump;
mod encoder;

pub use encoder::Encoder;

use thiserror::Error;

/// Version of the encoding, stored in every value.
pub const VERSION: u8 = 2;
/// Byte after every text; it never occurs in UTF-8, so no phrase contains it.
pub const TEXT_SEPARATOR: u8 = 0xFF;
/// Bit of [`Tweet::types`]: the tweet is a reply between the two users.
pub const REPLY: u32 = 1;
/// Bit of [`Tweet::types`]: the tweet is a retweet between the two users.
pub const RETWEET: u32 = 2;

const MAGIC: [u8; 3] = *b"TUV";
const HEADER_BYTES: usize = 32;
const CHECKSUM_AT: usize = HEADER_BYTES - 4;
const CONTACT_BYTES: usize = 48;
const TWEET_BYTES: usize = 32;
const TAG_BYTES: usize = 4;
const NO_TWEET: u32 = u32::MAX;

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// It does not begin with the magic bytes, or is shorter than a header.
    #[error("not a user value")]
    NotAValue,
    /// Written by another version of the encoding.
    #[error("user value of version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// The lengths in the header do not add up to the value's length.
    #[error("user value with a wrong length")]
    Length,
    /// A table entry points outside its part, or backwards.
    #[error("user value with a broken table")]
    Table,
    /// The checksum does not match.
    #[error("user value with a wrong checksum")]
    Checksum,
    /// A string is not UTF-8, or entries are not in order.
    #[error("user value with broken contents")]
    Contents,
}

/// A user whose value exceeds 32-bit positions.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("contacts of one user exceed 4 GiB")]
pub struct TooLarge;

/// The type of contact tweets in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `type=reply`
    Reply,
    /// `type=retweet`
    Retweet,
    /// `type=both`
    Both,
}

impl Kind {
    /// Whether a tweet with these [`Tweet::types`] matches.
    #[inline]
    pub const fn matches(self, types: u32) -> bool {
        match self {
            Kind::Reply => types & REPLY != 0,
            Kind::Retweet => types & RETWEET != 0,
            Kind::Both => true,
        }
    }
}

/// Interaction score times hashtag score of a pair (`docs/protocol/twitter.md` section 5).
///
/// `same` is the total of both users' counts over the tags that both posted; `own` says that both are the
/// same user.
pub fn product(replies: u64, retweets: u64, same: u64, own: bool) -> f64 {
    let weight = replies
        .saturating_mul(2)
        .saturating_add(retweets)
        .saturating_add(1);
    let interaction = (weight as f64).ln();
    if own || same <= 10 {
        return interaction;
    }
    interaction * (1.0 + ((same - 9) as f64).ln())
}

/// A validated value. Cheap to copy: six slices of the value.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    contacts: &'a [[u8; CONTACT_BYTES]],
    tweets: &'a [[u8; TWEET_BYTES]],
    tags: &'a [[u8; TAG_BYTES]],
    names: &'a [u8],
    texts: &'a [u8],
    tag_names: &'a [u8],
}

impl<'a> User<'a> {
    /// Checks the structure of `value`: one pass over the tables, none over the strings.
    pub fn parse(value: &'a [u8]) -> Result<Self, Corrupt> {
        let header: &[u8; HEADER_BYTES] = value.first_chunk().ok_or(Corrupt::NotAValue)?;
        if header[..3] != MAGIC {
            return Err(Corrupt::NotAValue);
        }
        if header[3] != VERSION {
            return Err(Corrupt::Version(header[3]));
        }
        let size = |at: usize| u32_at(header, at) as usize;
        let mut rest = &value[HEADER_BYTES..];
        let user = Self {
            contacts: table(&mut rest, size(4))?,
            tweets: table(&mut rest, size(8))?,
            tags: table(&mut rest, size(12))?,
            names: take(&mut rest, size(16))?,
            texts: take(&mut rest, size(20))?,
            tag_names: take(&mut rest, size(24))?,
        };
        if !rest.is_empty() {
            return Err(Corrupt::Length);
        }
        user.check_contacts()?;
        user.check_tweets()?;
        user.check_tags()?;
        Ok(user)
    }

    /// [`parse`](Self::parse) plus the checks that read every byte: checksum, UTF-8, separators, order, and
    /// whether scores and latest tweets follow from the tweets. The value of a user other than `user_id` has
    /// a wrong checksum.
    pub fn verify(user_id: u64, value: &'a [u8]) -> Result<Self, Corrupt> {
        let user = Self::parse(value)?;
        if checksum(user_id, value) != u32_at(value, CHECKSUM_AT) {
            return Err(Corrupt::Checksum);
        }
        let separated = user
            .tweets
            .iter()
            .all(|entry| user.texts.get(u32_at(entry, 16) as usize) == Some(&TEXT_SEPARATOR));
        let ascending = user
            .contacts
            .is_sorted_by(|a, b| u64_at(a, 0) < u64_at(b, 0));
        if separated && ascending && user.contacts().all(|contact| contact.is_consistent()) {
            Ok(user)
        } else {
            Err(Corrupt::Contents)
        }
    }

    /// Number of contacts; [`Encoder`] writes at least one.
    pub fn contact_count(&self) -> usize {
        self.contacts.len()
    }

    /// Number of contact tweets of all contacts.
    pub fn tweet_count(&self) -> usize {
        self.tweets.len()
    }

    /// The contacts, by ascending id.
    pub fn contacts(&self) -> impl ExactSizeIterator<Item = Contact<'a>> + use<'a> {
        let user = *self;
        let mut tweets_start = 0;
        let mut names_start = 0;
        user.contacts.iter().map(move |entry| {
            let contact = Contact::read(user, entry, tweets_start, names_start);
            tweets_start = contact.tweets_end;
            names_start = u32_at(entry, 44) as usize;
            contact
        })
    }

    /// All texts in one run, each followed by [`TEXT_SEPARATOR`]; [`Tweet::text_start`] counts from
    /// its beginning.
    pub fn texts(&self) -> &'a [u8] {
        self.texts
    }

    /// Contact tweet `index` of this user.
    #[inline]
    fn tweet(&self, index: usize) -> Option<Tweet<'a>> {
        let entry = self.tweets.get(index)?;
        let before = index.checked_sub(1).and_then(|i| self.tweets.get(i));
        let text_start = before.map_or(0, |b| u32_at(b, 16) as usize + 1);
        let tags_start = before.map_or(0, |b| u32_at(b, 20) as usize);
        let text_end = u32_at(entry, 16) as usize;
        Some(Tweet {
            id: u64_at(entry, 0),
            created_at: u64_at(entry, 8) as i64,
            types: u32_at(entry, 24),
            text_start,
            text: self.texts.get(text_start..text_end).unwrap_or_default(),
            tags_start,
            tags_end: u32_at(entry, 20) as usize,
            user: *self,
        })
    }

    fn check_contacts(&self) -> Result<(), Corrupt> {
        let (mut tweets, mut names) = (0, 0);
        for entry in self.contacts {
            let tweets_end = u32_at(entry, 24);
            let latest = |at| {
                let index = u32_at(entry, at);
                index == NO_TWEET || (tweets..tweets_end).contains(&index)
            };
            let rising = tweets < tweets_end
                && names <= u32_at(entry, 40)
                && u32_at(entry, 40) <= u32_at(entry, 44);
            let product = f64::from_bits(u64_at(entry, 8));
            if !(rising && latest(28) && latest(32) && latest(36) && product.is_finite()) {
                return Err(Corrupt::Table);
            }
            tweets = tweets_end;
            names = u32_at(entry, 44);
        }
        let whole = tweets as usize == self.tweets.len() && names as usize == self.names.len();
        if whole { Ok(()) } else { Err(Corrupt::Table) }
    }

    fn check_tweets(&self) -> Result<(), Corrupt> {
        let (mut texts, mut tags) = (0, 0);
        for entry in self.tweets {
            let text_end = u32_at(entry, 16);
            let tags_end = u32_at(entry, 20);
            let types = u32_at(entry, 24);
            if text_end < texts || tags_end < tags || !(1..=3).contains(&types) {
                return Err(Corrupt::Table);
            }
            texts = text_end.checked_add(1).ok_or(Corrupt::Table)?;
            tags = tags_end;
        }
        let whole = texts as usize == self.texts.len() && tags as usize == self.tags.len();
        if whole { Ok(()) } else { Err(Corrupt::Table) }
    }

    fn check_tags(&self) -> Result<(), Corrupt> {
        let rising = self
            .tags
            .is_sorted_by_key(|entry| u32::from_le_bytes(*entry));
        let end = self
            .tags
            .last()
            .map_or(0, |entry| u32::from_le_bytes(*entry) as usize);
        if rising && end == self.tag_names.len() {
            Ok(())
        } else {
            Err(Corrupt::Table)
        }
    }
}

/// One other user (or the user itself), as seen from the user of the value.
#[derive(Clone, Copy, Debug)]
pub struct Contact<'a> {
    /// Id of the other user.
    pub other_id: u64,
    /// [`product`] of the pair; finite.
    pub product: f64,
    /// Total of both users' counts over the tags that both posted; 0 for the user itself.
    pub same: u64,
    /// Latest screen name of the other user, or empty.
    pub screen_name: &'a [u8],
    /// Latest description of the other user, or empty.
    pub description: &'a [u8],
    latest: [u32; 3],
    tweets_start: usize,
    tweets_end: usize,
    user: User<'a>,
}

impl<'a> Contact<'a> {
    #[inline]
    fn read(
        user: User<'a>,
        entry: &'a [u8; CONTACT_BYTES],
        tweets_start: usize,
        names_start: usize,
    ) -> Self {
        let name_end = u32_at(entry, 40) as usize;
        let description_end = u32_at(entry, 44) as usize;
        Self {
            other_id: u64_at(entry, 0),
            product: f64::from_bits(u64_at(entry, 8)),
            same: u64_at(entry, 16),
            screen_name: user.names.get(names_start..name_end).unwrap_or_default(),
            description: user
                .names
                .get(name_end..description_end)
                .unwrap_or_default(),
            latest: [u32_at(entry, 28), u32_at(entry, 32), u32_at(entry, 36)],
            tweets_start,
            tweets_end: u32_at(entry, 24) as usize,
            user,
        }
    }

    /// The contact tweets, by ascending (created_at, id).
    #[inline]
    pub fn tweets(&self) -> impl Iterator<Item = Tweet<'a>> + use<'a> {
        let user = self.user;
        (self.tweets_start..self.tweets_end).filter_map(move |index| user.tweet(index))
    }

    /// The latest contact tweet of `kind`; `None` when there is none, and so no row.
    #[inline]
    pub fn latest(&self, kind: Kind) -> Option<Tweet<'a>> {
        let [reply, retweet, both] = self.latest;
        let index = match kind {
            Kind::Reply => reply,
            Kind::Retweet => retweet,
            Kind::Both => both,
        };
        // NO_TWEET is outside every table: a table has at most 2^32 - 1 entries.
        self.user.tweet(index as usize)
    }

    /// Numbers of contact tweets: (replies, retweets).
    pub fn counts(&self) -> (u64, u64) {
        self.tweets().fold((0, 0), |(replies, retweets), tweet| {
            let bit = |mask| u64::from(tweet.types & mask != 0);
            (replies + bit(REPLY), retweets + bit(RETWEET))
        })
    }

    fn is_consistent(&self) -> bool {
        let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        let order = |tweet: &Tweet<'_>| (tweet.created_at, tweet.id);
        let latest = |kind: Kind| {
            let last = self
                .tweets()
                .filter(|tweet| kind.matches(tweet.types))
                .last();
            last.map(|tweet| tweet.id) == self.latest(kind).map(|tweet| tweet.id)
        };
        let (replies, retweets) = self.counts();
        let expected = product(replies, retweets, self.same, false);
        // The logarithm of another machine may differ in the last bit.
        (self.product - expected).abs() <= expected * 1e-12
            && self.tweets().is_sorted_by(|a, b| order(a) < order(b))
            && [Kind::Reply, Kind::Retweet, Kind::Both]
                .into_iter()
                .all(latest)
            && utf8(self.screen_name)
            && utf8(self.description)
            && self
                .tweets()
                .all(|tweet| utf8(tweet.text) && tweet.tags().all(utf8))
    }
}

/// One contact tweet.
#[derive(Clone, Copy, Debug)]
pub struct Tweet<'a> {
    /// Tweet id.
    pub id: u64,
    /// Seconds since 1970.
    pub created_at: i64,
    /// [`REPLY`], [`RETWEET`] or both bits.
    pub types: u32,
    /// Start of `text` in [`User::texts`].
    pub text_start: usize,
    /// The outer text of the tweet.
    pub text: &'a [u8],
    tags_start: usize,
    tags_end: usize,
    user: User<'a>,
}

impl<'a> Tweet<'a> {
    /// The lower-cased tags, in the tweet's order, repeats kept.
    #[inline]
    pub fn tags(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let user = self.user;
        let before = self
            .tags_start
            .checked_sub(1)
            .and_then(|i| user.tags.get(i));
        let mut start = before.map_or(0, |entry| u32::from_le_bytes(*entry) as usize);
        user.tags
            .get(self.tags_start..self.tags_end)
            .unwrap_or_default()
            .iter()
            .map(move |entry| {
                let end = u32::from_le_bytes(*entry) as usize;
                let tag = user.tag_names.get(start..end).unwrap_or_default();
                start = end;
                tag
            })
    }
}

/// What stands in the header of `value` if it is the user's.
fn checksum(user_id: u64, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&user_id.to_le_bytes());
    hasher.update(value.get(..CHECKSUM_AT).unwrap_or_default());
    hasher.update(value.get(HEADER_BYTES..).unwrap_or_default());
    hasher.finalize()
}

/// Takes `count` bytes off the front of `rest`.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Corrupt> {
    let (part, after) = rest.split_at_checked(count).ok_or(Corrupt::Length)?;
    *rest = after;
    Ok(part)
}

/// Takes `count` entries of `N` bytes off the front of `rest`.
fn table<'a, const N: usize>(rest: &mut &'a [u8], count: usize) -> Result<&'a [[u8; N]], Corrupt> {
    let bytes = count.checked_mul(N).ok_or(Corrupt::Length)?;
    Ok(take(rest, bytes)?.as_chunks().0)
}

#[inline]
fn u32_at(entry: &[u8], at: usize) -> u32 {
    entry
        .get(at..)
        .and_then(|tail| tail.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[inline]
fn u64_at(entry: &[u8], at: usize) -> u64 {
    entry
        .get(at..)
        .and_then(|tail| tail.first_chunk())
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
