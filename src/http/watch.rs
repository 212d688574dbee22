//! Deadlines of connections without timers: one slot per descriptor, one thread that reads the slots.
//!
//! A connection writes its phase and deadline into the slot of its descriptor; the watcher reads all slots
//! once per [`clock::TICK`] and shuts down the socket of every expired one, which wakes the connection's
//! coroutine on its own worker. A connection pays at most one compare-and-swap per tick, however many
//! requests it sends; 20,000 idle connections cost 160 kB read four times a second.
//!
//! | slot | set by | means |
//! | --- | --- | --- |
//! | 0 | connection | descriptor not in use |
//! | phase, deadline | connection | expires at the deadline |
//! | `CLOSING` | watcher | about to be shut down: the descriptor must not be closed now |
//! | `EXPIRED`, phase | watcher | has been shut down; the connection reads why and ends |

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::*},
    },
    time::Duration,
};

use super::clock;

/// What a connection waits for; decides what expiry does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    /// A request was answered and none has begun since: closed without an answer.
    Idle = 1,
    /// A head has begun: 408.
    Head = 2,
    /// A body has begun: 408.
    Body = 3,
    /// The peer does not read its answers: reset.
    Write = 4,
    /// The server waits for the peer to close: closed.
    Linger = 5,
    /// A handler waits for another service, which has its own deadline: never expires.
    Handler = 6,
    /// New; the first request is still to come: as `Idle`, but a stopping server leaves it until its
    /// deadline.
    Fresh = 7,
}

const PHASE_BITS: u32 = 3;
const PHASE_MASK: u64 = (1 << PHASE_BITS) - 1;
const EXPIRED: u64 = 1 << 63;
const CLOSING: u64 = u64::MAX;
const FREE: u64 = 0;

/// The slots of all descriptors a process may have.
pub struct Slots {
    slots: Box<[AtomicU64]>,
    /// Upper end of the slots ever used: the kernel hands out the lowest free descriptor, so the watcher of
    /// a quiet server reads few slots.
    end: AtomicUsize,
}

impl Slots {
    /// Slots for the descriptors below `descriptors_max`.
    pub fn new(descriptors_max: usize) -> Self {
        let slots = (0..descriptors_max).map(|_| AtomicU64::new(FREE)).collect();
        Self {
            slots,
            end: AtomicUsize::new(0),
        }
    }

    /// The slot of a descriptor; `None` from `descriptors_max` on.
    pub fn get(&self, descriptor: i32) -> Option<&AtomicU64> {
        self.slots.get(usize::try_from(descriptor).ok()?)
    }

    /// Expires every connection past its deadline: calls `shut` with the descriptor and its phase.
    pub fn sweep(&self, shut: impl FnMut(i32, Phase)) {
        let now = clock::milliseconds();
        self.expire(shut, |slot| {
            if slot >> PHASE_BITS <= now {
                phase_of(slot)
            } else {
                None
            }
        });
    }

    /// Expires every connection that waits for a further request, whatever its deadline.
    pub fn end_idle(&self, shut: impl FnMut(i32, Phase)) {
        self.expire(shut, |slot| {
            phase_of(slot).filter(|phase| *phase == Phase::Idle)
        });
    }

    /// Connections that wait for a further request.
    pub fn idle_count(&self) -> usize {
        let watched = &self.slots[..self.end.load(Acquire)];
        let idle = |slot: &&AtomicU64| phase_of(slot.load(Relaxed)) == Some(Phase::Idle);
        watched.iter().filter(idle).count()
    }

    fn expire(&self, mut shut: impl FnMut(i32, Phase), due: impl Fn(u64) -> Option<Phase>) {
        let watched = &self.slots[..self.end.load(Acquire)];
        for (descriptor, slot) in watched.iter().enumerate() {
            let seen = slot.load(Relaxed);
            if seen == FREE || seen & EXPIRED != 0 {
                continue;
            }
            let Some(phase) = due(seen) else { continue };
            // The connection does not close its descriptor while the slot is CLOSING, so `shut` cannot hit a
            // descriptor that the kernel has given to another socket meanwhile.
            if slot
                .compare_exchange(seen, CLOSING, AcqRel, Relaxed)
                .is_ok()
            {
                shut(descriptor as i32, phase);
                slot.store(EXPIRED | phase as u64, Release);
            }
        }
    }
}

