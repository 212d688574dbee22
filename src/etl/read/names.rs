//! What the names of files and of archive members mean.

use std::path::Path;

/// Endings of names that are read in a directory or an archive, in any letter case.
const ENDINGS: [&str; 12] = [
    "json", "jsonl", "ndjson", "gz", "bz2", "zst", "xz", "tar", "tgz", "tbz2", "txz", "zip",
];
/// How Spark and Hadoop begin the names of their output files.
const PART_PREFIX: &str = "part-";

/// Whether a file or directory of this name is a by-product that a program keeps beside other files: checksums,
/// metadata of macOS, the output of a job that has not ended.
pub(super) fn is_hidden(name: &str) -> bool {
    let is_place = matches!(name, "." | "..");
    name.starts_with('.') && !is_place || matches!(name, "_temporary" | "__MACOSX")
}

/// Whether a file of this name may hold tweets.
pub(super) fn looks_like_tweets(name: &str) -> bool {
    let name = name.to_lowercase();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
        || name.starts_with(PART_PREFIX) && ending.is_none_or(|ending| ending == "txt")
        || is_of_twitter_archive(&name)
}

/// Whether a Twitter archive keeps tweets under this name: `tweets.js`, `tweet.js`, `tweets-part1.js`.
fn is_of_twitter_archive(name: &str) -> bool {
    let Some(rest) = name
        .strip_prefix("tweet")
        .and_then(|name| name.strip_suffix(".js"))
    else {
        return false;
    };
    let rest = rest.strip_prefix('s').unwrap_or(rest);
    rest.is_empty() || rest.starts_with("-part")
}

/// How the file called `path` should be compressed.
pub(crate) fn compression_of_name(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "gz" | "tgz" => Some("gzip"),
        "bz2" | "tbz2" => Some("bzip2"),
        "zst" => Some("zstd"),
        "xz" | "txz" => Some("xz"),
        _ => None,
    }
}
