//! A thread of the generator: one epoll set, its share of the connections, no locks.
//!
//! A **slot** is the permission to have one request in flight on a connection. In a closed loop a slot
//! waits for the answer, thinks, and sends the next request; at a fixed rate it waits in a queue until a
//! request is due. Latency counts from the time a request was due, not from the time it was sent, so a
//! stall of the server counts for all requests that it delayed.
//!
//! `responses` is its receiving half.

mod responses;

use crate::load::{
    error::LoadError,
    identity::Identity,
    judge::check::{Checker, FollowUp},
    plan::{
        corpus::Corpus,
        pick::Picker,
        stage::{Load, Stage, share},
    },
    tally::{
        counts::{Failure, Interval, Outcome, Tally},
        record::Recorder,
    },
    wire::{
        connection::{Connection, ConnectionState, Lifetime},
        target::Target,
    },
};
use crate::threads;
use crossbeam::channel::Sender;
use hdrhistogram::Histogram;
use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event},
    },
    io::Errno,
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    mem,
    ops::Range,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Most responses arrive whole in one read of this size.
const READ_BYTES: usize = 256 << 10;
/// Most events of one wait.
const EVENTS_MAX: usize = 256;
/// How often a worker checks its stage, its users, timeouts and the stop flag.
const TICK_INTERVAL: Duration = Duration::from_millis(10);
/// Pause of a slot after a failure, so that a target that is down is not flooded with connections.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);
/// How long after the end of its stage a due request may still be sent.
const BACKLOG_MAX: Duration = Duration::from_secs(1);
/// How long an interrupted run waits for responses in flight.
const INTERRUPTED_TIMEOUT: Duration = Duration::from_millis(500);
/// Bounds of the histogram of send delays.
const LATE_NS: (u64, u64) = (1_000, 60_000_000_000);

/// A request in flight.
pub struct InFlight {
    /// Index of its entry in the corpus.
    pub entry: usize,
    /// When it was due.
    pub due: Instant,
    /// When it was sent.
    pub sent: Instant,
    /// Set when the response to this request decides on an earlier response; with the latency of that response.
    pub follow_up: Option<(Box<FollowUp>, Duration)>,
}

/// Data that all workers share.
pub struct Shared<'a> {
    /// Requests and answers.
    pub corpus: &'a Corpus,
    /// The team line that the servers answer with.
    pub identity: &'a Identity,
    /// The servers.
    pub targets: &'a [Target],
    /// The stages, in order.
    pub stages: &'a [Stage],
    /// Connections of all workers together at a fixed rate.
    pub connections: usize,
    /// Requests in flight per connection.
    pub pipeline: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether bodies are checked.
    pub check: bool,
    /// When a connection is replaced by a new one.
    pub lifetime: Lifetime,
    /// Number of workers.
    pub workers: usize,
    /// Start of the first stage.
    pub start: Instant,
    /// Set to end the run early.
    pub stop: &'a AtomicBool,
    /// Set when a requirement can no longer hold.
    pub given_up: &'a AtomicBool,
    /// Records failing pairs.
    pub recorder: Option<&'a Recorder>,
}

/// A worker.
pub struct Worker<'a> {
    shared: &'a Shared<'a>,
    number: usize,
    poll: OwnedFd,
    connections: Vec<Connection<InFlight>>,
    /// Connections in use now; those at higher indices end when they have their answers.
    active: usize,
    checker: Checker,
    picker: Picker<'a>,
    stage: usize,
    stage_start: Instant,
    /// At a fixed rate: this worker's number of the next request in this stage.
    next_number: u64,
    /// Requests that this stage may still send in a closed loop, this worker's alone.
    left: u64,
    /// Slots of thinking users, by the time of their next request.
    thinking: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Slots that wait for a due request.
    idle: VecDeque<usize>,
    finished: bool,
    cells: Vec<Option<Box<Tally>>>,
    late_ns: Histogram<u32>,
    second: u64,
    out: Sender<Interval>,
}

pub fn send_delay_histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(LATE_NS.0, LATE_NS.1, 2).expect("constant bounds that are in order")
}

impl Shared<'_> {
    /// Whether the run is to end now.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed) || self.given_up.load(Relaxed)
    }
}

/// What a thread of a run does.
pub type Body<'a> = Box<dyn FnOnce() -> Result<(), LoadError> + Send + 'a>;

