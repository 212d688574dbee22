//! The world of the models: what the product's lock-free files take from `std`, `parking_lot`, `may` and `rustix`, with
//! every step that threads can see of each other under the eyes of `loom`.
//!
//! `main.rs` gives this crate those four names, so the product's files are compiled as they are. What no model watches is
//! the real thing.

pub use std::*;

pub mod coroutine;
pub mod event;
mod mutex;
pub mod os;
pub mod sync;
pub mod thread;

/// `parking_lot::Mutex`.
pub use mutex::{Mutex, MutexGuard};

/// `may::config()`.
pub fn config() -> Config {
    Config
}

pub struct Config;

thread_local! {
    static WORKERS: cell::Cell<usize> = const { cell::Cell::new(0) };
}

impl Config {
    pub fn get_workers(&self) -> usize {
        WORKERS.get()
    }

    /// From now on this thread sees so many workers; 0 at first.
    pub fn set_workers(&self, workers: usize) {
        WORKERS.set(workers);
    }
}

/// Runs `model` in every interleaving of its threads and with every value that their loads may see. Returns how many those
/// were.
pub fn explore(model: fn()) -> usize {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    loom::model::Builder::new().check(move || {
        counted.fetch_add(1, Relaxed);
        thread::body(model);
    });
    count.load(Relaxed)
}
