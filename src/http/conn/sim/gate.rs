//! The accept loop under simulation, with the connections that it starts, up to the end of a stop.
//!
//! The loop, the start of connections and their turns are the product's. The simulation is the kernel: handshakes, the
//! listeners' queues, the table of descriptors, errors of `accept`, failing spawns, time. Every client sends one request
//! with its handshake.
//!
//! `plan` is what a seed decides.

mod plan;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
    io,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use plan::GatePlan;

use super::{
    Fault,
    check::{self, Ended, Violation},
    clock::{SimClock, TICK_MS},
    fate::{Fate, Random, Source as Choices},
    in_silence,
    plan::Plan,
    service::{self, Scripted},
    shrink::Shrunk,
    wire::{Shared, SimSocket, Wire},
    world,
};
use crate::http::{
    Limits,
    accept::{Loop, Source, System},
    clock::simulated,
    conn::{self, Conn, Next},
    pulse::AcceptBeat,
    server::{Hosted, Server},
    watch::Slots,
    worker::Scratch,
};

/// Simulated time within which a server that stops must have ended all connections.
const STOP_MS: u64 = 100_000;

/// How long a handshake takes that the kernel has begun: less than the loop waits for it.
const HANDSHAKE_MS: usize = 150;

/// How far a client's connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    /// Its SYN was taken; the handshake is complete at this time.
    Begun(u64),
    Queued,
    Accepted,
}

struct Client {
    listener: usize,
    state: State,
    wire: Shared,
    /// It was accepted when there was room for it.
    had_room: bool,
    /// The server could not serve it.
    is_excused: bool,
}

/// A connection that was started.
struct Active {
    client: usize,
    conn: Box<Conn<Scripted, SimSocket>>,
    wants_turn: bool,
}

struct Kernel {
    plan: GatePlan,
    fate: Rc<Fate>,
    clock: Rc<SimClock>,
    server: Arc<Server>,
    now_ms: Cell<u64>,
    queues: RefCell<[VecDeque<usize>; 2]>,
    /// The listeners that take no SYN.
    refuses: [Cell<bool>; 2],
    /// Descriptors in use.
    used: RefCell<BTreeSet<usize>>,
    has_spare: Cell<bool>,
    clients: RefCell<Vec<Client>>,
    conns: RefCell<Vec<Active>>,
    scratch: RefCell<Scratch<Scripted>>,
    shall_stop: Cell<bool>,
    violation: RefCell<Option<Violation>>,
}

/// A number in the kernel's table.
struct Descriptor {
    kernel: Rc<Kernel>,
    number: usize,
    is_spare: bool,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.kernel.used.borrow_mut().remove(&self.number);
        if self.is_spare {
            self.kernel.has_spare.set(false);
        }
    }
}

struct SimStream {
    client: usize,
    socket: SimSocket,
}

struct SimSystem(Rc<Kernel>);

impl System for SimSystem {
    type Listener = usize;
    type Stream = SimStream;
    type Spare = Descriptor;
    type Start = Box<dyn Fn(SimStream) -> bool>;

