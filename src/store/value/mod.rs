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
//!
//! `encoder` writes values, `user` reads them, `dump` prints them. `part` and `bytes` are where a table and a number are
//! in one; `check` checks a whole one, `pieces` one that comes in pieces.

mod bytes;
mod check;
pub mod dump;
mod encoder;
mod part;
mod pieces;
mod user;

pub use encoder::{Encoder, SpillError};
pub use pieces::Pieces;
pub use user::{Contact, Tweet, User};

use std::io::Read;
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

/// A value on its way from where it is made to the store.
pub enum Value<'v> {
    /// All of it in memory.
    Whole(&'v [u8]),
    /// Too large for that.
    Stream {
        /// Its length.
        bytes: u64,
        /// Its bytes; it may end early where a file was cut.
        read: Box<dyn Read + 'v>,
    },
}

impl Value<'_> {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Whole(value) => value.len() as u64,
            Self::Stream { bytes, .. } => *bytes,
        }
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

#[cfg(test)]
mod tests;
