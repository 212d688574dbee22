//! Why a batch was refused, and the status that says so.

use std::io;

use crate::{
    etl::update::refused::Refused,
    http::Status,
    store::{StoreError, UpdateError, database::DatabaseFault},
};

/// Why a batch was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the body is not gzip as its Content-Encoding says, or is cut off: {0}")]
    Gzip(io::Error),
    #[error("the batch has more than {0} bytes when inflated; send smaller ones")]
    TooLarge(usize),
    #[error("no store is open")]
    NoStore,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the batch was given up; it may be sent again")]
    GivenUp,
}

impl Failure {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Gzip(_) => Status::BadRequest,
            Self::TooLarge(_) => Status::ContentTooLarge,
            Self::NoStore | Self::GivenUp => Status::ServiceUnavailable,
            Self::Refused(Refused::ValueTooLarge { .. } | Refused::Format { .. }) => {
                Status::UnprocessableContent
            }
            Self::Refused(Refused::Update(error)) => status_of(error),
            Self::Refused(Refused::Damaged { .. } | Refused::History(_)) => {
                Status::InternalServerError
            }
        }
    }
}

fn status_of(error: &UpdateError) -> Status {
    match error {
        UpdateError::NoHistory | UpdateError::NoHistoryInDatabase => Status::Conflict,
        UpdateError::Full { .. } => Status::InsufficientStorage,
        UpdateError::Store(StoreError::Replaced(_)) => Status::ServiceUnavailable,
        UpdateError::Store(StoreError::Database(error)) => match &error.fault {
            DatabaseFault::TooLarge { .. } => Status::UnprocessableContent,
            DatabaseFault::BatchTooLarge { .. } => Status::ContentTooLarge,
            DatabaseFault::Full(_) => Status::InsufficientStorage,
            DatabaseFault::Unsettled => Status::ServiceUnavailable,
            fault if fault.may_be_tried_again() => Status::ServiceUnavailable,
            _ => Status::InternalServerError,
        },
        UpdateError::Store(_) => Status::InternalServerError,
    }
}