    fn wait<'l>(
        &self,
        listeners: impl Iterator<Item = &'l usize>,
        _: Option<Duration>,
    ) -> (bool, Vec<usize>) {
        let queues = self.0.queues.borrow();
        let ready = listeners
            .enumerate()
            .filter(|(_, id)| !queues[**id].is_empty());
        (
            self.0.shall_stop.get(),
            ready.map(|(index, _)| index).collect(),
        )
    }

    fn is_stopped(&mut self) -> bool {
        self.0.shall_stop.get()
    }

    fn accept(&self, listener: &usize) -> io::Result<SimStream> {
        let kernel = &self.0;
        let failure = kernel.fate.below(80);
        let failures = [
            libc::EINTR,
            libc::ECONNABORTED,
            libc::EPROTO,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
        ];
        let fails = |error: i32| {
            let error = io::Error::from_raw_os_error(error);
            kernel.fate.tell(|| format!("    accept: {error}"));
            Err(error)
        };
        if let Some(error) = failure.checked_sub(74) {
            return fails(failures[error]);
        }
        // As Linux: the descriptor comes before the look into the queue.
        let Some(descriptor) = kernel.descriptor(false) else {
            return fails(libc::EMFILE);
        };
        let Some(client) = kernel.queues.borrow_mut()[*listener].pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let clients = &mut *kernel.clients.borrow_mut();
        let open = kernel.server.open.load(Relaxed);
        clients[client].had_room = kernel.has_spare.get() && open < kernel.plan.connections_max;
        clients[client].state = State::Accepted;
        let number = descriptor.number;
        kernel
            .fate
            .tell(|| format!("    accept: client {client} as descriptor {number}"));
        let wire = Rc::clone(&clients[client].wire);
        kernel.clock.put(number, &wire);
        let socket = SimSocket {
            number: number as i32,
            wire,
            clock: Rc::clone(&kernel.clock),
            _descriptor: Some(Box::new(descriptor)),
        };
        Ok(SimStream { client, socket })
    }

    fn refuse_new_handshakes(&self, listener: &usize) -> io::Result<()> {
        if self.0.plan.is_inherited[*listener] {
            self.0
                .violate("an inherited listener was told to take no handshakes");
        }
        if !self.0.plan.can_refuse {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.0.refuses[*listener].set(true);
        Ok(())
    }

    fn spare(&self) -> io::Result<Descriptor> {
        let none = || io::Error::from_raw_os_error(libc::EMFILE);
        let descriptor = self.0.descriptor(true).ok_or_else(none)?;
        self.0.has_spare.set(true);
        Ok(descriptor)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms.get())
    }

    /// Meanwhile the world goes on.
    fn sleep(&self, time: Duration) {
        for _ in 0..self.0.fate.below(4) {
            self.0.act();
        }
        self.0.pass(time.as_millis() as u64);
    }

    fn set_nodelay(&self, _: &SimStream) {}

    fn answer(&self, stream: &SimStream, answer: &[u8]) {
        use conn::socket::Socket;
        let mut rest = answer;
        while let Ok(sent @ 1..) = stream.socket.send(rest) {
            rest = &rest[sent..];
        }
        let _ = stream.socket.receive(&mut [0; 1024]);
    }

    fn end_sending(&self, stream: &SimStream) {
        use conn::socket::Socket;
        let _ = stream.socket.end_sending();
    }
}

impl Kernel {
    fn violate(&self, what: &str) {
        let _ = self
            .violation
            .borrow_mut()
            .get_or_insert(Violation(what.to_owned()));
    }

    /// The lowest free one; `None` if all are in use.
    fn descriptor(self: &Rc<Self>, is_spare: bool) -> Option<Descriptor> {
        let mut used = self.used.borrow_mut();
        let number = (0..self.plan.descriptors_max).find(|number| !used.contains(number))?;
        used.insert(number);
        Some(Descriptor {
            kernel: Rc::clone(self),
            number,
            is_spare,
        })
    }

    /// Starts an accepted connection, if chance has a stack for it.
    fn start(self: &Rc<Self>, hosted: &Arc<Hosted<Scripted>>, stream: SimStream) -> bool {
        let SimStream { client, socket } = stream;
        let conn = Conn::new(Arc::clone(hosted), socket);
        let excuse = || self.clients.borrow_mut()[client].is_excused = true;
        if conn.is_none() {
            self.fate.tell(|| "    there is no slot for it".to_owned());
            excuse();
        }
        conn::admit(conn, |conn| {
            if self.fate.one_in(8) {
                self.fate.tell(|| "    there is no stack for it".to_owned());
                excuse();
                return false;
            }
            self.conns.borrow_mut().push(Active {
                client,
                conn,
                wants_turn: false,
            });
            true
        })
    }

