//! One input line to one `t1` record, or the reason why the line is dropped.
//!
//! The rules are `docs/protocol/twitter.md` sections 2 and 3. Called by the map stage for every line;
//! strings are decoded only for lines that are kept. Of repeated keys the last one wins: a repeated member
//! replaces all that the first one set.

use crate::codec::{
    decimal::parse_u63,
    json::{Cursor, Number, RawString, Syntax},
};
use crate::etl::record::{
    compat::Compat,
    created_at,
    dropped::Dropped,
    escape::{push_json_string, unescape},
    fields::{push_field, push_key, push_number, push_signed},
};

/// `lang` values that are kept.
const LANGUAGES: [&[u8]; 8] = [b"ar", b"en", b"fr", b"in", b"pt", b"es", b"tr", b"ja"];

/// The members of a tweet that the rules use, as spans of its line.
#[derive(Default)]
struct Tweet {
    id: Id,
    user: Option<TweetUser>,
    created_at: Option<RawString>,
    text: Option<RawString>,
    /// Elements of `entities.hashtags`, with or without a usable text.
    hashtag_count: usize,
    lang: Option<RawString>,
    reply: Id,
    retweeted: Option<TweetUser>,
}

/// A sender or a retweeted user.
#[derive(Clone, Copy, Default)]
struct TweetUser {
    id: Id,
    screen_name: Option<RawString>,
    description: Option<RawString>,
}

/// An identifier: the member `x_str`, otherwise the member `x`. Programs that keep numbers as floats round `x` from
/// 2^53 on.
#[derive(Clone, Copy, Default)]
pub(super) struct Id {
    pub(super) number: Option<u64>,
    pub(super) string: Option<u64>,
}

impl Id {
    pub(super) fn value(self) -> Option<u64> {
        self.string.or(self.number)
    }

    /// Whether both members exist and differ.
    fn differs(self) -> bool {
        matches!((self.number, self.string), (Some(number), Some(string)) if number != string)
    }
}

/// Reads lines; keeps its buffers between them.
#[derive(Default)]
pub(crate) struct Extractor {
    compat: Compat,
    tags: Vec<RawString>,
    decoded: Vec<u8>,
}

/// What a kept line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The tweet's id.
    pub(crate) id: u64,
    /// An identifier and its `_str` differ.
    pub(crate) ids_differ: bool,
}

impl Extractor {
    /// An extractor that treats damaged strings as `compat` says.
    pub(crate) fn new(compat: Compat) -> Self {
        Self {
            compat,
            ..Self::default()
        }
    }

