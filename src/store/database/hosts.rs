//! Which host the next connection goes to, by the address's policy and what became of the last attempts.

use super::address::HostPolicy;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

/// What is known about the hosts of an address.
#[derive(Debug)]
pub(super) struct Hosts {
    policy: HostPolicy,
    state: Mutex<Vec<HostState>>,
    turn: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default)]
struct HostState {
    /// How long the last attempt that succeeded took.
    connected_in: Option<Duration>,
    /// The last attempt failed.
    has_failed: bool,
}

/// Where a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenHost {
    pub(super) host: usize,
    /// Where it would have gone if no host had failed.
    pub(super) wanted: usize,
}

impl Hosts {
    pub(super) fn new(count: usize, policy: HostPolicy) -> Self {
        Self {
            policy,
            state: Mutex::new(vec![HostState::default(); count]),
            turn: AtomicUsize::new(0),
        }
    }

    /// All hosts by the policy, those that failed behind the others; and the one in front if none had failed.
    pub(super) fn order(&self) -> (Vec<usize>, usize) {
        let state = self.state.lock();
        let mut order: Vec<usize> = (0..state.len()).collect();
        let host = |host: &usize| state.get(*host).copied().unwrap_or_default();
        match self.policy {
            HostPolicy::First => {}
            HostPolicy::RoundRobin => {
                let turn = self.turn.fetch_add(1, Relaxed) % order.len().max(1);
                order.rotate_left(turn);
            }
            // A host of which nothing is known yet is near until it is tried.
            HostPolicy::Nearest => {
                order.sort_by_key(|at| host(at).connected_in.unwrap_or_default());
            }
        }
        let wanted = order.first().copied().unwrap_or_default();
        order.sort_by_key(|at| host(at).has_failed);
        (order, wanted)
    }

    pub(super) fn note(&self, host: usize, connected_in: Option<Duration>) {
        if let Some(host) = self.state.lock().get_mut(host) {
            host.has_failed = connected_in.is_none();
            host.connected_in = connected_in.or(host.connected_in);
        }
    }

    /// Whether a connection is better made again: the host that it was meant for is back.
    pub(super) fn is_elsewhere(&self, chosen: ChosenHost) -> bool {
        let state = self.state.lock();
        chosen.host != chosen.wanted
            && state
                .get(chosen.wanted)
                .is_some_and(|host| !host.has_failed)
    }

    /// The hosts whose last attempt failed.
    pub(super) fn failed(&self) -> Vec<usize> {
        let state = self.state.lock();
        (0..state.len())
            .filter(|at| state.get(*at).is_some_and(|host| host.has_failed))
            .collect()
    }
}
