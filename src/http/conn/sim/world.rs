//! The simulated world: connections, their clients, other threads and the clock, one step after the other.
//!
//! It takes the place of the coroutine, epoll and the watcher: it gives turns, delivers events and lets time pass. Time
//! passes only when nothing else can happen: a client that still waits then waits for a deadline or for a slow promise,
//! or was forgotten.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use crossbeam::utils::CachePadded;

use super::{
    Fault,
    check::{self, Violation},
    client::{Client, Ending, Piece},
    random::Random,
    service::{self, Scripted},
    wire::{Shared, SimSocket, Wire},
};
use crate::http::{
    Heads, Limits,
    clock::{self, simulated},
    conn::{Conn, Next, Stage},
    parse::Memo,
    server::{Hosted, Server},
    watch::{Phase, Slots},
    worker::Scratch,
};

/// Simulated time after which every connection must have ended.
const END_MS: u64 = 3_600_000;

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Turn,
    Socket,
    Answer,
}

/// A connection and its client.
struct Link {
    conn: Option<Box<Conn<Scripted, SimSocket>>>,
    waits: Waits,
    wire: Shared,
    client: Client,
    /// Until then the client sends nothing.
    pause_ms: u64,
}

/// What can happen next.
#[derive(Clone, Copy)]
enum Action {
    Turn(usize),
    Wake(usize),
    Send(usize),
    Read(usize),
    Settle,
}

pub(super) struct World {
    random: Random,
    fault: Option<Fault>,
    server: Arc<Server>,
    links: Vec<Link>,
    input: Vec<u8>,
    scratch: Scratch<Scripted>,
    now_ms: u64,
    /// The story so far, if it is recorded.
    story: Option<Vec<String>>,
}

/// The outcome of a simulation: requests answered, or what went wrong and the story that led there.
pub(super) type Outcome = Result<usize, (Violation, Vec<String>)>;

/// Simulates what follows from `seed`.
pub(super) fn run(seed: u64, fault: Option<Fault>, is_told: bool) -> Outcome {
    service::clear();
    simulated::set(Some(1_000_000));
    let mut world = World::new(seed, fault, is_told);
    let outcome = world.live();
    let story = world.story.take().unwrap_or_default();
    drop(world);
    simulated::set(None);
    outcome.map_err(|violation| (violation, story))
}

fn limits(random: &mut Random) -> Limits {
    Limits {
        requests_per_connection_max: random.of(&[0, 0, 0, 3]),
        pipelined_batch_max: random.of(&[1, 2, 256]),
        write_buffer_bytes_max: random.of(&[4096, 256 << 10]),
        // Not by the clock, which the seed does not determine: every turn is over its time at once, or never.
        turn_us: random.of(&[0, u64::MAX]),
        bytes_per_second_min: 1,
        ..Limits::default()
    }
}

impl World {
    fn new(seed: u64, fault: Option<Fault>, is_told: bool) -> Self {
        let mut random = Random::new(seed);
        let limits = limits(&mut random);
        let requests_max = limits.requests_per_connection_max as usize;
        let server = Arc::new(Server {
            turn_ns: limits.turn_us.saturating_mul(1000),
            idle_ms: limits.idle_timeout.as_millis() as u64,
            limits,
            slots: Arc::new(Slots::new(16)),
            open: CachePadded::default(),
            buffered_bytes: CachePadded::default(),
            closing: AtomicBool::new(false),
        });
        let hosted = Arc::new(Hosted {
            server: Arc::clone(&server),
            service: Arc::new(Scripted),
            number: 0,
        });
        let count = 1 + random.below(5);
        let links = (0..count)
            .map(|number| {
                let wire = Random::new(random.next());
                let wire = Wire::new(wire, random.of(&[700, 9000, 1 << 20]), fault);
                let socket = SimSocket {
                    number: number as i32,
                    wire: std::rc::Rc::clone(&wire),
                };
                server.open.fetch_add(1, Relaxed);
                Link {
                    conn: Conn::new(Arc::clone(&hosted), socket).map(Box::new),
                    waits: Waits::Turn,
                    wire,
                    client: Client::new(&mut random, number, requests_max),
                    pause_ms: 0,
                }
            })
            .collect();
        Self {
            input: vec![0; random.of(&[50, 1000, 16 << 10])],
            random,
            fault,
            server,
            links,
            scratch: Scratch {
                output: Vec::new(),
                body: Vec::new(),
                heads: Heads::default(),
                memo: Memo::default(),
                service: (),
            },
            now_ms: 0,
            story: is_told.then(Vec::new),
        }
    }

