//! A connection to a server: the driver's, behind its guard.

use super::{Address, DatabaseFault, address::Host, guard::Guard, tls::Tls};
use mysql_async::Conn;
use std::sync::Arc;

/// An open connection. Dropping it closes it at once, whatever was under way: the guard's task ends, and with
/// it both of its sockets.
pub(super) struct Link {
    guard: Guard,
    pub(super) conn: Conn,
    /// The tables have batches, see [`super::schema::Version`].
    pub(super) has_batches: bool,
}

impl Link {
    /// Connects to the first host of the address that answers.
    pub(super) async fn open_first(address: &Address) -> Result<Self, DatabaseFault> {
        let tls = Arc::new(Tls::load(address.tls())?);
        let mut last = DatabaseFault::Unreachable("no host".into());
        for host in address.hosts() {
            match Self::open(address, host, &tls).await {
                Ok(link) => return Ok(link),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// Connects and logs in.
    pub(super) async fn open(
        address: &Address,
        host: &Host,
        tls: &Arc<Tls>,
    ) -> Result<Self, DatabaseFault> {
        let guarded = Guard::start(host.clone(), Arc::clone(tls));
        let (guard, path) = guarded.map_err(|error| DatabaseFault::Thread(error.to_string()))?;
        // In a separate task: if the driver panics, only that task ends.
        match tokio::spawn(Conn::new(address.opts(path))).await {
            Ok(Ok(conn)) => Ok(Self {
                guard,
                conn,
                has_batches: false,
            }),
            Ok(Err(error)) => Err(guard.explain(error.into())),
            Err(_) => Err(DatabaseFault::Garbled(
                "a login that the driver cannot read".into(),
            )),
        }
    }

    /// Closes the connection now: the server undoes its transaction and gives up its locks.
    pub(super) async fn close(self) {
        drop(self.conn);
        self.guard.close().await;
    }

    /// The reason behind a fault of this connection.
    pub(super) fn explain(&self, fault: DatabaseFault) -> DatabaseFault {
        self.guard.explain(fault)
    }
}
