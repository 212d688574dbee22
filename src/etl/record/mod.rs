//! One line of input and the records that it becomes.
//!
//! - [`extract`]: an input line to a `t1` record, or the reason why it is dropped. It reads with
//!   [`json`] and [`created_at`].
//! - [`records`]: the format of everything between the stages. [`escape`]: strings inside it.
//! - [`excluded`]: the hashtags that the counts leave out, as fields of records.

pub mod created_at;
pub mod escape;
pub mod excluded;
pub mod extract;
pub mod json;
pub mod records;