    /// Something happens besides accepting; false if nothing can.
    fn act(&self) -> bool {
        let now_ms = self.now_ms.get();
        let mut actions: Vec<(usize, usize)> = Vec::new();
        for (index, active) in self.conns.borrow().iter().enumerate() {
            let clients = self.clients.borrow();
            if active.wants_turn || clients[active.client].wire.borrow().has_events() {
                actions.push((0, index));
            }
        }
        for (index, client) in self.clients.borrow().iter().enumerate() {
            match client.state {
                State::Begun(at_ms) if at_ms <= now_ms => actions.push((1, index)),
                State::Away if !self.refuses[client.listener].get() => actions.push((2, index)),
                _ => {}
            }
        }
        if actions.is_empty() {
            return false;
        }
        match actions[self.fate.below(actions.len())] {
            (0, index) => self.turn(index),
            (1, index) => self.complete(index),
            (_, index) => {
                let takes_ms = self.fate.below(HANDSHAKE_MS) as u64;
                self.clients.borrow_mut()[index].state = State::Begun(now_ms + takes_ms);
                self.fate
                    .tell(|| format!("{now_ms} ms: client {index} sends its SYN"));
            }
        }
        true
    }

    /// A handshake is complete, and the request comes.
    fn complete(&self, index: usize) {
        let client = &mut self.clients.borrow_mut()[index];
        client.state = State::Queued;
        let id = service::id(index, 0);
        let request = format!("GET /{id}/0/now HTTP/1.1\r\nHost: t\r\n\r\n");
        client.wire.borrow_mut().arrive(request.as_bytes());
        self.queues.borrow_mut()[client.listener].push_back(index);
        let (now_ms, listener) = (self.now_ms.get(), client.listener);
        self.fate
            .tell(|| format!("{now_ms} ms: client {index} is in the queue of listener {listener}"));
    }

    fn turn(&self, index: usize) {
        let mut conns = self.conns.borrow_mut();
        let active = &mut conns[index];
        let client = active.client;
        self.fate
            .tell(|| format!("the connection of client {client} has a turn"));
        let wire = Rc::clone(&self.clients.borrow()[client].wire);
        if let Some(events) = wire.borrow_mut().take_events() {
            active.conn.notice(events);
        }
        let mut input = [0; 4096];
        let next = active.conn.turn(&mut input, &mut self.scratch.borrow_mut());
        match next {
            Next::Close => {
                self.fate.tell(|| "    and is closed".to_owned());
                conns.remove(index);
            }
            Next::Wait | Next::WaitBehind | Next::Park => {
                active.wants_turn = false;
                // Some clients end after their answer.
                if wire.borrow().has_answers() && self.fate.one_in(4) {
                    wire.borrow_mut().end();
                }
            }
            Next::AtOnce | Next::Again | Next::AgainBehind => active.wants_turn = true,
        }
    }

    /// Lets time pass: handshakes are completed, deadlines pass.
    fn pass(&self, ms: u64) {
        let now_ms = self.now_ms.get() + ms;
        self.now_ms.set(now_ms);
        for index in 0..self.plan.clients.len() {
            let state = self.clients.borrow()[index].state;
            if matches!(state, State::Begun(at_ms) if at_ms <= now_ms) {
                self.complete(index);
            }
        }
        while self.clock.now_ms() + TICK_MS <= now_ms {
            self.clock.pass_a_tick();
        }
    }

    /// What must be true at any time.
    fn check(&self) -> Result<(), Violation> {
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        let (open, conns) = (self.server.open.load(Relaxed), self.conns.borrow().len());
        if open != conns || open > self.plan.connections_max {
            return Err(Violation(format!(
                "{conns} connections are open, {open} are counted, {} may be",
                self.plan.connections_max
            )));
        }
        Ok(())
    }

