//! Statements of a service of one's own, to the same addresses, with the same TLS and behind the same guard as the
//! store's.

use super::{Address, DatabaseFault, connect::within, link::Link, tasks};
use mysql_async::{
    Error, Params, Row,
    prelude::{FromRow, Queryable},
};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A connection that one thread uses, waiting for each answer. An answer has at most 65,536 rows and 512 MiB.
///
/// ```no_run
/// use std::time::Duration;
/// use trident::store::database::{Address, Session};
///
/// let address = Address::parse("mysql://ann@db.example/music?ssl=verify-identity")?;
/// let mut session = Session::new(address, Vec::new(), Duration::from_secs(5))?;
/// session.connect()?;
/// let songs: Vec<(u64, String)> = session.ask("SELECT id, title FROM songs WHERE id > ?", (7,))?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    address: Address,
    setup: Vec<String>,
    timeout: Duration,
    runtime: Runtime,
    link: Option<Link>,
}

impl Session {
    /// Without a connection yet. Every connection begins with the statements in `setup`; to connect and to answer a
    /// statement may take up to `timeout` each.
    ///
    /// # Errors
    /// [`DatabaseFault::Thread`]: the system refuses what it needs.
    pub fn new(
        address: Address,
        setup: Vec<String>,
        timeout: Duration,
    ) -> Result<Self, DatabaseFault> {
        Ok(Self {
            address,
            setup,
            timeout,
            runtime: tasks::runtime()?,
            link: None,
        })
    }

    /// Whether there is a connection. If a fault has ended it, the server undoes what was not committed.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Connects to the first host of the address that answers, unless there is a connection. Files with certificates
    /// are read again.
    ///
    /// # Errors
    /// Why the last host cannot be used.
    pub fn connect(&mut self) -> Result<(), DatabaseFault> {
        if self.link.is_some() {
            return Ok(());
        }
        let opening = async {
            let mut link = Link::open_first(&self.address).await?;
            for statement in &self.setup {
                let done = link.conn.query_drop(statement).await;
                done.map_err(|error| link.explain(error.into()))?;
            }
            Ok(link)
        };
        let opened = self.runtime.block_on(within(self.timeout, opening));
        self.link = Some(opened?);
        Ok(())
    }

    /// The rows that a statement answers; `params` stand for its question marks.
    ///
    /// # Errors
    /// After an error of the server the connection goes on. Every other one ends it: what is still under way may
    /// belong to this statement.
    pub fn ask<T: FromRow>(
        &mut self,
        statement: &str,
        params: impl Into<Params>,
    ) -> Result<Vec<T>, DatabaseFault> {
        let of_type = |row| T::from_row_opt(row).map_err(|_| garbled("columns of another type"));
        let rows = self.rows(statement, params.into())?;
        rows.into_iter().map(of_type).collect()
    }

    /// Runs a statement that answers no rows, or none that matter.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn run(&mut self, statement: &str, params: impl Into<Params>) -> Result<(), DatabaseFault> {
        self.rows(statement, params.into()).map(drop)
    }

    fn rows(&mut self, statement: &str, params: Params) -> Result<Vec<Row>, DatabaseFault> {
        let Some(mut link) = self.link.take() else {
            return Err(DatabaseFault::Unreachable("the connection was lost".into()));
        };
        let (statement, timeout) = (statement.to_owned(), self.timeout);
        // In a separate task: if the driver panics, only that task ends.
        let (link, answer) = self.runtime.block_on(async move {
            let asked = tokio::spawn(async move {
                let asked = async { Ok(link.conn.exec::<Row, _, _>(statement, params).await) };
                match within(timeout, asked).await {
                    Ok(Ok(rows)) => (Some(link), Ok(rows)),
                    Ok(Err(Error::Server(error))) => (Some(link), Err(Error::Server(error).into())),
                    Ok(Err(error)) => ended(link, error.into()).await,
                    Err(fault) => ended(link, fault).await,
                }
            });
            let unreadable = |_| (None, Err(garbled("an answer that the driver cannot read")));
            asked.await.unwrap_or_else(unreadable)
        });
        self.link = link;
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            self.runtime.block_on(link.close());
        }
    }
}

/// Closes a connection after a fault.
async fn ended(
    link: Link,
    fault: DatabaseFault,
) -> (Option<Link>, Result<Vec<Row>, DatabaseFault>) {
    let fault = link.explain(fault);
    link.close().await;
    (None, Err(fault))
}

fn garbled(what: &str) -> DatabaseFault {
    DatabaseFault::Garbled(what.into())
}
