//! Which host a connection is made to, and what the tables there must be.

use super::{Fault, address::HostPolicy, link::Link, schema, shared::Shared, tls::Tls};
use crate::{
    metrics::{self, Counter},
    store::Meta,
};
use parking_lot::Mutex;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tracing::info;

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
pub(super) struct Place {
    host: usize,
    /// Where it would have gone if no host had failed.
    wanted: usize,
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
    fn order(&self) -> (Vec<usize>, usize) {
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

    fn note(&self, host: usize, connected_in: Option<Duration>) {
        if let Some(host) = self.state.lock().get_mut(host) {
            host.has_failed = connected_in.is_none();
            host.connected_in = connected_in.or(host.connected_in);
        }
    }

    /// Whether a connection is better made again: the host that it was meant for is back.
    pub(super) fn is_elsewhere(&self, place: Place) -> bool {
        let state = self.state.lock();
        place.host != place.wanted && state.get(place.wanted).is_some_and(|host| !host.has_failed)
    }

    /// The hosts whose last attempt failed.
    fn failed(&self) -> Vec<usize> {
        let state = self.state.lock();
        (0..state.len())
            .filter(|at| state.get(*at).is_some_and(|host| host.has_failed))
            .collect()
    }
}

impl Shared {
    /// Opens a connection to a database that can be served, on the first host that has one.
    pub(super) async fn connect(&self) -> Result<(Link, Place), Fault> {
        let (order, wanted) = self.hosts.order();
        let mut worst: Option<Fault> = None;
        for host in order {
            match self.try_host(host).await {
                Ok((link, meta)) => {
                    self.was_ready.store(true, Relaxed);
                    self.note(meta);
                    return Ok((link, Place { host, wanted }));
                }
                // One host that may come back is worth waiting for.
                Err(fault) if worst.as_ref().is_none_or(Fault::is_permanent) => worst = Some(fault),
                Err(_) => {}
            }
        }
        Err(worst.unwrap_or_else(|| Fault::Unreachable("no host".into())))
    }

    /// Tries the hosts that failed, so that those who look users up need not.
    pub(super) async fn look_for_failed_hosts(&self) {
        for host in self.hosts.failed() {
            let _ = self.try_host(host).await;
        }
    }

    async fn try_host(&self, host: usize) -> Result<(Link, Meta), Fault> {
        let start = Instant::now();
        let opened = self.connect_to(host).await;
        self.hosts
            .note(host, opened.is_ok().then(|| start.elapsed()));
        let counter = match &opened {
            Ok(_) => Counter::DatabaseConnectsOk,
            Err(_) => Counter::DatabaseConnectsFailed,
        };
        metrics::add(counter, 1);
        opened
    }

    async fn connect_to(&self, index: usize) -> Result<(Link, Meta), Fault> {
        let host = self.address.hosts().get(index);
        let host = host.ok_or_else(|| Fault::Unreachable("no host".into()))?;
        // Read anew: certificates are renewed while the server runs.
        let tls = Arc::new(Tls::load(self.address.tls())?);
        let attempt = async {
            let mut link = Link::open(&self.address, host, &tls).await?;
            let meta = schema::check(&mut link.conn).await;
            let meta = meta.map_err(|fault| link.seen().unwrap_or(fault))?;
            Ok((link, meta))
        };
        within(self.options.connect_timeout, attempt).await
    }

    /// Takes note of the data's version. Whether they were replaced.
    pub(super) fn note(&self, meta: Meta) -> bool {
        let mut known = self.meta.lock();
        if known.as_ref() == Some(&meta) {
            return false;
        }
        let data = format_args!("{:08x}", meta.content_crc32).to_string();
        info!(database = %self.address, users = meta.users, data, "data of /twitter");
        let is_first = known.replace(meta).is_none();
        self.generation.fetch_add(1, Relaxed);
        self.cache.clear();
        !is_first
    }
}

/// `attempt`, or an error after `time`.
pub(super) async fn within<T>(
    time: Duration,
    attempt: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let late = |_| Fault::Unreachable(format!("no answer within {} ms", time.as_millis()));
    timeout(time, attempt).await.map_err(late)?
}
