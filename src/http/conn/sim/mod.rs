//! The connection under simulation: one seed determines every arrival, event, failure, answer of another thread and
//! tick of the clock.
//!
//! ```text
//! seed ─▶ world ─ turn, events, ticks ─▶ Conn::turn ─ Socket ─▶ wire ◀─ pieces ─ client
//!           └──── settles promises ────▶ Deferred                └─ answers ─▶ check
//! ```
//!
//! The code under test is the product's: everything that a turn does. The simulation takes the place of the coroutine,
//! of epoll and of the watcher's thread. A seed that fails prints its story; `SIM_SEED=N SIM_SEEDS=1` runs it alone, and
//! `SIM_SEEDS` alone says how many to run instead of the fixed ones.

mod check;
mod client;
mod random;
mod service;
mod wire;
mod world;

/// Seeds of the tests.
const SEEDS: u64 = 4000;

/// A fault of the world, as a faulty loop would show it: the checks must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Some events wake nobody.
    LostEvent,
    /// A byte of an answer is lost.
    LostByte,
    /// Some bytes of answers are sent twice.
    SentTwice,
    /// Deadlines are not enforced.
    NoDeadline,
}

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

#[test]
fn every_client_gets_its_answers_whatever_happens() {
    let first = from_environment("SIM_SEED", 1);
    let seeds = from_environment("SIM_SEEDS", SEEDS);
    let mut answers = 0;
    for seed in first..first + seeds {
        match world::run(seed, None, false) {
            Ok(count) => answers += count,
            Err(_) => fail(seed),
        }
    }
    eprintln!("{answers} answers in {seeds} simulations");
}

/// Runs `seed` again and panics with its story.
fn fail(seed: u64) -> ! {
    match world::run(seed, None, true) {
        Err((violation, story)) => panic!("seed {seed}: {}\n{}", violation.0, story.join("\n")),
        Ok(_) => panic!("seed {seed} failed, and not when it was run again: chance from elsewhere"),
    }
}

#[test]
fn a_seed_determines_its_simulation() {
    for seed in 1..20 {
        let fault = Some(Fault::LostEvent);
        let stories = [(); 2].map(|()| world::run(seed, fault, true));
        assert_eq!(format!("{:?}", stories[0]), format!("{:?}", stories[1]));
    }
}

/// Each fault is found within far fewer seeds than the tests run.
#[test]
fn faults_are_found() {
    for fault in [
        Fault::LostEvent,
        Fault::LostByte,
        Fault::SentTwice,
        Fault::NoDeadline,
    ] {
        let found = (1..200).find_map(|seed| world::run(seed, Some(fault), true).err());
        let (violation, story) = found.unwrap_or_else(|| panic!("{fault:?} was not found"));
        assert!(!story.is_empty(), "{violation:?}");
    }
}