/// The workers of these numbers. They hang up on `out` when they have ended.
///
/// # Errors
/// No epoll descriptor.
pub fn bodies<'a>(
    shared: &'a Shared<'a>,
    numbers: Range<usize>,
    out: &Sender<Interval>,
) -> Result<Vec<Body<'a>>, LoadError> {
    let body = |worker: Worker<'a>| Box::new(move || worker.run()) as Body<'a>;
    numbers
        .map(|number| Worker::new(shared, number, out.clone()).map(body))
        .collect()
}

/// Runs `bodies` to their end, each on a thread of its own, and `here` on this one.
///
/// # Errors
/// The first one of a body; or the system refuses a thread, and nothing has begun.
pub fn run(bodies: Vec<Body<'_>>, here: impl FnOnce()) -> Result<(), LoadError> {
    let ran = threads::run_beside(bodies, here);
    let ((), results) = ran.map_err(LoadError::no_thread)?;
    results.into_iter().collect()
}

impl<'a> Worker<'a> {
    /// Worker number `number` of a run.
    ///
    /// # Errors
    /// No epoll descriptor.
    pub fn new(
        shared: &'a Shared<'a>,
        number: usize,
        out: Sender<Interval>,
    ) -> Result<Self, LoadError> {
        let poll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| LoadError::System {
            doing: "cannot wait for sockets; the limit of open files (`ulimit -n`) may be reached",
            source: error.into(),
        })?;
        let users = shared.stages.iter().map(|stage| match stage.load {
            Load::Users { .. } => stage.load.users_max(),
            Load::Rate(_) | Load::Replay { .. } => shared.connections,
        });
        let most = share(users.max().unwrap_or(0), number, shared.workers);
        let target = |index| (index * shared.workers + number) % shared.targets.len();
        Ok(Self {
            shared,
            number,
            poll,
            connections: (0..most).map(|i| Connection::new(target(i))).collect(),
            active: 0,
            checker: Checker::new(shared.corpus.entries.len(), shared.identity),
            picker: Picker::new(shared.corpus, number, shared.workers),
            stage: 0,
            stage_start: shared.start,
            next_number: 0,
            left: u64::MAX,
            thinking: BinaryHeap::new(),
            idle: VecDeque::new(),
            finished: false,
            cells: vec![None; shared.corpus.endpoints.len() * shared.targets.len()],
            late_ns: send_delay_histogram(),
            second: 0,
            out,
        })
    }

    /// Runs all stages.
    ///
    /// # Errors
    /// epoll fails.
    pub fn run(mut self) -> Result<(), LoadError> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let mut buffer = vec![0; READ_BYTES];
        self.enter_stage(0, self.shared.start);
        let mut tick_at = self.shared.start;
        let mut deadline = None;
        loop {
            let now = Instant::now();
            if now >= tick_at {
                self.tick(now);
                tick_at = now + TICK_INTERVAL;
            }
            if self.finished {
                let stopped = self.shared.is_stopped();
                let patience = if stopped {
                    INTERRUPTED_TIMEOUT
                } else {
                    self.shared.timeout
                };
                let end = *deadline.get_or_insert(now + patience);
                let is_waiting = self.connections.iter().any(|c| !c.in_flight.is_empty());
                if !is_waiting || now >= end {
                    self.finish(now, stopped);
                    return Ok(());
                }
            } else {
                self.send_due(now);
                self.finished = self.is_spent();
            }
            self.wait(&mut events, tick_at)?;
            for event in events.drain(..) {
                let (flags, token) = (event.flags, event.data.u64() as usize);
                self.on_event(token, flags, &mut buffer);
            }
        }
    }

    fn wait(&self, events: &mut Vec<Event>, tick_at: Instant) -> Result<(), LoadError> {
        let until = [Some(tick_at), self.next_due()].into_iter().flatten().min();
        let pause = until
            .unwrap_or(tick_at)
            .saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: pause.as_secs() as i64,
            tv_nsec: pause.subsec_nanos().into(),
        };
        match epoll::wait(
            &self.poll,
            rustix::buffer::spare_capacity(events),
            Some(&timeout),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(LoadError::System {
                doing: "cannot wait for sockets; the limit of open files (`ulimit -n`) may be reached",
                source: error.into(),
            }),
        }
    }

    /// When the next request is due, if there is a free slot for it.
    fn next_due(&self) -> Option<Instant> {
        if self.finished {
            return None;
        }
        let thought = self.thinking.peek().map(|Reverse((due, _))| *due);
        let arrival = if self.idle.is_empty() {
            None
        } else {
            self.next_arrival()
        };
        [thought, arrival].into_iter().flatten().min()
    }

    /// When the next request at a fixed rate is due.
    fn next_arrival(&self) -> Option<Instant> {
        let stage = &self.shared.stages[self.stage];
        if matches!(stage.load, Load::Users { .. }) {
            return None;
        }
        let number = self.next_number * self.shared.workers as u64 + self.number as u64;
        if stage.requests.is_some_and(|most| number >= most) {
            return None;
        }
        let due = match stage.load {
            Load::Rate(rate) => rate.due(number, stage.duration.as_secs_f64())?,
            Load::Replay { speed, .. } => *self.shared.corpus.times.get(number as usize)? / speed,
            Load::Users { .. } => return None,
        };
        Some(self.stage_start + Duration::from_secs_f64(due))
    }

    /// Whether all requests are sent, in a stage with a number of requests.
    fn is_spent(&self) -> bool {
        let stage = &self.shared.stages[self.stage];
        stage.requests.is_some()
            && match stage.load {
                Load::Users { .. } => self.left == 0,
                Load::Rate(_) | Load::Replay { .. } => self.next_arrival().is_none(),
            }
    }

    fn tick(&mut self, now: Instant) {
        self.flush_interval(now);
        while !self.finished {
            let end = self.stage_start + self.shared.stages[self.stage].duration;
            if self.shared.is_stopped() {
                self.finished = true;
            } else if now >= end && (self.next_arrival().is_none() || now >= end + BACKLOG_MAX) {
                self.leave_stage(end);
            } else {
                break;
            }
        }
        if !self.finished {
            self.adjust_connections(now);
        }
        self.fail_timed_out(now);
    }

    fn leave_stage(&mut self, end: Instant) {
        self.send_due(end);
        while let Some(due) = self.next_arrival() {
            self.count_unsent(due, end);
        }
        self.close_interval();
        if self.stage + 1 < self.shared.stages.len() {
            self.enter_stage(self.stage + 1, end);
        } else {
            self.finished = true;
        }
    }

    fn enter_stage(&mut self, stage: usize, start: Instant) {
        self.stage = stage;
        self.stage_start = start;
        self.next_number = 0;
        let requests = self.shared.stages[stage].requests;
        self.left = requests.map_or(u64::MAX, |all| {
            let (number, workers) = (self.number as u64, self.shared.workers as u64);
            all / workers + u64::from(number < all % workers)
        });
        self.picker.weigh(&self.shared.stages[stage].weights);
        self.adjust_connections(start);
        for index in mem::take(&mut self.idle) {
            self.release(index, start);
            self.flush_if_any(index, start);
        }
    }

    /// Opens and retires connections to the number that the stage demands now.
    fn adjust_connections(&mut self, now: Instant) {
        let stage = &self.shared.stages[self.stage];
        let elapsed = now
            .saturating_duration_since(self.stage_start)
            .as_secs_f64();
        let users = match stage.load {
            Load::Users { count, .. } => {
                count.at(elapsed, stage.duration.as_secs_f64()).round() as usize
            }
            Load::Rate(_) | Load::Replay { .. } => self.shared.connections,
        };
        self.active = share(users, self.number, self.shared.workers);
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            let wanted = if index < self.active {
                self.shared.pipeline
            } else {
                0
            };
            if wanted == 0 && connection.slots == 0 && connection.in_flight.is_empty() {
                connection.close();
            }
            while self.connections[index].slots < wanted {
                self.connections[index].slots += 1;
                // The first requests of many users are spread over time like the later ones.
                let think = self.think();
                self.thinking.push(Reverse((now + think, index)));
            }
        }
    }

    /// A random think time; zero at a fixed rate.
    fn think(&mut self) -> Duration {
        match self.shared.stages[self.stage].load {
            Load::Users {
                think: (least, most),
                ..
            } => least + (most - least).mul_f64(self.picker.unit()),
            Load::Rate(_) | Load::Replay { .. } => Duration::ZERO,
        }
    }

    /// Fails the requests that have waited longer than the timeout.
    fn fail_timed_out(&mut self, now: Instant) {
        for index in 0..self.connections.len() {
            let front = self.connections[index].in_flight.front();
            if front.is_some_and(|p| now.saturating_duration_since(p.sent) > self.shared.timeout) {
                self.fail_connection(index, Failure::Timeout, now);
            }
        }
    }

    fn send_due(&mut self, now: Instant) {
        while let Some(Reverse((due, index))) = self.thinking.peek().copied() {
            if due > now {
                break;
            }
            self.thinking.pop();
            match self.shared.stages[self.stage].load {
                _ if index >= self.active => self.connections[index].slots -= 1,
                Load::Users { .. } if self.left == 0 => self.idle.push_back(index),
                Load::Users { .. } => {
                    if self.renew(index, now) {
                        self.left -= 1;
                        self.send(index, due, now);
                    }
                }
                Load::Rate(_) | Load::Replay { .. } => self.idle.push_back(index),
            }
        }
        while let Some(due) = self.next_arrival().filter(|due| *due <= now) {
            if now.duration_since(due) > self.shared.timeout {
                self.count_unsent(due, now);
                continue;
            }
            let Some(index) = self.idle.pop_front() else {
                break;
            };
            if self.renew(index, now) {
                self.next_number += 1;
                self.send(index, due, now);
            }
        }
    }

    /// Counts a due request that was not sent.
    fn count_unsent(&mut self, due: Instant, now: Instant) {
        self.next_number += 1;
        let entry = self.picker.pick();
        let latency = now.saturating_duration_since(due);
        self.count(0, entry, Outcome::Failed(Failure::Unsent), latency);
    }

    /// Sends the next request on a slot of the connection at `index`.
    fn send(&mut self, index: usize, due: Instant, now: Instant) {
        let entry = self.picker.pick();
        let late = now.saturating_duration_since(due).as_nanos();
        self.late_ns.saturating_record(late as u64);
        self.enqueue(
            index,
            InFlight {
                entry,
                due,
                sent: now,
                follow_up: None,
            },
        );
        self.flush_or_connect(index, now);
    }

    /// Whether the connection at `index` takes another request. A connection whose lifetime is over is closed, to be
    /// opened again with that request; while answers are still on their way, the slot waits for them.
    fn renew(&mut self, index: usize, now: Instant) -> bool {
        let connection = &mut self.connections[index];
        if !connection.is_over(self.shared.lifetime, now) {
            return true;
        }
        let is_idle = connection.in_flight.is_empty();
        if is_idle {
            connection.close();
        } else {
            connection.held += 1;
        }
        is_idle
    }

    /// Writes a request into the output of the connection at `index`.
    fn enqueue(&mut self, index: usize, pending: InFlight) {
        let connection = &mut self.connections[index];
        let host = &self.shared.targets[connection.target].host;
        let request = match &pending.follow_up {
            Some((follow_up, _)) => &follow_up.request,
            None => &self.shared.corpus.entries[pending.entry].request,
        };
        request.append_to(connection.output(), host);
        connection.carried = connection.carried.saturating_add(1);
        connection.in_flight.push_back(pending);
    }

    /// Sends the output of the connection at `index`; connects first if it is closed.
    fn flush_or_connect(&mut self, index: usize, now: Instant) {
        let connection = &mut self.connections[index];
        if connection.state == ConnectionState::Closed {
            let target = &self.shared.targets[connection.target];
            if connection.connect(target, &self.poll, index).is_err() {
                self.fail_connection(index, Failure::Connect, now);
            }
        } else if !connection.flush() {
            self.fail_connection(index, Failure::Reset, now);
        }
    }

    /// Sends the counts to the collector, once per second.
    fn flush_interval(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.shared.start).as_secs();
        if second > self.second {
            self.close_interval();
            self.second = second;
        }
    }

    fn close_interval(&mut self) {
        let interval = Interval {
            stage: self.stage,
            second: self.second,
            cells: self.cells.iter_mut().map(Option::take).collect(),
            late_ns: mem::replace(&mut self.late_ns, send_delay_histogram()),
        };
        // The collector is gone only if the run has already failed.
        let _ = self.out.send(interval);
    }

    /// Fails the requests still in flight. In an interrupted run they are not counted.
    fn finish(&mut self, now: Instant, stopped: bool) {
        if !stopped {
            for index in 0..self.connections.len() {
                self.fail_connection(index, Failure::Timeout, now);
            }
        }
        self.close_interval();
    }
}
