//! The blocks that a stage writes: lines collected by bucket, full blocks to an output that workers share.

use crate::etl::{
    blocks::frame::{BLOCK_BYTES_MAX, FrameWriter, Kind},
    error::EtlError,
    record::fields::{key, push_field},
    record::records::push_deletion,
    shuffle::spill::{Emit, partition},
    stage::tags::TagCounter,
    stage::tweets::TweetOutput,
    stage::users::UserOutput,
};
use parking_lot::Mutex;
use std::io::{Read, Write};

/// Memory for the blocks of one kind that are being filled.
const BLOCKS_BYTES: usize = 32 << 20;
/// Bounds of a block: an engine pays for each, and holds several at a time.
const BLOCK_BYTES: (usize, usize) = (16 << 10, 256 << 10);
/// Memory for hashtags that are being counted.
const TAGS_BYTES: usize = 16 << 20;

/// An output that several workers share.
pub struct Output<W>(Mutex<FrameWriter<W>>);

impl<W: Write> Output<W> {
    /// Writes frames to `out`.
    pub fn new(out: W) -> Self {
        Self(Mutex::new(FrameWriter::new(out)))
    }

    /// Writes one frame.
    pub fn frame(&self, kind: Kind, bucket: usize, block: &[u8]) -> Result<(), EtlError> {
        self.0.lock().write(kind, bucket, block)
    }

    /// Writes the closing frame.
    pub fn end(self) -> Result<(), EtlError> {
        self.0.into_inner().end()
    }
}

/// Lines of one kind.
pub struct BlockWriter<'o, W> {
    out: &'o Output<W>,
    kind: Kind,
    blocks: Vec<Vec<u8>>,
    block_bytes: usize,
    records: u64,
}

impl<'o, W: Write> BlockWriter<'o, W> {
    /// Blocks of `buckets` partitions, a power of two.
    pub fn new(out: &'o Output<W>, kind: Kind, buckets: usize) -> Self {
        Self {
            out,
            kind,
            blocks: vec![Vec::new(); buckets],
            block_bytes: (BLOCKS_BYTES / buckets).clamp(BLOCK_BYTES.0, BLOCK_BYTES.1),
            records: 0,
        }
    }

    fn push(&mut self, bucket: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<&[u8], EtlError> {
        if self.blocks[bucket].len() >= self.block_bytes {
            self.flush_bucket(bucket)?;
        }
        self.records += 1;
        let block = &mut self.blocks[bucket];
        let start = block.len();
        write(block);
        block.push(b'\n');
        Ok(&block[start..block.len() - 1])
    }

    fn flush_bucket(&mut self, bucket: usize) -> Result<(), EtlError> {
        let block = &mut self.blocks[bucket];
        if !block.is_empty() {
            match self.kind {
                Kind::Lists => self.out.frame(self.kind, bucket, &packed(block)?)?,
                _ => self.out.frame(self.kind, bucket, block)?,
            }
            block.clear();
            // One very long record must not stay reserved in every bucket.
            block.shrink_to(2 * self.block_bytes);
        }
        Ok(())
    }
}

/// Each long list goes to every bucket, so it is worth to be made smaller: hashtags of one user to about a quarter.
fn packed(block: &[u8]) -> Result<Vec<u8>, EtlError> {
    let failed = |e| EtlError::io("compress", "blocks of hashtags".as_ref(), 0, e);
    zstd::bulk::compress(block, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)
}

/// What [`packed`] has made.
pub(super) fn unpacked(block: &[u8]) -> Result<Vec<u8>, EtlError> {
    let damaged = |why: String| EtlError::Blocks {
        at: 0,
        what: format!("a list of hashtags cannot be decompressed: {why}"),
    };
    let failed = |e: std::io::Error| damaged(e.to_string());
    let mut out = Vec::new();
    let stream = zstd::stream::read::Decoder::new(block).map_err(failed)?;
    // One byte more shows a block that has more than it may.
    stream
        .take(BLOCK_BYTES_MAX as u64 + 1)
        .read_to_end(&mut out)
        .map_err(failed)?;
    if out.len() > BLOCK_BYTES_MAX {
        return Err(damaged(format!("it has more than {BLOCK_BYTES_MAX} bytes")));
    }
    Ok(out)
}

impl<W: Write> Emit for BlockWriter<'_, W> {
    fn record(&mut self, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.push(partition(key, self.blocks.len()), write)
            .map(drop)
    }

    fn flush(&mut self) -> Result<(), EtlError> {
        (0..self.blocks.len()).try_for_each(|bucket| self.flush_bucket(bucket))
    }
}

