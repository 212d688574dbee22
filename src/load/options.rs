//! What a run is asked to do, and what follows from it for a corpus: stages, goals, requirements.
//!
//! Filled from the command line by `main`, read by [`run`](crate::load::run).

use crate::load::{
    agents::Agents,
    error::LoadError,
    identity::Identity,
    plan::{
        corpus::Corpus,
        list,
        scenario::{self, Mix, Scenario},
        stage::{Load, Ramp, Stage},
    },
    report::requirement::{self, Requirement},
    wire::connection::Lifetime,
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Where requests come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The corpus that is part of the program.
    BuiltIn,
    /// A corpus file.
    Corpus(PathBuf),
    /// A file of URLs.
    Urls(PathBuf),
    /// URLs of the command line, one or more of which have a path.
    These(Vec<String>),
    /// An access log.
    AccessLog(PathBuf),
}

impl Source {
    /// Whether each of `urls` is only a server: then they are targets and not a list.
    pub fn are_servers(urls: &[String]) -> bool {
        !urls.iter().any(|url| list::has_path(url))
    }

    /// Reads the requests; `has_target` says that the servers that they name do not matter.
    ///
    /// # Errors
    /// A file cannot be read, or something in it is not a request.
    pub(super) fn read(&self, identity: &Identity, has_target: bool) -> Result<Corpus, LoadError> {
        match self {
            Self::BuiltIn => Corpus::read(None, identity),
            Self::Corpus(path) => Corpus::read(Some(path), identity),
            Self::Urls(path) => list::read_urls(path, has_target),
            Self::These(urls) => list::of_urls(urls),
            Self::AccessLog(path) => list::read_access_log(path),
        }
    }
}

/// What to run; from the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// URLs of the servers; none = a temporary one.
    pub targets: Vec<String>,
    /// The team line that they answer with.
    pub identity: Identity,
    /// Length of the measured part.
    pub duration: Duration,
    /// Requests after which the measured part ends, whatever its length.
    pub requests: Option<u64>,
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
    /// Where requests come from.
    pub source: Source,
    /// Sends the requests at the times of their log, this many times faster.
    pub replay_speed: Option<f64>,
    /// Agents that send the load instead of this process.
    pub agents: Agents,
    /// Threads, of each agent if there are any; 0 = half of the processors.
    pub workers: usize,
    /// Whether bodies are checked.
    pub check: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// When a connection is replaced by a new one.
    pub lifetime: Lifetime,
    /// Right answers per second that give the full score: `10000` or `blockchain=30000,…`.
    pub goal: String,
    /// Conditions, each as on the command line.
    pub requirements: Vec<String>,
    /// File for all latencies, a HdrHistogram log.
    pub hdr: Option<PathBuf>,
    /// File for failing pairs.
    pub record: Option<PathBuf>,
    /// Conditions whose highest rate is to be found, instead of a run at a known load.
    pub find: Option<String>,
    /// Whether each target gets one request before the run.
    pub preflight: bool,
    /// Version of this program, for the report.
    pub version: &'static str,
    /// The command line, for the report.
    pub command: String,
}

/// The stages of the scenario, or the one that the flags describe.
///
/// # Errors
/// The mix or the scenario makes no sense for this corpus.
pub fn stages(
    options: &Options,
    corpus: &Corpus,
) -> Result<(Option<String>, Vec<Stage>), LoadError> {
    let given = options
        .mix
        .as_deref()
        .map(scenario::parse_mix)
        .transpose()?;
    let weigh = |mix: Option<&Mix>| match given.as_ref().or(mix) {
        None if corpus.by_count => {
            let counts = corpus.entries_of.iter().map(|entries| entries.len() as f64);
            Ok(counts.collect())
        }
        mix => scenario::weights(mix, &corpus.endpoints),
    };
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
    let all = corpus.entries_len() as u64;
    let load = match options.rate {
        None if options.replay_speed.is_some() => Load::Replay {
            speed: options.replay_speed.unwrap_or(1.0),
            requests: all,
        },
        Some(rate) => Load::Rate(Ramp::steady(rate)),
        None => Load::Users {
            count: Ramp::steady(options.connections as f64),
            think: (Duration::ZERO, Duration::ZERO),
        },
    };
    // A log is sent once unless a number says otherwise.
    let once = corpus.in_order.then_some(all);
    let requests = options.requests.or(once);
    let stage = |name: &str, duration, measured| -> Result<Stage, LoadError> {
        Ok(Stage {
            name: name.into(),
            duration,
            load,
            weights: weigh(None)?,
            measured,
            requests: requests.filter(|_| measured),
        })
    };
    let mut stages = Vec::new();
    if !options.warmup.is_zero() {
        stages.push(stage("warm-up", options.warmup, false)?);
    }
    stages.push(stage("load", options.duration, true)?);
    Ok((None, stages))
}

/// The goal of each endpoint, as `--goal` says.
///
/// # Errors
/// A number is missing or not above 0, or the corpus has no endpoint of that name.
pub fn goals(text: &str, endpoints: &[String]) -> Result<Vec<f64>, LoadError> {
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

/// The conditions of `--require` and `--find`.
///
/// # Errors
/// A condition cannot be read, or names an endpoint that the corpus does not have.
pub fn requirements(
    options: &Options,
    endpoints: &[String],
) -> Result<Vec<Requirement>, LoadError> {
    let mut all = Vec::new();
    let required = options.requirements.iter().map(|text| ("--require", text));
    let found = options.find.iter().map(|text| ("--find", text));
    for (flag, text) in required.chain(found) {
        for requirement in requirement::parse(flag, text)? {
            if let Some(name) = requirement
                .endpoint
                .as_ref()
                .filter(|name| !endpoints.contains(name))
            {
                return Err(LoadError::Usage(format!(
                    "{flag} {:?}: the corpus has no endpoint {name:?}, only {}",
                    requirement.text,
                    endpoints.join(", ")
                )));
            }
            all.push(requirement);
        }
    }
    Ok(all)
}
