//! Writes one [`super::User`] value after another, reusing its buffers.
//!
//! `etl` calls it with contacts by ascending id and each contact's tweets by ascending (created_at, id).
//! The caller must keep this order: it makes the values of equal users equal.
//!
//! A caller with little memory [spills](Encoder::spill): the parts go to files, and the value is read from there.

use super::{
    CHECKSUM_AT, HEADER_BYTES, Kind, MAGIC, NO_TWEET, TEXT_SEPARATOR, TooLarge, VERSION, checksum,
    part::Part, product,
};
use std::{
    io::{self, Cursor, Read},
    path::Path,
};
use thiserror::Error;

/// Collects the parts of one value.
#[derive(Debug, Default)]
pub struct Encoder {
    contacts: Part,
    tweets: Part,
    tags: Part,
    names: Part,
    texts: Part,
    tag_names: Part,
    counts: Counts,
    open: Option<Open>,
}

/// Numbers of entries so far; u64, so that one check at the end finds an overflow of the format.
#[derive(Debug, Default)]
struct Counts {
    contacts: u64,
    tweets: u64,
    tags: u64,
}

/// The contact that tweets are being added to.
#[derive(Debug)]
struct Open {
    other_id: u64,
    same: u64,
    own: bool,
    replies: u64,
    retweets: u64,
    name_end: u64,
    latest: [Latest; 3],
}

/// Greatest (created_at, id) of one kind so far, with its index.
type Latest = Option<(i64, u64, u64)>;

impl Encoder {
    /// Starts the next contact. `same` is the total of both users' counts over the tags that both posted;
    /// it is ignored for the user itself (`own`).
    pub fn contact(
        &mut self,
        other_id: u64,
        own: bool,
        same: u64,
        screen_name: &[u8],
        description: &[u8],
    ) {
        self.close_contact();
        self.names.extend(screen_name);
        let name_end = self.names.len();
        self.names.extend(description);
        let same = if own { 0 } else { same };
        self.open = Some(Open {
            other_id,
            same,
            own,
            replies: 0,
            retweets: 0,
            name_end,
            latest: [None; 3],
        });
    }

