//! The blocks that a stage writes: lines collected by bucket, full blocks to an output that workers share.

use crate::etl::{
    blocks::frame::{FrameWriter, Kind},
    error::EtlError,
    record::fields::{key, push_field},
    shuffle::spill::{Emit, partition},
    stage::tags::TagCounter,
    stage::tweets::TweetOutput,
    stage::users::UserOutput,
};
use parking_lot::Mutex;
use std::io::Write;

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
}

impl<'o, W: Write> BlockWriter<'o, W> {
    /// Blocks of `buckets` partitions, a power of two.
    pub fn new(out: &'o Output<W>, kind: Kind, buckets: usize) -> Self {
        Self {
            out,
            kind,
            blocks: vec![Vec::new(); buckets],
            block_bytes: (BLOCKS_BYTES / buckets).clamp(BLOCK_BYTES.0, BLOCK_BYTES.1),
        }
    }

    fn push(&mut self, bucket: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<&[u8], EtlError> {
        if self.blocks[bucket].len() >= self.block_bytes {
            self.flush_bucket(bucket)?;
        }
        let block = &mut self.blocks[bucket];
        let start = block.len();
        write(block);
        block.push(b'\n');
        Ok(&block[start..block.len() - 1])
    }

    fn flush_bucket(&mut self, bucket: usize) -> Result<(), EtlError> {
        let block = &mut self.blocks[bucket];
        if !block.is_empty() {
            self.out.frame(self.kind, bucket, block)?;
            block.clear();
            // One very long record must not stay reserved in every bucket.
            block.shrink_to(2 * self.block_bytes);
        }
        Ok(())
    }
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
}

impl<'o, W: Write> TweetBlocks<'o, W> {
    pub(super) fn new(out: &'o Output<W>, buckets: usize) -> Self {
        Self {
            events: BlockWriter::new(out, Kind::Records, buckets),
            tags: BlockWriter::new(out, Kind::Tags, buckets),
            counter: TagCounter::new(TAGS_BYTES),
        }
    }

    pub(super) fn finish(mut self) -> Result<(), EtlError> {
        self.counter.flush(&mut self.tags)?;
        self.tags.flush()?;
        self.events.flush()
    }
}

impl<W: Write> TweetOutput for TweetBlocks<'_, W> {
    fn kept(&mut self, _: &[u8]) -> Result<(), EtlError> {
        Ok(())
    }

    fn deleted(&mut self, _: u64) -> Result<(), EtlError> {
        Ok(())
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
}

impl<'o, W: Write> UserBlocks<'o, W> {
    pub(super) fn new(out: &'o Output<W>, buckets: usize) -> Self {
        Self {
            records: BlockWriter::new(out, Kind::Records, buckets),
            lists: BlockWriter::new(out, Kind::Lists, buckets),
            list: Default::default(),
            sent: vec![false; buckets],
            own: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> Result<(), EtlError> {
        self.lists.flush()?;
        self.records.flush()
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

    fn user_state(&mut self, _: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
        Ok(())
    }
}
