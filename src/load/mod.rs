//! `trident load`: sends load to servers of the three services and checks every answer.
//!
//! Called by `main` only. The steps of a run:
//!
//! ```text
//! plan → worker ⇄ wire, judge → tally → report → { text | html | JSON }
//! ```
//!
//! Right answers come from the corpus, which an independent oracle made, and from recomputation here.
//! Nothing in this folder names another module, so that a fault of the server cannot confirm itself.
//! docs/load.md is the manual.

mod error;
mod format;
mod identity;
mod judge;
mod plan;
mod preflight;
pub mod report;
mod tally;
mod temporary_server;
#[cfg(test)]
mod tests;
mod wire;
mod worker;

pub use error::LoadError;
pub use format::digest;
pub use identity::Identity;
pub use report::figures::Report;
pub use tally::collect::Progress;

use crossbeam::channel;
use plan::{
    corpus::Corpus,
    scenario::{self, Mix, Scenario},
    stage::{Load, Ramp, Stage},
};
use report::{
    figures::{Frame, Setup},
    requirement::{self, Requirement},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};
use tally::{collect::Collector, record::Recorder};
use temporary_server::TemporaryServer;
use wire::target::Target;
use worker::{Shared, Worker};

/// Key of the temporary server's tokens. It protects nothing, so it is not secret.
const TEMPORARY_AUTH_KEY: [u8; 32] = *b"trident load: not a secret key!!";

/// What to run; from the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// URLs of the servers; none = a temporary one.
    pub targets: Vec<String>,
    /// The team line that they answer with.
    pub identity: Identity,
    /// Length of the measured part.
    pub duration: Duration,
    /// Length of the part before, which is not measured.
    pub warmup: Duration,
    /// Connections; in a closed loop each is a user.
    pub connections: usize,
    /// Requests per second of all connections together; `None` = closed loop.
    pub rate: Option<f64>,
    /// Requests in flight per connection.
    pub pipeline: usize,
    /// Weights of the endpoints, as on the command line.
    pub mix: Option<String>,
    /// A scenario file instead of duration, connections and rate.
    pub scenario: Option<PathBuf>,
    /// A corpus file instead of the built-in one.
    pub corpus: Option<PathBuf>,
    /// Threads; 0 = half of the processors.
    pub workers: usize,
    /// Whether bodies are checked.
    pub check: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Right answers per second that give the full score: `10000` or `blockchain=30000,…`.
    pub goal: String,
    /// Conditions, each as on the command line.
    pub requirements: Vec<String>,
    /// File for failing pairs.
    pub record: Option<PathBuf>,
    /// Whether each target gets one request before the run.
    pub preflight: bool,
    /// Version of this program, for the report.
    pub version: &'static str,
    /// The command line, for the report.
    pub command: String,
}

/// The result of a run.
pub struct RunOutput {
    /// Its figures.
    pub report: Report,
    /// Why `--record` lacks failing pairs; the figures are reported all the same.
    pub not_recorded: Option<LoadError>,
}

/// Runs the load test until its end, or until `stop` is set.
///
/// # Errors
/// The test cannot be run. Faults of the servers are not errors: they are in the report.
pub fn run(
    options: &Options,
    progress: &mut Progress<'_>,
    stop: &AtomicBool,
) -> Result<RunOutput, LoadError> {
    raise_descriptor_limit();
    let identity = identity(options);
    let corpus = Corpus::read(options.corpus.as_deref(), &identity)?;
    let (name, stages) = stages(options, &corpus)?;
    let goals = goals(&options.goal, &corpus.endpoints)?;
    let requirements = requirements(options, &corpus.endpoints)?;
    let recorder = options.record.as_deref().map(Recorder::create);
    let recorder = recorder.transpose()?;
    let is_local = options.targets.is_empty();
    let local = is_local
        .then(|| TemporaryServer::start(&identity))
        .transpose()?;
    let targets = targets(options, local.as_ref())?;
    if options.preflight {
        preflight::check(&targets, &stages, &corpus, &identity)?;
    }
    let mut collector = Collector::new(&stages, corpus.endpoints.len(), targets.len());
    let (start, started) = (Instant::now(), SystemTime::now());
    let shared = Shared {
        corpus: &corpus,
        identity: &identity,
        targets: &targets,
        stages: &stages,
        connections: options.connections,
        pipeline: options.pipeline,
        timeout: options.timeout,
        check: options.check,
        workers: workers(options, &stages),
        start,
        stop,
        recorder: recorder.as_ref(),
    };
    drive(&shared, &mut collector, progress)?;
    let elapsed = start.elapsed();
    drop(local);
    let setup = setup(options, &shared, name, started);
    let not_recorded = recorder.and_then(|recorder| recorder.finish().err());
    let frame = Frame {
        setup,
        stages: &stages,
        elapsed,
        goals,
        requirements,
    };
    Ok(RunOutput {
        report: Report::new(frame, &collector),
        not_recorded,
    })
}

/// The identity of the servers; a temporary server needs a key.
fn identity(options: &Options) -> Identity {
    let mut identity = options.identity.clone();
    if options.targets.is_empty() {
        identity.auth_key.get_or_insert(TEMPORARY_AUTH_KEY);
    }
    identity
}

fn targets(options: &Options, local: Option<&TemporaryServer>) -> Result<Vec<Target>, LoadError> {
    let local = local.map(|local| &local.url);
    let urls = options.targets.iter().chain(local);
    urls.map(|url| Target::resolve(url)).collect()
}

