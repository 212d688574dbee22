//! The tags of one user with their counts, for look-ups while pairs are scored.

use crate::etl::record::fields::Fields;

/// Tags in ascending order of their bytes.
#[derive(Debug, Default)]
pub struct TagList {
    text: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    end: usize,
    count: u64,
}

impl TagList {
    /// Replaces the list by the counts and tags of a record; `None` when they are malformed or not
    /// ascending.
    pub fn set(&mut self, mut counts: Fields<'_>) -> Option<()> {
        self.clear();
        while let Some(entry) = counts.next_count() {
            let (count, tag) = entry?;
            if self
                .entries
                .last()
                .is_some_and(|last| self.tag(last) >= tag)
            {
                return None;
            }
            let start = self.text.len();
            self.text.extend_from_slice(tag);
            self.entries.push(Entry {
                start,
                end: self.text.len(),
                count,
            });
        }
        Some(())
    }

    /// Empties the list.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }

    /// Whether there are no tags.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory in use.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The count of a tag.
    pub fn get(&self, tag: &[u8]) -> Option<u64> {
        let found = self
            .entries
            .binary_search_by(|entry| self.tag(entry).cmp(tag))
            .ok()?;
        self.entries.get(found).map(|entry| entry.count)
    }

    /// For every tag in both lists, the sum of its two counts; all added up. Only the shorter list is
    /// walked, so a pair costs little even when one user has a hundred thousand tags.
    pub fn same(&self, other: &Self) -> u64 {
        let (short, long) = if self.entries.len() <= other.entries.len() {
            (self, other)
        } else {
            (other, self)
        };
        short
            .entries
            .iter()
            .fold(0u64, |same, entry| match long.get(short.tag(entry)) {
                Some(count) => same.saturating_add(count).saturating_add(entry.count),
                None => same,
            })
    }

    fn tag(&self, entry: &Entry) -> &[u8] {
        &self.text[entry.start..entry.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(fields: &str) -> Option<TagList> {
        let mut list = TagList::default();
        list.set(Fields::of(fields.as_bytes())).map(|()| list)
    }

    #[test]
    fn counts_of_shared_tags_add_up_both_ways() {
        let a = list("2\ta\t3\tc\t1\td").unwrap();
        let b = list("10\tb\t20\tc\t5\td\t7\te").unwrap();
        assert_eq!((a.same(&b), b.same(&a)), (29, 29));
        assert_eq!(a.get(b"b"), None);
        assert!(list("").unwrap().is_empty());
    }

    #[test]
    fn malformed_lists_are_refused() {
        for fields in ["a\t1", "1", "1\tb\t1\ta", "1\ta\t1\ta"] {
            assert!(list(fields).is_none(), "{fields}");
        }
    }
}
