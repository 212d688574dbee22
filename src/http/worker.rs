//! What a worker thread lends to a turn: buffers, ready-made heads, the service's scratch and a stack. It
//! does not know the borrower.
//!
//! Why does a worker have its own stack? A coroutine's stack pages stay resident for the connection's life,
//! so every idle connection would pay for the deepest handler it ever called, and a deep call (a PNG
//! encoder, a C library) could hit the guard page, from which `may` cannot unwind. A turn never suspends,
//! so all turns of a worker can run on one large stack. It stays in the cache, and a connection keeps two
//! pages (the top, and the canary at the bottom) however deep its handlers went.

use std::{
    any::Any,
    cell::RefCell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
};

use super::{Heads, Service, parse::Memo, server::Hosted};

/// Most bytes taken from a socket in one turn. Small enough that a flooding connection's turn, a few
/// hundred requests, stays below a millisecond; large enough for any usual request.
const INPUT_BYTES: usize = 16 << 10;

/// Size of the stack that turns run on. Virtual memory: only touched pages become resident.
const HANDLER_STACK_BYTES: usize = 1 << 20;

/// Output and body buffers above this size are freed after the turn that needed them.
const RETAINED_BYTES_MAX: usize = 1 << 20;

/// Coroutine stacks made in advance for the next connections, 8 kB each.
const STACK_POOL: usize = 512;

/// Settings of the workers; one set per process.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Worker threads.
    pub workers: usize,
    /// Pins worker `n` to the `n`th processor of the affinity mask.
    pub pin_workers: bool,
    /// Stack of a coroutine in bytes; `may` rounds it up to whole pages. Virtual: two pages are resident.
    pub stack_bytes: usize,
}

impl Settings {
    /// Applies the settings. Only the first call in a process has an effect; the others return its result.
    ///
    /// # Errors
    /// The system refuses the workers' threads or descriptors.
    pub fn apply(self) -> Result<(), NoWorkers> {
        static STARTED: OnceLock<Result<(), NoWorkers>> = OnceLock::new();
        let start = || {
            let words = self.stack_bytes / size_of::<usize>();
            may::config()
                .set_workers(self.workers)
                .set_stack_size(words)
                .set_pool_capacity(STACK_POOL);
            may::config().set_worker_pin(self.pin_workers);
            // `may` panics if it is refused something; who reads the log would take that for a fault of the program.
            let usual = panic::take_hook();
            panic::set_hook(Box::new(|_| ()));
            let started = catch_unwind(start_workers);
            panic::set_hook(usual);
            started.map_err(|panic| NoWorkers::of(&*panic))
        };
        STARTED.get_or_init(start).clone()
    }
}

/// Why the workers could not be started.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "cannot start the workers: {0}; raise the limit of threads (`ulimit -u`, TasksMax in systemd) or of open files \
     (`ulimit -n`), or give fewer --workers"
)]
pub struct NoWorkers(String);

impl NoWorkers {
    fn of(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().cloned();
        Self(text.unwrap_or_else(|| "the system refuses them".into()))
    }
}

/// Starts the workers with a coroutine that does nothing. The first one installs signal handlers too (`crash` installs
/// its own later).
#[allow(unsafe_code)] // `spawn` is unsafe for the sake of thread-locals and stack depth
fn start_workers() {
    // SAFETY: the coroutine touches no thread-local, never waits and needs no stack to speak of.
    let first = unsafe { may::coroutine::Builder::new().spawn(|| ()) };
    let _ = first.map(|first| first.join());
}

/// What one worker has for one hosted service.
struct Worker<S: Service> {
    /// Bytes from the socket.
    input: Box<[u8]>,
    /// Everything else.
    scratch: Scratch<S>,
    stack: HandlerStack,
}

/// What a turn needs to answer, besides the request's bytes.
pub(super) struct Scratch<S: Service> {
    /// Answers of this turn.
    pub(super) output: Vec<u8>,
    /// A chunked body being decoded.
    pub(super) body: Vec<u8>,
    /// Ready-made heads.
    pub(super) heads: Heads,
    /// The last header section.
    pub(super) memo: Memo,
    /// The service's scratch.
    pub(super) service: S::Worker,
}

impl<S: Service> Worker<S> {
    // Not inlined into `lend`, whose frame is on every connection's stack: building a service's scratch
    // there would cost each connection a page.
    #[cold]
    #[inline(never)]
    fn boxed(service: &S) -> Box<dyn Any> {
        Box::new(Self {
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            scratch: Scratch {
                output: Vec::with_capacity(INPUT_BYTES),
                body: Vec::new(),
                heads: Heads::default(),
                memo: Memo::default(),
                service: service.worker(),
            },
            stack: HandlerStack::new(HANDLER_STACK_BYTES),
        })
    }

