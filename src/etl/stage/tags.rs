//! How often each hashtag occurs: the report's histogram and the list of the most frequent ones.
//!
//! All tags of all kept tweets are counted, lower-cased, excluded or not: the list of tags to exclude is
//! made from these numbers. In the tweets stage each worker counts in a map of bounded size, which it
//! writes out when full; the tags stage adds up these counts, partition by partition.

use crate::etl::{
    error::EtlError,
    record::escape,
    record::fields::{self, Fields},
    shuffle::sort::Sorted,
    shuffle::spill::Emit,
};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

/// Estimated bytes of a map entry, without the tag's bytes.
const ENTRY_BYTES: usize = 64;

/// Frequencies of all hashtags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagReport {
    /// (occurrences, number of tags with so many), ascending.
    pub histogram: Vec<(u64, u64)>,
    /// The most frequent tags with their occurrences: by falling count, then by the tag's bytes.
    pub top: Vec<(String, u64)>,
}

impl TagReport {
    /// Number of different tags.
    pub fn distinct(&self) -> u64 {
        self.histogram.iter().map(|(_, tags)| tags).sum()
    }

    /// The `count` most frequent tags, one per line, for use as an excluded list.
    pub fn excluded_list(&self, count: usize) -> String {
        self.top
            .iter()
            .take(count)
            .map(|(tag, _)| format!("{tag}\n"))
            .collect()
    }
}

/// Counts tags within a bounded amount of memory.
pub struct TagCounter {
    counts: HashMap<Box<[u8]>, u64>,
    bytes: usize,
    bytes_max: usize,
}

impl TagCounter {
    /// A counter that holds at most about `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            counts: HashMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Counts one occurrence of a lower-cased tag, given as a record field.
    pub fn add(&mut self, tag: &[u8], spill: &mut impl Emit) -> Result<(), EtlError> {
        if let Some(count) = self.counts.get_mut(tag) {
            *count += 1;
            return Ok(());
        }
        self.counts.insert(tag.into(), 1);
        self.bytes += tag.len() + ENTRY_BYTES;
        if self.bytes >= self.bytes_max {
            self.flush(spill)
        } else {
            Ok(())
        }
    }

    /// Writes out the counts as lines of tag and count.
    pub fn flush(&mut self, spill: &mut impl Emit) -> Result<(), EtlError> {
        for (tag, count) in self.counts.drain() {
            spill.record(crc32fast::hash(&tag).into(), |line| {
                line.extend_from_slice(&tag);
                fields::push_number(line, count);
            })?;
        }
        self.bytes = 0;
        Ok(())
    }
}

/// Adds up the lines of [`TagCounter`]s.
pub struct TagTotals {
    histogram: BTreeMap<u64, u64>,
    /// The most frequent tags so far; the least frequent of them on top.
    top: BinaryHeap<Reverse<(u64, Reverse<Vec<u8>>)>>,
    top_max: usize,
    /// The tag whose lines are being read, and its occurrences so far.
    current: (Vec<u8>, u64),
}

impl TagTotals {
    /// Totals that remember the `top_max` most frequent tags.
    pub fn new(top_max: usize) -> Self {
        Self {
            histogram: BTreeMap::new(),
            top: BinaryHeap::new(),
            top_max,
            current: (Vec::new(), 0),
        }
    }

    /// Adds a whole partition.
    pub fn add_partition(&mut self, mut lines: Sorted<'_>) -> Result<(), EtlError> {
        while let Some(line) = lines.next_line()? {
            self.add_line(line)?;
        }
        self.end_tag();
        Ok(())
    }

    /// Adds a line; all lines of a tag come together. [`end_tag`](Self::end_tag) ends the last.
    pub(crate) fn add_line(&mut self, line: &[u8]) -> Result<(), EtlError> {
        let mut fields = Fields::of(line);
        let next = fields.next().zip(fields.next().and_then(fields::number));
        let (tag, count) = next.ok_or_else(|| EtlError::record(line))?;
        if tag != self.current.0 {
            self.end_tag();
            self.current.0.extend_from_slice(tag);
        }
        self.current.1 += count;
        Ok(())
    }

    /// Ends the tag whose lines were read last.
    pub(crate) fn end_tag(&mut self) {
        let (mut tag, count) = std::mem::take(&mut self.current);
        self.add_tag(&tag, count);
        tag.clear();
        self.current.0 = tag;
    }

    fn add_tag(&mut self, tag: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        *self.histogram.entry(count).or_default() += 1;
        if self.top.len() == self.top_max
            && self
                .top
                .peek()
                .is_none_or(|Reverse((least, _))| count < *least)
        {
            return;
        }
        self.top.push(Reverse((
            count,
            Reverse(escape::unescape(tag).into_owned()),
        )));
        if self.top.len() > self.top_max {
            self.top.pop();
        }
    }

    /// The totals of all workers together.
    pub fn report(all: Vec<Self>, top_max: usize) -> TagReport {
        let mut histogram = BTreeMap::new();
        let mut top = Vec::new();
        for totals in all {
            for (count, tags) in totals.histogram {
                *histogram.entry(count).or_default() += tags;
            }
            top.extend(totals.top.into_iter().map(|Reverse(entry)| entry));
        }
        top.sort_by(|a, b| b.cmp(a));
        top.truncate(top_max);
        let text = |tag: Vec<u8>| String::from_utf8_lossy(&tag).into_owned();
        TagReport {
            histogram: histogram.into_iter().collect(),
            top: top
                .into_iter()
                .map(|(count, Reverse(tag))| (text(tag), count))
                .collect(),
        }
    }
}