fn phase_of(slot: u64) -> Option<Phase> {
    [
        Phase::Idle,
        Phase::Head,
        Phase::Body,
        Phase::Write,
        Phase::Linger,
        Phase::Fresh,
    ]
    .into_iter()
    .find(|phase| *phase as u64 == slot & PHASE_MASK)
}

/// A connection's side of its slot.
pub struct Watch {
    slots: Arc<Slots>,
    descriptor: i32,
    written: u64,
}

impl Watch {
    /// Takes over the slot of an open descriptor; `None` if there is no slot for it.
    pub fn new(slots: &Arc<Slots>, descriptor: i32) -> Option<Self> {
        slots.get(descriptor)?;
        slots.end.fetch_max(descriptor as usize + 1, AcqRel);
        Some(Self {
            slots: Arc::clone(slots),
            descriptor,
            written: FREE,
        })
    }

    /// Starts `phase`, with a deadline `timeout` from now.
    pub fn start(&mut self, phase: Phase, timeout: Duration) {
        self.write(phase, clock::deadline_ms(timeout));
    }

    /// Like [`start`](Self::start), with a timeout in milliseconds, for what every turn does.
    #[inline]
    pub fn start_ms(&mut self, phase: Phase, timeout_ms: u64) {
        self.write(phase, clock::deadline_after_ms(timeout_ms));
    }

    /// Like [`start`](Self::start), but if this phase is already running its deadline stays.
    /// Returns whether it was started.
    pub fn ensure(&mut self, phase: Phase, timeout: Duration) -> bool {
        let is_new = self.written & PHASE_MASK != phase as u64;
        if is_new {
            self.start(phase, timeout);
        }
        is_new
    }

    /// Sets a further deadline after one has passed. The socket stays shut down for reading: its remaining
    /// bytes can be read, then the end.
    pub fn renew(&mut self, phase: Phase, timeout: Duration) {
        self.release();
        self.written = FREE;
        self.start(phase, timeout);
    }

    /// A request has come whole: its client owes nothing while it is handled, however long that takes. If its
    /// deadline has passed at this moment, it is answered nevertheless, and nothing can be read after it.
    #[inline]
    pub fn received(&mut self) {
        let phase = self.written & PHASE_MASK;
        if phase == Phase::Head as u64 || phase == Phase::Body as u64 {
            self.end_receiving();
        }
    }

    #[cold]
    fn end_receiving(&mut self) {
        self.pause();
        if self.expired().is_some() {
            self.release();
            self.written = FREE;
            self.pause();
        }
    }

