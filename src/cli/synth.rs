//! `trident gen`: what to make up, and how much of it. Run by `main`.

use super::value::{count, size};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to make.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum GenCommand {
    /// Tweets as JSON lines, every kind of bad line among them
    Tweets {
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        tweets: GenTweets,
        /// Also write a list for `etl --exclude`
        ///
        /// The popular hashtags of this data set.
        #[arg(long, value_name = "FILE")]
        popular: Option<PathBuf>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        to: GenTo,
    },
    /// Requests to /twitter about such tweets, one target per line
    ///
    /// Give --seed, --lines, --users and --tags as they were given to `gen tweets`. Two of a hundred
    /// requests are malformed, two ask for users that do not exist.
    Queries {
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        tweets: GenTweets,
        /// Number of requests
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = count)]
        count: u64,
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        to: GenTo,
    },
    /// The corpus of `trident load`: its store and requests
    ///
    /// docs/load.md has the format. Corpora of your own tweets: scripts/make-corpus.
    Corpus {
        #[command(flatten)]
        #[allow(missing_docs, reason = "its fields say it")]
        what: GenCorpus,
        /// Replace a store of that name
        #[arg(long, requires = "store")]
        replace: bool,
    },
    /// Requests to /blockchain, one target per line
    Blockchain(GenTargets),
    /// Requests to /qrcode, one target per line, half encode, half decode
    Qrcode(GenTargets),
}

/// What of the built-in corpus to write.
#[derive(Clone, Debug, PartialEq, Args)]
#[group(required = true, multiple = true)]
pub struct GenCorpus {
    /// Store to make: the corpus asks about its users
    ///
    /// A server answers them with --twitter-store DIR. It is the sample that `trident serve` has
    /// without a store.
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// File for requests and answers; - for standard output
    ///
    /// gzip if its name ends in .gz.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A data set of tweets.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct GenTweets {
    /// How many, such as 5000, 10K or 1M
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = count)]
    pub lines: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Number of users [default: in proportion to the lines]
    #[arg(long, value_name = "N", value_parser = count)]
    pub users: Option<u64>,
    /// Number of hashtags [default: in proportion to the lines]
    #[arg(long, value_name = "N", value_parser = count)]
    pub tags: Option<u64>,
    /// Share of lines that are kept, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.7, value_parser = share)]
    pub valid: f64,
}

/// A list of requests.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct GenTargets {
    /// Number of requests
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = count)]
    pub count: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Share of requests that are INVALID, 0 to 1
    ///
    /// They are evenly spread.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub invalid: f64,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it")]
    pub to: GenTo,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct GenTo {
    /// File to write; gzip if it ends in .gz
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = size)]
    pub workers: Option<usize>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1".into()),
    }
}