    /// Appends the record of `line` (without its newline) to `out`, newline excluded. If the line is dropped, leaves
    /// `out` unchanged and returns the reason.
    pub(crate) fn extract(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Kept, Dropped> {
        if self.compat == Compat::Spark && std::str::from_utf8(line).is_err() {
            return Err(Dropped::NotJson);
        }
        let tweet = self.tweet(line).map_err(|Syntax| Dropped::NotJson)?;
        let id = tweet.id.value().ok_or(Dropped::NoTweetId)?;
        let user = tweet.user.ok_or(Dropped::NoUserId)?;
        let user_id = user.id.value().ok_or(Dropped::NoUserId)?;
        let created_at = self
            .created_at(tweet.created_at, line)
            .ok_or(Dropped::NoCreatedAt)?;
        let text = tweet
            .text
            .filter(|text| !text.is_empty())
            .ok_or(Dropped::NoText)?;
        if tweet.hashtag_count == 0 {
            return Err(Dropped::NoHashtags);
        }
        let lang = tweet.lang.ok_or(Dropped::Language)?;
        if !LANGUAGES.contains(&self.decoded(lang, line)) {
            return Err(Dropped::Language);
        }

        // A retweeted user without an id does not make a retweet; its names are ignored.
        let retweeted = tweet.retweeted.filter(|user| user.id.value().is_some());
        let retweeted_id = retweeted.and_then(|user| user.id.value());
        let lone = self.compat.lone_surrogate();
        push_key(out, id);
        push_field(out, b"t1");
        push_signed(out, created_at);
        push_number(out, user_id);
        push_optional(out, tweet.reply.value());
        push_optional(out, retweeted_id);
        push_user(out, Some(user), line, lone);
        push_user(out, retweeted, line, lone);
        push_string(out, Some(text), line, lone);
        for &tag in &self.tags {
            push_string(out, Some(tag), line, lone);
        }
        let retweeted_differs = retweeted.is_some_and(|user| user.id.differs());
        let others_differ = tweet.id.differs() || user.id.differs() || tweet.reply.differs();
        Ok(Kept {
            id,
            ids_differ: others_differ || retweeted_differs,
        })
    }

    /// Reads the whole line and leaves the texts of the hashtags in `self.tags`.
    fn tweet(&mut self, line: &[u8]) -> Result<Tweet, Syntax> {
        let mut tweet = Tweet::default();
        let mut cursor = Cursor::new(line);
        self.tags.clear();
        if cursor.peek() != b'{' {
            return Err(Syntax);
        }
        members(&mut cursor, |cursor, key| {
            match key {
                b"id" => tweet.id.number = id(cursor)?,
                b"id_str" => tweet.id.string = id(cursor)?,
                b"user" => tweet.user = user(cursor)?,
                b"created_at" => tweet.created_at = string_or_skip(cursor)?,
                b"text" => tweet.text = string_or_skip(cursor)?,
                b"entities" => tweet.hashtag_count = self.entities(cursor)?,
                b"lang" => tweet.lang = string_or_skip(cursor)?,
                b"in_reply_to_user_id" => tweet.reply.number = id(cursor)?,
                b"in_reply_to_user_id_str" => tweet.reply.string = id(cursor)?,
                b"retweeted_status" => tweet.retweeted = retweeted(cursor)?,
                _ => cursor.skip_value()?,
            }
            Ok(())
        })?;
        cursor.end()?;
        Ok(tweet)
    }

    /// Reads `entities`: returns the number of hashtags and leaves their texts in `self.tags`.
    fn entities(&mut self, cursor: &mut Cursor<'_>) -> Result<usize, Syntax> {
        self.tags.clear();
        let mut count = 0;
        members(cursor, |cursor, key| match key {
            b"hashtags" => {
                count = self.hashtags(cursor)?;
                Ok(())
            }
            _ => cursor.skip_value(),
        })?;
        Ok(count)
    }

    fn hashtags(&mut self, cursor: &mut Cursor<'_>) -> Result<usize, Syntax> {
        self.tags.clear();
        let mut count = 0;
        if cursor.peek() != b'[' {
            cursor.skip_value()?;
            return Ok(count);
        }
        let mut more = cursor.open(b'[', b']')?;
        while more {
            let mut text = None;
            members(cursor, |cursor, key| {
                match key {
                    b"text" => text = string_or_skip(cursor)?,
                    _ => cursor.skip_value()?,
                }
                Ok(())
            })?;
            self.tags.extend(text.filter(|text| !text.is_empty()));
            count += 1;
            more = cursor.more(b']')?;
        }
        Ok(count)
    }

    fn created_at(&mut self, date: Option<RawString>, line: &[u8]) -> Option<i64> {
        created_at::parse(self.decoded(date?, line))
    }

    /// The value of `string`.
    fn decoded<'a>(&'a mut self, string: RawString, line: &'a [u8]) -> &'a [u8] {
        if !string.escaped {
            return string.of(line);
        }
        self.decoded = decode(string, line);
        &self.decoded
    }
}

/// Walks the members of an object with decoded keys; a value of any other kind is skipped.
#[inline]
pub(super) fn members<'t>(
    cursor: &mut Cursor<'t>,
    mut member: impl FnMut(&mut Cursor<'t>, &[u8]) -> Result<(), Syntax>,
) -> Result<(), Syntax> {
    if cursor.peek() != b'{' {
        return cursor.skip_value();
    }
    let mut more = cursor.open(b'{', b'}')?;
    while more {
        let key = cursor.key()?;
        // A key may be written with escapes, though rarely.
        let decoded;
        let name = if key.escaped {
            decoded = decode(key, cursor.text());
            decoded.as_slice()
        } else {
            key.of(cursor.text())
        };
        member(cursor, name)?;
        more = cursor.more(b'}')?;
    }
    Ok(())
}

/// A user object; `None` when the value is something else.
fn user(cursor: &mut Cursor<'_>) -> Result<Option<TweetUser>, Syntax> {
    let is_object = cursor.peek() == b'{';
    let mut user = TweetUser::default();
    members(cursor, |cursor, key| {
        match key {
            b"id" => user.id.number = id(cursor)?,
            b"id_str" => user.id.string = id(cursor)?,
            b"screen_name" => user.screen_name = string_or_skip(cursor)?,
            b"description" => user.description = string_or_skip(cursor)?,
            _ => cursor.skip_value()?,
        }
        Ok(())
    })?;
    Ok(is_object.then_some(user))
}

/// The user of a `retweeted_status`; its other members are ignored.
fn retweeted(cursor: &mut Cursor<'_>) -> Result<Option<TweetUser>, Syntax> {
    let mut sender = None;
    members(cursor, |cursor, key| {
        match key {
            b"user" => sender = user(cursor)?,
            _ => cursor.skip_value()?,
        }
        Ok(())
    })?;
    Ok(sender)
}

/// The next value if it is a string; any other value is skipped.
#[inline]
fn string_or_skip(cursor: &mut Cursor<'_>) -> Result<Option<RawString>, Syntax> {
    if cursor.peek() == b'"' {
        return cursor.string().map(Some);
    }
    cursor.skip_value().map(|()| None)
}

/// An identifier: an integer, or a string of 1 to 19 digits, from 0 to 2^63 - 1.
pub(super) fn id(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Syntax> {
    match cursor.peek() {
        b'"' => {
            let string = cursor.string()?;
            Ok(if string.escaped {
                parse_u63(&decode(string, cursor.text()))
            } else {
                parse_u63(string.of(cursor.text()))
            })
        }
        b'-' | b'0'..=b'9' => Ok(match cursor.number()? {
            Number::Integer(id, _) => Some(id),
            Number::Negative | Number::Other => None,
        }),
        _ => cursor.skip_value().map(|()| None),
    }
}

/// The value of `string`, for the rare strings with escapes that are only compared.
#[cold]
fn decode(string: RawString, line: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    push_json_string(&mut field, string, line, char::REPLACEMENT_CHARACTER);
    unescape(&field).into_owned()
}

fn push_optional(out: &mut Vec<u8>, id: Option<u64>) {
    match id {
        Some(id) => push_number(out, id),
        None => push_field(out, b"-"),
    }
}

fn push_user(out: &mut Vec<u8>, user: Option<TweetUser>, line: &[u8], lone: char) {
    push_string(out, user.and_then(|user| user.screen_name), line, lone);
    push_string(out, user.and_then(|user| user.description), line, lone);
}

/// A missing string is an empty field.
fn push_string(out: &mut Vec<u8>, string: Option<RawString>, line: &[u8], lone: char) {
    out.push(b'\t');
    if let Some(string) = string {
        push_json_string(out, string, line, lone);
    }
}

#[cfg(test)]
mod tests;
