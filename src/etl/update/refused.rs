//! Why a batch was refused.

use crate::etl::error::EtlError;
use crate::store::{
    StoreError, UpdateError,
    database::{DatabaseError, DatabaseFault},
    value::{Corrupt, TooLarge},
};
use thiserror::Error;

/// Why a batch was refused. It has not changed the store.
#[derive(Debug, Error)]
pub enum Refused {
    /// A user's value would become larger than is allowed.
    #[error("the value of user {user} would have {bytes} bytes, the limit is {bytes_max}")]
    ValueTooLarge {
        /// The user.
        user: u64,
        /// The size of the value.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A user's value would not fit the format.
    #[error("the value of user {user} would be too large: {source}")]
    Format {
        /// The user.
        user: u64,
        /// The format's limit.
        source: TooLarge,
    },
    /// A value in the store cannot be read.
    #[error("the value of user {user} is damaged: {source}; restore the store from a snapshot")]
    Damaged {
        /// The user.
        user: u64,
        /// What is wrong with it.
        source: Corrupt,
    },
    /// The history in the store contradicts itself.
    #[error("the store's history: {0}")]
    History(#[from] EtlError),
    /// The store.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

impl Refused {
    /// The fault that the database reported, if the batch failed because of it.
    pub fn fault(&self) -> Option<&DatabaseFault> {
        match self {
            Self::Update(UpdateError::Store(StoreError::Database(DatabaseError {
                fault, ..
            }))) => Some(fault),
            _ => None,
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Update(error.into())
    }
}
