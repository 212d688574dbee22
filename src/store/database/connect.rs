//! Connections to a host with a store that can be served.

use super::{
    DatabaseFault,
    hosts::ChosenHost,
    link::Link,
    schema::{self, Version},
    seen::{Change, Changes, Noted},
    shared::Shared,
    tls::Tls,
};
use crate::metrics::{self, Counter};
use mysql_async::{Conn, Row, prelude::Queryable};
use std::{
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tracing::{info, warn};

impl Shared {
    /// Opens a connection to a database that can be served, on the first host that has one.
    pub(super) async fn connect(&self) -> Result<(Link, ChosenHost), DatabaseFault> {
        let (order, wanted) = self.hosts.order();
        let mut worst: Option<DatabaseFault> = None;
        for host in order {
            match self.try_host(host).await {
                Ok(link) => {
                    self.was_ready.store(true, Relaxed);
                    return Ok((link, ChosenHost { host, wanted }));
                }
                // One host that may recover is worth waiting for.
                Err(fault) if worst.as_ref().is_none_or(DatabaseFault::is_permanent) => {
                    worst = Some(fault)
                }
                Err(_) => {}
            }
        }
        Err(worst.unwrap_or_else(|| DatabaseFault::Unreachable("no host".into())))
    }

    /// Tries the hosts that failed, so that lookups need not do it.
    pub(super) async fn look_for_failed_hosts(&self) {
        for host in self.hosts.failed() {
            let _ = self.try_host(host).await;
        }
    }

    pub(super) async fn try_host(&self, host: usize) -> Result<Link, DatabaseFault> {
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

    async fn connect_to(&self, index: usize) -> Result<Link, DatabaseFault> {
        let host = self.address.hosts().get(index);
        let host = host.ok_or_else(|| DatabaseFault::Unreachable("no host".into()))?;
        // Read again: certificates are renewed while the server runs.
        let tls = Arc::new(Tls::load(self.address.tls())?);
        let attempt = async {
            let mut link = Link::open(&self.address, host, &tls).await?;
            let followed = self.follow(&mut link.conn).await;
            let (version, _) = followed.map_err(|fault| link.explain(fault))?;
            link.has_batches = version.has_batches();
            Ok(link)
        };
        within(self.options.connect_timeout, attempt).await
    }

    /// Compares the data with those seen before, and drops cached values that have changed. Also returns whether the
    /// data were replaced.
    ///
    /// # Errors
    /// Also [`DatabaseFault::Behind`]: the host does not have the last batch yet.
    pub(super) async fn follow(&self, conn: &mut Conn) -> Result<(Version, bool), DatabaseFault> {
        let version = schema::check(conn).await?;
        let number = version.batch.number;
        let noted = self.seen.note(&version, &self.cache, self.options.behind);
        match noted {
            Noted::Same => {}
            Noted::First | Noted::Replaced => {
                let meta = &version.meta;
                let data = format_args!("{:08x}", meta.content_crc32).to_string();
                info!(database = %self.address, users = meta.users, data, batches = number, "data of /twitter");
            }
            Noted::Ahead(since) => {
                let changes = changes(conn, since.batch().number, number).await?;
                self.seen.advance(since, number, changes, &self.cache);
            }
            Noted::Behind(seen) => {
                return Err(DatabaseFault::Behind {
                    found: number,
                    seen,
                });
            }
            Noted::WentBack(seen) => {
                warn!(database = %self.address, seen, found = number, "batches of /twitter are lost: no host has them; send them again");
            }
        }
        Ok((version, matches!(noted, Noted::Replaced)))
    }
}

/// Most batches whose changes are read at once; if there are more, the whole cache is cleared.
const CHANGES_MAX: u64 = 4096;

/// The changes of the batches after `since`, up to `to`. Batches that the table no longer lists are left out.
async fn changes(conn: &mut Conn, since: u64, to: u64) -> Result<Changes, DatabaseFault> {
    if to - since > CHANGES_MAX {
        return Ok(Vec::new());
    }
    let query = format!(
        "SELECT batch, users, CRC32(CONCAT(batch, ':', COALESCE(users, 'all'))) FROM trident_changes \
         WHERE batch > {since} AND batch <= {to} ORDER BY batch"
    );
    let rows: Vec<Row> = conn.query(query).await?;
    rows.into_iter().map(change).collect()
}

fn change(mut row: Row) -> Result<Change, DatabaseFault> {
    let batch: Option<u64> = row.take_opt(0).and_then(Result::ok);
    let users: Option<Option<Vec<u8>>> = row.take_opt(1).and_then(Result::ok);
    let checksum: Option<u32> = row.take_opt(2).and_then(Result::ok);
    let read = || {
        let (batch, users) = (batch?, users?);
        let mut text = format!("{batch}:").into_bytes();
        text.extend_from_slice(users.as_deref().unwrap_or(b"all"));
        (crc32fast::hash(&text) == checksum?).then_some(())?;
        Some((batch, users.map(|users| unpack(&users))))
    };
    read().ok_or_else(|| DatabaseFault::Garbled("changes that are none".into()))
}

/// Users as `trident_changes` has them: eight bytes each, big-endian, ascending.
fn unpack(users: &[u8]) -> Box<[u64]> {
    let (users, _) = users.as_chunks();
    users.iter().map(|user| u64::from_be_bytes(*user)).collect()
}

/// `attempt`, or an error after `time`.
pub(super) async fn within<T>(
    time: Duration,
    attempt: impl Future<Output = Result<T, DatabaseFault>>,
) -> Result<T, DatabaseFault> {
    let late = |_| DatabaseFault::Unreachable(format!("no answer within {} ms", time.as_millis()));
    timeout(time, attempt).await.map_err(late)?
}
