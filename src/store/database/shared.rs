//! Data shared by the client and the database thread.

use super::{
    Address, DatabaseError, DatabaseFault, Options, cache::ValueCache, hosts::Hosts,
    lookups::Lookups, seen::Seen,
};
use parking_lot::Mutex;
use std::sync::{
    atomic::{AtomicBool, AtomicUsize},
    mpsc,
};
use tokio::sync::Notify;

/// Data shared by the client and its thread.
pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) hosts: Hosts,
    pub(super) options: Options,
    pub(super) lookups: Lookups,
    pub(super) cache: ValueCache,
    /// Connections for lookups that are open.
    pub(super) connections: AtomicUsize,
    /// The database has answered once and has a store that can be served.
    pub(super) was_ready: AtomicBool,
    /// The data seen so far.
    pub(super) seen: Seen,
    /// Callers that wait for the next check of the version of the data.
    pub(super) checks: Mutex<Vec<mpsc::Sender<Result<bool, DatabaseFault>>>>,
    /// Notified when `checks` has an entry.
    pub(super) check_now: Notify,
    pub(super) stop: Notify,
}

impl Shared {
    pub(super) fn error(&self, fault: DatabaseFault) -> DatabaseError {
        DatabaseError {
            address: self.address.clone(),
            fault,
        }
    }
}
