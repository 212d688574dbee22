//! The simulated world: connections, their clients, other threads and the clock, one step after the other.
//!
//! It takes the place of the coroutine, epoll and the watcher: it gives turns, delivers events and lets time pass. Time
//! passes only when nothing else can happen, or within a turn: a client that still waits then waits for a deadline or
//! for a slow promise, or was forgotten.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crossbeam::utils::CachePadded;

use super::{
    Fault,
    check::{self, Ended, Violation},
    client::{Client, Piece},
    clock::{SimClock, TICK_MS},
    fate::{Fate, Source},
    plan::{Ending, Plan},
    service::{self, Scripted},
    wire::{self, Shared, SimSocket, Wire},
};
use crate::http::{
    Heads, Limits,
    clock::simulated,
    conn::{Conn, Next, Stage},
    parse::Memo,
    server::{Hosted, Server},
    watch::Slots,
    worker::Scratch,
};

/// Simulated time after which every connection must have ended.
const END_MS: u64 = 3_600_000;

/// Steps after which every connection must have ended: several times as many as simulations take.
const STEPS_MAX: usize = 50_000;

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
    turns: usize,
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
    Read(usize),
    Settle,
    Send(usize),
}

struct World<'p> {
    plan: &'p Plan,
    fate: Rc<Fate>,
    clock: Rc<SimClock>,
    server: Arc<Server>,
    links: Vec<Link>,
    input: Vec<u8>,
    scratch: Scratch<Scripted>,
    /// What can happen next; kept for its memory.
    actions: Vec<Action>,
    steps: usize,
}

/// Simulates `plan` with the choices of `source`.
pub(super) fn run(plan: &Plan, source: Source, fault: Option<Fault>, is_told: bool) -> Ended {
    let fate = Rc::new(Fate::new(source, is_told));
    let mut world = World::new(plan, &fate, fault);
    let outcome = check::caught(|| world.live());
    let (choices, story) = fate.told();
    drop(world);
    service::clear(None);
    simulated::set(None);
    Ended {
        outcome,
        choices,
        story,
    }
}

fn limits(plan: &Plan) -> Limits {
    Limits {
        requests_per_connection_max: plan.requests_max,
        pipelined_batch_max: plan.batch_max,
        write_buffer_bytes_max: plan.write_bytes_max,
        buffered_bytes_max: plan.budget_bytes,
        turn_us: if plan.is_costly { 0 } else { u64::MAX },
        bytes_per_second_min: 1,
        ..Limits::default()
    }
}

/// A server without threads.
pub(super) fn server(limits: Limits, slots: Arc<Slots>) -> Arc<Server> {
    Arc::new(Server {
        turn_ns: limits.turn_us.saturating_mul(1000),
        idle_ms: limits.idle_timeout.as_millis() as u64,
        limits,
        slots,
        open: CachePadded::default(),
        buffered_bytes: CachePadded::default(),
        closing: AtomicBool::new(false),
    })
}

pub(super) fn scratch() -> Scratch<Scripted> {
    Scratch {
        output: Vec::new(),
        body: Vec::new(),
        heads: Heads::default(),
        memo: Memo::default(),
        service: (),
    }
}

impl<'p> World<'p> {
    fn new(plan: &'p Plan, fate: &Rc<Fate>, fault: Option<Fault>) -> Self {
        let limits = limits(plan);
        let slots = Arc::new(Slots::new(16));
        let clock = SimClock::new(fate, fault, &slots, plan.ticks_in_turns);
        service::clear(Some(Rc::clone(&clock)));
        let server = server(limits, slots);
        let hosted = Arc::new(Hosted {
            server: Arc::clone(&server),
            service: Arc::new(Scripted),
            number: 0,
        });
        let links = plan.clients.iter().enumerate().map(|(number, client)| {
            let wire = Wire::new(fate, client.room, plan, fault);
            clock.add(&wire);
            let socket = SimSocket {
                number: number as i32,
                wire: Rc::clone(&wire),
                clock: Rc::clone(&clock),
                _descriptor: None,
            };
            server.open.fetch_add(1, Relaxed);
            let mut sends = Client::new(client, number, plan.requests_max as usize);
            // Any of its requests may be refused, and with answers unread it is cut off behind them.
            sends.is_excused = plan.budget_bytes < 1 << 20;
            Link {
                conn: Conn::new(Arc::clone(&hosted), socket).map(Box::new),
                waits: Waits::Turn,
                turns: 0,
                wire,
                client: sends,
                pause_ms: 0,
            }
        });
        Self {
            links: links.collect(),
            plan,
            fate: Rc::clone(fate),
            clock,
            server,
            input: vec![0; plan.input_bytes],
            scratch: scratch(),
            actions: Vec::new(),
            steps: 0,
        }
    }

