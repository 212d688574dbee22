//! Adds tweets to a store that keeps history. The result equals a run over the old and the new input.
//!
//! ```text
//! lines → map → Batch → tweets that are new or replace another → changed_users → rewrite → Update
//! ```
//!
//! The code of a run turns lines into records and records into events. The events of replaced tweets are
//! subtracted from the users' states, the events of new tweets are added (`changed_users`), and every value
//! that contains a changed user is written again (`rewrite`).
//!
//! `app` calls it on a separate thread. Not here: how the batch arrives, and the store's files.

pub mod batch;
mod changed_users;
mod events;
pub mod refused;
mod rewrite;