    /// What must be true in the end. Returns how many clients were answered.
    fn check_end(&self) -> Result<usize, Violation> {
        let violation = |text: String| Err(Violation(text));
        if !self.used.borrow().is_empty() {
            return violation("descriptors are left".to_owned());
        }
        let slot = |number| self.server.slots.get(number as i32);
        let is_used = |number: &usize| slot(*number).is_some_and(|slot| slot.load(Relaxed) != 0);
        if let Some(number) = (0..self.plan.slots).find(is_used) {
            return violation(format!("slot {number} is not free"));
        }
        let mut answers = 0;
        for (index, client) in self.clients.borrow().iter().enumerate() {
            let mut received = Vec::new();
            client.wire.borrow_mut().read(usize::MAX, &mut received);
            let status = check::parse(&received, false).map(|(got, _)| got.status);
            answers += usize::from(status.is_some());
            let is_inherited = self.plan.is_inherited[client.listener];
            match (client.state, status) {
                (State::Away, None) => {}
                // The next process accepts it.
                (State::Begun(_) | State::Queued, None) if is_inherited => {}
                // A kernel that goes on completing handshakes until the listener is closed.
                (State::Begun(_) | State::Queued, None) if !self.plan.can_refuse => {}
                (State::Accepted, None) if client.is_excused => {}
                (State::Accepted, Some(200)) => {}
                (State::Accepted, Some(503)) if !client.had_room => {}
                (State::Accepted, Some(503)) => {
                    return violation(format!("client {index} was refused, and there was room"));
                }
                (_, status) => {
                    return violation(format!("client {index} is lost: its answer is {status:?}"));
                }
            }
        }
        Ok(answers)
    }
}

/// Simulates `plan` with the choices of `source`, up to the end of a stop.
fn run(plan: &GatePlan, source: Choices, fault: Option<Fault>, is_told: bool) -> Ended {
    let fate = Rc::new(Fate::new(source, is_told));
    let limits = Limits {
        connections_max: plan.connections_max,
        turn_us: u64::MAX,
        ..Limits::default()
    };
    let slots = Arc::new(Slots::new(plan.slots));
    let clock = SimClock::new(&fate, fault, &slots, 0);
    service::clear(Some(Rc::clone(&clock)));
    let wires = Plan::simple();
    let clients = plan.clients.iter().map(|listener| Client {
        listener: *listener,
        state: State::Away,
        wire: Wire::new(&fate, 1 << 20, &wires, fault),
        had_room: false,
        is_excused: false,
    });
    let kernel = Rc::new(Kernel {
        clients: RefCell::new(clients.collect()),
        plan: plan.clone(),
        fate: Rc::clone(&fate),
        clock,
        server: world::server(limits, slots),
        now_ms: Cell::default(),
        queues: RefCell::default(),
        refuses: Default::default(),
        used: RefCell::default(),
        has_spare: Cell::default(),
        conns: RefCell::default(),
        scratch: RefCell::new(world::scratch()),
        shall_stop: Cell::default(),
        violation: RefCell::default(),
    });
    let outcome = check::caught(|| live(&kernel));
    let (choices, story) = fate.told();
    kernel.conns.take();
    service::clear(None);
    simulated::set(None);
    Ended {
        outcome,
        choices,
        story,
    }
}

