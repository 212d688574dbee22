//! A fixed number of threads that work through numbered tasks.

use crate::{etl::error::EtlError, threads};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Runs `body` on each of `workers` threads and returns the results, or the first worker's error. A panic continues in the caller.
pub fn run<S: Send>(
    workers: usize,
    body: impl Fn() -> Result<S, EtlError> + Sync,
) -> Result<Vec<S>, EtlError> {
    let workers = workers.max(1);
    let results = threads::run((0..workers).map(|_| &body));
    let refused = |source| EtlError::Threads { workers, source };
    results.map_err(refused)?.into_iter().collect()
}

/// Runs `task(state, index)` once for each index below `tasks`, on up to `workers` threads with a
/// state of their own each. The first error stops the others after the task they are in.
pub fn each<S: Send>(
    workers: usize,
    tasks: usize,
    start: impl Fn() -> Result<S, EtlError> + Sync,
    task: impl Fn(&mut S, usize) -> Result<(), EtlError> + Sync,
) -> Result<Vec<S>, EtlError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    run(workers, || {
        let mut state = start()?;
        while !failed.load(Relaxed) {
            let index = next.fetch_add(1, Relaxed);
            if index >= tasks {
                break;
            }
            task(&mut state, index).inspect_err(|_| failed.store(true, Relaxed))?;
        }
        Ok(state)
    })
}
