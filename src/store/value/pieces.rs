//! Checks a value that comes in pieces: what [`User::parse`](super::User::parse) checks, and the checksum.

use super::{
    CHECKSUM_AT, CONTACT_BYTES, Corrupt, HEADER_BYTES, TAG_BYTES, TWEET_BYTES,
    bytes::u32_at,
    check::{ContactEnds, TagEnds, TweetEnds, check_version, whole},
};
use crc32fast::Hasher;

/// What has come so far.
pub struct Pieces {
    hasher: Hasher,
    header: [u8; HEADER_BYTES],
    section: Section,
    /// Entries of the section that are still to come.
    left: u64,
    /// The front of an entry that two pieces share, and its length.
    cut: ([u8; CONTACT_BYTES], usize),
    contacts: ContactEnds,
    tweets: TweetEnds,
    tags: TagEnds,
}

/// A run of equal entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Header,
    Contacts,
    Tweets,
    Tags,
    /// Names, texts and tag names, byte by byte.
    Strings,
}

impl Section {
    const fn entry_bytes(self) -> usize {
        match self {
            Self::Header => HEADER_BYTES,
            Self::Contacts => CONTACT_BYTES,
            Self::Tweets => TWEET_BYTES,
            Self::Tags => TAG_BYTES,
            Self::Strings => 1,
        }
    }
}

impl Pieces {
    /// The value of `user_id`.
    pub fn of(user_id: u64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&user_id.to_le_bytes());
        Self {
            hasher,
            header: [0; HEADER_BYTES],
            section: Section::Header,
            left: 1,
            cut: ([0; CONTACT_BYTES], 0),
            contacts: ContactEnds::default(),
            tweets: TweetEnds::default(),
            tags: TagEnds::default(),
        }
    }

    /// Takes the next piece.
    pub fn add(&mut self, mut piece: &[u8]) -> Result<(), Corrupt> {
        while !piece.is_empty() {
            if self.left == 0 {
                self.next_section()?;
                continue;
            }
            let width = self.section.entry_bytes();
            if self.cut.1 == 0 && piece.len() >= width {
                let entries =
                    (piece.len() / width).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (entries, rest) = piece.split_at(entries * width);
                self.entries(entries)?;
                piece = rest;
                continue;
            }
            let (mut entry, known) = self.cut;
            let (front, rest) = piece.split_at((width - known).min(piece.len()));
            entry[known..known + front.len()].copy_from_slice(front);
            self.cut = (entry, known + front.len());
            piece = rest;
            if self.cut.1 == width {
                self.cut.1 = 0;
                self.entries(&entry[..width])?;
            }
        }
        Ok(())
    }

    /// Whole entries of the current section.
    fn entries(&mut self, entries: &[u8]) -> Result<(), Corrupt> {
        let width = self.section.entry_bytes();
        self.left -= (entries.len() / width) as u64;
        match self.section {
            Section::Header => {
                self.header.copy_from_slice(entries);
                self.hasher.update(&self.header[..CHECKSUM_AT]);
                return check_version(&self.header);
            }
            Section::Contacts => {
                let mut all = entries.as_chunks().0.iter();
                whole(all.all(|entry| self.contacts.rise(entry)))?;
            }
            Section::Tweets => {
                let mut all = entries.as_chunks().0.iter();
                whole(all.all(|entry| self.tweets.rise(entry)))?;
            }
            Section::Tags => {
                let mut all = entries.as_chunks().0.iter();
                whole(all.all(|entry| self.tags.rise(entry)))?;
            }
            Section::Strings => {}
        }
        self.hasher.update(entries);
        Ok(())
    }

    fn next_section(&mut self) -> Result<(), Corrupt> {
        let number = |at| u64::from(u32_at(&self.header, at));
        (self.section, self.left) = match self.section {
            Section::Header => (Section::Contacts, number(4)),
            Section::Contacts => (Section::Tweets, number(8)),
            Section::Tweets => (Section::Tags, number(12)),
            Section::Tags => (Section::Strings, number(16) + number(20) + number(24)),
            Section::Strings => return Err(Corrupt::Length),
        };
        Ok(())
    }

    /// The numbers of contacts and of tweets, if that was a whole value.
    pub fn end(mut self) -> Result<(u64, u64), Corrupt> {
        if self.section == Section::Header && self.left > 0 {
            return Err(Corrupt::NotAValue);
        }
        while self.left == 0 && self.section != Section::Strings {
            self.next_section()?;
        }
        if self.left > 0 || self.cut.1 > 0 {
            return Err(Corrupt::Length);
        }
        let size = |at| u32_at(&self.header, at) as usize;
        whole(
            self.contacts.are(size(8), size(16))
                && self.tweets.are(size(20), size(12))
                && self.tags.are(size(24)),
        )?;
        if self.hasher.finalize() != u32_at(&self.header, CHECKSUM_AT) {
            return Err(Corrupt::Checksum);
        }
        Ok((size(4) as u64, size(8) as u64))
    }
}
