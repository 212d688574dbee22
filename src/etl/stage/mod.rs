//! What each stage does to a record, whether it came from a partition file or from a pipe.
//!
//! - [`map`]: lines to tweets. [`tweets`]: one per id, to events of users and to tags.
//! - [`users`]: events to what is known about a user. [`values`]: to the stored value.
//! - [`tags`]: frequencies of hashtags. [`tag_list`]: those of one user.
//! - [`counts`]: what the stages count. [`workers`]: the threads they run on.

pub mod counts;
pub mod map;
pub mod tag_list;
pub mod tags;
pub mod tweets;
pub mod users;
pub mod values;
pub mod workers;
