//! One synthetic tweet: who, to whom, what; decided here, written by [`super::tweet_json`].

use super::{
    Dataset, START_SECONDS,
    random::Random,
    vocabulary::{EMOJI, ODDITIES, SPECIAL_TAGS, Vocabulary},
};

const TWEET: u64 = 10;
const ORIGINAL: u64 = 11;
const TOPIC: u64 = 12;
const TAG: u64 = 13;
/// Milliseconds since 1970 at which tweet ids begin.
const TWITTER_EPOCH_MS: u64 = 1_288_834_974_657;
/// Characters of a tweet's text.
const TEXT_CHARS_MAX: usize = 140;
/// Tags of one topic.
const TOPIC_TAGS: u64 = 12;

/// Whom a tweet is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Nobody.
    Nobody,
    /// A reply to this user.
    Reply(u64),
    /// A retweet of this user's tweet.
    Retweet(u64, Box<Tweet>),
}

/// A tweet before it is written. Users are indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tweet {
    /// Tweet id, a snowflake of its time.
    pub id: u64,
    /// Seconds since 1970.
    pub seconds: u64,
    /// Index of the sender.
    pub sender: u64,
    /// Whom it is about.
    pub contact: Contact,
    /// The text.
    pub text: String,
    /// The hashtags, as written.
    pub tags: Vec<String>,
    /// The language.
    pub lang: &'static str,
}

impl Dataset {
    /// The tweet that line `index` is about, before anything unusual happens to it.
    pub fn tweet(&self, index: u64) -> Tweet {
        let mut random = Random::new(self.options.seed, TWEET, index);
        // Bursts: some tweets repeat sender, contact and second of the one before.
        let leader = if random.per_mille(25) && index > 0 {
            Random::new(self.options.seed, TWEET, index - 1)
        } else {
            random.clone()
        };
        let mut who = leader;
        who.bits();
        let seconds = START_SECONDS + index * 3 / 10 + who.below(60);
        let sender = who.skewed(self.options.users);
        let target = self.target(&mut who, sender);
        let id = snowflake(seconds, &mut random);
        match random.below(100) {
            0..47 => self.retweet(random, id, seconds, sender, target),
            47..60 => {
                let mut tweet = self.plain(random, id, seconds, sender);
                tweet.text = format!("@{} {}", self.screen_name(target, seconds), tweet.text);
                tweet.contact = Contact::Reply(target);
                tweet
            }
            _ => self.plain(random, id, seconds, sender),
        }
    }

    /// One of a few friends, a popular user, or rarely the sender.
    fn target(&self, random: &mut Random, sender: u64) -> u64 {
        match random.below(1000) {
            0..12 => sender,
            12..450 => {
                let friend = random.below(3);
                (sender * 7 + 13 + friend * friend * 101) % self.options.users
            }
            _ => random.popular(self.options.users),
        }
    }

    fn plain(&self, mut random: Random, id: u64, seconds: u64, sender: u64) -> Tweet {
        let vocabulary = match random.below(4) {
            0 => random.pick_ref(&self.vocabularies),
            _ => self.vocabulary(sender),
        };
        let tags = self.tags(&mut random, sender);
        let text = compose(&mut random, vocabulary, &tags);
        let lang = vocabulary.language.code;
        Tweet {
            id,
            seconds,
            sender,
            contact: Contact::Nobody,
            text,
            tags,
            lang,
        }
    }