    /// Frees the slot, after the watcher is done with it.
    fn release(&self) {
        let Some(slot) = self.slots.get(self.descriptor) else {
            return;
        };
        loop {
            let seen = slot.load(Acquire);
            // CLOSING: the watcher is about to call shutdown(2) on this descriptor; it ends at once.
            if seen != CLOSING && slot.compare_exchange(seen, FREE, AcqRel, Relaxed).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// No deadline until the next phase starts.
    pub fn pause(&mut self) {
        self.write(Phase::Handler, u64::MAX >> (PHASE_BITS + 2));
    }

    #[inline]
    fn write(&mut self, phase: Phase, deadline_ms: u64) {
        let value = (deadline_ms << PHASE_BITS | phase as u64) & !EXPIRED;
        if value != self.written {
            self.exchange(value);
        }
    }

    #[inline(never)] // once a tick
    fn exchange(&mut self, value: u64) {
        // If the watcher came first, the slot stays expired: its shutdown cannot be undone.
        let slot = self.slots.get(self.descriptor);
        if slot.is_some_and(|slot| {
            slot.compare_exchange(self.written, value, AcqRel, Relaxed)
                .is_ok()
        }) {
            self.written = value;
        }
    }

    /// The phase whose deadline passed, if one did.
    pub fn expired(&self) -> Option<Phase> {
        let slot = self.slots.get(self.descriptor)?.load(Acquire);
        // CLOSING has the EXPIRED bit too; the phase is the one written last.
        if slot & EXPIRED != 0 {
            phase_of(self.written)
        } else {
            None
        }
    }
}

impl Drop for Watch {
    /// Frees the slot. Must run before the descriptor is closed: declare it before the stream.
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets the clock of deadlines go on by more than a tick.
    fn pass_a_tick() {
        std::thread::sleep(clock::TICK + Duration::from_millis(20));
        clock::refresh();
    }

    fn watched() -> (Arc<Slots>, Watch) {
        clock::refresh();
        let slots = Arc::new(Slots::new(8));
        let watch = Watch::new(&slots, 5).unwrap();
        (slots, watch)
    }

    fn swept(slots: &Slots) -> Vec<(i32, Phase)> {
        let mut shut = Vec::new();
        slots.sweep(|descriptor, phase| shut.push((descriptor, phase)));
        shut
    }

    #[test]
    fn only_due_connections_are_shut_down_and_only_once() {
        let (slots, mut watch) = watched();
        assert_eq!(swept(&slots), []);
        watch.start(Phase::Idle, Duration::from_secs(3600));
        assert_eq!(swept(&slots), []);
        watch.start(Phase::Head, Duration::ZERO);
        assert_eq!(watch.expired(), None);
        assert_eq!(swept(&slots), [], "not before its time");
        pass_a_tick();
        assert_eq!(swept(&slots), [(5, Phase::Head)]);
        assert_eq!(watch.expired(), Some(Phase::Head));
        assert_eq!(swept(&slots), []);
    }

    #[test]
    fn a_request_that_has_come_does_not_expire_while_it_is_handled() {
        for phase in [Phase::Head, Phase::Body] {
            let (slots, mut watch) = watched();
            watch.start(phase, Duration::ZERO);
            watch.received();
            pass_a_tick();
            assert_eq!((swept(&slots), watch.expired()), (vec![], None));
            watch.start(phase, Duration::ZERO);
            pass_a_tick();
            assert_eq!(swept(&slots), [(5, phase)]);
            watch.received();
            assert_eq!((swept(&slots), watch.expired()), (vec![], None));
        }
    }

    #[test]
    fn an_expired_slot_stays_expired_until_it_is_freed() {
        let (slots, mut watch) = watched();
        watch.start(Phase::Body, Duration::ZERO);
        pass_a_tick();
        swept(&slots);
        watch.start(Phase::Idle, Duration::from_secs(3600));
        assert_eq!(watch.expired(), Some(Phase::Body));
        drop(watch);
        assert_eq!(Watch::new(&slots, 5).unwrap().expired(), None);
    }

    #[test]
    fn a_renewed_slot_expires_again() {
        let (slots, mut watch) = watched();
        watch.start(Phase::Idle, Duration::from_secs(3600));
        slots.end_idle(|_, _| {});
        watch.renew(Phase::Head, Duration::from_secs(3600));
        assert_eq!((watch.expired(), swept(&slots)), (None, vec![]));
        watch.start(Phase::Head, Duration::ZERO);
        pass_a_tick();
        assert_eq!(swept(&slots), [(5, Phase::Head)]);
        assert_eq!(watch.expired(), Some(Phase::Head));
    }

    #[test]
    fn ensure_keeps_a_running_deadline() {
        let (slots, mut watch) = watched();
        watch.start(Phase::Head, Duration::ZERO);
        watch.ensure(Phase::Head, Duration::from_secs(3600));
        pass_a_tick();
        assert_eq!(swept(&slots), [(5, Phase::Head)]);
    }

    #[test]
    fn handlers_are_never_due_and_idle_ones_can_be_ended_early() {
        let (slots, mut watch) = watched();
        watch.pause();
        assert_eq!(swept(&slots), []);
        slots.end_idle(|_, _| panic!("not idle"));
        watch.start(Phase::Idle, Duration::from_secs(3600));
        let mut ended = 0;
        slots.end_idle(|_, _| ended += 1);
        assert_eq!((ended, watch.expired()), (1, Some(Phase::Idle)));
    }

    #[test]
    fn descriptors_without_a_slot_are_refused() {
        let slots = Arc::new(Slots::new(8));
        assert!(Watch::new(&slots, 8).is_none());
        assert!(Watch::new(&slots, -1).is_none());
    }
}
