//! How errors of the ETL end the process: one line, and the exit code that says whether trying again can help.

use std::io;
use trident::{
    etl::EtlError,
    exit::{ExitCode, Stop},
    store::StoreError,
};

/// The error's one line, causes included, with the exit code that says whether trying again can help.
pub(crate) fn failed(error: EtlError) -> Stop {
    let code = match &error {
        EtlError::Usage(_) => ExitCode::Usage,
        EtlError::Damaged { .. }
        | EtlError::Shrunk { .. }
        | EtlError::Format { .. }
        | EtlError::NothingKept { .. }
        | EtlError::NoContacts { .. }
        | EtlError::NothingBuilt
        | EtlError::Record(_)
        | EtlError::Blocks { .. }
        | EtlError::Lost { .. }
        | EtlError::Unsorted { .. }
        | EtlError::Incomplete { .. } => ExitCode::Data,
        EtlError::SinkFinish(why) if is_taken(why.downcast_ref()) => ExitCode::Usage,
        _ => ExitCode::Failure,
    };
    Stop::new(code, error.to_string())
}

pub(crate) fn store_failed(error: StoreError) -> Stop {
    let code = if is_taken(Some(&error)) {
        ExitCode::Usage
    } else {
        ExitCode::Failure
    };
    Stop::new(code, error.to_string())
}

fn is_taken(error: Option<&StoreError>) -> bool {
    matches!(
        error.map(StoreError::cause),
        Some(StoreError::Exists(_) | StoreError::Foreign { .. })
    )
}

/// Whether the reader of our output has closed it.
pub(crate) fn is_closed_pipe(error: &EtlError) -> bool {
    matches!(error, EtlError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}