    fn retweet(
        &self,
        mut random: Random,
        id: u64,
        seconds: u64,
        sender: u64,
        target: u64,
    ) -> Tweet {
        // Each user has three tweets from before the first line that others retweet.
        let choice = Random::new(self.options.seed, ORIGINAL, target * 3 + random.below(3));
        let mut original_random = choice;
        let original_seconds = START_SECONDS - 86_400 * 20 + original_random.below(86_400 * 19);
        let original_id = snowflake(original_seconds, &mut original_random);
        let original = self.plain(original_random, original_id, original_seconds, target);
        let mut text = format!(
            "RT @{}: {}",
            self.screen_name(target, seconds),
            original.text
        );
        if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
            let shortened = text[..end]
                .char_indices()
                .next_back()
                .map_or(0, |(at, _)| at);
            text.truncate(shortened);
            text.push('…');
        }
        let complete = |tag: &&String| text.contains(&format!("#{tag}"));
        let mut tags: Vec<String> = original.tags.iter().filter(complete).cloned().collect();
        if tags.is_empty() {
            tags.extend(original.tags.first().cloned());
        }
        let lang = original.lang;
        Tweet {
            id,
            seconds,
            sender,
            contact: Contact::Retweet(target, Box::new(original)),
            text,
            tags,
            lang,
        }
    }

    /// Mostly tags of the user's topic, else any, popular ones first; one to eight.
    fn tags(&self, random: &mut Random, user: u64) -> Vec<String> {
        let count = match random.below(100) {
            0..55 => 1,
            55..78 => 2,
            78..90 => 3,
            _ => 4 + random.below(5),
        };
        let topics = (self.options.tags / TOPIC_TAGS).max(1);
        let topic = Random::new(self.options.seed, TOPIC, user).below(topics);
        let mut tags = Vec::new();
        for _ in 0..count {
            let index = match random.below(100) {
                0..35 => random.popular(self.options.tags),
                _ => (topic * TOPIC_TAGS + random.skewed(TOPIC_TAGS)) % self.options.tags,
            };
            let tag = self.tag(index);
            tags.push(match random.below(20) {
                0..11 => tag,
                11..15 => tag.to_lowercase(),
                15..18 => tag.to_uppercase(),
                _ => swap_case(&tag),
            });
        }
        if random.below(17) == 0 {
            tags.push(tags[0].clone());
        }
        tags
    }

    /// Hashtag `index`; the lowest are the most popular.
    pub fn tag(&self, index: u64) -> String {
        let first_special = self.options.excluded;
        if let Some(special) = index
            .checked_sub(first_special)
            .and_then(|at| SPECIAL_TAGS.get(at as usize))
        {
            return (*special).to_owned();
        }
        let mut random = Random::new(self.options.seed, TAG, index);
        let vocabulary = random.pick_ref(&self.vocabularies);
        let (first, second) = (
            vocabulary.word(random.bits()),
            vocabulary.word(random.bits()),
        );
        let joint = if vocabulary.language.code == "tr" {
            "_"
        } else {
            ""
        };
        let number = if index < first_special {
            String::new()
        } else {
            index.to_string()
        };
        capital(first) + joint + &capital(second) + &number
    }
}

fn snowflake(seconds: u64, random: &mut Random) -> u64 {
    let ms = seconds * 1000 + random.below(1000) - TWITTER_EPOCH_MS;
    ms << 22 | random.below(1 << 22)
}

fn compose(random: &mut Random, vocabulary: &Vocabulary, tags: &[String]) -> String {
    let mut parts: Vec<String> = (0..4 + random.below(13))
        .map(|_| vocabulary.word(random.bits()).to_owned())
        .collect();
    for tag in tags {
        let at = random.below(parts.len() as u64 + 1) as usize;
        parts.insert(at, format!("#{tag}"));
    }
    match random.below(100) {
        0..20 => parts.push(random.pick(&EMOJI).to_owned()),
        20..32 => {
            let at = random.below(parts.len() as u64) as usize;
            parts.insert(at, random.pick(&ODDITIES).to_owned());
        }
        _ => {}
    }
    if random.per_mille(350) {
        parts.push(format!("http://t.co/{:010x}", random.below(1 << 40)));
    }
    if random.per_mille(30) {
        parts.push(String::new());
    }
    parts.join(" ")
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|c| {
            c.to_uppercase()
                .chain(chars)
                .filter(|c| *c != '\'')
                .collect()
        })
        .unwrap_or_default()
}

fn swap_case(word: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() {
            c.to_lowercase().collect()
        } else {
            c.to_uppercase().collect()
        }
    };
    word.chars().map(swap).collect()
}
