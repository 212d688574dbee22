//! `may::coroutine`: a coroutine is a thread here.

use std::{cell::RefCell, io, sync::Arc};

use crate::thread;

/// A coroutine that can be woken. A wake that comes before its `park` is not lost.
#[derive(Clone)]
pub struct Coroutine(Arc<Token>);

struct Token {
    is_woken: loom::sync::Mutex<bool>,
    woken: loom::sync::Condvar,
}

crate::thread_local! {
    static CURRENT: RefCell<Option<Coroutine>> = const { RefCell::new(None) };
    static STARTED: RefCell<Vec<thread::JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

/// The running coroutine.
pub fn current() -> Coroutine {
    let new = || {
        Coroutine(Arc::new(Token {
            is_woken: loom::sync::Mutex::new(false),
            woken: loom::sync::Condvar::new(),
        }))
    };
    CURRENT.with(|current| current.borrow_mut().get_or_insert_with(new).clone())
}

/// Waits until the running coroutine is woken.
pub fn park() {
    let Coroutine(token) = current();
    let mut is_woken = token.is_woken.lock().unwrap();
    while !*is_woken {
        is_woken = token.woken.wait(is_woken).unwrap();
    }
    *is_woken = false;
}

impl Coroutine {
    pub fn unpark(&self) {
        *self.0.is_woken.lock().unwrap() = true;
        self.0.woken.notify_one();
    }
}

/// Starts coroutines.
pub struct Builder;

impl Builder {
    #[expect(clippy::new_without_default, reason = "as in `may`")]
    pub fn new() -> Self {
        Self
    }

    pub fn id(self, _worker: usize) -> Self {
        self
    }

    /// # Safety
    /// None is needed here; `may` needs it.
    pub unsafe fn spawn(self, run: impl FnOnce() + 'static) -> io::Result<()> {
        let started = thread::spawn(run);
        STARTED.with(|all| all.borrow_mut().push(started));
        Ok(())
    }
}

/// Waits for all coroutines that this thread has started.
pub fn join_all() {
    let started = STARTED.with(RefCell::take);
    started.into_iter().for_each(|one| one.join().unwrap());
}
