//! Query strings for `/twitter` about the tweets of a data set.

use super::{Dataset, random::Random, tweet::Contact};

const QUERY: u64 = 40;
/// Most lines that are searched for one with a kept tweet that has a contact.
const TRIES: usize = 64;

/// Query strings that must be answered INVALID; `{u}` is a user id.
const INVALID: [&str; 20] = [
    "",
    "user_id=",
    "user_id={u}",
    "user_id={u}&type=both",
    "user_id={u}&type=both&phrase=a",
    "type=both&phrase=a&hashtag=b",
    "user_id={u}&type=&phrase=a&hashtag=b",
    "user_id={u}&type=like&phrase=a&hashtag=b",
    "user_id={u}&type=Reply&phrase=a&hashtag=b",
    "user_id=abc&type=both&phrase=a&hashtag=b",
    "user_id={u}x&type=both&phrase=a&hashtag=b",
    "user_id=-{u}&type=both&phrase=a&hashtag=b",
    "user_id={u}.0&type=both&phrase=a&hashtag=b",
    "user_id=%20{u}&type=both&phrase=a&hashtag=b",
    "user_id=99999999999999999999&type=both&phrase=a&hashtag=b",
    "user_id=9223372036854775808&type=both&phrase=a&hashtag=b",
    "user_id={u}&type=both&phrase=&hashtag=b",
    "user_id={u}&type=both&phrase=a&hashtag=",
    "user_id={u}&type=both&phrase&hashtag=b",
    "USER_ID={u}&type=both&phrase=a&hashtag=b",
];

/// Phrases that are hard to encode or match often.
const PHRASES: [&str; 12] = [
    "haha",
    "coffee",
    "a",
    "RT",
    "http",
    "no-such-phrase",
    "good morning",
    "です",
    "%",
    "+",
    "&amp;",
    "\n",
];

impl Dataset {
    /// Appends query string `index` about the first `lines` lines; no newline. Of a hundred, two are
    /// malformed and two ask for users that do not exist.
    pub fn write_query(&self, index: u64, lines: u64, out: &mut String) {
        let mut random = Random::new(self.options.seed, QUERY, index);
        let lines = lines.max(1);
        let kind = random.below(100);
        if kind < 2 {
            let user = self.user_id(random.below(self.options.users)).to_string();
            return out.push_str(&random.pick(&INVALID).replace("{u}", &user));
        }
        let mut tweet = self.tweet(random.below(lines));
        for _ in 0..TRIES {
            let line = random.below(lines);
            let found = self.is_plain(line).then(|| self.tweet(line));
            if let Some(found) = found.filter(|tweet| tweet.contact != Contact::Nobody) {
                tweet = found;
                break;
            }
        }
        let (own_type, other) = match tweet.contact {
            Contact::Reply(target) => ("reply", target),
            Contact::Retweet(target, _) => ("retweet", target),
            Contact::Nobody => ("both", tweet.sender),
        };
        let user = match kind {
            2..4 => random.below(1 << 40),
            // The other end is often a popular account, so this is where long answers come from.
            4..50 => self.user_id(other),
            _ => self.user_id(tweet.sender),
        };
        let wanted = match random.below(20) {
            0..9 => "both",
            9..17 => own_type,
            _ => random.pick(&["reply", "retweet", "both"]),
        };
        let phrase = phrase(&mut random, &tweet.text);
        let tag = match random.below(4) {
            0 => self.tag(random.popular(self.options.tags)),
            1 => random.pick_ref(&tweet.tags).to_uppercase(),
            _ => random.pick_ref(&tweet.tags).clone(),
        };
        out.push_str(&format!("user_id={user}&type={wanted}&phrase="));
        encode(&mut random, &phrase, out);
        out.push_str("&hashtag=");
        encode(&mut random, &tag, out);
        if random.per_mille(10) {
            out.push_str("&timestamp=1706567290739");
        }
    }
}

/// A word, two words or a few characters of the text, or something else.
fn phrase(random: &mut Random, text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let chars: Vec<char> = text.chars().collect();
    match random.below(100) {
        0..45 if !words.is_empty() => random.pick_ref(&words).chars().take(24).collect(),
        45..60 if words.len() > 1 => {
            let at = random.below(words.len() as u64 - 1) as usize;
            format!("{} {}", words[at], words[at + 1])
        }
        60..90 if !chars.is_empty() => {
            let at = random.below(chars.len() as u64) as usize;
            chars[at..]
                .iter()
                .take(1 + random.below(6) as usize)
                .collect()
        }
        _ => random.pick(&PHRASES).to_owned(),
    }
}

/// Percent-encoding as clients do it: mostly everything that is not unreserved, sometimes `+` for
/// blanks, sometimes every byte in lower-case hex.
fn encode(random: &mut Random, text: &str, out: &mut String) {
    let style = random.below(100);
    for byte in text.bytes() {
        match byte {
            b' ' if (88..93).contains(&style) => out.push('+'),
            _ if style >= 97 => out.push_str(&format!("%{byte:02x}")),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}
