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
//! - `answers`: the length of an answer and the number of its columns are bounded before the driver sees them.
//! - Both sockets are closed at once when the guard's task is aborted.
//!
//! Protocol: `mariadb.com/kb/en/clientserver-protocol` and "MySQL Client/Server Protocol" of the MySQL source
//! documentation.

mod answers;
mod handshake;

use super::{Fault, address::Host, tls::Tls};
use answers::Answers;
use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    task::AbortHandle,
};

/// Bytes that are relayed at a time.
const CHUNK_BYTES: usize = 16 << 10;

/// A stream to a server.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// A guard that waits for the driver, then relays. Dropping it closes both of its connections.
pub(super) struct Guard {
    task: AbortHandle,
    /// Why the guard ended the connection, if it did: the driver only sees the end of the stream.
    fault: Arc<Mutex<Option<Fault>>>,
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

    /// Why it ended the connection.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.lock().clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn guard(listener: UnixListener, host: &Host, tls: &Tls) -> Result<(), Fault> {
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

/// Relays commands and answers until either side ends.
async fn relay(driver: UnixStream, server: impl Wire) -> Result<(), Fault> {
    let (mut from_driver, mut to_driver) = driver.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let answers = Mutex::new(Answers::default());
    let up = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from_driver.read(&mut chunk).await?;
            let Some(sent) = chunk.get(..count).filter(|sent| !sent.is_empty()) else {
                return Ok::<_, Fault>(());
            };
            answers.lock().commands(sent);
            to_server.write_all(sent).await?;
            to_server.flush().await?;
        }
    };
    let down = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from_server.read(&mut chunk).await?;
            let Some(got) = chunk.get(..count).filter(|got| !got.is_empty()) else {
                return Ok::<_, Fault>(());
            };
            let checked = answers.lock().check(got);
            checked.map_err(|odd| Fault::Garbled(odd.into()))?;
            to_driver.write_all(got).await?;
        }
    };
    let (mut up, mut down) = (pin!(up), pin!(down));
    poll_fn(|context| match up.as_mut().poll(context) {
        Poll::Pending => down.as_mut().poll(context),
        ended => ended,
    })
    .await
}
