//! HTTP/1.1 origin server on `may` coroutines (RFC 9110, RFC 9112).
//!
//! ```text
//! accept ─ spawn ─▶ conn ─ recv ─▶ parse ─ body ─▶ Service::call ─▶ encode ─ send ─▶ wait
//! ```
//!
//! One coroutine per connection, bound to one worker thread for life (`fd % workers`). A wake-up is
//! one *turn*: one `recv`, every complete request in the buffer answered into one output buffer, one
//! `send`, then the coroutine waits again. A turn never suspends, so everything it needs is borrowed
//! from the worker, the stack included (`worker`).
//!
//! What this module does not know: the endpoints. It calls a [`Service`] it defines.

mod accept;
pub mod body;
pub mod clock;
mod conn;
pub mod date;
pub mod encode;
mod host;
pub mod limits;
pub mod parse;
mod pulse;
pub mod request;
pub mod scan;
mod server;
pub mod status;
pub mod watch;
mod worker;

pub use accept::{Acceptor, Listener};
pub use encode::{Heads, Mode, Reply, TEXT};
pub use limits::Limits;
pub use pulse::Pulse;
pub use request::{Framing, Head, Method, Request};
pub use server::{Server, Settings};
pub use status::{Fault, Status};

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// Scratch that belongs to one worker thread and is lent for one call at a time.
    type Worker: 'static;

    /// Scratch for one more worker; also called after a panic, to replace what it may have left
    /// half-written.
    fn worker(&self) -> Self::Worker;

    /// Answers `request` through `reply`, or takes it over as [`Outcome::Pending`].
    ///
    /// Runs to completion on the worker's own stack: it must not suspend, sleep or block.
    fn call(&self, worker: &mut Self::Worker, request: &Request<'_>, reply: Reply<'_>) -> Outcome;
}

/// What became of a request.
pub enum Outcome {
    /// The reply was sent.
    Done,
    /// The reply waits for something outside this process; it was dropped unsent.
    Pending(Box<dyn Pending>),
}

/// An answer that another thread is working on.
///
/// The connection's coroutine is parked until [`Waker::wake`] was called and `ready` says so.
pub trait Pending: Send {
    /// Whether `finish` can answer now.
    fn ready(&self) -> bool;

    /// Answers the request.
    fn finish(self: Box<Self>, reply: Reply<'_>);
}

/// Wakes the connection whose request is being served. Made inside [`Service::call`].
#[derive(Clone)]
pub struct Waker(may::coroutine::Coroutine);

impl Waker {
    /// The waker of the running connection; `None` outside a connection.
    pub fn current() -> Option<Self> {
        may::coroutine::is_coroutine().then(|| Self(may::coroutine::current()))
    }

    /// Lets the connection ask its [`Pending`] whether it is ready. Callable from any thread.
    pub fn wake(&self) {
        self.0.unpark();
    }
}
