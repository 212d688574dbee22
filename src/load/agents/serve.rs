//! `trident load --agent ADDR`: runs the jobs that a coordinator sends, one at a time.
//!
//! An agent sends load to wherever it is told. So it listens only on the address it is given, and requires the token
//! first. The connection is not encrypted: use it in private networks only.

use super::{
    is_proof,
    message::{
        FromAgent, GREETING_BYTES_MAX, Job, LINE_BYTES_MAX, PROTOCOL, ToAgent, WireInterval,
        receive, send,
    },
};
use crate::load::{
    error::LoadError,
    format::hex,
    identity::Identity,
    plan::corpus::Corpus,
    preflight,
    session::raise_descriptor_limit,
    tally::record::Recorder,
    wire::target::Target,
    worker::{self, Shared},
};
use crossbeam::channel;
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Time for a coordinator to prove its token, and to read what the agent sends.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Time for the coordinator to send the job, and to start it when all agents are ready.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How often the listener checks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Serves runs until `stop` is set. `say` gets a line for each.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve(
    address: &str,
    token: &[u8],
    say: &mut dyn FnMut(&str),
    stop: &AtomicBool,
) -> Result<(), LoadError> {
    let failed = |source| LoadError::System {
        doing: "listening for a coordinator (give --agent a free address of this machine)",
        source,
    };
    raise_descriptor_limit();
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    say(&format!("agent on {local}"));
    while !stop.load(Relaxed) {
        match listener.accept() {
            Ok((socket, peer)) => {
                let run = Run { token, stop };
                match run.whole(&socket) {
                    Ok(()) => say(&format!("a run for {peer} ended")),
                    Err(error) => say(&format!("{peer}: {error}")),
                }
                let _ = socket.shutdown(Shutdown::Both);
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
    Ok(())
}

struct Run<'a> {
    token: &'a [u8],
    /// Set when the agent itself is to end.
    stop: &'a AtomicBool,
}

impl Run<'_> {
    fn whole(&self, socket: &TcpStream) -> io::Result<()> {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.set_write_timeout(Some(ANSWER_WITHIN))?;
        let (mut reader, mut writer) = (BufReader::new(socket), socket);
        let nonce = nonce()?;
        let hello = FromAgent::Hello {
            protocol: PROTOCOL,
            nonce: nonce.clone(),
            workers: thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2)),
        };
        send(&mut writer, &hello)?;
        match receive(&mut reader, GREETING_BYTES_MAX)? {
            Some(ToAgent::Proof(given)) if is_proof(self.token, &nonce, &given) => {}
            _ => {
                let refused = FromAgent::Refused("another token than this agent's".into());
                send(&mut writer, &refused)?;
                return Err(io::Error::new(
                    ErrorKind::PermissionDenied,
                    "no proof of the token",
                ));
            }
        }
        socket.set_read_timeout(Some(START_WITHIN))?;
        let Some(ToAgent::Job(job)) = receive(&mut reader, LINE_BYTES_MAX)? else {
            return Err(io::Error::new(ErrorKind::InvalidData, "no job"));
        };
        let outcome = self.run(&job, socket, &mut reader);
        let last = match &outcome {
            // Half a run must not pass for a whole one.
            Ok(()) if self.stop.load(Relaxed) => FromAgent::Refused("the agent was stopped".into()),
            Ok(()) => FromAgent::End,
            Err(error) => FromAgent::Refused(error.to_string()),
        };
        send(&mut writer, &last)?;
        outcome.map_err(|error| io::Error::other(error.to_string()))
    }

    /// Prepares the job, waits for the start, runs its workers.
    fn run(
        &self,
        job: &Job,
        socket: &TcpStream,
        reader: &mut BufReader<&TcpStream>,
    ) -> Result<(), LoadError> {
        let broken = |source| LoadError::System {
            doing: "the coordinator is gone",
            source,
        };
        let identity = Identity {
            team: job.team.clone(),
            account: job.account.clone(),
            auth_key: None, // the corpus already contains everything that depends on it
        };
        let corpus: Corpus = serde_json::from_str(job.corpus.get())
            .map_err(|error| LoadError::Usage(format!("the coordinator's corpus: {error}")))?;
        let targets = job.targets.iter().map(|url| Target::resolve(url));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        if !job.fits(&corpus) {
            return Err(LoadError::Usage("a job that does not fit together".into()));
        }
        if job.preflight {
            preflight::check(&targets, &job.stages, &corpus, &identity)?;
        }
        send(&mut &*socket, &FromAgent::Ready).map_err(broken)?;
        match receive(reader, LINE_BYTES_MAX).map_err(broken)? {
            Some(ToAgent::Start) => {}
            // Another agent is not ready.
            _ => return Ok(()),
        }
        socket.set_read_timeout(None).map_err(broken)?;
        let (stop, given_up) = (AtomicBool::new(false), AtomicBool::new(false));
        // Two threads write: lines must stay whole.
        let writer = Arc::new(Mutex::new(socket.try_clone().map_err(broken)?));
        let pairs = Arc::clone(&writer);
        let recorder = job.record.then(|| {
            Recorder::over(move |pair| send(&mut *pairs.lock(), &FromAgent::Pair(pair.clone())))
        });
        let shared = Shared {
            corpus: &corpus,
            identity: &identity,
            targets: &targets,
            stages: &job.stages,
            connections: job.connections,
            pipeline: job.pipeline,
            timeout: job.timeout,
            check: job.check,
            lifetime: job.lifetime,
            workers: job.all_workers,
            start: Instant::now(),
            stop: &stop,
            given_up: &given_up,
            recorder: recorder.as_ref(),
        };
        self.send_load(job, &shared, &writer, reader, &stop)
    }

    fn send_load(
        &self,
        job: &Job,
        shared: &Shared<'_>,
        writer: &Mutex<TcpStream>,
        reader: &mut BufReader<&TcpStream>,
        stop: &AtomicBool,
    ) -> Result<(), LoadError> {
        let (give, take) = channel::unbounded();
        let own = job.first_worker..job.first_worker + job.own_workers;
        let mut bodies = worker::bodies(shared, own, &give)?;
        drop(give);
        bodies.push(Box::new(|| {
            // Any message, or the end of the connection, ends the run.
            let _ = receive::<ToAgent>(reader, LINE_BYTES_MAX);
            stop.store(true, Relaxed);
            Ok(())
        }));
        worker::run(bodies, || {
            for interval in take {
                let sent = WireInterval::of(&interval)
                    .and_then(|wire| send(&mut *writer.lock(), &FromAgent::Interval(wire)));
                if sent.is_err() || self.stop.load(Relaxed) {
                    stop.store(true, Relaxed);
                }
            }
            // The last thread waits for the coordinator, but is no longer needed.
            let _ = writer.lock().shutdown(Shutdown::Read);
        })
    }
}

impl Job {
    /// Whether the numbers of the job belong together, so that no index is out of bounds later.
    fn fits(&self, corpus: &Corpus) -> bool {
        let weights = |weights: &[f64]| weights.len() == corpus.endpoints.len();
        let workers = self.first_worker.checked_add(self.own_workers);
        corpus.is_consistent()
            && !self.stages.is_empty()
            && !self.targets.is_empty()
            && self.own_workers > 0
            && self.pipeline > 0
            && workers.is_some_and(|end| end <= self.all_workers)
            && self.stages.iter().all(|stage| weights(&stage.weights))
    }
}

/// A random value that was never used before.
fn nonce() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}
