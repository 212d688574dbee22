//! What each stage does to a record, from a partition file or a pipe.
//!
//! - [`map`]: lines to tweets. `tweets`: one per id, to events of users and to tags.
//! - `users`: events to what is known about a user. `values`: to the stored value.
//! - `tags`: frequencies of all hashtags. `tag_list`: the hashtags of one user.
//! - `counts`: what the stages count. `examples`: lines that were dropped. `workers`: the threads they run on.

pub(crate) mod counts;
pub(crate) mod examples;
pub mod map;
pub(crate) mod tag_list;
pub(crate) mod tags;
pub(crate) mod tweets;
pub(crate) mod users;
pub(crate) mod values;
pub(crate) mod workers;
