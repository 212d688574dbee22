//! A simulated client: the bytes that it sends, cut into pieces, and the answers that it must get.

use std::{collections::VecDeque, fmt};

use super::{
    plan::{ClientPlan, Ending, How, Method, RequestPlan},
    service,
};

/// What a client does next.
pub(super) enum Piece {
    Bytes(Vec<u8>),
    /// A byte that does not extend the deadline.
    Drip(u8),
    /// This many ticks pass.
    Pause(usize),
    Finish,
    Reset,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) if bytes.len() > 90 => {
                let begin = bytes[..80].escape_ascii();
                write!(f, "sends {} bytes: {begin} …", bytes.len())
            }
            Self::Bytes(bytes) => write!(f, "sends {}", bytes.escape_ascii()),
            Self::Drip(byte) => write!(f, "sends one more byte, {}", byte.escape_ascii()),
            Self::Pause(ticks) => write!(f, "sends nothing for {ticks} ticks"),
            Self::Finish => write!(f, "ends its side"),
            Self::Reset => write!(f, "resets the connection"),
        }
    }
}

/// An answer that the client must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body, if the service determines it: of this request, of this size, with so many bytes received.
    pub(super) body: Option<(usize, usize, usize)>,
    pub(super) head_only: bool,
    pub(super) closes: bool,
    /// Where its request ends among the client's bytes.
    pub(super) request_end: usize,
}

pub(super) struct Client {
    pub(super) ending: Ending,
    pub(super) pieces: VecDeque<Piece>,
    pub(super) expected: Vec<Answer>,
    pub(super) received: Vec<u8>,
    /// Bytes that it has sent.
    pub(super) sent_bytes: usize,
    /// Answers that were compared with what it must get, and the bytes that they took.
    pub(super) compared: (usize, usize),
    /// When it last sent, or another thread had its answer.
    pub(super) silent_since_ms: u64,
    /// When it saw the end of the answers.
    pub(super) ended_ms: Option<u64>,
    /// It must not get all its answers: the server had no memory or no room for it, or closed before it sent more.
    pub(super) is_excused: bool,
    /// It was idle when a server that stops ended it: how many answers it is owed for what it had sent by then.
    pub(super) owed: Option<usize>,
    /// Some of that was not answered yet: its last answer must say that it is the last.
    pub(super) is_owed_notice: bool,
}

impl Client {
    /// Client `number` of a server that answers `requests_max` requests for each connection.
    pub(super) fn new(plan: &ClientPlan, number: usize, requests_max: usize) -> Self {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (index, request) in plan.requests.iter().enumerate() {
            let closes = plan.ending == Ending::Close && index + 1 == plan.requests.len();
            let id = service::id(number, index);
            expected.push(append(&mut bytes, *request, id, closes));
        }
        let last = |status, request_end| Answer {
            status,
            body: None,
            head_only: false,
            closes: true,
            request_end,
        };
        match plan.ending {
            Ending::HeadStall | Ending::HeadDrip => {
                bytes.extend(b"GET /half HTTP/1.1\r\nHo");
                expected.push(last(408, usize::MAX));
            }
            Ending::BodyStall => {
                bytes.extend(b"POST /half HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf");
                expected.push(last(408, usize::MAX));
            }
            Ending::Bad => {
                bytes.extend(b"GET /bad HTTP/1.1\r\nHost : t\r\n\r\n");
                expected.push(last(400, bytes.len()));
                bytes.extend(b"GET /behind HTTP/1.1\r\nHost: t\r\n\r\n");
            }
            _ => {}
        }
        if let Some(last) = requests_max
            .checked_sub(1)
            .and_then(|n| expected.get_mut(n))
        {
            last.closes |= last.status == 200;
        }
        let end = expected.iter().position(|answer| answer.closes);
        expected.truncate(end.map_or(expected.len(), |end| end + 1));
        Self {
            ending: plan.ending,
            pieces: pieces(&bytes, plan),
            expected,
            received: Vec::new(),
            sent_bytes: 0,
            compared: (0, 0),
            silent_since_ms: 0,
            ended_ms: None,
            is_excused: false,
            owed: None,
            is_owed_notice: false,
        }
    }

