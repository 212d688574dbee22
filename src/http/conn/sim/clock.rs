//! The simulated clock and the watcher: a tick passes between turns when nothing else can happen, and now and then
//! within one.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use super::{Fault, fate::Fate, wire::Shared};
use crate::http::{
    clock::{self, simulated},
    watch::{Phase, Slots},
};

pub(super) const TICK_MS: u64 = clock::TICK.as_millis() as u64;

/// The time on the clock of deadlines when a simulation begins.
const BEGIN_MS: u64 = 1_000_000;

pub(super) struct SimClock {
    fate: Rc<Fate>,
    fault: Option<Fault>,
    slots: Arc<Slots>,
    /// By the number of their sockets.
    wires: RefCell<Vec<Shared>>,
    now_ms: Cell<u64>,
    /// How much of that passed within turns.
    in_turns_ms: Cell<u64>,
    /// Ticks that may still pass at system calls.
    ticks_left: Cell<usize>,
}

impl SimClock {
    pub(super) fn new(
        fate: &Rc<Fate>,
        fault: Option<Fault>,
        slots: &Arc<Slots>,
        ticks_in_turns: usize,
    ) -> Rc<Self> {
        simulated::set(Some(BEGIN_MS));
        Rc::new(Self {
            fate: Rc::clone(fate),
            fault,
            slots: Arc::clone(slots),
            wires: RefCell::default(),
            now_ms: Cell::new(0),
            in_turns_ms: Cell::new(0),
            ticks_left: Cell::new(ticks_in_turns),
        })
    }

    pub(super) fn add(&self, wire: &Shared) {
        self.wires.borrow_mut().push(Rc::clone(wire));
    }

    /// Gives `wire` the number of a socket that was closed, or a new one.
    pub(super) fn put(&self, number: usize, wire: &Shared) {
        let mut wires = self.wires.borrow_mut();
        let len = wires.len().max(number + 1);
        wires.resize_with(len, || Rc::clone(wire));
        wires[number] = Rc::clone(wire);
    }

    /// Since the simulation began.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// The time that passed within turns, by which everything else may be late.
    pub(super) fn in_turns_ms(&self) -> u64 {
        self.in_turns_ms.get()
    }

    /// A system call of a turn: perhaps a tick passes before it.
    #[inline]
    pub(super) fn at_system_call(&self) {
        if self.ticks_left.get() > 0 && self.fate.one_in(30) {
            self.ticks_left.set(self.ticks_left.get() - 1);
            self.pass_a_tick_in_a_turn();
        }
    }

    pub(super) fn pass_a_tick_in_a_turn(&self) {
        self.in_turns_ms.set(self.in_turns_ms.get() + TICK_MS);
        self.fate.tell(|| "    meanwhile a tick passes".to_owned());
        self.pass_a_tick();
    }

    /// Lets a tick pass and shuts down the connections whose deadline has passed.
    pub(super) fn pass_a_tick(&self) {
        let now_ms = self.now_ms.get() + TICK_MS;
        self.now_ms.set(now_ms);
        simulated::set(Some(BEGIN_MS + now_ms));
        if self.fault == Some(Fault::NoDeadline) {
            return;
        }
        self.slots.sweep(|number, phase| {
            self.fate.tell(|| {
                format!("{now_ms} ms: the deadline of connection {number} passes: {phase:?}")
            });
            let wires = self.wires.borrow();
            wires[number as usize]
                .borrow_mut()
                .shut_down(phase == Phase::Write);
        });
    }

    /// Ends the idle connections, as a server that stops does. Returns their numbers.
    pub(super) fn end_idle(&self) -> Vec<usize> {
        let mut ended = Vec::new();
        self.slots.end_idle(|number, _| {
            self.fate
                .tell(|| format!("the server ends idle connection {number}"));
            self.wires.borrow()[number as usize]
                .borrow_mut()
                .shut_down(false);
            ended.push(number as usize);
        });
        ended
    }
}
