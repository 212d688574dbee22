//! A run: prepared once, then measured once or as often as a search needs.

use crate::load::{
    agents::{Fleet, Job},
    error::LoadError,
    identity::Identity,
    options::{self, Options},
    plan::{
        corpus::Corpus,
        stage::{Load, Stage},
    },
    preflight,
    report::{
        early,
        figures::{Frame, Report, Setup},
    },
    tally::{
        collect::{Collector, Progress},
        hdr::HdrLog,
        record::Recorder,
    },
    temporary_server::TemporaryServer,
    wire::target::Target,
    worker::{self, Shared},
};
use crossbeam::channel;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::value::RawValue;
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Instant, SystemTime},
};

/// Key of the temporary server's tokens. It protects nothing, so it is not secret.
const TEMPORARY_AUTH_KEY: [u8; 32] = *b"trident load: not a secret key!!";

/// The result of a run.
pub struct RunOutput {
    /// Its figures.
    pub report: Report,
    /// Why `--record` or `--hdr` is not complete; the figures are reported all the same.
    pub not_recorded: Option<LoadError>,
}

/// The files that a run writes while it lasts.
#[derive(Default)]
pub(super) struct Files {
    recorder: Option<Recorder>,
    hdr: Option<HdrLog>,
}

/// The requests and the servers of a run.
pub(super) struct Session<'a> {
    identity: Identity,
    corpus: Corpus,
    targets: Vec<Target>,
    /// The corpus as agents get it.
    corpus_message: Option<Box<RawValue>>,
    /// Started for the run, and stopped when it ends.
    local: Option<TemporaryServer>,
    options: &'a Options,
}

impl<'a> Session<'a> {
    /// Reads the requests, opens files, starts a server if none is named, and asks each one once.
    pub(super) fn prepare(
        options: &'a Options,
        progress: &mut Progress<'_>,
    ) -> Result<(Self, Files), LoadError> {
        let identity = identity(options);
        let has_agents = !options.agents.addresses.is_empty();
        let corpus = options
            .source
            .read(&identity, !options.targets.is_empty())?;
        let to_message = || serde_json::value::to_raw_value(&corpus);
        let corpus_message = has_agents.then(to_message).transpose();
        let corpus_message = corpus_message.map_err(|error| LoadError::System {
            doing: "writing the requests as JSON for the agents (fewer or shorter ones may help)",
            source: error.into(),
        })?;
        raise_descriptor_limit();
        // Mistakes in flags and files are reported before anything is started.
        let (_, stages) = options::stages(options, &corpus)?;
        options::goals(&options.goal, &corpus.endpoints)?;
        options::requirements(options, &corpus.endpoints)?;
        let recorder = options.record.as_deref().map(Recorder::create);
        let files = Files {
            recorder: recorder.transpose()?,
            hdr: options.hdr.as_deref().map(HdrLog::create).transpose()?,
        };
        let urls: Vec<String> = match (&options.targets[..], &corpus.server) {
            ([], Some(server)) => vec![server.clone()],
            (given, _) => given.to_vec(),
        };
        if has_agents && urls.is_empty() {
            return Err(LoadError::Usage(
                "--agents: name the servers with --target; agents do not start one".into(),
            ));
        }
        let local = urls
            .is_empty()
            .then(|| TemporaryServer::start(&identity))
            .transpose()?;
        let targets = targets(&urls, local.as_ref())?;
        if let Some(note) = corpus.note.as_ref().filter(|_| !progress.quiet) {
            let _ = writeln!(progress.out, "{note}");
        }
        // Each agent asks the targets itself, from its own machine.
        if options.preflight && !has_agents {
            preflight::check(&targets, &stages, &corpus, &identity)?;
        }
        let session = Self {
            identity,
            corpus,
            targets,
            corpus_message,
            local,
            options,
        };
        Ok((session, files))
    }