fn live(kernel: &Rc<Kernel>) -> Result<usize, Violation> {
    let hosted = Arc::new(Hosted {
        server: Arc::clone(&kernel.server),
        service: Arc::new(Scripted),
        number: 0,
    });
    let listeners = [0, 1].map(|id| {
        let (kernel, hosted) = (Rc::clone(kernel), Arc::clone(&hosted));
        Source::<SimSystem> {
            socket: id,
            inherited: kernel.plan.is_inherited[id],
            start: Box::new(move |stream| kernel.start(&hosted, stream)),
        }
    });
    let beat = Arc::new(AcceptBeat::default());
    let system = SimSystem(Rc::clone(kernel));
    let accepting = Loop::new(system, &kernel.server, listeners.into(), beat);
    let mut accepting = accepting.map_err(|error| Violation(error.to_string()))?;
    for step in 0.. {
        if step == kernel.plan.stop_at {
            kernel.fate.tell(|| "the server stops".to_owned());
            kernel.server.announce_close();
            kernel.shall_stop.set(true);
        }
        if kernel.fate.below(3) == 0 {
            kernel
                .fate
                .tell(|| "the accept thread looks for work".to_owned());
            if accepting.has_ended() {
                break;
            }
        } else if !kernel.act() {
            kernel.pass(50);
        }
        kernel.check()?;
    }
    kernel.check()?;
    drop(accepting);
    kernel
        .fate
        .tell(|| "the accept thread has ended, the listeners are closed".to_owned());
    let end_ms = kernel.now_ms.get() + STOP_MS;
    while !kernel.conns.borrow().is_empty() {
        kernel.clock.end_idle();
        while kernel.act_on_connections() {}
        kernel.pass(TICK_MS);
        kernel.check()?;
        if kernel.now_ms.get() > end_ms {
            return Err(Violation("a stop has no end".to_owned()));
        }
    }
    kernel.check()?;
    kernel.check_end()
}

impl Kernel {
    /// A turn of a connection that can have one.
    fn act_on_connections(&self) -> bool {
        let is_ready = |active: &Active| {
            let wire = &self.clients.borrow()[active.client].wire;
            active.wants_turn || wire.borrow().has_events()
        };
        let ready = self.conns.borrow().iter().position(is_ready);
        ready.map(|index| self.turn(index)).is_some()
    }
}

/// Simulates what follows from `seed`.
fn simulate(seed: u64, fault: Option<Fault>, is_told: bool) -> (GatePlan, Ended) {
    let plan = GatePlan::new(&mut Random::new(seed));
    // Other numbers than those of the plan.
    let ended = run(&plan, Choices::Seed(!seed), fault, is_told);
    (plan, ended)
}

/// The shortest story of a seed that fails.
fn shrink(seed: u64, fault: Option<Fault>) -> Option<Shrunk<GatePlan>> {
    in_silence(|| {
        let (plan, ended) = simulate(seed, fault, true);
        Shrunk::from(plan, ended, fault)
    })
}

#[test]
fn accepting_and_stopping_lose_nobody_whatever_fails() {
    let first = super::from_environment("SIM_SEED", 1);
    let seeds = super::from_environment("SIM_SEEDS", super::SEEDS);
    let mut answers = 0;
    for seed in first..first + seeds {
        match in_silence(|| simulate(seed, None, false)).1.outcome {
            Ok(count) => answers += count,
            Err(_) => fail(seed),
        }
    }
    assert!(answers > 0);
}

/// Panics with the shortest story of `seed`.
fn fail(seed: u64) -> ! {
    let Some(shrunk) = shrink(seed, None) else {
        panic!("seed {seed} failed, and not when it was run again: chance from elsewhere");
    };
    panic!("seed {seed}: {shrunk}");
}

/// Found within few seeds, and told with one client.
#[test]
fn faults_of_accepted_connections_are_found_and_told_shortly() {
    for fault in [Fault::LostEvent, Fault::LostByte] {
        let fails =
            |seed: &u64| in_silence(|| simulate(*seed, Some(fault), false).1.outcome.is_err());
        let seed = (1..2000).find(fails);
        let seed = seed.unwrap_or_else(|| panic!("{fault:?} was not found"));
        let shrunk = shrink(seed, Some(fault)).unwrap();
        eprintln!("{fault:?}, seed {seed}: {shrunk}\n");
        assert_eq!(shrunk.plan.clients.len(), 1, "{fault:?}: {shrunk}");
        assert!(shrunk.story.len() <= 25, "{fault:?}: {shrunk}");
        // It fails again, by itself.
        let tape = Choices::Tape(shrunk.choices);
        let again = run(&shrunk.plan, tape, Some(fault), true);
        assert_eq!(again.story, shrunk.story);
    }
}
