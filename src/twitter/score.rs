//! The answer's rows: counts matches, scores, sorts, writes (`docs/protocol/twitter.md` sections 5
//! and 6).
//!
//! Called with a validated value. The value contains everything that does not depend on phrase and tag. A
//! query costs one search through the user's texts, one comparison per tag, and one logarithm per contact
//! with a match.

use super::query::Query;
use crate::{
    codec::decimal,
    store::value::{Contact, Kind, User},
};
use memchr::memmem::Finder;
use std::cmp::Reverse;

/// Phrases up to this length are searched by restarting one byte after each match, which costs at most this many
/// comparisons per byte of text. Longer ones are searched in the slower way that stays linear.
const RESTART_BYTES_MAX: usize = 32;

/// Rows above this number (32 KiB) are freed after the request.
const RETAINED_ROWS_MAX: usize = 1 << 10;

/// Bytes of a row besides its texts: 19 digits, three tabs, a newline.
const ROW_EXTRA_BYTES: usize = 23;

/// Buffers of one worker.
#[derive(Default)]
pub struct Scratch {
    rows: Vec<Row>,
    borders: Vec<u32>,
}

impl Scratch {
    /// Frees large buffers, so that a large user does not hold memory forever.
    pub(super) fn release_large_buffers(&mut self) {
        if self.rows.capacity() > RETAINED_ROWS_MAX {
            self.rows = Vec::new();
        }
        self.borders = Vec::new();
    }
}

/// A contact to be listed.
#[derive(Clone, Copy)]
struct Row {
    /// The score in steps of 0.00001, and below it the contact's id: one number to sort by.
    rank: u128,
    /// Of the contact in the value.
    index: usize,
}

/// The wanted rows of an answer, in order, and not yet written.
struct Rows<'s, 'v> {
    user: &'s User<'v>,
    kind: Kind,
    rows: &'s [Row],
    /// The number of all rows, wanted or not.
    all: usize,
}

impl<'s, 'v> Rows<'s, 'v> {
    /// The wanted rows for `request` of `user`.
    fn of(user: &'s User<'v>, request: &Query<'_>, scratch: &'s mut Scratch) -> Self {
        let Scratch { rows, borders } = scratch;
        rows.clear();
        let mut phrase = Matches::of(request.phrase, user.texts(), borders);
        phrase.find(0);
        collect(user, request, &mut phrase, rows);
        let order = |row: &Row| Reverse(row.rank);
        let all = rows.len();
        let wanted = request.page.range(all);
        if wanted.end < all && wanted.end > 0 {
            rows.select_nth_unstable_by_key(wanted.end - 1, order);
            rows.truncate(wanted.end); // what comes after is never sorted
        }
        rows.sort_unstable_by_key(order);
        Self {
            user,
            kind: request.kind,
            rows: &rows[wanted],
            all,
        }
    }

    /// Appends the wanted rows, each preceded by `\n` except the first.
    fn write(&self, out: &mut Vec<u8>) {
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                out.push(b'\n');
            }
            let Some(contact) = self.user.contact(row.index) else {
                continue; // the rows are of this value
            };
            let latest = contact.latest(self.kind);
            let text = latest.map_or(&[][..], |tweet| tweet.text);
            let texts = [contact.screen_name, contact.description, text];
            let bytes: usize = texts.iter().map(|text| text.len()).sum();
            out.reserve(ROW_EXTRA_BYTES + bytes);
            decimal::write_u64(out, row.rank as u64);
            for text in texts {
                out.push(b'\t');
                out.extend_from_slice(text);
            }
        }
    }
}