    /// Performs every possible action, then lets time pass, until all connections have ended.
    fn live(&mut self) -> Result<usize, Violation> {
        while self.now_ms < END_MS {
            let actions = self.actions();
            if !actions.is_empty() {
                let action = actions[self.random.below(actions.len())];
                self.act(action);
                continue;
            }
            for (index, link) in self.links.iter().enumerate() {
                if link.client.pieces.is_empty() {
                    check::nothing_is_forgotten(index, &link.client)?;
                }
            }
            if self.links.iter().all(|link| link.conn.is_none()) {
                break;
            }
            self.pass_a_tick();
        }
        let clients = self.links.iter().map(|link| &link.client);
        check::all_is_over(&self.server, clients)
    }

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (index, link) in self.links.iter().enumerate() {
            let wire = link.wire.borrow();
            if let Some(conn) = &link.conn {
                let is_ready = match (link.waits, &conn.stage) {
                    (Waits::Turn, _) => true,
                    (Waits::Answer, Stage::Deferred(awaited, _)) => awaited.answer.is_ready(),
                    (Waits::Answer, _) => true,
                    (Waits::Socket, _) => false,
                };
                if is_ready {
                    actions.push(Action::Turn(index));
                }
                if link.waits == Waits::Socket && wire.has_events() {
                    actions.push(Action::Wake(index));
                }
            }
            let client = &link.client;
            if !client.pieces.is_empty() && link.pause_ms <= self.now_ms {
                actions.push(Action::Send(index));
            }
            let sees_end = wire.is_answered && client.ended_ms.is_none();
            if client.ending != Ending::Unread && (wire.has_answers() || sees_end) {
                actions.push(Action::Read(index));
            }
        }
        if service::open() > 0 {
            actions.push(Action::Settle);
        }
        actions
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Turn(index) => self.turn(index),
            Action::Wake(index) => {
                let link = &mut self.links[index];
                let events = link.wire.borrow_mut().take_events().unwrap_or_default();
                if let Some(conn) = &mut link.conn {
                    conn.notice(events);
                }
                self.tell(|| format!("connection {index} wakes by events {events:#x}"));
                self.turn(index);
            }
            Action::Send(index) => self.send(index),
            Action::Read(index) => self.read(index),
            Action::Settle => {
                let id = service::settle(self.random.below(service::open()));
                self.tell(|| format!("another thread settles request {id}"));
            }
        }
    }

    fn turn(&mut self, index: usize) {
        let link = &mut self.links[index];
        let Some(conn) = &mut link.conn else { return };
        let next = conn.turn(&mut self.input, &mut self.scratch);
        let (waits, told) = match next {
            Next::Wait | Next::WaitBehind => (Waits::Socket, "waits for its socket"),
            Next::Park => (Waits::Answer, "waits for an answer"),
            Next::AtOnce | Next::Again | Next::AgainBehind => (Waits::Turn, "wants another turn"),
            Next::Close => {
                link.conn = None;
                (Waits::Turn, "is closed")
            }
        };
        link.waits = waits;
        self.tell(|| format!("connection {index} has a turn and {told}"));
    }

    fn send(&mut self, index: usize) {
        let link = &mut self.links[index];
        let Some(piece) = link.client.pieces.pop_front() else {
            return;
        };
        let wire = &mut *link.wire.borrow_mut();
        match &piece {
            Piece::Bytes(bytes) => {
                // The clock of deadlines lags by up to a tick.
                let lag_ms = self.random.below(clock::TICK.as_millis() as usize) as u64;
                link.client.silent_since_ms = self.now_ms + lag_ms;
                wire.arrive(bytes);
            }
            Piece::Drip(byte) => wire.arrive(&[*byte]),
            Piece::Pause(ticks) => {
                link.pause_ms = self.now_ms + *ticks as u64 * clock::TICK.as_millis() as u64;
            }
            Piece::Finish => wire.end(),
            Piece::Reset => wire.reset(),
        }
        if let Some(story) = &mut self.story {
            story.push(format!("client {index} sends {piece}"));
        }
    }

    fn read(&mut self, index: usize) {
        let most = self.random.of(&[1, 100, 10_000, 1 << 20]);
        let link = &mut self.links[index];
        let mut wire = link.wire.borrow_mut();
        let bytes = wire.read(most);
        if bytes.is_empty() && wire.is_answered {
            link.client.ended_ms = Some(self.now_ms);
            if self.random.one_in(2) {
                link.client.pieces.push_back(Piece::Finish);
            }
        }
        drop(wire);
        link.client.received.extend_from_slice(&bytes);
        let count = bytes.len();
        self.tell(|| format!("client {index} reads {count} bytes"));
    }

    /// Lets a tick pass and shuts down the connections whose deadline has passed.
    fn pass_a_tick(&mut self) {
        self.now_ms += clock::TICK.as_millis() as u64;
        simulated::set(Some(1_000_000 + self.now_ms));
        let now_ms = self.now_ms;
        // Longer than the deadlines of heads and bodies.
        if service::slow() > 0 && self.random.one_in(60) {
            let id = service::settle_slow();
            self.links[id / 100].client.silent_since_ms = now_ms;
            self.tell(|| format!("{now_ms} ms: another thread settles slow request {id}"));
        }
        if self.fault == Some(Fault::NoDeadline) {
            return;
        }
        let (links, story) = (&self.links, &mut self.story);
        self.server.slots.sweep(|number, phase| {
            let both = phase == Phase::Write;
            links[number as usize].wire.borrow_mut().shut_down(both);
            if let Some(story) = story {
                story.push(format!(
                    "{now_ms} ms: connection {number} expires: {phase:?}"
                ));
            }
        });
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }
}