    /// Adds a tweet to the current contact; without a contact it does nothing. `types` is made of
    /// [`super::REPLY`] and [`super::RETWEET`], `tags` are lower-cased.
    pub fn tweet<'t>(
        &mut self,
        id: u64,
        created_at: i64,
        types: u32,
        text: &[u8],
        tags: impl IntoIterator<Item = &'t [u8]>,
    ) {
        let Some(open) = &mut self.open else { return };
        open.note(id, created_at, types, self.counts.tweets);
        self.texts.extend(text);
        let text_end = self.texts.len();
        self.texts.push(TEXT_SEPARATOR);
        for tag in tags {
            self.tag_names.extend(tag);
            self.tags
                .extend(&(self.tag_names.len() as u32).to_le_bytes());
            self.counts.tags += 1;
        }
        self.tweets.extend(&id.to_le_bytes());
        self.tweets.extend(&created_at.to_le_bytes());
        for field in [text_end as u32, self.counts.tags as u32, types, 0] {
            self.tweets.extend(&field.to_le_bytes());
        }
        self.counts.tweets += 1;
    }

    /// Moves what there is of the value to files in `directory`, if it has more than `bytes_max`. The value is then taken
    /// with [`finish_spilled`](Self::finish_spilled).
    pub fn spill(&mut self, directory: &Path, bytes_max: usize) -> io::Result<()> {
        let bytes: usize = self.parts().map(|part| part.in_memory().len()).iter().sum();
        if bytes <= bytes_max {
            return Ok(());
        }
        self.parts_mut()
            .into_iter()
            .try_for_each(|part| part.spill(directory))
    }

    /// Whether some of the value is in files.
    pub fn is_spilled(&self) -> bool {
        self.contacts.is_spilled()
    }

    /// Appends the finished value of `user_id` to `out` and starts over. On error `out` is unchanged. Nothing of the value
    /// may be [spilled](Self::is_spilled).
    pub fn finish(&mut self, user_id: u64, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        debug_assert!(!self.is_spilled());
        self.close_contact();
        let result = self.write(user_id, out);
        self.parts_mut().into_iter().for_each(Part::clear);
        self.counts = Counts::default();
        result
    }

    fn write(&mut self, user_id: u64, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let header = self.header()?;
        let start = out.len();
        let parts_bytes: usize = self.parts().map(|part| part.in_memory().len()).iter().sum();
        out.reserve(HEADER_BYTES + parts_bytes);
        out.extend_from_slice(&header);
        for part in self.parts_mut() {
            out.extend_from_slice(part.in_memory());
            part.release();
        }
        let checksum = checksum(user_id, &out[start..]);
        out[start + CHECKSUM_AT..start + HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// The finished value of `user_id`: its length, and its bytes. Starts over.
    pub fn finish_spilled(&mut self, user_id: u64) -> Result<(u64, Box<dyn Read>), SpillError> {
        self.close_contact();
        let taken = self.take(user_id);
        self.parts_mut().into_iter().for_each(Part::clear);
        self.counts = Counts::default();
        taken
    }

    fn take(&mut self, user_id: u64) -> Result<(u64, Box<dyn Read>), SpillError> {
        let mut header = self.header()?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&user_id.to_le_bytes());
        hasher.update(&header[..CHECKSUM_AT]);
        let mut bytes = HEADER_BYTES as u64;
        for part in self.parts() {
            bytes += part.len();
            hasher.combine(&part.checksum());
        }
        header[CHECKSUM_AT..].copy_from_slice(&hasher.finalize().to_le_bytes());
        let mut value: Box<dyn Read> = Box::new(Cursor::new(header));
        for part in self.parts_mut() {
            value = Box::new(value.chain(part.take()?));
        }
        Ok((bytes, value))
    }

    /// The header, its checksum still zero.
    fn header(&self) -> Result<[u8; HEADER_BYTES], TooLarge> {
        let counts = [self.counts.contacts, self.counts.tweets, self.counts.tags];
        let sizes = [&self.names, &self.texts, &self.tag_names].map(Part::len);
        let numbers = counts.into_iter().chain(sizes);
        // Every number in the tables is at most one of these six, so none was truncated.
        if numbers.clone().any(|number| number >= u64::from(NO_TWEET)) {
            return Err(TooLarge);
        }
        let mut header = [0; HEADER_BYTES];
        header[..3].copy_from_slice(&MAGIC);
        header[3] = VERSION;
        for (field, number) in header[4..CHECKSUM_AT].chunks_exact_mut(4).zip(numbers) {
            field.copy_from_slice(&(number as u32).to_le_bytes());
        }
        Ok(header)
    }

    /// The parts in the order in which they are stored.
    fn parts(&self) -> [&Part; 6] {
        [
            &self.contacts,
            &self.tweets,
            &self.tags,
            &self.names,
            &self.texts,
            &self.tag_names,
        ]
    }

    fn parts_mut(&mut self) -> [&mut Part; 6] {
        [
            &mut self.contacts,
            &mut self.tweets,
            &mut self.tags,
            &mut self.names,
            &mut self.texts,
            &mut self.tag_names,
        ]
    }

    fn close_contact(&mut self) {
        let Some(open) = self.open.take() else { return };
        let score = product(open.replies, open.retweets, open.same, open.own);
        for number in [open.other_id, score.to_bits(), open.same] {
            self.contacts.extend(&number.to_le_bytes());
        }
        let [reply, retweet, both] = open
            .latest
            .map(|latest| latest.map_or(NO_TWEET, |(_, _, index)| index as u32));
        let (tweets, names) = (self.counts.tweets as u32, self.names.len() as u32);
        for field in [tweets, reply, retweet, both, open.name_end as u32, names] {
            self.contacts.extend(&field.to_le_bytes());
        }
        self.counts.contacts += 1;
    }
}

/// Why a spilled value cannot be read.
#[derive(Debug, Error)]
pub enum SpillError {
    /// It does not fit into the format.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Its files cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Open {
    fn note(&mut self, id: u64, created_at: i64, types: u32, index: u64) {
        self.replies += u64::from(types & super::REPLY != 0);
        self.retweets += u64::from(types & super::RETWEET != 0);
        for (kind, latest) in [Kind::Reply, Kind::Retweet, Kind::Both]
            .iter()
            .zip(&mut self.latest)
        {
            if kind.matches(types) {
                *latest = (*latest).max(Some((created_at, id, index)));
            }
        }
    }
}
