//! Connections to a host that has a store which can be served.

use super::{Fault, hosts::Place, link::Link, schema, shared::Shared, tls::Tls};
use crate::{
    metrics::{self, Counter},
    store::Meta,
};
use std::{
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tracing::info;

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
            let meta = meta.map_err(|fault| link.explain(fault))?;
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
