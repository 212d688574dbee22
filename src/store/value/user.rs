//! A checked value, read in place: the user, the contacts, their tweets.

use super::bytes::{u32_at, u64_at};
use super::{CONTACT_BYTES, Kind, NO_TWEET, REPLY, RETWEET, TAG_BYTES, TWEET_BYTES};
use std::ops::Range;

/// A validated value: [`User::parse`] and [`User::verify`] make it. Cheap to copy: six slices of the value.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    pub(super) contacts: &'a [[u8; CONTACT_BYTES]],
    pub(super) tweets: &'a [[u8; TWEET_BYTES]],
    pub(super) tags: &'a [[u8; TAG_BYTES]],
    pub(super) names: &'a [u8],
    pub(super) texts: &'a [u8],
    pub(super) tag_names: &'a [u8],
}

impl<'a> User<'a> {
    /// Number of contacts; [`super::Encoder`] writes at least one.
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

    /// Contact `index`, in the order of [`contacts`](Self::contacts).
    #[inline]
    pub fn contact(&self, index: usize) -> Option<Contact<'a>> {
        let entry = self.contacts.get(index)?;
        let before = index.checked_sub(1).and_then(|i| self.contacts.get(i));
        let tweets_start = before.map_or(0, |b| u32_at(b, 24) as usize);
        let names_start = before.map_or(0, |b| u32_at(b, 44) as usize);
        Some(Contact::read(*self, entry, tweets_start, names_start))
    }

    /// The tags of the tweets in `range`, in order.
    #[inline]
    fn tags_of(self, range: Range<usize>) -> impl Iterator<Item = &'a [u8]> {
        let before = range.start.checked_sub(1).and_then(|i| self.tags.get(i));
        let mut start = before.map_or(0, |entry| u32::from_le_bytes(*entry) as usize);
        let tags = self.tags.get(range).unwrap_or_default();
        tags.iter().map(move |entry| {
            let end = u32::from_le_bytes(*entry) as usize;
            let tag = self.tag_names.get(start..end).unwrap_or_default();
            start = end;
            tag
        })
    }

    /// Where the texts and the tags of the tweets before `index` end, separators included.
    #[inline]
    fn ends_before(&self, index: usize) -> (usize, usize) {
        let before = index.checked_sub(1).and_then(|i| self.tweets.get(i));
        before.map_or((0, 0), |b| {
            (u32_at(b, 16) as usize + 1, u32_at(b, 20) as usize)
        })
    }

    /// All texts in one run, each followed by [`super::TEXT_SEPARATOR`]; [`Tweet::text_start`] counts from
    /// its beginning.
    pub fn texts(&self) -> &'a [u8] {
        self.texts
    }

    /// Contact tweet `index` of this user.
    #[inline]
    fn tweet(&self, index: usize) -> Option<Tweet<'a>> {
        let entry = self.tweets.get(index)?;
        let (text_start, tags_start) = self.ends_before(index);
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
}

/// One other user (or the user itself), as seen from the user of the value.
#[derive(Clone, Copy, Debug)]
pub struct Contact<'a> {
    /// Id of the other user.
    pub other_id: u64,
    /// [`super::product`] of the pair; finite.
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

    /// Where the texts of the contact tweets end in [`User::texts`].
    #[inline]
    pub fn texts_end(&self) -> usize {
        self.user.ends_before(self.tweets_end).0
    }

    /// The tags of all contact tweets, in their order.
    #[inline]
    pub fn tags(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let start = self.user.ends_before(self.tweets_start).1;
        self.user
            .tags_of(start..self.user.ends_before(self.tweets_end).1)
    }

    /// Whether there is a contact tweet of `kind`.
    #[inline]
    pub fn has(&self, kind: Kind) -> bool {
        self.latest_index(kind) != NO_TWEET
    }

    /// The latest contact tweet of `kind`; `None` when there is none, and so no row.
    #[inline]
    pub fn latest(&self, kind: Kind) -> Option<Tweet<'a>> {
        // NO_TWEET is outside every table: a table has at most 2^32 - 1 entries.
        self.user.tweet(self.latest_index(kind) as usize)
    }

    #[inline]
    fn latest_index(&self, kind: Kind) -> u32 {
        let [reply, retweet, both] = self.latest;
        match kind {
            Kind::Reply => reply,
            Kind::Retweet => retweet,
            Kind::Both => both,
        }
    }

    /// Numbers of contact tweets: (replies, retweets).
    pub fn counts(&self) -> (u64, u64) {
        self.tweets().fold((0, 0), |(replies, retweets), tweet| {
            let bit = |mask| u64::from(tweet.types & mask != 0);
            (replies + bit(REPLY), retweets + bit(RETWEET))
        })
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
        self.user.tags_of(self.tags_start..self.tags_end)
    }
}