fn workers(options: &Options, stages: &[Stage]) -> usize {
    let asked = match options.workers {
        0 => thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2)),
        n => n,
    };
    let at_rate = |stage: &Stage| matches!(stage.load, Load::Rate(_));
    if stages.iter().any(at_rate) {
        // A worker without a connection could not send its share of the rate.
        asked.min(options.connections)
    } else {
        asked
    }
}

/// The head of the report.
fn setup(
    options: &Options,
    shared: &Shared<'_>,
    scenario: Option<String>,
    started: SystemTime,
) -> Setup {
    let is_local = options.targets.is_empty();
    let url = |target: &Target| {
        if is_local {
            "temporary server".into() // its port does not interest readers
        } else {
            target.url.clone()
        }
    };
    Setup {
        version: options.version,
        started: humantime::format_rfc3339_seconds(started).to_string(),
        host: host(),
        command: options.command.clone(),
        scenario,
        targets: shared.targets.iter().map(url).collect(),
        endpoints: shared.corpus.endpoints.clone(),
        corpus_entries: shared.corpus.entries.len(),
        checked: shared.check,
        workers: shared.workers,
        pipeline: shared.pipeline,
        timeout_s: shared.timeout.as_secs_f64(),
        interrupted: shared.stop.load(Relaxed),
    }
}

/// Host name, kernel and processors of this machine.
fn host() -> String {
    let line = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        text.map_or("unknown".into(), |text| text.trim().to_owned())
    };
    let processors = thread::available_parallelism().map_or(1, |n| n.get());
    format!(
        "{}, Linux {}, {processors} processor(s)",
        line("hostname"),
        line("osrelease")
    )
}

/// Runs the workers to their end.
fn drive(
    shared: &Shared<'_>,
    collector: &mut Collector<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), LoadError> {
    let (send, receive) = channel::unbounded();
    thread::scope(|scope| {
        let workers = (0..shared.workers)
            .map(|number| Worker::new(shared, number, send.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let running: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(|| worker.run()))
            .collect();
        drop(send);
        collector.collect(&receive, progress);
        for worker in running {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })
}

/// The stages of the scenario, or the one that the flags describe.
fn stages(options: &Options, corpus: &Corpus) -> Result<(Option<String>, Vec<Stage>), LoadError> {
    let given = options
        .mix
        .as_deref()
        .map(scenario::parse_mix)
        .transpose()?;
    let weigh = |mix: Option<&Mix>| scenario::weights(given.as_ref().or(mix), &corpus.endpoints);
    if let Some(path) = &options.scenario {
        let scenario = Scenario::read(path)?;
        let weighed = scenario.stages.into_iter().map(|(mut stage, mix)| {
            stage.weights = weigh(mix.as_ref())?;
            Ok(stage)
        });
        return Ok((
            Some(scenario.name),
            weighed.collect::<Result<_, LoadError>>()?,
        ));
    }
    let load = match options.rate {
        Some(rate) => Load::Rate(Ramp::steady(rate)),
        None => Load::Users {
            count: Ramp::steady(options.connections as f64),
            think: (Duration::ZERO, Duration::ZERO),
        },
    };
    let stage = |name: &str, duration, measured| -> Result<Stage, LoadError> {
        Ok(Stage {
            name: name.into(),
            duration,
            load,
            weights: weigh(None)?,
            measured,
        })
    };
    let mut stages = Vec::new();
    if !options.warmup.is_zero() {
        stages.push(stage("warm-up", options.warmup, false)?);
    }
    stages.push(stage("load", options.duration, true)?);
    Ok((None, stages))
}

/// The goal of each endpoint.
fn goals(text: &str, endpoints: &[String]) -> Result<Vec<f64>, LoadError> {
    let refused = || {
        LoadError::Usage(format!(
            "--goal: expected a number above 0, or NAME=NUMBER,… with names of the corpus ({}), got {text:?}",
            endpoints.join(", ")
        ))
    };
    let right = |goal: &f64| *goal > 0.0 && goal.is_finite();
    if let Ok(goal) = text.parse() {
        return Some(goal)
            .filter(right)
            .map(|goal| vec![goal; endpoints.len()])
            .ok_or_else(refused);
    }
    let mut named: BTreeMap<&str, f64> = BTreeMap::new();
    for item in text.split(',') {
        let (name, goal) = item.split_once('=').ok_or_else(refused)?;
        let goal = goal.trim().parse().ok().filter(right).ok_or_else(refused)?;
        named.insert(name.trim(), goal);
    }
    if named
        .keys()
        .any(|name| !endpoints.iter().any(|known| known == name))
    {
        return Err(refused());
    }
    /// Goal of the other endpoints.
    const OTHERS: f64 = 10_000.0;
    Ok(endpoints
        .iter()
        .map(|name| named.get(name.as_str()).copied().unwrap_or(OTHERS))
        .collect())
}

fn requirements(options: &Options, endpoints: &[String]) -> Result<Vec<Requirement>, LoadError> {
    let mut all = Vec::new();
    for text in &options.requirements {
        for requirement in requirement::parse(text)? {
            if let Some(name) = requirement
                .endpoint
                .as_ref()
                .filter(|name| !endpoints.contains(name))
            {
                return Err(LoadError::Usage(format!(
                    "--require {:?}: the corpus has no endpoint {name:?}, only {}",
                    requirement.text,
                    endpoints.join(", ")
                )));
            }
            all.push(requirement);
        }
    }
    Ok(all)
}

/// Each user needs a descriptor, and the usual limit is 1,024. If raising it fails, connecting fails later.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
