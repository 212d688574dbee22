//! Synthetic tweets and requests for users who have no data, and for tests.
//!
//! A data set is a pure function of its [`Options`]: line `n` depends only on the options and `n`, so lines can be made
//! in any order, by any number of threads, for any size, and are the same on every machine. It models real files: about
//! half retweets and an eighth replies, friends and popular accounts, topics with their hashtags, duplicates, bursts,
//! profiles that change, eight languages, and a share of lines that the filter drops, for each of its reasons.
//!
//! - `tweet`: who says what. `users`, `vocabulary`. `anomaly`: unusual or invalid parts of a line.
//! - `tweet_json`, `json`: the lines. `query`: query strings about these tweets.
//! - [`blockchain`], [`qrcode`]: requests to the other endpoints.
//! - `random`: numbers that are the same everywhere. [`output`]: many lines on all cores.
//!
//! Called by `trident gen`; the module is called otherwise because `gen` is a keyword. It does not use the rest of the
//! program, so that a shared mistake cannot hide; only `qrcode` draws the matrices of decode requests.

mod anomaly;
pub mod blockchain;
mod json;
pub mod output;
pub mod qrcode;
mod query;
mod random;
mod tweet;
mod tweet_json;
mod users;
mod vocabulary;

use anomaly::Anomaly;
use random::Random;
use vocabulary::Vocabulary;

/// 2014-04-01 00:00 UTC, when the first line is posted.
pub const START_SECONDS: u64 = 1_396_310_400;

const LINE: u64 = 30;

/// The options that determine a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Any number.
    pub seed: u64,
    /// Users that tweet or are tweeted about.
    pub users: u64,
    /// Different hashtags, before variations of case.
    pub tags: u64,
    /// How many of them are on the list of popular hashtags.
    pub excluded: u64,
    /// Lines of a thousand that the filter keeps.
    pub valid_per_mille: u64,
}

/// Whether item `index` of a list belongs to the `share` that is bad. Bad items are evenly spread: `n * share` of the
/// first `n` items, rounded down.
pub fn is_of_share(index: u64, share: f64) -> bool {
    let reached = |items: u64| (items as f64 * share).floor();
    reached(index + 1) > reached(index)
}

/// Lines of the sample that comes with the program.
pub const SAMPLE_LINES: u64 = 3_000;

impl Options {
    /// The data set of `data/sample-tweets.jsonl.gz` and `data/popular-hashtags.txt`: mostly kept
    /// lines, and few enough users for interesting answers.
    pub const fn sample() -> Self {
        Self {
            seed: 2014,
            users: 600,
            tags: 4_000,
            excluded: 40,
            valid_per_mille: 900,
        }
    }

    /// Users and hashtags in proportion to the number of lines, as in real files.
    pub fn for_lines(seed: u64, lines: u64) -> Self {
        let users = (lines * 9 / 20).max(200);
        Self {
            seed,
            users,
            tags: (lines / 2).clamp(400, 20_000_000),
            excluded: 40,
            valid_per_mille: 700,
        }
    }
}

/// A data set.
pub struct Dataset {
    options: Options,
    vocabularies: Vec<Vocabulary>,
}

impl Dataset {
    /// The data set that `options` describe; zero users or tags count as one.
    pub fn new(options: Options) -> Self {
        let options = Options {
            users: options.users.max(1),
            tags: options.tags.max(1),
            ..options
        };
        Self {
            options,
            vocabularies: vocabulary::vocabularies(),
        }
    }

    /// Appends line `index`, without its newline.
    pub fn write_line(&self, index: u64, out: &mut Vec<u8>) {
        let (mut random, fate) = self.fate(index);
        match fate {
            // The same tweet again, either unchanged or changed.
            0..7 if index > 0 => {
                let earlier = random.below(index);
                let anomaly = self.anomaly(&mut self.fate(earlier).0);
                self.write_tweet(&self.tweet(earlier), anomaly, out);
            }
            7..9 if index > 0 => {
                let mut tweet = self.tweet(index - 1);
                match random.below(3) {
                    0 => tweet.text.insert_str(0, "edited "),
                    1 => tweet.tags.push("edited".to_owned()),
                    _ => tweet.lang = "de",
                }
                self.write_tweet(&tweet, Anomaly::None, out);
            }
            _ => {
                let anomaly = self.anomaly(&mut random);
                self.write_tweet(&self.tweet(index), anomaly, out);
            }
        }
    }

    /// The list of popular hashtags, one per line; most are in lower case.
    pub fn excluded_list(&self) -> String {
        let tags = 0..self.options.excluded.min(self.options.tags);
        let case = |index| match index % 9 {
            4 => self.tag(index).to_uppercase(),
            _ => self.tag(index).to_lowercase(),
        };
        let mut lines: Vec<String> = tags.map(|index| case(index) + "\n").collect();
        lines.sort();
        lines.dedup();
        lines.concat()
    }

    /// Whether line `index` is its tweet without any anomaly.
    fn is_plain(&self, index: u64) -> bool {
        let (mut random, fate) = self.fate(index);
        fate >= 9 && self.anomaly(&mut random) == Anomaly::None
    }

    /// The random sequence of line `index`, and a number below 1,000: lines with the lowest numbers repeat others.
    fn fate(&self, index: u64) -> (Random, u64) {
        let mut random = Random::new(self.options.seed, LINE, index);
        let fate = random.below(1000);
        (random, fate)
    }

    fn anomaly(&self, random: &mut Random) -> Anomaly {
        if !random.per_mille(self.options.valid_per_mille) {
            return Anomaly::dropped(random);
        }
        if random.per_mille(60) {
            Anomaly::kept(random)
        } else {
            Anomaly::None
        }
    }
}
