//! Exit codes, after `sysexits.h`, and the error that carries one to `main`.
//!
//! `cli`, `config` and `serve` end early by returning a [`Stop`]; only `main` prints it and exits.
//! The codes are listed in the README, in `trident --help` and in the man page.

use std::fmt;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or stopped as asked. If a reader closes our standard output early, that is not a failure.
    Success = 0,
    /// A run-time failure: port in use, file not writable, disk full; a load test that was not passed; an explained
    /// request that is INVALID.
    /// An interrupted ETL is resumed by the same command.
    Failure = 1,
    /// The command line or the configuration is wrong; restarting cannot help.
    Usage = 64,
    /// Input of the ETL that is damaged or malformed: truncated gzip, records out of order. Trying again cannot help,
    /// `--skip-bad-files` may.
    Data = 65,
    /// A dependency named in the configuration is unavailable: database, store.
    Unavailable = 69,
    /// A fault of Trident itself.
    Internal = 70,
}

impl ExitCode {
    /// Every code with its meaning, in the order of the documentation.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Success, "done, or stopped as asked"),
        (
            Self::Failure,
            "failed while running: port in use, file not writable, disk full, load test not passed, explained request INVALID",
        ),
        (
            Self::Usage,
            "command line or configuration is wrong; a restart cannot help",
        ),
        (
            Self::Data,
            "input of the ETL is damaged or not what it should be",
        ),
        (
            Self::Unavailable,
            "a dependency named in the configuration is not there",
        ),
        (
            Self::Internal,
            "a fault of Trident itself; please report it",
        ),
    ];
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// As context of an error (`error.context(ExitCode::Unavailable)`) it sets the exit code and opens
/// the message.
impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "stopped",
            Self::Failure => "failed",
            Self::Usage => "wrong usage",
            Self::Data => "bad input",
            Self::Unavailable => "dependency unavailable",
            Self::Internal => "internal error",
        })
    }
}

/// The end of the process: an exit code, and messages for standard error.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub code: ExitCode,
    /// Messages, one line each, without the program's name. May be empty.
    pub messages: Vec<String>,
}

impl Stop {
    /// Ends with `code` and one message.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            messages: vec![message.into()],
        }
    }

    /// Ends with `code` and prints nothing more.
    pub fn silent(code: ExitCode) -> Self {
        Self {
            code,
            messages: Vec::new(),
        }
    }
}

/// One line with the whole chain of causes. The code is the outermost [`ExitCode`] attached as
/// context, [`ExitCode::Failure`] without one.
impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        let code = error
            .downcast_ref::<ExitCode>()
            .copied()
            .unwrap_or(ExitCode::Failure);
        Self::new(code, chained(&error))
    }
}

/// The causes in order. A cause whose text the previous text already contains is left out: a typed error of the library
/// has its cause in its own text.
fn chained(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn codes_are_those_of_sysexits() {
        let codes: Vec<u8> = ExitCode::ALL.iter().map(|(code, _)| *code as u8).collect();
        assert_eq!(codes, [0, 1, 64, 65, 69, 70]);
    }

    #[test]
    fn an_error_becomes_one_chained_line() {
        let stop = Stop::from(anyhow!("address in use").context("cannot listen on 0.0.0.0:80"));
        assert_eq!(stop.code, ExitCode::Failure);
        assert_eq!(
            stop.messages,
            ["cannot listen on 0.0.0.0:80: address in use"]
        );
    }

    #[test]
    fn the_code_travels_as_context() {
        let opened: anyhow::Result<()> = Err(anyhow!("no such directory"));
        let error = opened
            .context(ExitCode::Unavailable)
            .context("store /data")
            .unwrap_err();
        let stop = Stop::from(error);
        assert_eq!(stop.code, ExitCode::Unavailable);
        assert_eq!(
            stop.messages,
            ["store /data: dependency unavailable: no such directory"]
        );
    }
}
