//! The coordinator's side: connects to all agents, starts them together, collects their counts.

use super::{
    Agents,
    message::{
        FromAgent, GREETING_BYTES_MAX, Job, LINE_BYTES_MAX, PROTOCOL, ToAgent, receive, send,
    },
    proof,
};
use crate::load::{
    error::LoadError,
    plan::stage::Stage,
    tally::{
        collect::{Collector, Progress},
        counts::Interval,
        record::Recorder,
    },
    worker::{self, Body, Shared},
};
use crossbeam::channel::{self, Sender};
use std::{
    io::{self, BufReader, ErrorKind},
    net::{TcpStream, ToSocketAddrs},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// Time for an agent to say hello; a later one counts as busy.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Time for an agent to read the corpus and to ask the targets.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// An agent reports every second. It is lost if it is silent for this much longer than an answer may take.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How often the coordinator checks whether the run is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Seconds after the last stage in which answers may come.
const LATE_SECONDS_MAX: u64 = 3600;

struct Agent {
    name: String,
    reader: BufReader<TcpStream>,
    /// Threads that the agent would use if it may choose.
    own: usize,
}

/// Agents that are ready to start.
pub(in crate::load) struct Fleet {
    agents: Vec<Agent>,
    /// Workers of all agents.
    pub workers: usize,
    cells: usize,
    stages: usize,
    seconds: u64,
}

impl Fleet {
    /// Connects to all agents, gives each its share of `job` and waits until all are ready. `workers` is the number of
    /// threads of each agent, 0 = the agent's choice; `workers_max` bounds their sum.
    pub fn prepare(
        agents: &Agents,
        mut job: Job,
        workers: usize,
        workers_max: usize,
        endpoints: usize,
    ) -> Result<Self, LoadError> {
        let connected = agents.addresses.iter().map(|name| {
            Agent::connect(name, &agents.token).map_err(|error| not_connected(name, &error))
        });
        let mut connected = connected.collect::<Result<Vec<_>, _>>()?;
        let most = workers_max / connected.len();
        if most == 0 {
            return Err(LoadError::Usage(
                "--connections: each agent needs at least one".into(),
            ));
        }
        for agent in &mut connected {
            let asked = if workers == 0 { agent.own } else { workers };
            agent.own = asked.clamp(1, most);
        }
        job.all_workers = connected.iter().map(|agent| agent.own).sum();
        let mut fleet = Self {
            workers: job.all_workers,
            cells: endpoints * job.targets.len(),
            stages: job.stages.len(),
            seconds: seconds(&job.stages) + LATE_SECONDS_MAX,
            agents: connected,
        };
        let silence = job.timeout + SILENCE_MAX;
        let mut job = ToAgent::Job(Box::new(job));
        for agent in &mut fleet.agents {
            if let ToAgent::Job(job) = &mut job {
                job.own_workers = agent.own;
            }
            let sent = send(&mut agent.reader.get_ref(), &job);
            sent.map_err(|error| failed(&agent.name, &error.to_string()))?;
            if let ToAgent::Job(job) = &mut job {
                job.first_worker += agent.own;
            }
        }
        for agent in &mut fleet.agents {
            agent.wait_ready(silence)?;
        }
        Ok(fleet)
    }

    /// Starts all agents and collects their counts, until they end or `shared` is stopped.
    pub fn drive(
        self,
        shared: &Shared<'_>,
        collector: &mut Collector<'_>,
        progress: &mut Progress<'_>,
        watch: &mut dyn FnMut(&Collector<'_>),
    ) -> Result<(), LoadError> {
        let lost = AtomicBool::new(false);
        let limits = (self.stages, self.cells, self.seconds);
        let (give, take) = channel::unbounded();
        let (running, ended) = channel::bounded::<()>(0);
        let controls = self.agents.iter().map(|agent| agent.reader.get_ref());
        let controls = controls.map(TcpStream::try_clone);
        let controls = controls.collect::<io::Result<Vec<_>>>();
        let controls = controls.map_err(|source| LoadError::System {
            doing: "talking to the agents (look whether they still run)",
            source,
        })?;
        let mut bodies: Vec<Body<'_>> = vec![Box::new(|| {
            let is_over = || shared.is_stopped() || lost.load(Relaxed);
            // Nothing is ever sent: the other side hangs up when all agents have ended.
            while ended.recv_timeout(LOOK_EVERY) == Err(channel::RecvTimeoutError::Timeout) {
                if is_over() {
                    for control in &controls {
                        let _ = send(&mut &*control, &ToAgent::Stop);
                    }
                    break;
                }
            }
            Ok(())
        })];
        for agent in self.agents {
            let (give, running, lost) = (give.clone(), running.clone(), &lost);
            bodies.push(Box::new(move || {
                let outcome = agent.run(limits, &give, shared.recorder);
                lost.fetch_or(outcome.is_err(), Relaxed);
                drop(running);
                outcome
            }));
        }
        drop((give, running));
        worker::run(bodies, || collector.collect(&take, progress, watch))
    }
}

