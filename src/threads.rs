//! Threads of a command that begin together, or not at all.

use std::{io, panic, thread};

use parking_lot::RwLock;

/// Runs each body on a thread of its own; returns their results in order. A panic continues in the caller.
///
/// # Errors
/// The system refuses a thread; then no body has begun.
pub fn run<T: Send>(
    bodies: impl IntoIterator<Item = impl FnOnce() -> T + Send>,
) -> io::Result<Vec<T>> {
    run_beside(bodies, || ()).map(|((), results)| results)
}

/// As [`run`], and runs `here` on this thread meanwhile; returns its result too.
///
/// # Errors
/// The system refuses a thread; then nothing has begun.
pub fn run_beside<T: Send, H>(
    bodies: impl IntoIterator<Item = impl FnOnce() -> T + Send>,
    here: impl FnOnce() -> H,
) -> io::Result<(H, Vec<T>)> {
    let all_are_there = RwLock::new(false);
    thread::scope(|scope| {
        let mut begin = all_are_there.write();
        let start = |body| {
            let wait = || *all_are_there.read();
            thread::Builder::new().spawn_scoped(scope, move || wait().then(body))
        };
        let threads = bodies
            .into_iter()
            .map(start)
            .collect::<io::Result<Vec<_>>>();
        *begin = threads.is_ok();
        drop(begin);
        let threads = threads?;
        let here = here();
        // All have ended before a panic goes on.
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let result =
            |result: thread::Result<_>| result.unwrap_or_else(|panic| panic::resume_unwind(panic));
        Ok((here, results.into_iter().filter_map(result).collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_panic_goes_on() {
        let squares = run((0..8).map(|n| move || n * n)).unwrap();
        assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36, 49]);
        let panicked = panic::catch_unwind(|| run([|| assert!(squares.is_empty())]));
        assert!(panicked.is_err());
    }
}