    fn release_large_buffers(&mut self) {
        for buffer in [&mut self.scratch.output, &mut self.scratch.body] {
            if buffer.capacity() > RETAINED_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

thread_local! {
    /// This thread's `Worker<S>` of every hosted service that it has served, by its number.
    static WORKERS: RefCell<Vec<Option<Box<dyn Any>>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `turn` of `borrower` on this worker's stack, with an input buffer and scratch. `None` if it
/// panicked.
///
/// Not inlined: a coroutine may continue on another thread after it waited, so the address of a
/// thread-local must not be kept across turns.
#[inline(never)]
pub(super) fn lend<S: Service, B, R>(
    borrower: &mut B,
    hosted: impl Fn(&B) -> &Hosted<S>,
    turn: impl FnOnce(&mut B, &mut [u8], &mut Scratch<S>) -> R,
) -> Option<R> {
    WORKERS.with(|workers| {
        let mut workers = workers.borrow_mut();
        let hosted = hosted(borrower);
        let worker = match workers.get_mut(hosted.number) {
            Some(Some(worker)) => worker,
            _ => add(&mut workers, hosted),
        };
        let worker = worker.downcast_mut::<Worker<S>>()?;
        let Worker {
            input,
            scratch,
            stack,
        } = &mut *worker;
        let result =
            stack.run(|| catch_unwind(AssertUnwindSafe(|| turn(borrower, input, scratch))));
        worker.release_large_buffers();
        result.ok()
    })
}

/// Makes this thread's worker of a hosted service.
#[cold]
#[inline(never)] // as `boxed`
fn add<'w, S: Service>(
    workers: &'w mut Vec<Option<Box<dyn Any>>>,
    hosted: &Hosted<S>,
) -> &'w mut Box<dyn Any> {
    if workers.len() <= hosted.number {
        workers.resize_with(hosted.number + 1, || None);
    }
    workers[hosted.number].insert(Worker::boxed(&*hosted.service))
}

/// A page-aligned stack with a guard page below it.
struct HandlerStack {
    base: *mut u8,
    bytes: usize,
}

#[allow(unsafe_code)] // std can neither map memory nor switch stacks
mod stack {
    use super::HandlerStack;

    /// Inaccessible bytes below the stack: larger than any frame that skips its probes, and the largest page of any
    /// Linux, so that the stack begins and ends with a page everywhere.
    const GUARD_BYTES: usize = 64 << 10;
    const _: () = assert!(super::HANDLER_STACK_BYTES.is_multiple_of(GUARD_BYTES));

    impl HandlerStack {
        /// Maps a stack of `bytes` (a multiple of the page size).
        pub(super) fn new(bytes: usize) -> Self {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: a fresh anonymous mapping at an address the kernel chooses; checked below.
            let base = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    GUARD_BYTES + bytes,
                    libc::PROT_NONE,
                    flags,
                    -1,
                    0,
                )
            };
            assert!(
                base != libc::MAP_FAILED,
                "no address space for a worker's stack"
            );
            let base: *mut u8 = base.cast();
            // SAFETY: the range above the guard lies inside the mapping just made.
            let opened = unsafe {
                libc::mprotect(
                    base.add(GUARD_BYTES).cast(),
                    bytes,
                    libc::PROT_READ | libc::PROT_WRITE,
                )
            };
            assert_eq!(opened, 0, "no memory for a worker's stack");
            Self { base, bytes }
        }

        /// Runs `f` on this stack.
        pub(super) fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
            // SAFETY: the range is mapped, writable, page-aligned and, because of `&mut self`, not in
            // use; `f` returns here (callers catch its panics), and never suspends the coroutine.
            unsafe { psm::on_stack(self.base.add(GUARD_BYTES), self.bytes, f) }
        }
    }

    impl Drop for HandlerStack {
        fn drop(&mut self) {
            // SAFETY: the mapping made in `new`, unmapped once.
            unsafe { libc::munmap(self.base.cast(), GUARD_BYTES + self.bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_stack_carries_deep_calls_and_panics() {
        fn depth(n: u64) -> u64 {
            let frame = std::hint::black_box([n; 64]);
            if n == 0 {
                0
            } else {
                depth(n - 1) + frame[63] / n
            }
        }
        let mut stack = HandlerStack::new(HANDLER_STACK_BYTES);
        // 500 frames of more than 512 bytes: four times a coroutine's stack.
        assert_eq!(stack.run(|| depth(500)), 500);
        let caught = stack.run(|| catch_unwind(|| std::panic::resume_unwind(Box::new(7u8))));
        assert_eq!(caught.unwrap_err().downcast_ref::<u8>(), Some(&7));
    }
}
