//! Second stage: keeps one tweet per id and turns it into records of users.
//!
//! Its input is sorted `t1` records, from a partition or a pipe. Of all lines with the same tweet id, the
//! greatest in canonical order is kept, so nothing depends on the order of the input
//! (`docs/protocol/twitter.md` section 3); of a deleted tweet none is. The kept tweet becomes records keyed by user.

use crate::etl::{
    error::EtlError,
    record::escape::{compare_unescaped, push_lower},
    record::excluded::Excluded,
    record::fields::{Fields, push_field, push_key, push_number, push_signed, push_time},
    record::records::{TweetRecord, deleted_id},
    stage::counts::Counts,
};
use crate::store::value::{REPLY, RETWEET};
use std::cmp::Ordering;

/// Where the stage sends its results.
pub trait TweetOutput {
    /// The record of a tweet that is kept, by ascending id.
    fn kept(&mut self, record: &[u8]) -> Result<(), EtlError>;
    /// A tweet that is deleted, in the order of the kept ones.
    fn deleted(&mut self, id: u64) -> Result<(), EtlError>;
    /// An occurrence of a lower-cased tag, as a record field.
    fn tag(&mut self, tag: &[u8]) -> Result<(), EtlError>;
    /// Lets `write` append one record of `user`, newline excluded.
    fn event(&mut self, user: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError>;
}

/// Keeps one tweet per id.
pub struct TweetReducer<'e> {
    excluded: &'e Excluded,
    /// The greatest record so far of the current tweet id; empty before the first.
    best: Vec<u8>,
    /// The last deleted tweet. Its deletion comes before its other records.
    deleted: Option<u64>,
    /// Lower-cased tags of the current tweet, each after a tab.
    tags: Vec<u8>,
    counts: Counts,
}

impl<'e> TweetReducer<'e> {
    /// A reducer that leaves `excluded` out of the hashtag counts.
    pub fn new(excluded: &'e Excluded) -> Self {
        Self {
            excluded,
            best: Vec::new(),
            deleted: None,
            tags: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes the next record. If it begins another tweet, `out` gets the records of the previous one.
    pub fn line(&mut self, line: &[u8], out: &mut impl TweetOutput) -> Result<(), EtlError> {
        if let Some(id) = deleted_id(line) {
            return self.deletion(id, out);
        }
        let next = TweetRecord::parse(line)?;
        if self.deleted == Some(next.id) {
            self.counts.deleted += 1;
            return Ok(());
        }
        if !self.best.is_empty() {
            let best = TweetRecord::parse(&self.best)?;
            if best.id == next.id {
                self.counts.duplicates += 1;
                if canonical_order(&next, &best).is_gt() {
                    self.best.clear();
                    self.best.extend_from_slice(line);
                }
                return Ok(());
            }
            self.end_of_tweet(out)?;
        }
        self.best.clear();
        self.best.extend_from_slice(line);
        Ok(())
    }

    fn deletion(&mut self, id: u64, out: &mut impl TweetOutput) -> Result<(), EtlError> {
        if self.deleted == Some(id) {
            return Ok(());
        }
        self.finish(out)?;
        self.deleted = Some(id);
        out.deleted(id)
    }

    /// Emits the last tweet.
    pub fn finish(&mut self, out: &mut impl TweetOutput) -> Result<(), EtlError> {
        if !self.best.is_empty() {
            self.end_of_tweet(out)?;
            self.best.clear();
        }
        Ok(())
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn end_of_tweet(&mut self, out: &mut impl TweetOutput) -> Result<(), EtlError> {
        let tweet = TweetRecord::parse(&self.best)?;
        self.counts.tweets += 1;
        out.kept(&self.best)?;
        self.tags.clear();
        for tag in tweet.tags {
            self.tags.push(b'\t');
            push_lower(&mut self.tags, tag);
        }
        let tags = Fields::of(self.tags.get(1..).unwrap_or_default());
        for tag in tags {
            self.counts.tag_occurrences += 1;
            out.tag(tag)?;
        }
        emit_profiles(&tweet, out)?;
        if tags.clone().any(|tag| !self.excluded.contains(tag)) {
            let excluded = self.excluded;
            out.event(tweet.user, |line| {
                push_key(line, tweet.user);
                push_field(line, b"b1");
                for tag in tags.filter(|tag| !excluded.contains(tag)) {
                    push_number(line, 1);
                    push_field(line, tag);
                }
            })?;
        }
        emit_contacts(&tweet, &self.tags, out)
    }
}

/// The total order of tweets with one id: the greatest is kept.
pub fn canonical_order(a: &TweetRecord<'_>, b: &TweetRecord<'_>) -> Ordering {
    let numbers = |t: &TweetRecord<'_>| (t.reply, t.retweet);
    a.created_at
        .cmp(&b.created_at)
        .then_with(|| compare_unescaped(a.text, b.text))
        .then_with(|| a.user.cmp(&b.user))
        .then_with(|| compare_unescaped(a.screen_name, b.screen_name))
        .then_with(|| compare_unescaped(a.description, b.description))
        // An absent id counts as -1, and `None` is less than any `Some`.
        .then_with(|| numbers(a).cmp(&numbers(b)))
        .then_with(|| compare_unescaped(a.retweet_screen_name, b.retweet_screen_name))
        .then_with(|| compare_unescaped(a.retweet_description, b.retweet_description))
        .then_with(|| compare_tags(a.tags, b.tags))
}

/// Compares tag by tag; a prefix is less than the longer list.
fn compare_tags(a: Fields<'_>, b: Fields<'_>) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) => match compare_unescaped(x, y) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            (x, y) => return x.is_some().cmp(&y.is_some()),
        }
    }
}

