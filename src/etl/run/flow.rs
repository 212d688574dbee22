//! Whether all that the stages have written has arrived: each part of the report says what its task took and gave.
//!
//! A task whose output is lost leaves no trace in what is left of it. So every task counts the records that it took from the
//! stage before and gave to the next, and the parts of the report that it passed on, and `build` compares: what one stage
//! gave, the next must have taken.

use crate::etl::error::EtlError;
use serde::{Deserialize, Serialize};

/// The stages in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// A task of `reduce` to which nothing came: it may be of either, and nothing depends on it.
    #[default]
    Idle,
    /// `map`.
    Map,
    /// The first `reduce`.
    Tweets,
    /// The second `reduce`.
    Users,
    /// `values`, for a cluster engine only.
    Values,
}

/// Records of one kind between two stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Written by the earlier stage.
    pub given: u64,
    /// Read by the later one.
    pub taken: u64,
}

impl Moved {
    fn add(&mut self, other: Self) {
        self.given += other.given;
        self.taken += other.taken;
    }

    fn check(self, what: &'static str) -> Result<(), EtlError> {
        if self.given == self.taken {
            return Ok(());
        }
        Err(EtlError::Lost {
            what,
            given: self.given,
            taken: self.taken,
        })
    }
}

/// What one task has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The stage of the task.
    pub stage: Stage,
    /// Parts of the report that it passed on.
    pub parts: u64,
    /// From `map` to the first `reduce`.
    pub tweets: Moved,
    /// From the first `reduce` to the second.
    pub users: Moved,
    /// Hashtags, from the first `reduce` to the second.
    pub tags: Moved,
    /// From the second `reduce` to `values`, or to a `build` that reads records.
    pub pairs: Moved,
}

impl Flow {
    /// The flow of a task of `map`.
    pub(crate) fn mapped(records: u64) -> Self {
        Self {
            stage: Stage::Map,
            tweets: Moved {
                given: records,
                taken: 0,
            },
            ..Self::default()
        }
    }

    /// Notes a part that the task passes on: `line` is its JSON.
    pub(crate) fn pass(&mut self, line: &[u8]) -> Result<(), EtlError> {
        #[derive(Deserialize)]
        struct Passed {
            #[serde(default)]
            flow: Flow,
        }
        let passed: Passed = serde_json::from_slice(line).map_err(|_| EtlError::record(line))?;
        self.parts += u64::from(passed.flow.stage != Stage::Idle);
        // Without a record the parts say which stage this is.
        let next = match passed.flow.stage {
            Stage::Idle => Stage::Idle,
            Stage::Map => Stage::Tweets,
            Stage::Tweets | Stage::Users | Stage::Values => Stage::Users,
        };
        self.stage = self.stage.max(next);
        Ok(())
    }

    /// Notes which `reduce` this was: its records say it, or else hashtags or the parts do.
    pub(crate) fn settle(&mut self, are_tweets: Option<bool>) {
        self.stage = match are_tweets {
            Some(true) => Stage::Tweets,
            Some(false) => Stage::Users,
            None if self.tags.taken > 0 => Stage::Users,
            None => self.stage,
        };
    }
}

/// Adds up what all tasks have moved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flows {
    all: Flow,
    /// By stage: its parts, and the parts that it passed on.
    parts: [Moved; 5],
}

impl Flows {
    pub(crate) fn add(&mut self, flow: Flow) {
        self.all.tweets.add(flow.tweets);
        self.all.users.add(flow.users);
        self.all.tags.add(flow.tags);
        self.all.pairs.add(flow.pairs);
        let parts = &mut self.parts[flow.stage as usize];
        parts.given += 1;
        parts.taken += flow.parts;
    }

    /// Refuses if something has not arrived, or has arrived twice. `pairs` have been read by `build` itself; without them it
    /// reads files of values.
    pub(crate) fn check(mut self, pairs: Option<u64>) -> Result<(), EtlError> {
        let last = match pairs {
            Some(pairs) => {
                self.all.pairs.taken += pairs;
                Stage::Users
            }
            None => Stage::Values,
        };
        self.all.tweets.check("records of tweets")?;
        self.all.users.check("records of users")?;
        self.all.tags.check("records of hashtags")?;
        self.all.pairs.check("records of contacts")?;
        let mut given = 0;
        for stage in [Stage::Map, Stage::Tweets, Stage::Users, Stage::Values] {
            let parts = self.parts[stage as usize];
            if stage > Stage::Map && stage <= last {
                let taken = parts.taken;
                Moved { given, taken }.check("parts of the report")?;
            }
            given += parts.given;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tasks of a small job: two of each stage, and one that had nothing to do.
    fn job() -> Vec<Flow> {
        let moved = |given, taken| Moved { given, taken };
        let of = |stage, parts| Flow {
            stage,
            parts,
            ..Flow::default()
        };
        vec![
            Flow::mapped(5),
            Flow::mapped(0),
            Flow {
                tweets: moved(0, 5),
                users: moved(9, 0),
                tags: moved(2, 0),
                ..of(Stage::Tweets, 2)
            },
            of(Stage::Idle, 0),
            Flow {
                users: moved(0, 4),
                tags: moved(0, 2),
                pairs: moved(3, 0),
                ..of(Stage::Users, 3)
            },
            Flow {
                users: moved(0, 5),
                pairs: moved(4, 0),
                ..of(Stage::Users, 0)
            },
            Flow {
                pairs: moved(0, 7),
                ..of(Stage::Values, 5)
            },
        ]
    }

    fn check(flows: &[Flow], pairs: Option<u64>) -> Result<(), EtlError> {
        let mut all = Flows::default();
        flows.iter().for_each(|flow| all.add(*flow));
        all.check(pairs)
    }

    #[test]
    fn a_part_that_is_missing_or_comes_twice_is_refused() {
        let whole = job();
        check(&whole, None).unwrap();
        let piped = &whole[..6];
        check(piped, Some(7)).unwrap();
        assert!(check(piped, Some(6)).is_err());
        for (flows, pairs) in [(&whole[..], None), (piped, Some(7))] {
            for at in (0..flows.len()).filter(|at| *at != 3) {
                let mut lost = flows.to_vec();
                lost.remove(at);
                let mut twice = flows.to_vec();
                twice.push(flows[at]);
                for flows in [lost, twice] {
                    let result = check(&flows, pairs);
                    assert!(matches!(result, Err(EtlError::Lost { .. })), "{at}");
                }
            }
        }
        check(&[], None).unwrap();
        check(&[], Some(0)).unwrap();
    }
}
