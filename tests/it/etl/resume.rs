//! Runs that are killed and repeated. The child is this test binary with one test selected.

use super::{
    options,
    sets::{self, Set, fresh_directory},
};
use crate::harness::pace;
use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};
use trident::etl::{self, progress::Progress, sink::user_sink::FileSink};

const CHILD: &str = "TRIDENT_TEST_ETL_CHILD";

/// A process that runs the ETL over `set`: `script`, if any, is a shell script that starts it, and
/// `die_at` names a stage and the number of the call at which it dies (see [`Mortal`]).
pub fn child(set: &Set, work: &Path, store: &Path, script: Option<&str>, die_at: &str) -> Command {
    let test = [
        "--exact",
        "etl::resume::child_process",
        "--ignored",
        "--nocapture",
    ];
    let mut command = match script {
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).arg(env::current_exe().unwrap());
            shell
        }
        None => Command::new(env::current_exe().unwrap()),
    };
    let paths = [&set.data, &set.excluded, work, store].map(|p: &Path| p.to_str().unwrap());
    // Only the test harness of the child writes there.
    command.stdout(Stdio::null());
    command
        .args(test)
        .env(CHILD, [&paths[..], &[die_at]].concat().join("\n"));
    command
}

#[test]
#[ignore = "the child process of other tests"]
fn child_process() {
    let Ok(arguments) = env::var(CHILD) else {
        return;
    };
    let [data, excluded, work, store, die_at] = arguments
        .split('\n')
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let mut options = etl::Options::new(vec![data.into()], work.into());
    options.exclude = Some(excluded.into());
    options.workers = 2;
    let mut sink = FileSink::create(Path::new(store)).unwrap();
    let mortal = Mortal {
        die_at: die_at.to_owned(),
        calls: AtomicU64::new(0),
    };
    if let Err(e) = etl::run(&options, &mut sink, &mortal) {
        eprintln!("{e}");
        std::process::exit(1);
    }
}

/// Ends the process without warning, as `kill -9` does, at `stage:n`: call `n` of the stage, where 0
/// is its beginning and `end` its end, when it is in the manifest.
struct Mortal {
    die_at: String,
    calls: AtomicU64,
}

impl Mortal {
    fn call(&self, moment: &str) {
        let (stage, when) = self.die_at.split_once(':').unwrap_or_default();
        if STAGES.get(self.calls.load(Relaxed) as usize / STEP) == Some(&stage) && when == moment {
            std::process::abort();
        }
    }
}

const STAGES: [&str; 6] = ["map", "tweets", "tags", "users", "values", "build"];
const STEP: usize = 1_000_000;

impl Progress for Mortal {
    fn begin(&self, name: &'static str, _: u64) {
        let index = STAGES.iter().position(|stage| *stage == name).unwrap();
        self.calls.store((index * STEP) as u64, Relaxed);
        self.call("0");
    }

    fn advance(&self, _: u64) {
        let calls = self.calls.fetch_add(1, Relaxed) as usize % STEP + 1;
        self.call(&calls.to_string());
    }

    fn end(&self) {
        self.call("end");
    }
}

fn expected(set: &Set) -> Vec<u8> {
    let directory = fresh_directory("expected");
    let store = directory.join("users");
    let options = options(set, vec![set.data.clone()], directory.join("work"));
    etl::run(
        &options,
        &mut FileSink::create(&store).unwrap(),
        &etl::progress::Silent,
    )
    .unwrap();
    fs::read(store).unwrap()
}

#[test]
fn a_run_that_dies_in_any_stage_goes_on_from_there() {
    let set = &sets::all()[0];
    let directory = fresh_directory("dies");
    let (work, store) = (directory.join("work"), directory.join("users"));
    for stage in STAGES {
        for moment in ["0", "3", "end"] {
            let die_at = format!("{stage}:{moment}");
            let status = child(set, &work, &store, None, &die_at).status().unwrap();
            assert!(!status.success(), "{die_at}");
            if (stage, moment) != ("build", "end") {
                assert!(!store.exists(), "{die_at}");
            }
        }
        let manifest = fs::read_to_string(work.join("manifest.json")).unwrap();
        let finished = format!("\"stage\":\"{stage}\"");
        // The last stage is the sink's to finish.
        assert_eq!(
            manifest.matches(&finished).count(),
            usize::from(stage != "build"),
            "{stage}"
        );
    }
    assert!(
        child(set, &work, &store, None, "")
            .status()
            .unwrap()
            .success()
    );
    assert!(fs::read(store).unwrap() == expected(set));
    assert!(!work.exists());
}

#[test]
fn a_run_killed_at_random_points_ends_with_the_same_bytes() {
    let set = &sets::all()[1];
    let expected = expected(set);
    let directory = fresh_directory("killed");
    let (work, store) = (directory.join("work"), directory.join("users"));
    let mut whole = Duration::from_secs(600);
    for round in 0u32..60 {
        let began = Instant::now();
        let mut process = child(set, &work, &store, None, "").spawn().unwrap();
        // Later each time, at odd fractions of a whole run's time, so that every stage is hit.
        let patience = Duration::from_millis(3 + u64::from(round) * 7 % 97 + u64::from(round) * 4);
        while began.elapsed() < patience && process.try_wait().unwrap().is_none() {
            pace(Duration::from_micros(200));
        }
        process.kill().unwrap();
        if process.wait().unwrap().success() {
            whole = began.elapsed();
            break;
        }
        // A store under its name is complete, whatever happened after.
        assert!(!store.exists() || fs::read(&store).unwrap() == expected);
    }
    if whole == Duration::from_secs(600) {
        assert!(
            child(set, &work, &store, None, "")
                .status()
                .unwrap()
                .success()
        );
    }
    assert!(fs::read(store).unwrap() == expected);
}