    /// Notes that the server has ended the connection because it was idle. What has been sent by now must be answered,
    /// or the first of it with the announcement that it is the last.
    /// The server has handled `called` of its requests.
    pub(super) fn end_idle(&mut self, called: usize) {
        let whole = |answer: &&Answer| answer.request_end <= self.sent_bytes;
        let owed = self.expected.iter().filter(whole).count();
        self.owed = Some(owed);
        self.is_owed_notice = owed > called;
    }

    /// Whether it must get all its answers.
    pub(super) fn is_owed_all(&self) -> bool {
        !self.is_excused && !matches!(self.ending, Ending::Reset | Ending::Unread)
    }
}

/// Appends a request to `bytes`; returns its answer.
fn append(bytes: &mut Vec<u8>, request: RequestPlan, id: usize, closes: bool) -> Answer {
    use std::io::Write;
    let RequestPlan {
        method, how, size, ..
    } = request;
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post | Method::Chunked | Method::Expect => "POST",
    };
    let takes_body = name == "POST";
    let body = if takes_body { request.body } else { 0 };
    let end = if closes { "Connection: close\r\n" } else { "" };
    // Into a vector: it cannot fail.
    let _ = write!(
        bytes,
        "{name} /{id}/{size}/{} HTTP/1.1\r\nHost: t\r\n{end}",
        how.name()
    );
    let _ = match method {
        Method::Get | Method::Head => write!(bytes, "\r\n"),
        Method::Post => write!(bytes, "Content-Length: {body}\r\n\r\n"),
        Method::Expect => write!(
            bytes,
            "Content-Length: {body}\r\nExpect: 100-continue\r\n\r\n"
        ),
        Method::Chunked => write!(bytes, "Transfer-Encoding: chunked\r\n\r\n"),
    };
    if method == Method::Chunked {
        let mut left = body;
        while left > 0 {
            let chunk = left.min(700);
            let _ = write!(bytes, "{chunk:x}\r\n");
            bytes.resize(bytes.len() + chunk, b'b');
            bytes.extend(b"\r\n");
            left -= chunk;
        }
        bytes.extend(b"0\r\n\r\n");
    } else {
        bytes.resize(bytes.len() + body, b'b');
    }
    let is_answered = !matches!(how, How::Panic | How::Lost);
    Answer {
        status: if is_answered { 200 } else { 500 },
        body: is_answered.then_some((id, size, body)),
        head_only: method == Method::Head,
        closes: closes || !is_answered,
        request_end: bytes.len(),
    }
}

/// Cuts `bytes` as the plan says.
fn pieces(bytes: &[u8], plan: &ClientPlan) -> VecDeque<Piece> {
    let mut pieces = VecDeque::new();
    let mut rest = bytes;
    for cut in &plan.cuts {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(rest.len().min(cut.bytes));
        pieces.push_back(Piece::Bytes(piece.to_vec()));
        rest = after;
        if cut.pauses {
            pieces.push_back(Piece::Pause(1));
        }
    }
    // Those that reset do so where the cuts end.
    if !rest.is_empty() && (plan.ending != Ending::Reset || plan.cuts.is_empty()) {
        pieces.push_back(Piece::Bytes(rest.to_vec()));
    }
    match plan.ending {
        Ending::Finish => pieces.push_back(Piece::Finish),
        // All of it within the time of a head.
        Ending::HeadDrip => {
            for byte in *b"st" {
                pieces.push_back(Piece::Pause(3));
                pieces.push_back(Piece::Drip(byte));
            }
        }
        Ending::Reset => pieces.push_back(Piece::Reset),
        _ => {}
    }
    pieces
}
