//! HTTP/1.1 origin server on `may` coroutines (RFC 9110, RFC 9112).
//!
//! ```text
//! accept ─ spawn ─▶ conn ─ recv ─▶ parse ─ body ─▶ Service::call ─▶ encode ─ send ─▶ wait
//! ```
//!
//! One coroutine per connection, bound to one worker thread for life (`fd % workers`). A wake-up is one
//! *turn*: one `recv`, every complete request in the buffer answered into one output buffer, one `send`,
//! then the coroutine waits again. A turn never suspends, so it borrows everything it needs from the
//! worker, even its stack (`worker`).
//!
//! This module does not know the endpoints: it calls a [`Service`] that it defines.
//!
//! Files by the picture: `accept`; `conn`; `parse` on `scan`, into a `request`; `body`; `encode` with `status` and
//! `date`. Shared by all: `server` and its `limits`, `worker`, `buffer`, `clock`, `watch` (deadlines), `deferred`
//! (answers of other threads), `pulse` (do the threads run?).

mod accept;
pub mod body;
mod buffer;
pub(crate) mod clock;
mod conn;
pub(crate) mod date;
mod deferred;
pub(crate) mod encode;
pub(crate) mod limits;
pub mod parse;
mod pulse;
pub mod request;
pub(crate) mod scan;
mod server;
pub(crate) mod status;
pub(crate) mod watch;
mod worker;

pub use accept::{Acceptor, Listener};
pub use deferred::{Deferred, Peer, Promise};
pub use encode::{ASCII_TEXT, BY_ACCEPT, Heads, Mode, Reply, TEXT};
pub use limits::Limits;
pub use pulse::Pulse;
pub use request::{Framing, Head, Method, Request};
pub use server::{Hosted, Server};
pub use status::{Fault, Status};
pub use worker::{NoWorkers, Settings};

use crate::metrics::Counter;

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// Scratch that belongs to one worker thread and is lent for one call at a time.
    type Worker: 'static;

    /// Makes scratch for one worker; also called after a panic, to replace scratch that may be
    /// half-written.
    fn worker(&self) -> Self::Worker;

    /// Whether the body of a request with this head may matter to the answer. If not (401, 404, 405), it is not
    /// invited with `100 Continue`.
    fn takes(&self, head: &Head<'_>) -> bool {
        let _ = head;
        true
    }

    /// Answers `request` through `reply`, or defers the answer and drops `reply` unsent.
    ///
    /// Runs to completion on the worker's own stack: it must not suspend, sleep or block.
    fn call(&self, worker: &mut Self::Worker, request: &Request<'_>, reply: Reply<'_>) -> Handled;
}

/// How the service handled a request: it sent the reply (from a [`Counter`]), or the reply comes later (from a
/// [`Deferred`]).
///
/// Two words instead of an enum, which would be returned through memory: 2 % of a request's instructions.
pub struct Handled {
    /// The reply was sent: the connection adds to this counter, a series of `trident_requests_total`, and records the
    /// latency. Of no meaning with `later`.
    counter: Counter,
    later: Option<Deferred>,
}

impl Handled {
    /// Whether the reply was sent.
    pub fn is_answered(&self) -> bool {
        self.later.is_none()
    }
}

impl From<Counter> for Handled {
    #[inline]
    fn from(counter: Counter) -> Self {
        Self {
            counter,
            later: None,
        }
    }
}

impl From<Deferred> for Handled {
    fn from(deferred: Deferred) -> Self {
        Self {
            counter: Counter::OtherFailed,
            later: Some(deferred),
        }
    }
}
