//! What all connections of a server share: limits, totals, deadlines, the announcement of the end.
//!
//! This is the bottom layer of `http`: `accept`, `conn` and `worker` name it, and it names none of them. A
//! [`Hosted`] joins a service to it, so listeners with different services share one server.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use crossbeam::utils::CachePadded;
use rustix::{fd::BorrowedFd, net::Shutdown};

use super::{
    Limits, Service, clock,
    limits::OTHER_DESCRIPTORS_MAX,
    watch::{Phase, Slots},
};

/// A running server.
pub struct Server {
    pub(super) limits: Limits,
    /// `Limits::turn_us` in nanoseconds, as the turns' clock counts.
    pub(super) turn_ns: u64,
    /// `Limits::idle_timeout` in milliseconds, as the clock of deadlines counts.
    pub(super) idle_ms: u64,
    pub(super) slots: Arc<Slots>,
    /// Open connections. On a cache line of its own, as the next: every turn reads the fields above.
    pub(super) open: CachePadded<AtomicUsize>,
    /// Bytes waiting in all connections.
    pub(super) buffered_bytes: CachePadded<AtomicUsize>,
    /// Every answer announces the end of its connection.
    pub(super) closing: AtomicBool,
}

/// A service on a server, shared by the connections of its listeners.
pub struct Hosted<S> {
    pub(super) server: Arc<Server>,
    pub(super) service: Arc<S>,
    /// Index of this hosted service in the workers' tables.
    pub(super) number: usize,
}

impl Server {
    /// A server without listeners. Starts the thread that enforces its timeouts.
    pub fn start(limits: Limits) -> io::Result<Arc<Self>> {
        clock::refresh();
        let slots = Arc::new(Slots::new(limits.connections_max + OTHER_DESCRIPTORS_MAX));
        let watched = Arc::downgrade(&slots);
        thread::Builder::new()
            .name("watcher".into())
            .spawn(move || {
                while let Some(slots) = watched.upgrade() {
                    clock::refresh();
                    slots.sweep(shut_down);
                    drop(slots);
                    thread::sleep(clock::TICK);
                }
            })?;
        Ok(Arc::new(Self {
            turn_ns: limits.turn_us.saturating_mul(1000),
            idle_ms: limits.idle_timeout.as_millis() as u64,
            limits,
            slots,
            open: CachePadded::default(),
            buffered_bytes: CachePadded::default(),
            closing: AtomicBool::new(false),
        }))
    }

    /// Joins `service` to this server, for any number of listeners.
    pub fn host<S: Service>(self: &Arc<Self>, service: Arc<S>) -> Arc<Hosted<S>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Arc::new(Hosted {
            server: Arc::clone(self),
            service,
            number: NEXT.fetch_add(1, Relaxed),
        })
    }

    /// From now on every answer carries `Connection: close` and is the last of its connection.
    pub fn announce_close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// Closes every connection that waits for a further request; new connections keep `head_timeout` for
    /// their first request.
    pub fn end_idle(&self) {
        self.slots.end_idle(shut_down);
    }

    /// Connections open now.
    pub fn connections_open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Connections that wait for a further request. Reads every slot.
    pub fn connections_idle(&self) -> usize {
        self.slots.idle_count()
    }

    /// The bounds that it enforces.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes of incomplete requests and unread answers that wait now.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Relaxed)
    }
}

/// Wakes the coroutine of an expired connection by shutting down its socket: only the reading side, so that
/// it can still answer, or both sides when the peer does not read.
#[allow(unsafe_code)] // the descriptor's owner, its connection, is on another thread
fn shut_down(descriptor: i32, phase: Phase) {
    let how = if phase == Phase::Write {
        Shutdown::Both
    } else {
        Shutdown::Read
    };
    // SAFETY: the slot protocol (`watch`) keeps the descriptor open for as long as this borrows it.
    let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let _ = rustix::net::shutdown(socket, how); // fails only if the peer closed first
}
