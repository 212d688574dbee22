//! Exit codes, after `sysexits.h`; listed in the README.

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or stopped as asked.
    Success = 0,
    /// A run-time failure: port in use, file not writable.
    Failure = 1,
    /// The command line or the configuration is wrong; restarting cannot help.
    Usage = 64,
    /// A dependency named in the configuration is not there: database, store.
    Unavailable = 69,
    /// A fault of Trident itself.
    Internal = 70,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