    /// Performs every possible action, then lets time pass, until all connections have ended.
    fn live(&mut self) -> Result<usize, Violation> {
        while self.clock.now_ms() < END_MS {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(Violation("it goes on without end".to_owned()));
            }
            self.reload();
            self.begin_to_stop();
            if let Some(action) = self.choose() {
                self.act(action)?;
                continue;
            }
            for (index, link) in self.links.iter_mut().enumerate() {
                if link.client.pieces.is_empty() {
                    check::nothing_is_forgotten(index, &mut link.client, self.plan, &self.server)?;
                }
            }
            if self.links.iter().all(|link| link.conn.is_none()) {
                break;
            }
            self.pass_a_tick();
        }
        let clients = self.links.iter_mut().map(|link| &mut link.client);
        check::all_is_over(self.plan, &self.server, &self.clock, clients)
    }

    /// Reloads the service, when it is time to.
    fn reload(&mut self) {
        if self.plan.reload_every > 0 && self.steps.is_multiple_of(self.plan.reload_every) {
            let edition = service::reload();
            self.fate
                .tell(|| format!("the service is reloaded: edition {edition}"));
        }
    }

    /// Announces the end, when its time has come, and ends idle connections.
    fn begin_to_stop(&mut self) {
        if self.plan.announce_at == Some(self.steps) {
            self.fate
                .tell(|| "the server begins to stop: every answer says so".to_owned());
            self.server.closing.store(true, Relaxed);
        }
        if self.plan.end_idle_at == Some(self.steps) {
            self.end_idle();
        }
    }

    /// Ends the idle connections.
    fn end_idle(&mut self) {
        for number in self.clock.end_idle() {
            let called = service::called_by(number);
            self.links[number].client.end_idle(called);
        }
    }

    /// One of the things that can happen; `None` if nothing can.
    fn choose(&mut self) -> Option<Action> {
        let actions = &mut self.actions;
        actions.clear();
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
            let sees_end = wire.is_answered && client.ended_ms.is_none();
            if client.ending != Ending::Unread && (wire.has_answers() || sees_end) {
                actions.push(Action::Read(index));
            }
        }
        if service::open() > 0 {
            actions.push(Action::Settle);
        }
        let now_ms = self.clock.now_ms();
        for (index, link) in self.links.iter().enumerate() {
            if !link.client.pieces.is_empty() && link.pause_ms <= now_ms {
                actions.push(Action::Send(index));
            }
        }
        match actions.len() {
            0 => None,
            1 => Some(actions[0]),
            count => Some(actions[self.fate.below(count)]),
        }
    }

    fn act(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Turn(index) => return self.turn(index, None),
            Action::Wake(index) => {
                let events = self.links[index].wire.borrow_mut().take_events();
                return self.turn(index, events);
            }
            Action::Send(index) => self.send(index),
            Action::Read(index) => self.read(index),
            Action::Settle => {
                let id = service::settle(self.fate.below(service::open()));
                self.fate
                    .tell(|| format!("another thread settles request {id}"));
            }
        }
        Ok(())
    }

    /// A turn of a connection that was woken by `events`, if it waited for some.
    fn turn(&mut self, index: usize, events: Option<usize>) -> Result<(), Violation> {
        let link = &mut self.links[index];
        link.turns += 1;
        let turns = link.turns;
        self.fate.tell(|| {
            let events = events.map(|events| format!(", by {}", wire::names(events)));
            let by = events.unwrap_or_default();
            format!("connection {index} has turn {turns}{by}")
        });
        let Some(conn) = &mut link.conn else {
            return Ok(());
        };
        if let Some(events) = events {
            conn.notice(events);
        }
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
        link.client.is_excused |= link.wire.borrow().has_failed;
        self.fate.tell(|| format!("    and {told}"));
        for (id, now_ms) in service::take_long() {
            self.links[service::client_of(id)].client.silent_since_ms = now_ms;
        }
        let conns = self.links.iter().filter_map(|link| link.conn.as_deref());
        check::totals(&self.server, conns)
    }

    fn send(&mut self, index: usize) {
        let link = &mut self.links[index];
        let Some(piece) = link.client.pieces.pop_front() else {
            return;
        };
        self.fate.tell(|| format!("client {index} {piece}"));
        let now_ms = self.clock.now_ms();
        let wire = &mut *link.wire.borrow_mut();
        // The kernel answers with a reset, which may destroy answers that have come.
        link.client.is_excused |= wire.is_closed && link.client.owed.is_some();
        match &piece {
            Piece::Bytes(bytes) => {
                // The clock of deadlines lags by up to a tick.
                let lag_ms = self.fate.below(TICK_MS as usize) as u64;
                link.client.silent_since_ms = now_ms + lag_ms;
                link.client.sent_bytes += bytes.len();
                wire.arrive(bytes);
            }
            Piece::Drip(byte) => wire.arrive(&[*byte]),
            Piece::Pause(ticks) => link.pause_ms = now_ms + *ticks as u64 * TICK_MS,
            Piece::Finish => wire.end(),
            Piece::Reset => wire.reset(),
        }
    }

    fn read(&mut self, index: usize) {
        let most = self.fate.of(&[1 << 20, 10_000, 100, 1]);
        let link = &mut self.links[index];
        let mut wire = link.wire.borrow_mut();
        let count = wire.read(most, &mut link.client.received);
        let sees_end = count == 0 && wire.is_answered;
        drop(wire);
        self.fate.tell(|| {
            if sees_end {
                format!("client {index} sees the end")
            } else {
                format!("client {index} reads {count} bytes")
            }
        });
        if sees_end {
            link.client.ended_ms = Some(self.clock.now_ms());
            if self.fate.one_in(2) {
                link.client.pieces.push_back(Piece::Finish);
            }
        }
    }

    /// Lets a tick pass: deadlines, slow promises, the end of idle connections.
    fn pass_a_tick(&mut self) {
        self.clock.pass_a_tick();
        let now_ms = self.clock.now_ms();
        // Longer than the deadlines of heads and bodies.
        if service::slow() > 0 && self.fate.below(60) == 0 {
            let id = service::settle_slow();
            self.links[service::client_of(id)].client.silent_since_ms = now_ms;
            self.fate
                .tell(|| format!("{now_ms} ms: another thread settles slow request {id}"));
        }
        if self.plan.end_idle_at.is_some_and(|at| at < self.steps) {
            self.end_idle();
        }
    }
}
