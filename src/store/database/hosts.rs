//! Which host the next connection goes to, by the address's policy and the results of the last attempts.

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
    /// The host it would have gone to if none had failed.
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

    /// All hosts by the policy, with those that failed last; and the host that would be first if none had failed.
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
            // A host that was never tried counts as near.
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

    /// Whether the connection should be made again, because its intended host is back.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Three hosts: the first answers slowly, the second has failed, the third answers fast.
    fn three(policy: HostPolicy) -> Hosts {
        let hosts = Hosts::new(3, policy);
        hosts.note(0, Some(Duration::from_millis(30)));
        hosts.note(1, Some(Duration::from_millis(1)));
        hosts.note(1, None);
        hosts.note(2, Some(Duration::from_millis(10)));
        hosts
    }

    #[test]
    fn the_policy_says_where_to_go_and_failed_hosts_come_last() {
        assert_eq!(three(HostPolicy::First).order(), (vec![0, 2, 1], 0));
        // The second is nearest, and is gone back to when it has been mended.
        let nearest = three(HostPolicy::Nearest);
        assert_eq!(nearest.order(), (vec![2, 0, 1], 1));
        assert_eq!(nearest.failed(), [1]);
        let chosen = ChosenHost { host: 2, wanted: 1 };
        assert!(!nearest.is_elsewhere(chosen));
        nearest.note(1, Some(Duration::from_millis(1)));
        assert!(nearest.is_elsewhere(chosen));
        assert_eq!(nearest.order(), (vec![1, 2, 0], 1));
        let turns = three(HostPolicy::RoundRobin);
        let orders = [(); 4].map(|()| turns.order().0);
        assert_eq!(orders, [[0, 2, 1], [2, 0, 1], [2, 0, 1], [0, 2, 1]]);
    }

    /// One that was not tried may be the nearest.
    #[test]
    fn a_host_of_which_nothing_is_known_is_tried() {
        let hosts = Hosts::new(2, HostPolicy::Nearest);
        hosts.note(0, Some(Duration::from_millis(1)));
        assert_eq!(hosts.order(), (vec![1, 0], 1));
    }
}
