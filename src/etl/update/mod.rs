//! More tweets for a store that keeps history: afterwards it holds what a run over the old and the new
//! input would have made.
//!
//! ```text
//! lines → map → Batch → tweets that are new or replace another → changed_users → rewrite → Update
//! ```
//!
//! Lines become records and records become events by the same code as in a run. The events of tweets
//! that are replaced are taken back, those of new ones are added to what is known about each user
//! (`changed_users`), and every value that tells of a changed user is written again (`rewrite`).
//!
//! Called by `app` on a thread of its own. Not here: how the batch came, and the store's files.

pub mod batch;
mod changed_users;
mod events;
pub mod refused;
mod rewrite;