    /// Sends the load that `options` describe; they differ from those of the session in the load only.
    pub(super) fn measure(
        &self,
        options: &Options,
        files: Files,
        progress: &mut Progress<'_>,
        stop: &AtomicBool,
    ) -> Result<RunOutput, LoadError> {
        let Files { recorder, hdr } = files;
        let corpus = &self.corpus;
        let (name, stages) = options::stages(options, corpus)?;
        let goals = options::goals(&options.goal, &corpus.endpoints)?;
        let requirements = options::requirements(options, &corpus.endpoints)?;
        let fleet = self.fleet(options, &stages)?;
        let (start, started) = (Instant::now(), SystemTime::now());
        let mut collector = Collector::new(&stages, corpus.endpoints.len(), self.targets.len());
        if let Some(log) = hdr {
            collector.write_hdr(log.begin(options.version, started, &corpus.endpoints));
        }
        let given_up = AtomicBool::new(false);
        let shared = Shared {
            corpus,
            identity: &self.identity,
            targets: &self.targets,
            stages: &stages,
            connections: options.connections,
            pipeline: options.pipeline,
            timeout: options.timeout,
            check: options.check,
            lifetime: options.lifetime,
            workers: match &fleet {
                Some(fleet) => fleet.workers,
                None => workers(options, &stages),
            },
            start,
            stop,
            given_up: &given_up,
            recorder: recorder.as_ref(),
        };
        let mut hopeless = None;
        let mut watch = |collected: &Collector<'_>| {
            if hopeless.is_none() {
                let elapsed = start.elapsed();
                hopeless = early::hopeless(&requirements, collected, &corpus.endpoints, elapsed);
                given_up.store(hopeless.is_some(), Relaxed);
            }
        };
        match fleet {
            Some(fleet) => fleet.drive(&shared, &mut collector, progress, &mut watch)?,
            None => drive(&shared, &mut collector, progress, &mut watch)?,
        }
        let elapsed = start.elapsed();
        let mut setup = setup(self.options, &shared, name, started, self.local.is_some());
        setup.ended_early = hopeless;
        let not_logged = collector.finish_hdr().err();
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
            not_recorded: not_recorded.or(not_logged),
        })
    }
}

impl Session<'_> {
    /// The agents, ready to start, if there are any.
    fn fleet(&self, options: &Options, stages: &[Stage]) -> Result<Option<Fleet>, LoadError> {
        let Some(corpus) = &self.corpus_message else {
            return Ok(None);
        };
        let job = Job {
            team: self.identity.team.clone(),
            account: self.identity.account.clone(),
            corpus: corpus.clone(),
            targets: self
                .targets
                .iter()
                .map(|target| target.url.clone())
                .collect(),
            record: options.record.is_some(),
            stages: stages.to_vec(),
            connections: options.connections,
            pipeline: options.pipeline,
            timeout: options.timeout,
            check: options.check,
            lifetime: options.lifetime,
            preflight: options.preflight,
            first_worker: 0,
            own_workers: 0,
            all_workers: 0,
        };
        let (agents, endpoints) = (&options.agents, self.corpus.endpoints.len());
        // A worker without a connection could not send its share of a rate.
        Fleet::prepare(agents, job, options.workers, options.connections, endpoints).map(Some)
    }
}

/// The identity of the servers; a temporary server needs a key.
fn identity(options: &Options) -> Identity {
    let mut identity = options.identity.clone();
    if options.targets.is_empty() {
        identity.auth_key.get_or_insert(TEMPORARY_AUTH_KEY);
    }
    identity
}

fn targets(urls: &[String], local: Option<&TemporaryServer>) -> Result<Vec<Target>, LoadError> {
    let local = local.map(|local| &local.url);
    let urls = urls.iter().chain(local);
    urls.map(|url| Target::resolve(url)).collect()
}

fn workers(options: &Options, stages: &[Stage]) -> usize {
    let asked = match options.workers {
        0 => thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2)),
        n => n,
    };
    let at_rate = |stage: &Stage| !matches!(stage.load, Load::Users { .. });
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
    is_local: bool,
) -> Setup {
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
        agents: options.agents.addresses.clone(),
        interrupted: shared.stop.load(Relaxed),
        ended_early: None,
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
    watch: &mut dyn FnMut(&Collector<'_>),
) -> Result<(), LoadError> {
    let (give, take) = channel::unbounded();
    let workers = worker::bodies(shared, 0..shared.workers, &give)?;
    drop(give);
    worker::run(workers, || collector.collect(&take, progress, watch))
}

/// Each user needs a descriptor, and the usual limit is 1,024. If raising it fails, connecting fails later.
pub(super) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
