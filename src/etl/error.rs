//! The error type of the ETL: file errors name the file and the position in it.

use crate::remedy::Trying;
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a run ends early.
#[derive(Debug, Error)]
pub enum EtlError {
    /// A file operation failed.
    #[error("cannot {action} {}{}: {source}; {}", path.display(), at_offset(action, *offset), Trying::to(action).remedy(source))]
    Io {
        /// What was being done: `read`, `write`, `create`, `rename` …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Position in the file, of compressed bytes where it is compressed.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The operating system refuses the threads of a stage.
    #[error("cannot start {workers} threads: {source}; {}, or give fewer --workers", Trying::Start.remedy(source))]
    Threads {
        /// How many.
        workers: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// A layer of an input (compression, archive, encoding, JSON around the tweets) is damaged or truncated.
    #[error("cannot read {}: {noun} {what}{} (line bytes so far: {text_offset}); with --skip-bad-files its readable part is used", path.display(), layer_place(noun, *offset))]
    Damaged {
        /// The file, and the member of an archive behind an exclamation mark.
        path: PathBuf,
        /// `gzip stream`, `tar archive` …
        noun: String,
        /// `is truncated` or `is damaged: …`.
        what: String,
        /// Bytes of the layer consumed.
        offset: u64,
        /// Uncompressed bytes produced.
        text_offset: u64,
    },
    /// A file became shorter between the listing and its end.
    #[error("cannot read {}: it ends after {read} of its {listed} bytes; it was cut while it was read; with --skip-bad-files what is left of it is used", path.display())]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// Bytes read.
        read: u64,
        /// Its length before.
        listed: u64,
    },
    /// An input has a format that is not supported.
    #[error("cannot read {}: its format is {format}; {way_out}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// How to convert it to lines of JSON.
        way_out: &'static str,
    },
    /// No line of the input was kept.
    #[error(
        "no tweet was kept of {lines} lines{why}{example}; nothing was written (--allow-empty makes an empty store)"
    )]
    NothingKept {
        /// Lines read.
        lines: u64,
        /// The reason that dropped most lines.
        why: String,
        /// How such a line begins.
        example: String,
    },
    /// Tweets were kept, and no user of them has a contact.
    #[error(
        "no user has a contact: none of the {kept} tweets kept is a reply or a retweet; nothing was written (--allow-empty makes an empty store)"
    )]
    NoContacts {
        /// Tweets kept.
        kept: u64,
    },
    /// `build` got no record of a user.
    #[error(
        "no user came in: a stage before this one has failed or kept nothing; nothing was written (--allow-empty makes an empty store)"
    )]
    NothingBuilt,
    /// A line that should be a record is not one.
    #[error("not a record of this version: {0:?}")]
    Record(String),
    /// Blocks between stages are damaged, incomplete or of another version.
    #[error("cannot read blocks at byte {at}: {what}; run the stage that wrote them again")]
    Blocks {
        /// Position in the input.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// What one stage has written is not what the next has read.
    #[error(
        "{what} are missing or came twice: the stages wrote {given} and read {taken}; run all stages again (in a shell with set -o pipefail)"
    )]
    Lost {
        /// What is counted.
        what: &'static str,
        /// Written by one stage.
        given: u64,
        /// Read by the next.
        taken: u64,
    },
    /// Records between stages must be sorted by bytes.
    #[error("record {line} is not in order: sort by bytes between the stages (LC_ALL=C sort)")]
    Unsorted {
        /// Number of the line, from 1.
        line: u64,
    },
    /// Records do not fit together, for instance a contact tweet without the contact's `m` record.
    #[error("records of user {user} do not fit together: {what}")]
    Incomplete {
        /// The user of these records.
        user: u64,
        /// What is missing.
        what: &'static str,
    },
    /// The options contradict each other or the files on disk.
    #[error("{0}")]
    Usage(String),
    /// A user's contacts exceed the format.
    #[error("user {user}: {source}")]
    User {
        /// The user.
        user: u64,
        /// The limit.
        source: crate::store::value::TooLarge,
    },
    /// The sink refused a value; its reason has the remedy.
    #[error("cannot store user {user}: {source}")]
    Sink {
        /// The user.
        user: u64,
        /// The sink's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The sink has all values but could not complete the store or file; its reason has the remedy.
    #[error("cannot complete the store: {0}")]
    SinkFinish(Box<dyn std::error::Error + Send + Sync>),
}

impl EtlError {
    /// A failed file operation.
    pub fn io(action: &'static str, path: &Path, offset: u64, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            offset,
            source,
        }
    }

    /// A line that is not a record, cut to a length that fits a terminal.
    pub fn record(line: &[u8]) -> Self {
        const SHOWN_BYTES: usize = 120;
        Self::Record(String::from_utf8_lossy(&line[..line.len().min(SHOWN_BYTES)]).into_owned())
    }
}

/// Position in a file as text; empty at its start unless writing.
fn at_offset(action: &str, offset: u64) -> String {
    match (action, offset) {
        ("write", _) | (_, 1..) => format!(" at byte {offset}"),
        _ => String::new(),
    }
}

/// The position in a layer; archives that are not read in order have none.
fn layer_place(noun: &str, offset: u64) -> String {
    match (noun.ends_with("stream"), offset) {
        (true, _) => format!(" at compressed byte {offset}"),
        (false, 0) => String::new(),
        (false, _) => format!(" at byte {offset}"),
    }
}
