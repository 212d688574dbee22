//! The connection under simulation: one seed determines every arrival, event, failure, answer of another thread and
//! tick of the clock.
//!
//! ```text
//! seed ─▶ plan ─▶ world ─ turn, events, ticks ─▶ Conn::turn ─ Socket ─▶ wire ◀─ pieces ─ client
//!    └──▶ fate ─────┴──── settles promises ────▶ Deferred                └─ answers ─▶ check
//! ```
//!
//! The code under test is the product's: everything that a turn does. The simulation takes the place of the coroutine,
//! of epoll and of the watcher's thread. A seed that fails is shrunk, and prints the shortest story that fails in the
//! same way. `gate` simulates the accept loop with the connections that it starts. `SIM_SEED=N SIM_SEEDS=1` runs a seed
//! alone, and `SIM_SEEDS` alone says how many to run instead of the fixed ones.
//!
//! `service` is what the server serves here, `clock` the time; `shrink` finds the shortest story.

mod check;
mod client;
mod clock;
mod fate;
mod gate;
mod plan;
mod service;
mod shrink;
mod wire;
mod world;

use std::{cell::Cell, panic, sync::Once};

use check::Ended;
use fate::{Random, Source};
use plan::{ClientPlan, Cut, Ending, How, Method, Plan, RequestPlan};
use shrink::Shrunk;

/// Seeds of the tests.
const SEEDS: u64 = 40_000;

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

const FAULTS: [Fault; 4] = [
    Fault::LostEvent,
    Fault::LostByte,
    Fault::SentTwice,
    Fault::NoDeadline,
];

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

/// Seconds that this thread has run.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: Option<f64> = text.split(' ').next().and_then(|word| word.parse().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

fn plan(seed: u64) -> Plan {
    Plan::new(&mut Random::new(seed))
}

/// Simulates what follows from `seed`.
fn simulate(seed: u64, fault: Option<Fault>, is_told: bool) -> (Plan, Ended) {
    let plan = plan(seed);
    // Other numbers than those of the plan.
    let ended = world::run(&plan, Source::Seed(!seed), fault, is_told);
    (plan, ended)
}

/// Runs `run` without messages of panics, which a shrunk simulation may have by the thousand.
fn in_silence<T>(run: impl FnOnce() -> T) -> T {
    thread_local! {
        static IS_SILENT: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_SILENT.get() {
                usual(panic);
            }
        }));
    });
    IS_SILENT.set(true);
    let returned = run();
    IS_SILENT.set(false);
    returned
}

/// The shortest story of a seed that fails.
fn shrink(seed: u64, fault: Option<Fault>) -> Option<Shrunk<Plan>> {
    in_silence(|| {
        let (plan, ended) = simulate(seed, fault, true);
        Shrunk::from(plan, ended, fault)
    })
}

#[test]
fn every_client_gets_its_answers_whatever_happens() {
    let first = from_environment("SIM_SEED", 1);
    let seeds = from_environment("SIM_SEEDS", SEEDS);
    let begin = processor_seconds();
    let (mut answers, mut requests) = (0, 0);
    for seed in first..first + seeds {
        let (plan, ended) = in_silence(|| simulate(seed, None, false));
        requests += plan.requests();
        match ended.outcome {
            Ok(count) => answers += count,
            Err(_) => fail(seed),
        }
    }
    let per_minute = requests as f64 / (processor_seconds() - begin) * 60.0;
    eprintln!(
        "{requests} requests, {answers} answers in {seeds} simulations: {per_minute:.2e} requests a minute of a core"
    );
}

/// A plan of one client, which does this.
fn plan_of(client: ClientPlan) -> Plan {
    Plan {
        clients: vec![client],
        ..Plan::simple()
    }
}

/// A kernel that is short of memory takes an answer in parts.
#[test]
fn a_408_comes_whole_through_a_socket_that_takes_a_byte_at_a_time() {
    for ending in [Ending::HeadStall, Ending::BodyStall] {
        let mut plan = plan_of(ClientPlan {
            ending,
            requests: Vec::new(),
            cuts: Vec::new(),
            room: 1 << 20,
        });
        plan.sent_bytes = 1;
        let ended = world::run(&plan, Source::Tape(Vec::new()), None, true);
        let story = ended.story.join("\n");
        assert_eq!(ended.outcome.map_err(|v| v.0), Ok(1), "{story}");
    }
}

/// A handler takes longer than a client may for the head that came before.
#[test]
fn a_deadline_that_passes_within_a_turn_does_not_harm_the_request_that_is_handled() {
    let request = |how| RequestPlan {
        method: Method::Get,
        how,
        size: 40,
        body: 0,
    };
    let cut = |pauses| Cut { bytes: 5, pauses };
    let plan = plan_of(ClientPlan {
        ending: Ending::Finish,
        requests: vec![request(How::Long), request(How::Now)],
        // Nearly two seconds, and then three and a half.
        cuts: vec![cut(true); 7],
        room: 1 << 20,
    });
    let ended = world::run(&plan, Source::Tape(Vec::new()), None, true);
    let story = ended.story.join("\n");
    assert!(story.contains("a tick passes"), "{story}");
    assert_eq!(ended.outcome.map_err(|v| v.0), Ok(2), "{story}");
}

/// Panics with the shortest story of `seed`.
fn fail(seed: u64) -> ! {
    let Some(shrunk) = shrink(seed, None) else {
        panic!("seed {seed} failed, and not when it was run again: chance from elsewhere");
    };
    panic!("seed {seed}: {shrunk}");
}

#[test]
fn a_seed_determines_its_simulation() {
    for seed in 1..20 {
        let told = [(); 2].map(|()| {
            let (_, ended) = simulate(seed, Some(Fault::LostEvent), true);
            (format!("{:?}", ended.outcome), ended.choices, ended.story)
        });
        assert_eq!(told[0], told[1]);
        // The choices alone determine it too.
        let (plan, source) = (plan(seed), Source::Tape(told[0].1.clone()));
        let again = world::run(&plan, source, Some(Fault::LostEvent), true);
        assert_eq!(told[0].2, again.story);
    }
}

/// Each fault is found within far fewer seeds than the tests run, and its story is short.
#[test]
fn faults_are_found_and_told_shortly() {
    for fault in FAULTS {
        let fails =
            |seed: &u64| in_silence(|| simulate(*seed, Some(fault), false).1.outcome.is_err());
        let seed = (1..200).find(fails);
        let seed = seed.unwrap_or_else(|| panic!("{fault:?} was not found"));
        let shrunk = shrink(seed, Some(fault)).unwrap();
        eprintln!("{fault:?}, seed {seed}: {shrunk}\n");
        assert_eq!(shrunk.plan.clients.len(), 1, "{fault:?}: {shrunk}");
        assert!(shrunk.plan.requests() <= 2, "{fault:?}: {shrunk}");
        assert!(shrunk.story.len() <= 40, "{fault:?}: {shrunk}");
        // It fails again, by itself.
        let tape = Source::Tape(shrunk.choices);
        let again = world::run(&shrunk.plan, tape, Some(fault), true);
        assert_eq!(again.story, shrunk.story);
    }
}
