//! What decides a simulation: the random numbers of a plan, the choices of the world, and the story that is told of
//! them.

use std::cell::{Cell, RefCell};

/// Random numbers that follow from a seed (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Where a simulation's choices come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// From a seed.
    Seed(u64),
    /// These, and 0 for every further one: the world in its simplest order, without failures.
    Tape(Vec<u32>),
}

/// The choices of one simulation. Everything in the world shares it.
pub(super) struct Fate {
    source: Chooser,
    /// The choices so far, if they are kept.
    made: Option<RefCell<Vec<u32>>>,
    /// The story so far, if it is told.
    story: Option<RefCell<Vec<String>>>,
}

enum Chooser {
    Random(Cell<u64>),
    Tape(Vec<u32>, Cell<usize>),
}

impl Fate {
    /// Choices from `source`. They are kept and the story is told if `is_told`.
    pub(super) fn new(source: Source, is_told: bool) -> Self {
        Self {
            source: match source {
                Source::Seed(seed) => Chooser::Random(Cell::new(seed)),
                Source::Tape(tape) => Chooser::Tape(tape, Cell::new(0)),
            },
            made: is_told.then(RefCell::default),
            story: is_told.then(RefCell::default),
        }
    }

    /// A number below `end`, which is not 0. 0 is the choice in which nothing special happens.
    pub(super) fn below(&self, end: usize) -> usize {
        let chosen = match &self.source {
            Chooser::Random(state) => {
                let mut random = Random::new(state.get());
                let chosen = random.below(end);
                state.set(random.0);
                chosen
            }
            Chooser::Tape(tape, at) => {
                let chosen = tape.get(at.get()).map_or(0, |chosen| *chosen as usize);
                at.set(at.get() + 1);
                chosen.min(end - 1)
            }
        };
        if let Some(made) = &self.made {
            made.borrow_mut().push(chosen as u32);
        }
        chosen
    }

    /// Whether something special happens, as it does once in `n` times.
    pub(super) fn one_in(&self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of these; the first is nothing special.
    pub(super) fn of<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Adds a line to the story.
    #[inline]
    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(story) = &self.story {
            story.borrow_mut().push(line());
        }
    }

    /// The choices and the story, if they were kept.
    pub(super) fn told(&self) -> (Vec<u32>, Vec<String>) {
        let take = |made: &RefCell<Vec<u32>>| made.take();
        (
            self.made.as_ref().map(take).unwrap_or_default(),
            self.story.as_ref().map(|s| s.take()).unwrap_or_default(),
        )
    }
}
