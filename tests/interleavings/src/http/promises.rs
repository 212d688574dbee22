//! The wake-ups of `deferred`: a connection that waits, another thread that answers.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::{sync::Arc, thread};

use super::{
    Reply,
    deferred::{Deferred, Promise},
};
use crate::metrics::Counter;

/// What `finish` says of a promise that was dropped.
const DROPPED: u32 = u32::MAX;

/// A promise, the connection's side, and what it was answered with: 0 = not yet. That is no model of memory.
fn new() -> (Promise<u32>, Deferred, Arc<AtomicU32>) {
    let answer = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&answer);
    let (promise, deferred) = Deferred::new(move |value: Option<u32>, _: Reply<'_>| {
        seen.store(value.unwrap_or(DROPPED), Relaxed);
        Counter::First
    });
    (promise, deferred, answer)
}

/// What a connection does: a turn if the answer is there, else it parks and takes a turn then.
fn wait(deferred: Deferred) {
    if !deferred.is_ready() {
        deferred.park(Default::default());
    }
    assert!(deferred.is_ready(), "a wait ends without an answer");
    deferred.finish(Reply(&()));
}

pub(super) fn kept() {
    let (promise, deferred, answer) = new();
    let other = thread::spawn(move || promise.keep(7));
    wait(deferred);
    assert_eq!(answer.load(Relaxed), 7);
    other.join().unwrap();
}

pub(super) fn dropped() {
    let (promise, deferred, answer) = new();
    let other = thread::spawn(move || drop(promise));
    wait(deferred);
    assert_eq!(answer.load(Relaxed), DROPPED);
    other.join().unwrap();
}

/// Two requests of one connection: the wake for the first may come while it waits for the second.
pub(super) fn one_after_the_other() {
    let (first, deferred, answer) = new();
    let (second, next, next_answer) = new();
    let other = thread::spawn(move || {
        first.keep(7);
        second.keep(8);
    });
    wait(deferred);
    assert_eq!(answer.load(Relaxed), 7);
    wait(next);
    assert_eq!(next_answer.load(Relaxed), 8);
    other.join().unwrap();
}

/// The connection ends before it waits: the client did not read its earlier answers.
pub(super) fn abandoned() {
    let (promise, deferred, answer) = new();
    let other = thread::spawn(move || promise.keep(7));
    let _ = deferred.is_ready();
    drop(deferred);
    other.join().unwrap();
    assert_eq!(answer.load(Relaxed), 0, "nobody was there to be answered");
}

/// `Peer` asks a descriptor that the connection opens and closes meanwhile.
pub(super) fn peer() {
    let (promise, mut deferred, answer) = new();
    let peer = deferred.watch();
    let other = thread::spawn(move || {
        assert!(!peer.is_gone());
        promise.keep(7);
        assert!(!peer.is_gone());
    });
    wait(deferred);
    assert_eq!(answer.load(Relaxed), 7);
    other.join().unwrap();
}