/// The outputs of [`crate::etl::stage::tweets`].
pub(super) struct TweetBlocks<'o, W> {
    events: BlockWriter<'o, W>,
    tags: BlockWriter<'o, W>,
    counter: TagCounter,
    /// If history is requested.
    kept: Option<BlockWriter<'o, W>>,
    kept_count: u64,
}

impl<'o, W: Write> TweetBlocks<'o, W> {
    pub(super) fn new(out: &'o Output<W>, buckets: usize, history: bool) -> Self {
        Self {
            kept: history.then(|| BlockWriter::new(out, Kind::Kept, buckets)),
            kept_count: 0,
            events: BlockWriter::new(out, Kind::Records, buckets),
            tags: BlockWriter::new(out, Kind::Tags, buckets),
            counter: TagCounter::new(TAGS_BYTES),
        }
    }

    /// How many records of tweets there are for the history, of users and of hashtags.
    pub(super) fn finish(mut self) -> Result<(u64, u64, u64), EtlError> {
        self.counter.flush(&mut self.tags)?;
        self.tags.flush()?;
        if let Some(kept) = &mut self.kept {
            kept.flush()?;
        }
        self.events.flush()?;
        Ok((self.kept_count, self.events.records, self.tags.records))
    }
}

impl<W: Write> TweetOutput for TweetBlocks<'_, W> {
    fn kept(&mut self, record: &[u8]) -> Result<(), EtlError> {
        let Some(kept) = &mut self.kept else {
            return Ok(());
        };
        self.kept_count += 1;
        kept.record(key(record)?, |out| out.extend_from_slice(record))
    }

    fn deleted(&mut self, id: u64) -> Result<(), EtlError> {
        let Some(kept) = &mut self.kept else {
            return Ok(());
        };
        self.kept_count += 1;
        kept.record(id, |out| push_deletion(out, id))
    }

    fn tag(&mut self, tag: &[u8]) -> Result<(), EtlError> {
        self.counter.add(tag, &mut self.tags)
    }

    fn event(&mut self, user: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.events.record(user, write)
    }
}

/// The outputs of [`crate::etl::stage::users`]. A long list of hashtags goes once to each bucket that has a record with
/// a reference to it: with every contact, output would grow with the product of a user's hashtags and contacts.
pub(super) struct UserBlocks<'o, W> {
    records: BlockWriter<'o, W>,
    lists: BlockWriter<'o, W>,
    /// The reference to the latest long list, with its tab, and the list.
    list: (Vec<u8>, Vec<u8>),
    /// The buckets that have it.
    sent: Vec<bool>,
    own: Vec<u8>,
    user_states: BlockWriter<'o, W>,
    user_state_count: u64,
}

impl<'o, W: Write> UserBlocks<'o, W> {
    pub(super) fn new(out: &'o Output<W>, buckets: usize) -> Self {
        Self {
            records: BlockWriter::new(out, Kind::Records, buckets),
            lists: BlockWriter::new(out, Kind::Lists, buckets),
            list: Default::default(),
            sent: vec![false; buckets],
            own: Vec::new(),
            user_states: BlockWriter::new(out, Kind::UserStates, buckets),
            user_state_count: 0,
        }
    }

    /// How many states of users there are for the history, and records of contacts.
    pub(super) fn finish(mut self) -> Result<(u64, u64), EtlError> {
        self.lists.flush()?;
        self.user_states.flush()?;
        self.records.flush()?;
        Ok((self.user_state_count, self.records.records))
    }
}

impl<W: Write> UserOutput for UserBlocks<'_, W> {
    fn own(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.own.clear();
        write(&mut self.own);
        let user = key(&self.own)?;
        let own = &self.own;
        self.records.record(user, |out| out.extend_from_slice(own))
    }

    fn peer(&mut self, other: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        let bucket = partition(other, self.sent.len());
        let record = self.records.push(bucket, write)?;
        let (reference, list) = &self.list;
        // A description that happens to end so costs one list too many.
        if !reference.is_empty() && !self.sent[bucket] && record.ends_with(reference) {
            self.sent[bucket] = true;
            self.lists.push(bucket, |out| {
                out.extend_from_slice(reference.get(1..).unwrap_or_default());
                push_field(out, list);
            })?;
        }
        Ok(())
    }

    fn store_tags(&mut self, user: u64, tags: &[u8]) -> Result<Option<Vec<u8>>, EtlError> {
        let reference = format!("@{user}").into_bytes();
        self.list.0.clear();
        push_field(&mut self.list.0, &reference);
        self.list.1.clear();
        self.list.1.extend_from_slice(tags);
        self.sent.fill(false);
        Ok(Some(reference))
    }

    fn user_state(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        self.own.clear();
        write(&mut self.own);
        let (user, own) = (key(&self.own)?, &self.own);
        self.user_state_count += 1;
        self.user_states
            .record(user, |out| out.extend_from_slice(own))
    }
}
