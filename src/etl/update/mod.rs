//! Adds tweets to a store that keeps history. The result equals a run over the old and the new input.
//!
//! ```text
//! lines → map → Batch → tweets that are new or replace another → changed_users → pairs → rewrite → Update
//! ```
//!
//! The code of a run turns lines into records and records into events. The events of replaced tweets are subtracted
//! from the users' states, the events of new tweets are added (`changed_users`), and the affected values (`pairs`) are
//! written again (`rewrite`).
//!
//! `app` calls it on a separate thread. Not here: how the batch arrives, and the store's files.
//!
//! `batch` leads through these steps, `events` makes the records of one tweet, `refused` says why a batch was not
//! taken.

pub mod batch;
mod changed_users;
mod events;
mod pairs;
pub mod refused;
mod rewrite;