/// Appends the wanted rows for `request` of `user`; returns the number of all rows.
pub fn write_rows(
    user: &User<'_>,
    request: &Query<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> usize {
    let rows = Rows::of(user, request, scratch);
    rows.write(out);
    rows.all
}

/// One row per contact with a tweet of the requested type.
fn collect(user: &User<'_>, request: &Query<'_>, phrase: &mut Matches<'_>, rows: &mut Vec<Row>) {
    rows.reserve(user.contact_count());
    for (index, contact) in user.contacts().enumerate() {
        let matches = count(&contact, request.kind, phrase, request.hashtag.as_bytes());
        if contact.has(request.kind) {
            let score = score(contact.product, matches);
            rows.push(Row {
                rank: u128::from(score) << 64 | u128::from(contact.other_id),
                index,
            });
        }
    }
}

/// Matches of phrase and tag in the contact tweets of the requested type.
#[inline]
fn count(contact: &Contact<'_>, kind: Kind, phrase: &mut Matches<'_>, hashtag: &[u8]) -> u64 {
    // Most contacts have no match at all: what all of their tweets contain is looked at once.
    if phrase.next >= contact.texts_end() && !contact.tags().any(|tag| tag == hashtag) {
        return 0;
    }
    let mut matches = 0;
    for tweet in contact.tweets() {
        let in_text = phrase.before(tweet.text_start + tweet.text.len());
        if kind.matches(tweet.types) {
            matches += in_text + tweet.tags().filter(|tag| *tag == hashtag).count() as u64;
        }
    }
    matches
}

/// Interaction, hashtag and keyword score multiplied and rounded, in steps of 0.00001.
fn score(product: f64, matches: u64) -> u64 {
    let keywords = match matches {
        0 => 1.0, // the logarithm of one is zero
        n => 1.0 + ((n + 1) as f64).ln(),
    };
    // Never negative: half up is rounding the integer part of the sum. The cast saturates.
    (product * keywords * 100_000.0 + 0.5) as u64
}

/// Where the phrase begins in a user's texts, in order, overlaps included.
///
/// The texts are searched in one run: no phrase contains the byte that separates them.
struct Matches<'r> {
    texts: &'r [u8],
    search: Search<'r>,
    /// Start of the next match, or the end of everything. The first one must be [found](Self::find).
    next: usize,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one per request, on the stack; a box would be an allocation"
)]
enum Search<'r> {
    /// One byte.
    Byte(u8),
    /// Vectorised search, started again one byte after each match.
    Restart(Finder<'r>),
    /// Knuth, Morris, Pratt: reads every byte of the texts once.
    Linear {
        phrase: &'r [u8],
        /// For each prefix of the phrase the length of its longest border.
        borders: &'r [u32],
        /// Bytes of the texts looked at.
        at: usize,
        /// Bytes of the phrase that match there.
        matched: usize,
    },
    /// The phrase is longer than all texts.
    Nowhere,
}

impl<'r> Matches<'r> {
    fn of(phrase: &'r str, texts: &'r [u8], borders: &'r mut Vec<u32>) -> Self {
        let phrase = phrase.as_bytes();
        let search = match phrase {
            _ if phrase.len() > texts.len() => Search::Nowhere,
            [byte] => Search::Byte(*byte),
            _ if phrase.len() <= RESTART_BYTES_MAX => Search::Restart(Finder::new(phrase)),
            _ => {
                fill_borders(phrase, borders);
                Search::Linear {
                    phrase,
                    borders,
                    at: 0,
                    matched: 0,
                }
            }
        };
        Self {
            texts,
            search,
            next: 0,
        }
    }

    /// The number of matches that begin before `end` and have not been counted yet.
    #[inline]
    fn before(&mut self, end: usize) -> u64 {
        let mut count = 0;
        while self.next < end {
            count += 1;
            self.find(self.next + 1);
        }
        count
    }

    /// Moves on to the first match at or after `start`.
    fn find(&mut self, start: usize) {
        let rest = self.texts.get(start..).unwrap_or_default();
        let found = match &mut self.search {
            Search::Byte(byte) => memchr::memchr(*byte, rest),
            Search::Restart(finder) => finder.find(rest),
            Search::Nowhere => None,
            Search::Linear {
                phrase,
                borders,
                at,
                matched,
            } => {
                self.next = linear(phrase, borders, self.texts, at, matched);
                return;
            }
        };
        self.next = found.map_or(usize::MAX, |offset| start + offset);
    }
}

/// The start of the next match in `texts`, from the state (`at`, `matched`), which moves on.
fn linear(
    phrase: &[u8],
    borders: &[u32],
    texts: &[u8],
    at: &mut usize,
    matched: &mut usize,
) -> usize {
    while let Some(&byte) = texts.get(*at) {
        *matched = extend(phrase, borders, *matched, byte);
        *at += 1;
        if *matched == phrase.len() {
            return *at - phrase.len();
        }
    }
    usize::MAX
}

/// How many bytes of `phrase` match after `byte`, if `matched` did before it.
fn extend(phrase: &[u8], borders: &[u32], mut matched: usize, byte: u8) -> usize {
    loop {
        if phrase.get(matched) == Some(&byte) {
            return matched + 1;
        }
        let Some(shorter) = matched.checked_sub(1) else {
            return 0;
        };
        matched = borders.get(shorter).copied().unwrap_or(0) as usize;
    }
}

/// Longest border of each prefix: `borders[i]` is that of `phrase[..=i]`.
fn fill_borders(phrase: &[u8], borders: &mut Vec<u32>) {
    borders.clear();
    borders.reserve_exact(phrase.len());
    let mut border = 0;
    for (index, &byte) in phrase.iter().enumerate() {
        if index > 0 {
            border = extend(phrase, borders, border, byte);
        }
        borders.push(border as u32);
    }
}

#[cfg(test)]
mod tests;
