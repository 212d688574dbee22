//! Standard output: results are written whole, and it is not a failure if their reader has gone.

use crate::{
    exit::{ExitCode, Stop},
    remedy::Trying,
};
use std::io::{self, ErrorKind, Write};

/// Writes `text` to standard output.
pub fn print(text: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    closed_is_success(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Judges the outcome of writing to standard output: `trident check-config | head -1` succeeds.
pub fn closed_is_success(written: io::Result<()>) -> Result<(), Stop> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!(
                "cannot write to standard output: {error}; {}",
                Trying::Write.remedy(&error)
            );
            Err(Stop::new(ExitCode::Failure, message))
        }
        _ => Ok(()),
    }
}
