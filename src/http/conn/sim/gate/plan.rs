//! What a simulation of the accept loop is about: the bounds of the server and the kernel, the listeners, the clients, the
//! moment of the stop.

use std::fmt;

use crate::http::conn::sim::{
    Fault,
    check::Ended,
    fate::{Random, Source},
    shrink::{Simulated, Variants},
};

/// Descriptors, connections or slots of which there are always enough.
const MANY: usize = 100;

/// A simulation without its choices.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct GatePlan {
    pub(super) connections_max: usize,
    pub(super) descriptors_max: usize,
    pub(super) slots: usize,
    /// Which of the two listeners is inherited.
    pub(super) is_inherited: [bool; 2],
    /// Whether the kernel lets a listener stop new handshakes.
    pub(super) can_refuse: bool,
    pub(super) stop_at: usize,
    /// The listener of each client.
    pub(super) clients: Vec<usize>,
}

impl GatePlan {
    /// The plan that follows from a seed.
    pub(super) fn new(random: &mut Random) -> Self {
        let descriptors_max = random.of(&[2, 3, 5, MANY, MANY]);
        let connections_max = random.of(&[1, 2, MANY]);
        let slots = random.of(&[MANY, MANY, MANY, 2]);
        let count = 1 + random.below(8);
        Self {
            connections_max,
            descriptors_max,
            slots,
            is_inherited: [false, random.one_in(2)],
            can_refuse: !random.one_in(8),
            stop_at: random.below(40),
            clients: (0..count).map(|_| random.below(2)).collect(),
        }
    }
}

impl Simulated for GatePlan {
    fn told(&self, source: Source, fault: Option<Fault>) -> Ended {
        super::run(self, source, fault, true)
    }

    fn simpler(&self) -> Vec<Self> {
        let mut plans = Variants::of(self);
        plans.with_one_less(|plan| &mut plan.clients);
        for index in (0..self.clients.len()).rev() {
            plans.with(|plan| plan.clients[index] = 0);
        }
        plans.with(|plan| plan.connections_max = MANY);
        plans.with(|plan| plan.descriptors_max = MANY);
        plans.with(|plan| plan.slots = MANY);
        plans.with(|plan| plan.is_inherited = [false; 2]);
        plans.with(|plan| plan.can_refuse = true);
        plans.with(|plan| plan.stop_at = 0);
        plans.with(|plan| plan.stop_at /= 2);
        plans.found
    }
}

/// What is special about it.
impl fmt::Display for GatePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = [
            ("connections_max", self.connections_max),
            ("descriptors", self.descriptors_max),
            ("slots", self.slots),
        ];
        for (name, is) in bounds {
            if is != MANY {
                writeln!(f, "  {name}: {is}")?;
            }
        }
        if self.is_inherited[1] {
            writeln!(f, "  listener 1 is inherited")?;
        }
        if !self.can_refuse {
            writeln!(f, "  no listener can stop new handshakes")?;
        }
        writeln!(f, "  listeners of the clients: {:?}", self.clients)?;
        writeln!(f, "  step at which the server stops: {}", self.stop_at)?;
        write!(f, "what happens:")
    }
}
