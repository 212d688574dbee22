//! `GET /twitter`: who a user talks with, ranked by interaction, hashtags and keywords.
//!
//! - [`model`]: the value stored per user, its encoder and its validating reader.
//! - [`dump`]: a stored value as one line of JSON, for people and for comparisons.
//!
//! The rules are `docs/protocol/twitter.md`. Stores hand out values as bytes; nothing here reads
//! files or sockets.

pub mod dump;
pub mod model;
