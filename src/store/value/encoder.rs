//! Writes one [`super::User`] value after another, reusing its buffers.
//!
//! `etl` calls it with contacts by ascending id and each contact's tweets by ascending (created_at, id).
//! The caller must keep this order: it makes the values of equal users equal.

use super::{
    CHECKSUM_AT, HEADER_BYTES, Kind, MAGIC, NO_TWEET, TEXT_SEPARATOR, TooLarge, VERSION, checksum,
    product,
};

/// Bytes of each part that stay allocated for the next value. Few users need more, and those need gigabytes.
const KEPT_BYTES: usize = 1 << 20;

/// Collects the parts of one value.
#[derive(Debug, Default)]
pub struct Encoder {
    contacts: Vec<u8>,
    tweets: Vec<u8>,
    tags: Vec<u8>,
    names: Vec<u8>,
    texts: Vec<u8>,
    tag_names: Vec<u8>,
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
        self.names.extend_from_slice(screen_name);
        let name_end = self.names.len() as u64;
        self.names.extend_from_slice(description);
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
        self.texts.extend_from_slice(text);
        let text_end = self.texts.len() as u64;
        self.texts.push(TEXT_SEPARATOR);
        for tag in tags {
            self.tag_names.extend_from_slice(tag);
            self.tags
                .extend_from_slice(&(self.tag_names.len() as u32).to_le_bytes());
            self.counts.tags += 1;
        }
        self.tweets.extend_from_slice(&id.to_le_bytes());
        self.tweets.extend_from_slice(&created_at.to_le_bytes());
        for field in [text_end as u32, self.counts.tags as u32, types, 0] {
            self.tweets.extend_from_slice(&field.to_le_bytes());
        }
        self.counts.tweets += 1;
    }

    /// Appends the finished value of `user_id` to `out` and starts over. On error `out` is unchanged.
    pub fn finish(&mut self, user_id: u64, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        self.close_contact();
        let result = self.write(user_id, out);
        for part in self.parts() {
            release(part);
        }
        self.counts = Counts::default();
        result
    }

    fn write(&mut self, user_id: u64, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let counts = [self.counts.contacts, self.counts.tweets, self.counts.tags];
        let sizes = [&self.names, &self.texts, &self.tag_names].map(|part| part.len() as u64);
        // Every number in the tables is at most one of these six, so none was truncated.
        if counts
            .iter()
            .chain(&sizes)
            .any(|&n| n >= u64::from(NO_TWEET))
        {
            return Err(TooLarge);
        }
        let start = out.len();
        let parts_bytes: usize = self.parts().iter().map(|part| part.len()).sum();
        out.reserve(HEADER_BYTES + parts_bytes);
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        for number in counts.into_iter().chain(sizes) {
            out.extend_from_slice(&(number as u32).to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        for part in self.parts() {
            out.extend_from_slice(part);
            release(part);
        }
        let checksum = checksum(user_id, &out[start..]);
        out[start + CHECKSUM_AT..start + HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// The parts in the order in which they are stored.
    fn parts(&mut self) -> [&mut Vec<u8>; 6] {
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
            self.contacts.extend_from_slice(&number.to_le_bytes());
        }
        let [reply, retweet, both] = open
            .latest
            .map(|latest| latest.map_or(NO_TWEET, |(_, _, index)| index as u32));
        let (tweets, names) = (self.counts.tweets as u32, self.names.len() as u32);
        for field in [tweets, reply, retweet, both, open.name_end as u32, names] {
            self.contacts.extend_from_slice(&field.to_le_bytes());
        }
        self.counts.contacts += 1;
    }
}

/// Empties `part`, so that a value and its parts are not in memory twice.
fn release(part: &mut Vec<u8>) {
    part.clear();
    part.shrink_to(KEPT_BYTES);
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
