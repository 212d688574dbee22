//! The questions of `pulse`: one thread asks, others answer when they come round.

use std::{os::unix::net::UnixStream, sync::Arc, thread};

use super::pulse::{AcceptBeat, Pulse};

/// A probe, and the accept thread's side of it.
fn new() -> (Pulse, Arc<AcceptBeat>, UnixStream) {
    let beat = Arc::new(AcceptBeat::default());
    let wake = UnixStream::default();
    (Pulse::new(Arc::clone(&beat), wake.clone()), beat, wake)
}

/// The accept thread until nobody will wake it again.
fn accept(beat: &AcceptBeat, woken: &UnixStream) {
    while woken.wait() {
        beat.answer(|| woken.drain());
    }
}

/// Two questions to a thread that goes on.
pub(super) fn accept_thread() {
    let (mut pulse, beat, wake) = new();
    let woken = wake.clone();
    let accepting = thread::spawn(move || accept(&beat, &woken));
    pulse.ask();
    pulse.ask();
    wake.end();
    accepting.join().unwrap();
    assert_eq!(pulse.silent(), None);
}

/// Two questions to a worker that is there all the time.
pub(super) fn worker() {
    may::config().set_workers(1);
    let (mut pulse, beat, _wake) = new();
    beat.stop();
    pulse.ask();
    pulse.ask();
    let _ = pulse.silent();
    may::coroutine::join_all();
    assert_eq!(pulse.silent(), None);
}

/// A question that crosses with the stop.
pub(super) fn stop() {
    let (mut pulse, beat, wake) = new();
    let stopping = thread::spawn(move || {
        beat.stop();
        wake.end();
    });
    pulse.ask();
    stopping.join().unwrap();
    assert_eq!(pulse.silent(), None);
}