impl Agent {
    fn connect(name: &str, token: &[u8]) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::NotFound, "no address");
        for address in name.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, HELLO_WITHIN) {
                Ok(socket) => return Self::greet(name, socket, token),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greet(name: &str, socket: TcpStream, token: &[u8]) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(HELLO_WITHIN))?;
        socket.set_write_timeout(Some(READY_WITHIN))?;
        let mut reader = BufReader::new(socket);
        let hello = receive(&mut reader, GREETING_BYTES_MAX);
        let hello = hello.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                io::Error::other("no hello within 10 s; it may be in the middle of another run")
            }
            _ => error,
        })?;
        let Some(FromAgent::Hello {
            protocol: PROTOCOL,
            nonce,
            workers,
        }) = hello
        else {
            return Err(io::Error::other("no agent of this version"));
        };
        send(&mut reader.get_ref(), &ToAgent::Proof(proof(token, &nonce)))?;
        Ok(Self {
            name: name.into(),
            reader,
            own: workers.max(1),
        })
    }

    fn wait_ready(&mut self, silence: Duration) -> Result<(), LoadError> {
        let broken = |error: io::Error| failed(&self.name, &error.to_string());
        let socket = self.reader.get_ref();
        socket
            .set_read_timeout(Some(READY_WITHIN))
            .map_err(broken)?;
        let said = receive(&mut self.reader, LINE_BYTES_MAX);
        match said.map_err(|error| failed(&self.name, &error.to_string()))? {
            Some(FromAgent::Ready) => {}
            Some(FromAgent::Refused(why)) => return Err(failed(&self.name, &why)),
            _ => return Err(failed(&self.name, "it is not ready, and does not say why")),
        }
        let waits = self.reader.get_ref().set_read_timeout(Some(silence));
        waits.map_err(|error| failed(&self.name, &error.to_string()))
    }

    /// Starts the agent and passes on its counts until it ends.
    fn run(
        mut self,
        limits: (usize, usize, u64),
        give: &Sender<Interval>,
        recorder: Option<&Recorder>,
    ) -> Result<(), LoadError> {
        let (stages, cells, seconds) = limits;
        send(&mut self.reader.get_ref(), &ToAgent::Start)
            .map_err(|error| failed(&self.name, &error.to_string()))?;
        loop {
            let said = receive(&mut self.reader, LINE_BYTES_MAX);
            match said.map_err(|error| failed(&self.name, &error.to_string()))? {
                Some(FromAgent::Interval(wire)) => {
                    let interval = wire.read(stages, cells, seconds);
                    let interval =
                        interval.map_err(|error| failed(&self.name, &error.to_string()))?;
                    let _ = give.send(interval);
                }
                Some(FromAgent::Pair(pair)) => {
                    if let Some(recorder) = recorder {
                        recorder.write(&pair);
                    }
                }
                Some(FromAgent::End) => return Ok(()),
                Some(FromAgent::Refused(why)) => return Err(failed(&self.name, &why)),
                _ => return Err(failed(&self.name, "lost in the middle of the run")),
            }
        }
    }
}

fn seconds(stages: &[Stage]) -> u64 {
    stages
        .iter()
        .map(|stage| stage.duration.as_secs() + 1)
        .sum()
}

fn not_connected(agent: &str, error: &io::Error) -> LoadError {
    let mut message = error.to_string();
    if error.kind() == ErrorKind::ConnectionRefused {
        message += "; start one there: trident load --agent ADDRESS:PORT --token-file FILE";
    }
    failed(agent, &message)
}

fn failed(agent: &str, message: &str) -> LoadError {
    LoadError::Agent {
        agent: agent.into(),
        message: message.into(),
    }
}
