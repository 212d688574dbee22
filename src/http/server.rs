//! A server: one service, its limits, and the connections it has open.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use super::{
    Limits, Listener, Service,
    accept::Acceptor,
    clock,
    conn::Conn,
    limits::OTHER_DESCRIPTORS_MAX,
    watch::{Phase, Slots},
};

/// Settings of the coroutine runtime, which a process has once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Worker threads.
    pub workers: usize,
    /// Pins worker `n` to the `n`th processor of the affinity mask.
    pub pin_workers: bool,
    /// Stack of a coroutine in bytes, a multiple of the page size. Virtual: two pages are resident.
    pub stack_bytes: usize,
}

/// Coroutine stacks kept for the next connections; made in advance, 8 kB each.
const STACK_POOL: usize = 512;

impl Settings {
    /// Applies the settings. Only the first call in a process has an effect.
    pub fn apply(self) {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let words = self.stack_bytes / size_of::<usize>();
            may::config()
                .set_workers(self.workers)
                .set_stack_size(words)
                .set_pool_capacity(STACK_POOL);
            may::config().set_worker_pin(self.pin_workers);
        });
    }
}

/// A running server.
pub struct Server<S: Service> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) slots: Arc<Slots>,
    /// Tells servers of one process apart in the workers' tables.
    pub(super) number: usize,
    /// Open connections.
    pub(super) open: AtomicUsize,
    /// Bytes waiting in all connections.
    pub(super) buffered_bytes: AtomicUsize,
    /// Every answer announces the end of its connection.
    pub(super) closing: AtomicBool,
}

impl<S: Service> Server<S> {
    /// A server without listeners. Starts the thread that enforces its timeouts.
    pub fn start(service: S, limits: Limits) -> io::Result<Arc<Self>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
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
            service,
            limits,
            slots,
            number: NEXT.fetch_add(1, Relaxed),
            open: AtomicUsize::new(0),
            buffered_bytes: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        }))
    }

    /// Accepts connections on `listeners`; a request carries the tag of the listener it came through.
    pub fn listen(self: &Arc<Self>, listeners: Vec<Listener>) -> io::Result<Acceptor> {
        Acceptor::start(Arc::clone(self), listeners)
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// From now on every answer carries `Connection: close` and is the last of its connection.
    pub fn announce_close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// Closes every connection that waits for a further request; new ones keep `head_timeout` for their
    /// first.
    pub fn end_idle(&self) {
        self.slots.end_idle(shut_down);
    }

    /// Connections open now.
    pub fn connections_open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Connections that wait for a further request. Looks at every slot.
    pub fn connections_idle(&self) -> usize {
        self.slots.idle_count()
    }

    /// The bounds it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes of incomplete requests and unread answers waiting now.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Relaxed)
    }
}

/// Wakes the coroutine of an expired connection by shutting down its socket: the side it reads from,
/// so that it can still answer, or both when it is the peer that does not read.
#[allow(unsafe_code)] // a descriptor by number: the connection that owns it is on another thread
fn shut_down(descriptor: i32, phase: Phase) {
    let how = if phase == Phase::Write {
        libc::SHUT_RDWR
    } else {
        libc::SHUT_RD
    };
    // SAFETY: no memory is involved; the slot protocol (`watch`) keeps the descriptor open meanwhile.
    unsafe { libc::shutdown(descriptor, how) };
}

/// Starts, or goes on with, a connection in a new coroutine on the worker its descriptor belongs to.
/// If no stack can be mapped the connection is closed.
#[allow(unsafe_code)] // `spawn` is unsafe for the sake of thread-locals and stack depth
pub(super) fn spawn<S: Service>(conn: Box<Conn<S>>) {
    let id = conn.descriptor() as usize;
    let start = AssertUnwindSafe(|| {
        // SAFETY: the coroutine keeps no thread-local address across a wait (`worker::turn` is not
        // inlined), and what runs on its own stack is the shallow loop of `Conn::run`.
        unsafe {
            may::coroutine::Builder::new()
                .id(id)
                .spawn(move || conn.run())
        }
    });
    match catch_unwind(start) {
        Ok(Ok(_detached)) => {}
        Ok(Err(_)) | Err(_) => {
            crate::metrics::add(crate::metrics::Counter::AcceptMemory, 1);
        }
    }
}
