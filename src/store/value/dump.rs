//! A stored value as one line of JSON, printed by `trident store dump` and by the oracle's `dump` command.
//!
//! ```text
//! {"user_id":1,"contacts":[{"user_id":2,"screen_name":"b","description":"","replies":1,
//!  "retweets":0,"same":0,"product":"0.693147181","latest":[7,null,7],"tweets":[{"id":7,
//!  "created_at":1396310400,"types":1,"text":"hi #a","tags":["a"]}]}]}
//! ```
//!
//! `latest` holds the tweet ids for reply, retweet and both. The product is text with nine decimals, so
//! that different correct logarithms print the same. Bytes that are not UTF-8 show as U+FFFD.

use super::{Contact, Corrupt, Kind, Tweet, User};
use std::fmt::Write;

/// Appends `value`, read as the value of `user_id`, to `out` as one line with its newline.
pub fn user_line(user_id: u64, value: &[u8], out: &mut String) -> Result<(), Corrupt> {
    let user = User::parse(value)?;
    put(out, format_args!("{{\"user_id\":{user_id},\"contacts\":["));
    for (i, contact) in user.contacts().enumerate() {
        comma(out, i);
        write_contact(out, &contact);
    }
    out.push_str("]}\n");
    Ok(())
}

fn write_contact(out: &mut String, contact: &Contact<'_>) {
    put(
        out,
        format_args!("{{\"user_id\":{},\"screen_name\":", contact.other_id),
    );
    string(out, contact.screen_name);
    out.push_str(",\"description\":");
    string(out, contact.description);
    let (replies, retweets) = contact.counts();
    let (same, product) = (contact.same, contact.product);
    put(
        out,
        format_args!(",\"replies\":{replies},\"retweets\":{retweets},\"same\":{same}"),
    );
    put(
        out,
        format_args!(",\"product\":\"{product:.9}\",\"latest\":["),
    );
    for (i, kind) in [Kind::Reply, Kind::Retweet, Kind::Both]
        .into_iter()
        .enumerate()
    {
        comma(out, i);
        match contact.latest(kind) {
            Some(tweet) => put(out, format_args!("{}", tweet.id)),
            None => out.push_str("null"),
        }
    }
    out.push_str("],\"tweets\":[");
    for (i, tweet) in contact.tweets().enumerate() {
        comma(out, i);
        write_tweet(out, &tweet);
    }
    out.push_str("]}");
}

fn write_tweet(out: &mut String, tweet: &Tweet<'_>) {
    let (id, created_at, types) = (tweet.id, tweet.created_at, tweet.types);
    put(
        out,
        format_args!("{{\"id\":{id},\"created_at\":{created_at},\"types\":{types},\"text\":"),
    );
    string(out, tweet.text);
    out.push_str(",\"tags\":[");
    for (i, tag) in tweet.tags().enumerate() {
        comma(out, i);
        string(out, tag);
    }
    out.push_str("]}");
}

fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// A JSON string; escapes only what RFC 8259 requires.
fn string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
