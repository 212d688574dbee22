//! From a simulation that fails to the shortest story that fails in the same way: with fewer clients, requests, pieces,
//! failures, and events in a simpler order.
//!
//! What is tried is a plan with something left out, and a tape of choices with something left out: a choice of 0 is
//! always the one where nothing special happens. A plan with less in it shifts the choices, so it gets several tapes.

use std::fmt;

use super::{
    Fault,
    check::{Ended, Violation},
    fate::Source,
    plan::{ClientPlan, Ending, How, Method, Plan, RequestPlan},
    world,
};

/// Simulations that shrinking may take: some seconds.
const TRIES_MAX: usize = 20_000;

/// How many further orders of events a simpler plan is tried with.
const SEEDS: u64 = 100;

/// A plan that can be simulated. It is displayed as the beginning of its story.
pub(super) trait Simulated: Clone + fmt::Display {
    /// Simulates it with the choices of `source`, and tells the story.
    fn told(&self, source: Source, fault: Option<Fault>) -> Ended;

    /// Plans with something less in them, the boldest first.
    fn simpler(&self) -> Vec<Self>;
}

/// The shortest simulation found.
pub(super) struct Shrunk<P> {
    pub(super) plan: P,
    pub(super) choices: Vec<u32>,
    pub(super) violation: Violation,
    pub(super) story: Vec<String>,
    fault: Option<Fault>,
    kind: String,
    tries: usize,
}

impl<P: Simulated> Shrunk<P> {
    /// Shrinks a simulation of `plan` that ended so.
    pub(super) fn from(plan: P, ended: Ended, fault: Option<Fault>) -> Option<Self> {
        let violation = ended.outcome.err()?;
        let mut shrunk = Self {
            plan,
            choices: ended.choices,
            kind: violation.kind(),
            violation,
            story: ended.story,
            fault,
            tries: 0,
        };
        // What the choices allow to leave out of the plan, and the other way round.
        while shrunk.shrink_plan() | shrunk.shrink_choices() {}
        Some(shrunk)
    }

    /// Tries a simulation; keeps it if it fails in the same way and `is_better` than the one kept, for which it gets
    /// story and choices.
    fn fails(
        &mut self,
        plan: &P,
        source: Source,
        is_better: impl FnOnce(&Self, &[String], &[u32]) -> bool,
    ) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let mut ended = plan.told(source, self.fault);
        while ended.choices.last() == Some(&0) {
            ended.choices.pop();
        }
        match ended.outcome {
            Err(violation)
                if violation.kind() == self.kind
                    && is_better(self, &ended.story, &ended.choices) =>
            {
                self.plan = plan.clone();
                self.choices = ended.choices;
                self.story = ended.story;
                self.violation = violation;
                true
            }
            _ => false,
        }
    }

    /// Leaves out of the plan what is not needed. Returns whether anything was.
    fn shrink_plan(&mut self) -> bool {
        let mut has_shrunk = false;
        let mut next = 0;
        // What comes behind one that could be left out now stands in its place.
        while let Some(plan) = self.plan.simpler().into_iter().nth(next) {
            let seeds = (0..SEEDS).map(Source::Seed);
            let tapes = [Source::Tape(self.choices.clone()), Source::Tape(Vec::new())];
            if tapes
                .into_iter()
                .chain(seeds)
                .any(|source| self.fails(&plan, source, |_, _, _| true))
            {
                has_shrunk = true;
            } else {
                next += 1;
            }
        }
        has_shrunk
    }

    /// Leaves out choices, or makes them 0, where that makes the story shorter or simpler. Returns whether it did.
    fn shrink_choices(&mut self) -> bool {
        let plan = self.plan.clone();
        let is_better =
            |kept: &Self, story: &[String], choices: &[u32]| weight(story, choices) < kept.weight();
        let mut has_shrunk = false;
        let mut span = self.choices.len().next_power_of_two();
        while span > 0 {
            let mut at = 0;
            while at < self.choices.len() {
                let end = self.choices.len().min(at + span);
                let mut without = self.choices.clone();
                without.drain(at..end);
                let mut simple = self.choices.clone();
                simple[at..end].fill(0);
                let mut lower = self.choices.clone();
                lower[at] /= 2;
                if [without, simple, lower]
                    .into_iter()
                    .any(|tape| self.fails(&plan, Source::Tape(tape), is_better))
                {
                    has_shrunk = true;
                } else {
                    at += span;
                }
            }
            span /= 2;
        }
        has_shrunk
    }

    fn weight(&self) -> (usize, usize, u64) {
        weight(&self.story, &self.choices)
    }
}