fn emit_profiles(tweet: &TweetRecord<'_>, out: &mut impl TweetOutput) -> Result<(), EtlError> {
    let mut profile = |user, sender: u64, screen_name, description| {
        out.event(user, |line| {
            push_key(line, user);
            push_field(line, b"a1");
            push_signed(line, tweet.created_at);
            push_number(line, tweet.id);
            push_number(line, sender);
            push_field(line, screen_name);
            push_field(line, description);
        })
    };
    profile(tweet.user, 1, tweet.screen_name, tweet.description)?;
    match tweet.retweet {
        Some(user) => profile(
            user,
            0,
            tweet.retweet_screen_name,
            tweet.retweet_description,
        ),
        None => Ok(()),
    }
}

/// A tweet that both replies to and retweets the same user is one contact tweet with both types. A user who
/// is their own contact gets the tweet once.
fn emit_contacts(
    tweet: &TweetRecord<'_>,
    tags: &[u8],
    out: &mut impl TweetOutput,
) -> Result<(), EtlError> {
    let mut contact = |other, types: u32| {
        let mut end = |user, other| {
            out.event(user, |line| {
                push_key(line, user);
                push_field(line, b"c2\t");
                push_key(line, other);
                push_field(line, b"t");
                push_time(line, tweet.created_at);
                line.push(b'\t');
                push_key(line, tweet.id);
                push_number(line, types.into());
                push_field(line, tweet.text);
                line.extend_from_slice(tags);
            })
        };
        end(tweet.user, other)?;
        if other == tweet.user {
            Ok(())
        } else {
            end(other, tweet.user)
        }
    };
    match (tweet.reply, tweet.retweet) {
        (Some(a), Some(b)) if a == b => contact(a, REPLY | RETWEET),
        (reply, retweet) => {
            reply.map_or(Ok(()), |other| contact(other, REPLY))?;
            retweet.map_or(Ok(()), |other| contact(other, RETWEET))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected {
        events: Vec<String>,
        tags: Vec<String>,
        kept: Vec<String>,
        deleted: Vec<u64>,
    }

    impl TweetOutput for Collected {
        fn kept(&mut self, record: &[u8]) -> Result<(), EtlError> {
            self.kept.push(String::from_utf8(record.to_vec()).unwrap());
            Ok(())
        }

        fn deleted(&mut self, id: u64) -> Result<(), EtlError> {
            self.deleted.push(id);
            Ok(())
        }

        fn tag(&mut self, tag: &[u8]) -> Result<(), EtlError> {
            self.tags.push(String::from_utf8(tag.to_vec()).unwrap());
            Ok(())
        }

        fn event(&mut self, _: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EtlError> {
            let mut line = Vec::new();
            write(&mut line);
            let line = String::from_utf8(line).unwrap();
            self.events.push(line.replace("00000000000000000", ""));
            Ok(())
        }
    }

    fn reduce(lines: &[&str]) -> (Collected, Counts) {
        let excluded = Excluded::from_lines("popular");
        let mut reducer = TweetReducer::new(&excluded);
        let mut out = Collected::default();
        for line in lines {
            reducer.line(line.as_bytes(), &mut out).unwrap();
        }
        reducer.finish(&mut out).unwrap();
        (out, reducer.counts())
    }

    #[test]
    fn a_tweet_becomes_records_of_its_users() {
        let line = "0000000000000000007\tt1\t-5\t10\t11\t12\ts\td\trs\trd\tx\\ty\tPopular\tÉ\tB\tb";
        let (out, counts) = reduce(&[line]);
        assert_eq!(
            out.events,
            [
                "10\ta1\t-5\t7\t1\ts\td",
                "12\ta1\t-5\t7\t0\trs\trd",
                "10\tb1\t1\té\t1\tb\t1\tb",
                "10\tc2\t11\tt\t099999999995\t07\t1\tx\\ty\tpopular\té\tb\tb",
                "11\tc2\t10\tt\t099999999995\t07\t1\tx\\ty\tpopular\té\tb\tb",
                "10\tc2\t12\tt\t099999999995\t07\t2\tx\\ty\tpopular\té\tb\tb",
                "12\tc2\t10\tt\t099999999995\t07\t2\tx\\ty\tpopular\té\tb\tb",
            ]
        );
        assert_eq!(out.tags, ["popular", "é", "b", "b"]);
        assert_eq!(out.kept, [line]);
        assert_eq!(
            (counts.tweets, counts.tag_occurrences, counts.duplicates),
            (1, 4, 0)
        );
    }

    #[test]
    fn one_other_user_is_one_contact_and_oneself_is_listed_once() {
        let contacts = |line| {
            let events = reduce(&[line]).0.events;
            events
                .into_iter()
                .filter(|r| r.contains("	c2	"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            contacts("0000000000000000007\tt1\t5\t10\t11\t11\t\t\t\t\tx"),
            [
                "10\tc2\t11\tt\t100000000005\t07\t3\tx",
                "11\tc2\t10\tt\t100000000005\t07\t3\tx"
            ]
        );
        assert_eq!(
            contacts("0000000000000000007\tt1\t5\t10\t10\t10\t\t\t\t\tx"),
            ["10\tc2\t10\tt\t100000000005\t07\t3\tx"]
        );
    }

    #[test]
    fn the_greatest_duplicate_is_kept_in_any_order() {
        let of = |fields: &str| format!("0000000000000000007\tt1\t{fields}");
        // Each list is ascending in the canonical order.
        for ascending in [
            [
                "-5\t9\t-\t-\t\t\t\t\tz",
                "5\t1\t-\t-\t\t\t\t\ta",
                "10\t1\t-\t-\t\t\t\t\ta",
            ],
            [
                "1\t9\t-\t-\t\t\t\t\ta\\nz",
                "1\t1\t-\t-\t\t\t\t\taz",
                "1\t1\t-\t-\t\t\t\t\ta\\\\z",
            ]
            .map(|s| s.replace("az", "a0z").leak() as &str),
            [
                "1\t9\t-\t-\t\t\t\t\ta",
                "1\t10\t-\t-\t\t\t\t\ta",
                "1\t10\t-\t-\tA\t\t\t\ta",
            ],
            [
                "1\t9\t-\t5\t\t\t\t\ta",
                "1\t9\t0\t-\t\t\t\t\ta",
                "1\t9\t0\t0\t\t\t\t\ta",
            ],
            [
                "1\t9\t-\t5\t\t\t\t\ta",
                "1\t9\t-\t5\t\t\t\t\ta\tB",
                "1\t9\t-\t5\t\t\t\t\ta\tB\tA",
            ],
        ] {
            let [a, b, c] = ascending.map(of);
            let only = reduce(&[&c]).0.events;
            for order in [[&a, &b, &c], [&c, &b, &a], [&b, &c, &a]] {
                let (out, counts) = reduce(&order.map(String::as_str));
                assert_eq!(out.events, only, "{order:?}");
                assert_eq!(counts.duplicates, 2);
            }
        }
    }

    #[test]
    fn a_deleted_tweet_leaves_nothing() {
        let tweet = |id: u64| format!("{id:019}\tt1\t5\t10\t-\t-\t\t\t\t\tx");
        let deletion = |id: u64| format!("{id:019}\td1");
        let lines = [
            deletion(3),
            tweet(3),
            tweet(3),
            tweet(4),
            deletion(5),
            deletion(5),
            deletion(6),
            tweet(7),
        ];
        assert!(lines.is_sorted());
        let (out, counts) = reduce(&lines.each_ref().map(String::as_str));
        assert_eq!(out.kept, [tweet(4), tweet(7)]);
        assert_eq!(out.deleted, [3, 5, 6]);
        assert_eq!(
            (counts.tweets, counts.deleted, counts.duplicates),
            (2, 2, 0)
        );
        assert!(out.events.iter().all(|event| !event.contains("\t3\t")));
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let excluded = Excluded::default();
        for line in [
            "",
            "7\tt1",
            "0000000000000000007\tt2\t1\t9\t-\t-\t\t\t\t\ta",
        ] {
            let mut reducer = TweetReducer::new(&excluded);
            let result = reducer.line(line.as_bytes(), &mut Collected::default());
            assert!(matches!(result, Err(EtlError::Record(_))), "{line}");
        }
    }
}
