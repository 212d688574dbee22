//! A user's value, checked and read in place.

use super::bytes::{table, take, u32_at, u64_at};
use super::contact::{Contact, Tweet};
use super::{
    CHECKSUM_AT, CONTACT_BYTES, Corrupt, HEADER_BYTES, MAGIC, NO_TWEET, TAG_BYTES, TEXT_SEPARATOR,
    TWEET_BYTES, VERSION, checksum,
};

/// A validated value. Cheap to copy: six slices of the value.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    contacts: &'a [[u8; CONTACT_BYTES]],
    tweets: &'a [[u8; TWEET_BYTES]],
    pub(super) tags: &'a [[u8; TAG_BYTES]],
    pub(super) names: &'a [u8],
    texts: &'a [u8],
    pub(super) tag_names: &'a [u8],
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
    pub(super) fn tweet(&self, index: usize) -> Option<Tweet<'a>> {
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
