//! The checks that turn bytes into a [`User`].

use super::bytes::{table, take, u32_at, u64_at};
use super::{
    CHECKSUM_AT, Contact, Corrupt, HEADER_BYTES, Kind, MAGIC, NO_TWEET, TEXT_SEPARATOR, Tweet,
    User, VERSION, checksum, product,
};

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

impl Contact<'_> {
    /// Whether score and latest tweets follow from the tweets, these are in order, and all strings are UTF-8.
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