impl<P: Simulated> fmt::Display for Shrunk<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.violation.0)?;
        let tries = self.tries;
        writeln!(f, "the shortest story of {tries} simulations:")?;
        write!(f, "{}", self.plan)?;
        for line in &self.story {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

/// How long and how special a story is.
fn weight(story: &[String], choices: &[u32]) -> (usize, usize, u64) {
    let special = choices.iter().filter(|choice| **choice != 0).count();
    let sum = choices.iter().map(|choice| u64::from(*choice)).sum();
    (story.len(), special, sum)
}

/// What differs from a plan.
pub(super) struct Variants<'p, P> {
    plan: &'p P,
    pub(super) found: Vec<P>,
}

impl<'p, P: Clone + PartialEq> Variants<'p, P> {
    pub(super) fn of(plan: &'p P) -> Self {
        Self {
            plan,
            found: Vec::new(),
        }
    }

    /// Adds the plan with this change, if that changes it.
    pub(super) fn with(&mut self, change: impl FnOnce(&mut P)) {
        let mut changed = self.plan.clone();
        change(&mut changed);
        if changed != *self.plan {
            self.found.push(changed);
        }
    }

    /// Adds the plans without one member of a list, the last one first, unless it is the only one.
    pub(super) fn with_one_less<T>(&mut self, list: impl Fn(&mut P) -> &mut Vec<T>) {
        let count = list(&mut self.plan.clone()).len();
        for index in (0..count).rev().filter(|_| count > 1) {
            self.with(|plan| drop(list(plan).remove(index)));
        }
    }
}

impl Simulated for Plan {
    fn told(&self, source: Source, fault: Option<Fault>) -> Ended {
        world::run(self, source, fault, true)
    }

    fn simpler(&self) -> Vec<Self> {
        let mut plans = Variants::of(self);
        plans.with_one_less(|plan| &mut plan.clients);
        for (index, client) in self.clients.iter().enumerate() {
            for simple in simpler_clients(client) {
                plans.with(|plan| plan.clients[index] = simple);
            }
        }
        plans.with(|plan| plan.requests_max = 0);
        plans.with(|plan| plan.batch_max = 256);
        plans.with(|plan| plan.write_bytes_max = 256 << 10);
        plans.with(|plan| plan.budget_bytes = 512 << 20);
        plans.with(|plan| plan.is_costly = false);
        plans.with(|plan| plan.input_bytes = 16 << 10);
        plans.with(|plan| plan.sent_bytes = 1 << 20);
        plans.with(|plan| plan.ticks_in_turns = 0);
        plans.with(|plan| plan.lacks_memory = false);
        plans.with(|plan| plan.reload_every = 0);
        plans.with(|plan| plan.reload_every = plan.reload_every.saturating_mul(2).min(1000));
        plans.with(|plan| plan.end_idle_at = None);
        plans.with(|plan| {
            plan.announce_at = None;
            plan.end_idle_at = None;
        });
        plans.with(|plan| plan.announce_at = plan.announce_at.map(|at| at / 2));
        plans.with(|plan| plan.end_idle_at = plan.end_idle_at.map(|at| at / 2));
        plans.found
    }
}

fn simpler_clients(client: &ClientPlan) -> Vec<ClientPlan> {
    let mut clients = Variants::of(client);
    let (requests, cuts) = (client.requests.len(), client.cuts.len());
    clients.with(|client| client.requests.truncate(requests / 2));
    clients.with(|client| {
        client.requests.drain(..requests / 2);
    });
    clients.with(|client| client.cuts.clear());
    clients.with(|client| client.cuts.truncate(cuts / 2));
    clients.with(|client| {
        client.cuts.drain(..cuts / 2);
    });
    // A client that stays until its time is over makes the longest story, one that ends its side the shortest.
    clients.with(|client| client.ending = Ending::Finish);
    clients.with(|client| client.room = 1 << 20);
    for index in (0..requests).rev() {
        clients.with(|client| {
            client.requests.remove(index);
        });
        for simple in simpler_requests(client.requests[index]) {
            clients.with(|client| client.requests[index] = simple);
        }
    }
    for index in (0..cuts).rev() {
        clients.with(|client| {
            client.cuts.remove(index);
        });
        clients.with(|client| client.cuts[index].pauses = false);
    }
    clients.found
}

fn simpler_requests(request: RequestPlan) -> [RequestPlan; 6] {
    let how = match request.how {
        How::Now | How::Later => How::Now,
        _ => How::Later,
    };
    [
        RequestPlan {
            method: Method::Get,
            how: How::Now,
            size: 0,
            body: 0,
        },
        RequestPlan {
            method: Method::Get,
            ..request
        },
        RequestPlan {
            how: How::Now,
            ..request
        },
        RequestPlan { how, ..request },
        RequestPlan {
            size: request.size / 2,
            ..request
        },
        RequestPlan {
            body: request.body / 2,
            ..request
        },
    ]
}
