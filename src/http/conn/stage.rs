//! What a connection is doing between two turns, and what it owns meanwhile.
//!
//! Each combination that exists has a name here. Only an open connection holds bytes of requests, only one whose
//! peer does not read holds answers, and what follows a wait is kept with the wait.

use crate::http::{Deferred, Mode, body::Chunked, watch::Phase};

/// What a connection is doing; see the table in [`super`].
pub(super) enum Stage {
    /// Requests are read and answered.
    Open(Input),
    /// A handler deferred its answer. Earlier answers that the socket did not take go first.
    Deferred(Awaited, Unsent),
    /// Answers wait for room in the socket; nothing is read meanwhile.
    Flushing(Unsent, Then),
    /// The last answer is sent; counts the peer's bytes dropped since.
    Lingering(usize),
}

/// The bytes an open connection has received and not answered.
#[derive(Default)]
pub(super) enum Input {
    /// None: the next request has not begun.
    #[default]
    Empty,
    /// What one turn could not answer. It may hold complete requests, so the next turn does not read.
    Batch(Vec<u8>),
    /// The beginning of a head.
    Head(Vec<u8>),
    /// A head and the beginning of its body; the number of bytes of the whole request.
    Body(Vec<u8>, usize),
    /// A chunked body that has not ended.
    Chunked(Box<PartialBody>),
}

/// A request with a chunked body that has not ended.
pub(super) struct PartialBody {
    /// The request's head.
    pub(super) head: Vec<u8>,
    pub(super) decoder: Chunked,
    pub(super) body: Vec<u8>,
}

/// An answer that another thread works on, and what it is sent with.
pub(super) struct Awaited {
    pub(super) answer: Deferred,
    pub(super) head_only: bool,
    /// The request's minor version.
    pub(super) minor: u8,
    pub(super) then: Then,
}

/// What follows once all answers are written.
pub(super) enum Then {
    /// Further requests.
    Open(Input),
    /// The end of the connection.
    End(End),
}

/// How a connection ends behind its last answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At once: the peer asked to close and has sent nothing more.
    Now,
    /// After lingering: the peer may still be sending.
    Linger,
}

/// What [`Conn::step`](super::Conn::step) did with the request at the front of some bytes.
pub(super) enum Step {
    /// It was answered; its number of bytes.
    Answered(usize),
    /// This turn answers no further request; the number of bytes consumed.
    Stop(usize, Stop),
}

/// Why a turn answers no further request.
pub(super) enum Stop {
    /// The limits of a turn.
    Turn,
    /// The next request's head has not come, or not all of it.
    Head,
    /// The next request's body has not come; the number of bytes of the whole request.
    Body(usize),
    /// As `Body`, in chunks.
    Chunks(Box<PartialBody>),
    /// The answer is still to come.
    Deferred(Awaited),
    /// The answer was the last.
    End(End),
}

/// What follows a turn's answers.
pub(super) enum After {
    /// They are all; this follows when they are written.
    Then(Then),
    /// One more is still to come.
    Deferred(Awaited),
}

/// Answers that the socket did not take.
#[derive(Default)]
pub(super) struct Unsent {
    pub(super) bytes: Vec<u8>,
    /// Where they begin in `bytes`.
    pub(super) start: usize,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Open(Input::Empty)
    }
}

impl Stage {
    /// Bytes that count against the server's buffer budget: all that is kept, used or not.
    pub(super) fn buffered_bytes(&self) -> usize {
        match self {
            Self::Open(input) => input.bytes(),
            Self::Deferred(awaited, unsent) => awaited.then.bytes() + unsent.bytes.capacity(),
            Self::Flushing(unsent, then) => then.bytes() + unsent.bytes.capacity(),
            Self::Lingering(_) => 0,
        }
    }

    /// Whether answers were given that the peer has not read.
    pub(super) fn owes_answers(&self) -> bool {
        match self {
            Self::Open(_) | Self::Lingering(_) => false,
            Self::Deferred(_, unsent) | Self::Flushing(unsent, _) => !unsent.bytes.is_empty(),
        }
    }

    /// The answers that the peer has not read.
    pub(super) fn into_unsent(self) -> Unsent {
        match self {
            Self::Open(_) | Self::Lingering(_) => Unsent::default(),
            Self::Deferred(_, unsent) | Self::Flushing(unsent, _) => unsent,
        }
    }
}

impl Stop {
    /// What follows, with the bytes that were not used.
    pub(super) fn after(self, rest: Vec<u8>) -> After {
        let is_used = rest.is_empty();
        After::Then(match self {
            Self::Turn | Self::Head | Self::Body(_) if is_used => Then::Open(Input::Empty),
            Self::Turn => Then::Open(Input::Batch(rest)),
            Self::Head => Then::Open(Input::Head(rest)),
            Self::Body(bytes) => Then::Open(Input::Body(rest, bytes)),
            Self::Chunks(partial) => Then::Open(Input::Chunked(partial)),
            Self::End(end) if is_used => Then::End(end),
            Self::End(_) => Then::End(End::Linger),
            Self::Deferred(mut awaited) => {
                if let (Then::Open(input), false) = (&mut awaited.then, is_used) {
                    *input = Input::Batch(rest);
                }
                return After::Deferred(awaited);
            }
        })
    }
}

impl Input {
    fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Batch(bytes) | Self::Head(bytes) | Self::Body(bytes, _) => bytes.capacity(),
            Self::Chunked(partial) => partial.head.capacity() + partial.body.capacity(),
        }
    }

    /// What the connection waits for.
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Empty | Self::Batch(_) => Phase::Idle,
            Self::Head(_) => Phase::Head,
            Self::Body(..) | Self::Chunked(_) => Phase::Body,
        }
    }

    /// What has come of a request's head.
    pub(super) fn head(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Batch(bytes) | Self::Head(bytes) | Self::Body(bytes, _) => bytes,
            Self::Chunked(partial) => &partial.head,
        }
    }
}

impl Then {
    fn bytes(&self) -> usize {
        match self {
            Self::Open(input) => input.bytes(),
            Self::End(_) => 0,
        }
    }
}

impl End {
    /// The end after the last answer. A client that did not ask to close may already have sent its next
    /// request.
    pub(super) fn of(client_keeps: bool) -> Self {
        if client_keeps {
            Self::Linger
        } else {
            Self::Now
        }
    }
}

impl Awaited {
    /// How its reply is sent.
    pub(super) fn mode(&self) -> Mode {
        Mode {
            head_only: self.head_only,
            keep_alive: matches!(self.then, Then::Open(_)),
            minor: self.minor,
        }
    }
}
