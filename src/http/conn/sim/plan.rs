//! What a simulation is about: the server's limits and what each client is going to do. The choices of the world
//! ([`Fate`](super::fate::Fate)) decide when and with which failures.

use std::fmt;

use super::fate::Random;

/// A simulation without its choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// `Limits::requests_per_connection_max`.
    pub(super) requests_max: u64,
    /// `Limits::pipelined_batch_max`.
    pub(super) batch_max: usize,
    /// `Limits::write_buffer_bytes_max`.
    pub(super) write_bytes_max: usize,
    /// `Limits::buffered_bytes_max`.
    pub(super) budget_bytes: usize,
    /// Whether every turn has used up its time at once. By the clock it would be chance.
    pub(super) is_costly: bool,
    /// Bytes that a turn reads at most.
    pub(super) input_bytes: usize,
    /// Bytes that a socket takes at once.
    pub(super) sent_bytes: usize,
    /// Ticks that may pass within turns, at system calls.
    pub(super) ticks_in_turns: usize,
    /// Whether calls fail now and then for want of memory.
    pub(super) lacks_memory: bool,
    /// After so many steps every answer announces the end.
    pub(super) announce_at: Option<usize>,
    /// After so many steps idle connections are ended, again and again.
    pub(super) end_idle_at: Option<usize>,
    /// After every so many steps the service is reloaded; 0: never.
    pub(super) reload_every: usize,
    pub(super) clients: Vec<ClientPlan>,
}

/// What a client is going to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientPlan {
    pub(super) ending: Ending,
    pub(super) requests: Vec<RequestPlan>,
    /// Where its bytes are cut into pieces; what is behind the last cut is one piece.
    pub(super) cuts: Vec<Cut>,
    /// How many bytes of answers the kernel holds for it.
    pub(super) room: usize,
}

/// The length of a piece, and whether a tick passes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) bytes: usize,
    pub(super) pauses: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestPlan {
    pub(super) method: Method,
    pub(super) how: How,
    /// Bytes of the answer's body, about.
    pub(super) size: usize,
    /// Bytes of the request's body, if its method has one.
    pub(super) body: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Chunked,
    /// `POST` that asks for `100 Continue`, and sends its body nevertheless.
    Expect,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Now,
    /// At once, by another thread.
    Soon,
    /// By another thread.
    Later,
    /// By another thread, perhaps after the deadlines of heads and bodies.
    Slow,
    /// By a turn in which seconds pass.
    Long,
    /// Never: its promise is dropped.
    Lost,
    /// By a panic.
    Panic,
}

impl How {
    /// Its name in the path of a request.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Soon => "soon",
            Self::Later => "later",
            Self::Slow => "slow",
            Self::Long => "long",
            Self::Lost => "lost",
            Self::Panic => "panic",
        }
    }
}

/// How a client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It ends its side after its last request.
    Finish,
    /// Its last request asks to close.
    Close,
    /// It sends nothing more.
    Idle,
    /// It never sends anything.
    Silent,
    /// It sends the beginning of a head and nothing more.
    HeadStall,
    /// It sends a head byte by byte, which must not buy it time.
    HeadDrip,
    /// It sends the beginning of a body and nothing more.
    BodyStall,
    /// It sends a malformed request, followed by further requests.
    Bad,
    /// It resets the connection somewhere.
    Reset,
    /// It reads nothing.
    Unread,
}

impl Plan {
    /// The plan that follows from a seed.
    pub(super) fn new(random: &mut Random) -> Self {
        let count = random.of(&[1, 1, 2, 3, 4, 5]);
        // A turn in which seconds pass costs the other clients their time.
        let may_be_long = count == 1;
        let drains = random.one_in(4);
        let announce_at = drains.then(|| random.below(200));
        Self {
            requests_max: random.of(&[0, 0, 0, 3]),
            batch_max: random.of(&[1, 2, 256]),
            write_bytes_max: random.of(&[4096, 256 << 10]),
            budget_bytes: random.of(&[512 << 20, 512 << 20, 512 << 20, 3000]),
            is_costly: random.one_in(2),
            input_bytes: random.of(&[50, 1000, 16 << 10]),
            sent_bytes: random.of(&[1 << 20, 1 << 20, 1 << 20, 50]),
            ticks_in_turns: random.of(&[0, 0, 0, 3]),
            lacks_memory: random.one_in(8),
            announce_at,
            end_idle_at: announce_at
                .filter(|_| random.one_in(2))
                .map(|at| at + random.below(100)),
            clients: (0..count)
                .map(|_| ClientPlan::new(random, may_be_long))
                .collect(),
            reload_every: random.of(&[0, 0, 0, 1, 7, 40]),
        }
    }

