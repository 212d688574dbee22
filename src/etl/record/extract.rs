//! One input line to one `t1` record, or the reason why the line is dropped.
//!
//! The rules are `docs/protocol/twitter.md` sections 2 and 3. Called by the map stage for every
//! line; strings are decoded only for lines that are kept. Repeated keys: the last one wins, so a
//! member that comes again replaces all that the first one set.

use crate::etl::{
    record::created_at,
    record::escape::{push_json, unescape},
    record::json::{Scanner, Span},
    record::records::{self, ID_MAX, push_field, push_key, push_number, push_signed},
};

/// Why a line is not kept; the first rule that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Not one JSON object.
    NotJson,
    /// Rule 1: no tweet id.
    NoTweetId,
    /// Rule 2: no user, or no user id.
    NoUserId,
    /// Rule 3: no date, or not in the one format.
    NoCreatedAt,
    /// Rule 4: no text, or an empty one.
    NoText,
    /// Rule 5: no hashtags.
    NoHashtags,
    /// Rule 6: another language.
    Language,
}

impl Dropped {
    /// All reasons, in the order in which they are checked.
    pub const ALL: [Self; 7] = [
        Self::NotJson,
        Self::NoTweetId,
        Self::NoUserId,
        Self::NoCreatedAt,
        Self::NoText,
        Self::NoHashtags,
        Self::Language,
    ];

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NoTweetId => "no_tweet_id",
            Self::NoUserId => "no_user_id",
            Self::NoCreatedAt => "no_created_at",
            Self::NoText => "no_text",
            Self::NoHashtags => "no_hashtags",
            Self::Language => "language",
        }
    }
}

/// `lang` values that are kept.
const LANGUAGES: [&[u8]; 8] = [b"ar", b"en", b"fr", b"in", b"pt", b"es", b"tr", b"ja"];

/// The fields of one tweet, as spans of its line.
#[derive(Default)]
struct Tweet {
    id: Id,
    user: Option<Person>,
    created_at: Option<Span>,
    text: Option<Span>,
    /// Elements of `entities.hashtags`, with or without a usable text.
    hashtag_count: usize,
    lang: Option<Span>,
    reply: Id,
    retweeted: Option<Person>,
}

#[derive(Clone, Copy, Default)]
struct Person {
    id: Id,
    screen_name: Option<Span>,
    description: Option<Span>,
}

/// The two spellings of an identifier: `x`, else `x_str`.
#[derive(Clone, Copy, Default)]
struct Id {
    plain: Option<u64>,
    spelled: Option<u64>,
}

impl Id {
    fn value(self) -> Option<u64> {
        self.plain.or(self.spelled)
    }
}

/// Reads lines; keeps its buffers between them.
#[derive(Default)]
pub struct Extractor {
    tags: Vec<Span>,
    scratch: Vec<u8>,
}

