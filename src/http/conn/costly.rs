//! Where connections whose last turn was costly wait for their next one: behind all others.
//!
//! A worker polls its sockets once a round, and every connection that is ready gets a turn before the next poll. If
//! costly turns were among them, a cheap request would wait for as many of those as there are busy connections.
//! So each worker has a queue of costly connections, and only the first of them takes part in a round: a cheap
//! request waits for one costly turn, a costly one for one turn of each connection before it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

/// A connection that waits for its turn.
pub(super) trait Waiting: Send {
    /// Begins its next turn at `place`; false if it could not and is gone.
    fn start(self: Box<Self>, place: Place) -> bool;
}

/// The costly connections of one worker.
#[derive(Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Waiting>>,
    /// Whether a connection has left the queue and has not ended its turn yet.
    is_taken: bool,
}

/// The place of the connection whose turn it is. Its coroutine [holds](Place::hold) it during the turn.
pub(super) struct Place(&'static Queue);

/// Lets the next one in when it is dropped.
pub(super) struct Held(&'static Queue);

/// Puts `conn`, whose socket has this descriptor, at the end of its worker's queue.
pub(super) fn enter(descriptor: usize, conn: Box<dyn Waiting>) {
    static QUEUES: OnceLock<Box<[Queue]>> = OnceLock::new();
    let new = || {
        let workers = may::config().get_workers().max(1);
        (0..workers).map(|_| Queue::default()).collect()
    };
    let queues = QUEUES.get_or_init(new);
    queues[descriptor % queues.len()].push(conn);
}

impl Queue {
    fn push(&'static self, conn: Box<dyn Waiting>) {
        self.state().waiting.push_back(conn);
        self.advance();
    }

    /// Starts the first connection in the queue, unless another one has the place.
    fn advance(&'static self) {
        while let Some(next) = self.take() {
            if next.start(Place(self)) {
                return;
            }
            self.state().is_taken = false;
        }
    }

    fn take(&self) -> Option<Box<dyn Waiting>> {
        let mut state = self.state();
        if state.is_taken {
            return None;
        }
        let next = state.waiting.pop_front()?;
        state.is_taken = true;
        Some(next)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Holds the place until the returned value is dropped.
    pub(super) fn hold(self) -> Held {
        Held(self.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().is_taken = false;
        self.0.advance();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    type Log = Arc<Mutex<Vec<(u32, Option<Place>)>>>;

    /// Notes its start; `fails` if no coroutine can be had.
    struct Noted {
        number: u32,
        fails: bool,
        log: Log,
    }

    impl Waiting for Noted {
        fn start(self: Box<Self>, place: Place) -> bool {
            let place = (!self.fails).then_some(place);
            self.log.lock().unwrap().push((self.number, place));
            !self.fails
        }
    }

    #[test]
    fn one_has_the_place_and_the_others_follow_in_order() {
        let queue: &'static Queue = Box::leak(Box::default());
        let log = Log::default();
        for (number, fails) in [(1, false), (2, true), (3, true), (4, false), (5, false)] {
            let log = Arc::clone(&log);
            queue.push(Box::new(Noted { number, fails, log }));
        }
        let started = || log.lock().unwrap().iter().map(|s| s.0).collect::<Vec<_>>();
        let held = || {
            log.lock()
                .unwrap()
                .last_mut()
                .and_then(|s| s.1.take())
                .map(Place::hold)
        };
        assert_eq!(started(), [1]);
        drop(held().unwrap());
        assert_eq!(
            started(),
            [1, 2, 3, 4],
            "those that cannot start hold up nobody"
        );
        drop(held().unwrap());
        assert_eq!(started(), [1, 2, 3, 4, 5]);
        drop(held().unwrap());
        assert!(!queue.state().is_taken, "the place is free");
    }
}