    /// A plan without clients and with the server's usual limits.
    pub(super) fn simple() -> Self {
        Self {
            requests_max: 0,
            batch_max: 256,
            write_bytes_max: 256 << 10,
            budget_bytes: 512 << 20,
            is_costly: false,
            input_bytes: 16 << 10,
            sent_bytes: 1 << 20,
            ticks_in_turns: 0,
            lacks_memory: false,
            announce_at: None,
            end_idle_at: None,
            reload_every: 0,
            clients: Vec::new(),
        }
    }

    /// How many requests its clients send.
    pub(super) fn requests(&self) -> usize {
        self.clients
            .iter()
            .map(|client| client.requests.len())
            .sum()
    }
}

impl ClientPlan {
    fn new(random: &mut Random, mut may_be_long: bool) -> Self {
        use Ending::*;
        let ending = random.of(&[
            Finish, Finish, Close, Idle, Silent, HeadStall, HeadDrip, BodyStall, Bad, Reset, Unread,
        ]);
        let count = match ending {
            Silent => 0,
            _ if random.one_in(6) => 1 + random.below(100),
            _ => 1 + random.below(10),
        };
        let requests: Vec<_> = (0..count)
            .map(|_| RequestPlan::new(random, count, &mut may_be_long))
            .collect();
        let is_long = requests.iter().any(|request| request.how == How::Long);
        let most = random.of(if is_long {
            &[3, 12]
        } else {
            &[3, 60, 2000, 1 << 20]
        });
        let pauses = matches!(ending, Finish | Close | Reset);
        let mut pauses_left = if pauses { random.below(8) } else { 0 };
        let cuts = match most {
            2000.. => random.below(20),
            _ => random.below(80),
        };
        let cuts = (0..cuts).map(|_| {
            let pauses = pauses_left > 0 && random.one_in(4);
            pauses_left -= usize::from(pauses);
            Cut {
                bytes: 1 + random.below(most),
                pauses,
            }
        });
        Self {
            ending,
            requests,
            cuts: cuts.collect(),
            room: random.of(&[700, 9000, 1 << 20]),
        }
    }
}

impl RequestPlan {
    /// One of `count` requests. At most one of a connection is long: a second one might be late for the deadline of a
    /// new connection.
    fn new(random: &mut Random, count: usize, may_be_long: &mut bool) -> Self {
        use Method::*;
        let how = match random.below(40) {
            // Behind these nothing is answered.
            0 if count <= 10 => How::Panic,
            1 if count <= 10 => How::Lost,
            2 => How::Slow,
            3..12 => How::Later,
            12..16 => How::Soon,
            16..26 if *may_be_long => {
                *may_be_long = false;
                How::Long
            }
            _ => How::Now,
        };
        let sizes: &[usize] = match count {
            0..=10 => &[0, 1, 40, 500, 3000, 20_000],
            _ => &[0, 1, 40, 500],
        };
        let bodies: &[usize] = match count {
            0..=10 => &[0, 1, 300, 5000],
            _ => &[0, 1, 40],
        };
        Self {
            method: random.of(&[Get, Get, Get, Get, Head, Post, Chunked, Expect]),
            how,
            size: random.of(sizes),
            body: random.of(bodies),
        }
    }
}

/// What is special about it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = |step: Option<usize>| step.map_or(0, |step| step);
        let limits = [
            ("requests_per_connection_max", self.requests_max as usize, 0),
            ("pipelined_batch_max", self.batch_max, 256),
            ("write_buffer_bytes_max", self.write_bytes_max, 256 << 10),
            ("buffered_bytes_max", self.budget_bytes, 512 << 20),
            ("bytes of a read", self.input_bytes, 16 << 10),
            (
                "bytes that a socket takes at once",
                self.sent_bytes,
                1 << 20,
            ),
            ("ticks within turns", self.ticks_in_turns, 0),
            ("every turn is costly", self.is_costly.into(), 0),
            ("calls lack memory", self.lacks_memory.into(), 0),
            (
                "step at which the end is announced",
                when(self.announce_at),
                0,
            ),
            (
                "step at which idle ones are ended",
                when(self.end_idle_at),
                0,
            ),
            ("steps between reloads", self.reload_every, 0),
        ];
        for (name, is, usual) in limits {
            if is != usual {
                writeln!(f, "  {name}: {is}")?;
            }
        }
        for (number, client) in self.clients.iter().enumerate() {
            let ClientPlan { ending, room, .. } = client;
            let count = client.requests.len();
            write!(f, "  client {number}: {count} requests, then {ending:?}")?;
            match room {
                0x10_0000 => writeln!(f)?,
                _ => writeln!(f, "; room for {room} bytes of answers")?,
            }
        }
        write!(f, "what happens:")
    }
}
