//! One line of input and the records that it becomes.
//!
//! - `extract`: an input line to a `t1` record, or the reason why it is [`dropped`]. `created_at`: dates.
//! - [`records`]: the format of all data between the stages. `fields`: its fields. `escape`: its strings.
//! - `extra`: records that only pipes have.
//! - `notice`: lines that are not tweets, deletions among them.
//! - [`compat`]: the two treatments of damaged strings.
//! - [`excluded`]: the hashtags that the counts leave out, as fields of records.

pub mod compat;
pub(crate) mod created_at;
pub mod dropped;
pub(crate) mod escape;
pub mod excluded;
pub(crate) mod extra;
pub(crate) mod extract;
pub(crate) mod fields;
pub mod notice;
pub mod records;
