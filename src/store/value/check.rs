//! The checks that turn bytes into a [`User`].

use super::bytes::{table, take, u32_at, u64_at};
use super::{
    CHECKSUM_AT, CONTACT_BYTES, Contact, Corrupt, HEADER_BYTES, Kind, MAGIC, NO_TWEET, TAG_BYTES,
    TEXT_SEPARATOR, TWEET_BYTES, Tweet, User, VERSION, checksum, product,
};

impl<'a> User<'a> {
    /// Checks the structure of `value`: one pass over the tables, none over the strings.
    pub fn parse(value: &'a [u8]) -> Result<Self, Corrupt> {
        let user = Self::parts(value)?;
        user.check_contacts()?;
        user.check_tweets()?;
        user.check_tags()?;
        Ok(user)
    }

    /// The user of a value that was checked before, by [`parse`](Self::parse) or [`verify`](Self::verify). Of other
    /// bytes, what is read may be wrong, but nothing panics and nothing outside the value is read.
    pub fn parts(value: &'a [u8]) -> Result<Self, Corrupt> {
        let header: &[u8; HEADER_BYTES] = value.first_chunk().ok_or(Corrupt::NotAValue)?;
        check_version(header)?;
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
        let mut ends = ContactEnds::default();
        let rising = self.contacts.iter().all(|entry| ends.rise(entry));
        whole(rising && ends.are(self.tweets.len(), self.names.len()))
    }

    fn check_tweets(&self) -> Result<(), Corrupt> {
        let mut ends = TweetEnds::default();
        let rising = self.tweets.iter().all(|entry| ends.rise(entry));
        whole(rising && ends.are(self.texts.len(), self.tags.len()))
    }

    fn check_tags(&self) -> Result<(), Corrupt> {
        let mut ends = TagEnds::default();
        let rising = self.tags.iter().all(|entry| ends.rise(entry));
        whole(rising && ends.are(self.tag_names.len()))
    }
}

/// Whether the header is that of a value of this version.
pub(super) fn check_version(header: &[u8; HEADER_BYTES]) -> Result<(), Corrupt> {
    if header[..3] != MAGIC {
        return Err(Corrupt::NotAValue);
    }
    if header[3] != VERSION {
        return Err(Corrupt::Version(header[3]));
    }
    Ok(())
}

pub(super) fn whole(is_whole: bool) -> Result<(), Corrupt> {
    if is_whole {
        Ok(())
    } else {
        Err(Corrupt::Table)
    }
}

/// Ends in the contacts read so far.
#[derive(Default)]
pub(super) struct ContactEnds {
    tweets: u32,
    names: u32,
}

impl ContactEnds {
    /// Whether the ends of the next entry follow those before it, and nothing in it points elsewhere.
    #[inline]
    pub(super) fn rise(&mut self, entry: &[u8; CONTACT_BYTES]) -> bool {
        let tweets_end = u32_at(entry, 24);
        let tweets = self.tweets..tweets_end;
        let latest = |at| {
            let index = u32_at(entry, at);
            index == NO_TWEET || tweets.contains(&index)
        };
        let rising = !tweets.is_empty()
            && self.names <= u32_at(entry, 40)
            && u32_at(entry, 40) <= u32_at(entry, 44);
        let product = f64::from_bits(u64_at(entry, 8));
        let is_whole = rising && latest(28) && latest(32) && latest(36) && product.is_finite();
        self.tweets = tweets_end;
        self.names = u32_at(entry, 44);
        is_whole
    }

    pub(super) fn are(&self, tweets: usize, names: usize) -> bool {
        self.tweets as usize == tweets && self.names as usize == names
    }
}

/// Ends in the tweets read so far.
#[derive(Default)]
pub(super) struct TweetEnds {
    texts: u32,
    tags: u32,
}

impl TweetEnds {
    /// As [`ContactEnds::rise`].
    #[inline]
    pub(super) fn rise(&mut self, entry: &[u8; TWEET_BYTES]) -> bool {
        let text_end = u32_at(entry, 16);
        let tags_end = u32_at(entry, 20);
        let types = u32_at(entry, 24);
        let rising = text_end >= self.texts && tags_end >= self.tags && (1..=3).contains(&types);
        let separator_end = text_end.checked_add(1);
        self.texts = separator_end.unwrap_or_default();
        self.tags = tags_end;
        rising && separator_end.is_some()
    }

    pub(super) fn are(&self, texts: usize, tags: usize) -> bool {
        self.texts as usize == texts && self.tags as usize == tags
    }
}

/// The end of the tag read last.
#[derive(Default)]
pub(super) struct TagEnds(u32);

impl TagEnds {
    /// As [`ContactEnds::rise`].
    #[inline]
    pub(super) fn rise(&mut self, entry: &[u8; TAG_BYTES]) -> bool {
        let end = u32::from_le_bytes(*entry);
        let rising = end >= self.0;
        self.0 = end;
        rising
    }

    pub(super) fn are(&self, tag_names: usize) -> bool {
        self.0 as usize == tag_names
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
