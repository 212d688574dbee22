//! The slots of `watch`: connections that set, end and reuse them, a watcher that sweeps.

use std::{cell::Cell, rc::Rc, sync::Arc, thread, time::Duration};

use loom::{
    cell::UnsafeCell,
    sync::{Condvar, Mutex},
};

use super::{
    clock,
    watch::{Phase, Slots, Watch},
};

const HOUR: Duration = Duration::from_secs(3600);

/// A time by which every deadline of no length has passed.
const LATER_MS: u64 = 1000;

/// A descriptor number and the sockets that have it, one after the other.
#[derive(Default)]
struct Socket {
    /// The present socket may be shut down. Only one thread may open, close or handle it; `loom` reports a second one.
    may_be_shut: UnsafeCell<bool>,
    /// Shutdowns so far. No model of memory: every thread sees the last value.
    shutdowns: Cell<u32>,
    is_shut: Mutex<bool>,
    shut: Condvar,
}

impl Socket {
    fn allow_shutdown(&self, allow: bool) {
        // SAFETY: a `bool` is set; `loom` reports a concurrent reader.
        self.may_be_shut.with_mut(|may| unsafe { *may = allow });
    }

    /// shutdown(2), by the watcher.
    fn shut_down(&self) {
        // SAFETY: a `bool` is copied out; `loom` reports a concurrent writer.
        let may = self.may_be_shut.with(|may| unsafe { *may });
        assert!(
            may,
            "shuts down a socket that is closed, of another connection or not due"
        );
        self.shutdowns.set(self.shutdowns.get() + 1);
        *self.is_shut.lock().unwrap() = true;
        self.shut.notify_one();
    }

    /// Waits for the end of the stream, as a connection does.
    fn wait(&self) {
        let mut is_shut = self.is_shut.lock().unwrap();
        while !*is_shut {
            is_shut = self.shut.wait(is_shut).unwrap();
        }
    }
}

struct World {
    slots: Arc<Slots>,
    socket: Rc<Socket>,
}

impl World {
    fn new() -> Self {
        Self {
            slots: Arc::new(Slots::new(1)),
            socket: Rc::default(),
        }
    }

    /// A new connection, whose first deadline passes at once.
    fn due(&self, phase: Phase) -> Watch {
        self.socket.allow_shutdown(true);
        let mut watch = Watch::new(&self.slots, 0).unwrap();
        watch.start(phase, Duration::ZERO);
        watch
    }

    fn close(&self, watch: Watch) {
        drop(watch);
        self.socket.allow_shutdown(false);
    }

    /// A thread that sweeps once, when all short deadlines have passed.
    fn sweep(&self) -> thread::JoinHandle<()> {
        let (slots, socket) = (Arc::clone(&self.slots), Rc::clone(&self.socket));
        thread::spawn(move || {
            clock::set(LATER_MS);
            slots.sweep(|_, _| socket.shut_down());
        })
    }

    /// A thread that ends idle connections, as a stop does.
    fn end_idle(&self) -> thread::JoinHandle<()> {
        let (slots, socket) = (Arc::clone(&self.slots), Rc::clone(&self.socket));
        thread::spawn(move || slots.end_idle(|_, _| socket.shut_down()))
    }
}

/// The next connection has the number of one that ended while it was due, and is not due itself.
pub(super) fn no_shutdown_after_close() {
    let world = World::new();
    let watcher = world.sweep();
    let watch = world.due(Phase::Idle);
    world.close(watch);
    let mut watch = Watch::new(&world.slots, 0).unwrap();
    watch.start(Phase::Idle, HOUR);
    assert_eq!(watch.expired(), None);
    world.close(watch);
    watcher.join().unwrap();
}

pub(super) fn expiry_is_learnt() {
    let world = World::new();
    let mut watch = world.due(Phase::Head);
    let watcher = world.sweep();
    world.socket.wait();
    assert_eq!(watch.expired(), Some(Phase::Head));
    // It still answers 408, with a deadline for that.
    watch.renew(Phase::Write, HOUR);
    assert_eq!(watch.expired(), None);
    world.socket.allow_shutdown(false);
    world.close(watch);
    watcher.join().unwrap();
    assert_eq!(world.socket.shutdowns.get(), 1);
}

pub(super) fn a_handled_request_is_left_alone() {
    let world = World::new();
    let mut watch = world.due(Phase::Body);
    let watcher = world.sweep();
    watch.received();
    assert_eq!(watch.expired(), None);
    world.socket.allow_shutdown(false);
    watcher.join().unwrap();
    // Whether the deadline passed before or not: the next one is kept.
    watch.start(Phase::Idle, Duration::ZERO);
    world.socket.allow_shutdown(true);
    let before = world.socket.shutdowns.get();
    world.sweep().join().unwrap();
    assert_eq!(world.socket.shutdowns.get(), before + 1);
    assert_eq!(watch.expired(), Some(Phase::Idle));
}

pub(super) fn two_sweeps() {
    let world = World::new();
    let mut watch = world.due(Phase::Idle);
    let sweeps = [world.sweep(), world.end_idle()];
    // A request comes at the same time: it is too late, or its connection is not idle any more.
    watch.start(Phase::Head, HOUR);
    let is_late = watch.expired().is_some();
    if !is_late {
        world.socket.allow_shutdown(false);
    }
    sweeps.into_iter().for_each(|sweep| sweep.join().unwrap());
    assert_eq!(world.socket.shutdowns.get(), u32::from(is_late));
    world.close(watch);
}

/// Connections are accepted on two threads at once.
pub(super) fn every_slot_is_swept() {
    let slots = Arc::new(Slots::new(2));
    let accept = |descriptor| {
        let slots = Arc::clone(&slots);
        move || {
            let mut watch = Watch::new(&slots, descriptor).unwrap();
            watch.start(Phase::Idle, HOUR);
            watch
        }
    };
    let other = thread::spawn(accept(1));
    let watches = [accept(0)(), other.join().unwrap()];
    assert_eq!(slots.idle_count(), 2);
    let mut shut = 0;
    slots.end_idle(|_, _| shut += 1);
    assert_eq!(shut, 2);
    assert!(
        watches
            .iter()
            .all(|watch| watch.expired() == Some(Phase::Idle))
    );
}