impl Extractor {
    /// Appends the record of `line` (without its newline) to `out`, newline excluded, and returns
    /// the tweet id; or leaves `out` alone and says why the line is dropped.
    pub fn extract(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<u64, Dropped> {
        let mut scanner = Scanner::new(line);
        let tweet = self.scan(&mut scanner, line).ok_or(Dropped::NotJson)?;
        scanner.finish().ok_or(Dropped::NotJson)?;

        let id = tweet.id.value().ok_or(Dropped::NoTweetId)?;
        let user = tweet.user.ok_or(Dropped::NoUserId)?;
        let user_id = user.id.value().ok_or(Dropped::NoUserId)?;
        let created_at = self
            .created_at(tweet.created_at, line)
            .ok_or(Dropped::NoCreatedAt)?;
        let text = tweet
            .text
            .filter(|span| !span.is_empty())
            .ok_or(Dropped::NoText)?;
        if tweet.hashtag_count == 0 {
            return Err(Dropped::NoHashtags);
        }
        let lang = tweet.lang.ok_or(Dropped::Language)?;
        if !LANGUAGES.contains(&self.decoded(lang, line)) {
            return Err(Dropped::Language);
        }

        // A retweeted user without an id is no retweet, and its names are not looked at.
        let retweeted = tweet.retweeted.filter(|person| person.id.value().is_some());
        let retweeted_id = retweeted.and_then(|person| person.id.value());
        push_key(out, id);
        push_field(out, b"t1");
        push_signed(out, created_at);
        push_number(out, user_id);
        push_optional(out, tweet.reply.value());
        push_optional(out, retweeted_id);
        push_person(out, Some(user), line);
        push_person(out, retweeted, line);
        push_span(out, Some(text), line);
        for &tag in &self.tags {
            push_span(out, Some(tag), line);
        }
        Ok(id)
    }

    fn scan(&mut self, scanner: &mut Scanner<'_>, line: &[u8]) -> Option<Tweet> {
        let mut tweet = Tweet::default();
        self.tags.clear();
        scanner.object(|scanner, key| {
            // A key written with escapes is rare, but the same key.
            let escaped_key;
            let key = if key.escaped {
                escaped_key = decode(key, line);
                escaped_key.as_slice()
            } else {
                key.raw(line)
            };
            match key {
                b"id" => tweet.id.plain = id(scanner, line)?,
                b"id_str" => tweet.id.spelled = id(scanner, line)?,
                b"user" => tweet.user = person(scanner, line)?,
                b"created_at" => tweet.created_at = scanner.string_or_skip()?,
                b"text" => tweet.text = scanner.string_or_skip()?,
                b"entities" => tweet.hashtag_count = self.entities(scanner, line)?,
                b"lang" => tweet.lang = scanner.string_or_skip()?,
                b"in_reply_to_user_id" => tweet.reply.plain = id(scanner, line)?,
                b"in_reply_to_user_id_str" => tweet.reply.spelled = id(scanner, line)?,
                b"retweeted_status" => tweet.retweeted = retweeted(scanner, line)?,
                _ => scanner.skip()?,
            }
            Some(())
        })?;
        Some(tweet)
    }

    /// `entities`: the number of hashtags; their texts are left in `self.tags`.
    fn entities(&mut self, scanner: &mut Scanner<'_>, line: &[u8]) -> Option<usize> {
        self.tags.clear();
        let mut count = 0;
        members(scanner, line, |scanner, key| match key {
            b"hashtags" => {
                count = self.hashtags(scanner, line)?;
                Some(())
            }
            _ => scanner.skip(),
        })?;
        Some(count)
    }

    fn hashtags(&mut self, scanner: &mut Scanner<'_>, line: &[u8]) -> Option<usize> {
        self.tags.clear();
        if scanner.peek() != b'[' {
            scanner.skip()?;
            return Some(0);
        }
        scanner.array(|scanner| {
            let mut text = None;
            members(scanner, line, |scanner, key| {
                match key {
                    b"text" => text = scanner.string_or_skip()?,
                    _ => scanner.skip()?,
                }
                Some(())
            })?;
            self.tags.extend(text.filter(|span| !span.is_empty()));
            Some(())
        })
    }

    fn created_at(&mut self, span: Option<Span>, line: &[u8]) -> Option<i64> {
        created_at::parse(self.decoded(span?, line))
    }

    /// The string in `span`, decoded.
    fn decoded<'a>(&'a mut self, span: Span, line: &'a [u8]) -> &'a [u8] {
        if !span.escaped {
            return span.raw(line);
        }
        self.scratch = decode(span, line);
        &self.scratch
    }
}

/// Walks the members of an object with decoded keys; a value of any other kind is skipped.
fn members<'a>(
    scanner: &mut Scanner<'a>,
    line: &[u8],
    mut member: impl FnMut(&mut Scanner<'a>, &[u8]) -> Option<()>,
) -> Option<()> {
    if scanner.peek() != b'{' {
        return scanner.skip();
    }
    scanner.object(|scanner, key| {
        if key.escaped {
            member(scanner, &decode(key, line))
        } else {
            member(scanner, key.raw(line))
        }
    })
}

/// A user object; `Some(None)` when the value is something else.
fn person(scanner: &mut Scanner<'_>, line: &[u8]) -> Option<Option<Person>> {
    let is_object = scanner.peek() == b'{';
    let mut person = Person::default();
    members(scanner, line, |scanner, key| {
        match key {
            b"id" => person.id.plain = id(scanner, line)?,
            b"id_str" => person.id.spelled = id(scanner, line)?,
            b"screen_name" => person.screen_name = scanner.string_or_skip()?,
            b"description" => person.description = scanner.string_or_skip()?,
            _ => scanner.skip()?,
        }
        Some(())
    })?;
    Some(is_object.then_some(person))
}

/// The user of a `retweeted_status`; nothing else in there is looked at.
fn retweeted(scanner: &mut Scanner<'_>, line: &[u8]) -> Option<Option<Person>> {
    let mut user = None;
    members(scanner, line, |scanner, key| {
        match key {
            b"user" => user = person(scanner, line)?,
            _ => scanner.skip()?,
        }
        Some(())
    })?;
    Some(user)
}

/// An identifier: an integer, or a string of 1 to 19 digits, from 0 to 2^63 - 1.
fn id(scanner: &mut Scanner<'_>, line: &[u8]) -> Option<Option<u64>> {
    match scanner.peek() {
        b'"' => {
            let span = scanner.string()?;
            let decoded;
            let digits = if span.escaped {
                decoded = decode(span, line);
                decoded.as_slice()
            } else {
                span.raw(line)
            };
            Some(if digits.len() <= records::KEY_DIGITS {
                bounded(digits)
            } else {
                None
            })
        }
        b'-' | b'0'..=b'9' => Some(scanner.number()?.and_then(|digits| match digits {
            b"-0" => Some(0),
            _ => bounded(digits),
        })),
        _ => scanner.skip().map(|()| None),
    }
}

fn bounded(digits: &[u8]) -> Option<u64> {
    records::number(digits).filter(|&id| id <= ID_MAX)
}

/// The string in `span`, decoded; for the rare spans with escapes that are compared, not stored.
#[cold]
fn decode(span: Span, line: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    push_json(&mut field, span.raw(line), span.escaped);
    unescape(&field).into_owned()
}

fn push_optional(out: &mut Vec<u8>, id: Option<u64>) {
    match id {
        Some(id) => push_number(out, id),
        None => push_field(out, b"-"),
    }
}

fn push_person(out: &mut Vec<u8>, person: Option<Person>, line: &[u8]) {
    push_span(out, person.and_then(|person| person.screen_name), line);
    push_span(out, person.and_then(|person| person.description), line);
}

/// A missing string is an empty field.
fn push_span(out: &mut Vec<u8>, span: Option<Span>, line: &[u8]) {
    out.push(b'\t');
    if let Some(span) = span {
        push_json(out, span.raw(line), span.escaped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str) -> Result<String, Dropped> {
        let mut out = Vec::new();
        Extractor::default().extract(line.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// A valid tweet whose `text` member and what follows it are `text_and_more`.
    fn tweet(text_and_more: &str) -> String {
        format!(
            "{{\"created_at\":\"Thu Jan 01 00:00:01 +0000 1970\",\"id\":7,\"lang\":\"en\",\
             \"user\":{{\"id\":8,\"screen_name\":\"s\"}},\
             \"entities\":{{\"hashtags\":[{{\"text\":\"T\"}}]}},\"text\":{text_and_more}}}"
        )
    }

    const KEPT: &str = "0000000000000000007\tt1\t1\t8\t-\t-\ts\t\t\t\t";

    #[test]
    fn a_plain_tweet_is_kept() {
        assert_eq!(record(&tweet("\"a\"")).unwrap(), format!("{KEPT}a\tT"));
    }

    #[test]
    fn strings_become_fields() {
        let line = tweet("\"a\\tb\\u000a\\\\ \\/ \\ud83d\\ude00 \\ud83d\"");
        assert_eq!(
            record(&line).unwrap(),
            format!("{KEPT}a\\tb\\n\\\\ / 😀 \u{FFFD}\tT")
        );
    }

    #[test]
    fn the_last_of_repeated_keys_wins() {
        let same = |more: &str| record(&tweet(&format!("\"a\",{more}"))).unwrap();
        assert_eq!(same("\"text\":\"b\""), format!("{KEPT}b\tT"));
        assert_eq!(same("\"t\\u0065xt\":\"b\""), format!("{KEPT}b\tT"));
        assert_eq!(
            same("\"entities\":{\"hashtags\":[0,{\"text\":\"U\"}]}"),
            format!("{KEPT}a\tU")
        );
        let lost = |more: &str| record(&tweet(&format!("\"a\",{more}"))).unwrap_err();
        assert_eq!(lost("\"user\":{}"), Dropped::NoUserId);
        assert_eq!(lost("\"entities\":{}"), Dropped::NoHashtags);
        assert_eq!(
            lost("\"entities\":{\"hashtags\":[1],\"hashtags\":[]}"),
            Dropped::NoHashtags
        );
        assert_eq!(lost("\"text\":null"), Dropped::NoText);
        assert_eq!(lost("\"lang\":\"de\""), Dropped::Language);
        assert_eq!(lost("\"id\":null"), Dropped::NoTweetId);
        assert_eq!(lost("\"created_at\":5"), Dropped::NoCreatedAt);
    }

    #[test]
    fn identifiers() {
        let reply = |value: &str| {
            let line = tweet(&format!("\"a\",\"in_reply_to_user_id\":{value}"));
            record(&line)
                .unwrap()
                .split('\t')
                .nth(4)
                .unwrap()
                .to_owned()
        };
        for (value, read) in [
            ("0", "0"),
            ("-0", "0"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "-"),
            ("\"0000000000000000012\"", "12"),
            ("\"00000000000000000012\"", "-"),
            ("\"1\\u0032\"", "12"),
            ("\"\"", "-"),
            ("\" 1\"", "-"),
            ("1.0", "-"),
            ("1e3", "-"),
            ("-1", "-"),
            ("true", "-"),
            ("[1]", "-"),
            ("null,\"in_reply_to_user_id_str\":\"5\"", "5"),
            ("1.5,\"in_reply_to_user_id_str\":5", "5"),
        ] {
            assert_eq!(reply(value), read, "{value}");
        }
    }

    #[test]
    fn retweets_need_an_id() {
        let fields = |value: &str| {
            let line = tweet(&format!("\"a\",\"retweeted_status\":{value}"));
            let record = record(&line).unwrap();
            let fields: Vec<_> = record.split('\t').map(str::to_owned).collect();
            (fields[5].clone(), fields[8].clone())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            fields("{\"user\":{\"id\":3,\"screen_name\":\"x\"}}"),
            pair("3", "x")
        );
        assert_eq!(fields("{\"user\":{\"screen_name\":\"x\"}}"), pair("-", ""));
        assert_eq!(fields("{\"user\":[]}"), pair("-", ""));
        assert_eq!(fields("7"), pair("-", ""));
    }

    #[test]
    fn lines_that_are_not_one_object() {
        for line in [
            "",
            " ",
            "[]",
            "null",
            "1",
            "\"x\"",
            "{",
            "{}}",
            "{\"a\":NaN}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":+1}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\\q\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\"}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":[1,]}",
            "{\"a\":[1}",
            "{\"a\":{]}",
            "{\"a\" 1}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":tru}",
            "\u{feff}{}",
            "{\"a\":1} x",
            "{\"a\":\"b",
            "{\"a\":1 \"b\":2}",
            "{\"a\":[1 2]}",
            "{\"a\":-}",
            "{\"a\":\u{a0}1}",
        ] {
            assert_eq!(record(line).unwrap_err(), Dropped::NotJson, "{line:?}");
        }
        for line in [
            "{}",
            " {\t}\r",
            "{\"a\":[{},[],[[{\"b\":[0,-1.5E+7,null]}]],\"\\u00e9\"]}",
        ] {
            assert_eq!(record(line).unwrap_err(), Dropped::NoTweetId, "{line:?}");
        }
    }

    #[test]
    fn nesting_has_no_limit() {
        for depth in [1, 63, 64, 65, 128, 129, 100_000] {
            let nested = "[".repeat(depth) + &"{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
            let whole = tweet(&format!("\"a\",\"x\":{nested}{}", "]".repeat(depth)));
            assert!(record(&whole).is_ok(), "{depth}");
            let crossed = tweet(&format!("\"a\",\"x\":{nested}{}}}", "]".repeat(depth - 1)));
            assert_eq!(record(&crossed).unwrap_err(), Dropped::NotJson, "{depth}");
        }
    }
}
