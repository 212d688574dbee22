//! Stands between the driver and the server, so that neither a server that lies nor one that is silent can
//! harm this process.
//!
//! ```text
//! driver ─ abstract Unix socket ─▶ guard ─ TCP, TLS or Unix socket ─▶ server
//! ```
//!
//! The driver believes what a server sends: it reserves memory for any number of columns, sends its password
//! to whoever asks, and a result that is dropped halfway keeps its connection open until the rest arrives. The
//! guard does what the driver has no settings for:
//!
//! - `handshake`: TLS by the address's rules, and a password never goes to a server that could be another one.
//! - `relay`: passes commands and answers on. `answers`: the length of an answer and the number of its columns are bounded before the driver sees them.
//! - Both sockets are closed at once when the guard's task is aborted.
//!
//! Protocol: `mariadb.com/kb/en/clientserver-protocol` and "MySQL Client/Server Protocol" of the MySQL source
//! documentation.

mod answers;
mod handshake;
mod relay;

use super::{DatabaseFault, address::Host, tls::Tls};
use parking_lot::Mutex;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{
    net::{TcpStream, UnixListener, UnixStream},
    task::AbortHandle,
};

/// A guard that waits for the driver, then relays. Dropping it closes both of its connections.
pub(super) struct Guard {
    task: AbortHandle,
    /// Why the guard ended the connection, if it did: the driver only sees the end of the stream.
    fault: Arc<Mutex<Option<DatabaseFault>>>,
}

impl Guard {
    /// Starts a guard before `host` on the current runtime. Returns the path for the driver's
    /// `socket` option.
    pub(super) fn start(host: Host, tls: Arc<Tls>) -> io::Result<(Self, String)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        // A leading NUL names a socket without a file (unix(7), abstract namespace).
        let path = format!("\0trident-database-{}-{number}", std::process::id());
        let listener = UnixListener::bind(&path)?;
        let fault = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&fault);
        let task = tokio::spawn(async move {
            if let Err(fault) = guard(listener, &host, &tls).await {
                *seen.lock() = Some(fault);
            }
        });
        let task = task.abort_handle();
        Ok((Self { task, fault }, path))
    }

    /// Closes both connections, and returns when they are closed. Dropping it does so only when the runtime runs again.
    pub(super) async fn close(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// The reason behind a fault that the driver reports: where it only saw the end of the stream, the guard
    /// knows more. An error that the server sent is the reason itself, whatever happened to the stream after it.
    pub(super) fn explain(&self, fault: DatabaseFault) -> DatabaseFault {
        match fault {
            DatabaseFault::Unreachable(_) => self.fault.lock().clone().unwrap_or(fault),
            fault => fault,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn guard(listener: UnixListener, host: &Host, tls: &Tls) -> Result<(), DatabaseFault> {
    let driver = accept_own(listener).await?;
    match host {
        Host::Tcp { name, port } => {
            let server = TcpStream::connect((name.as_str(), *port)).await?;
            server.set_nodelay(true)?;
            handshake::over_tcp(driver, server, name, tls).await
        }
        Host::Socket(path) => {
            let server = UnixStream::connect(path).await?;
            handshake::over_socket(driver, server, tls).await
        }
    }
}

/// The driver's connection. Another process may know the name of the socket too.
async fn accept_own(listener: UnixListener) -> io::Result<UnixStream> {
    loop {
        let (driver, _) = listener.accept().await?;
        let peer = driver.peer_cred()?.pid();
        if peer.is_some_and(|pid| pid.unsigned_abs() == std::process::id()) {
            return Ok(driver);
        }
    }
}
