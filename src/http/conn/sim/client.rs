//! A simulated client: the bytes that it sends, cut into pieces, and the answers that it must get.

use std::collections::VecDeque;

use super::random::Random;

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

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) if bytes.len() > 60 => {
                let begin = bytes[..60].escape_ascii();
                write!(f, "{} bytes: {begin} …", bytes.len())
            }
            Self::Bytes(bytes) => write!(f, "{}", bytes.escape_ascii()),
            Self::Drip(byte) => write!(f, "one more byte, {}", byte.escape_ascii()),
            Self::Pause(ticks) => write!(f, "nothing for {ticks} ticks"),
            Self::Finish => write!(f, "its end"),
            Self::Reset => write!(f, "a reset"),
        }
    }
}

/// An answer that the client must get.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body, if the service determines it.
    pub(super) body: Option<Vec<u8>>,
    pub(super) head_only: bool,
    pub(super) closes: bool,
}

pub(super) struct Client {
    pub(super) ending: Ending,
    pub(super) pieces: VecDeque<Piece>,
    pub(super) expected: Vec<Answer>,
    pub(super) received: Vec<u8>,
    /// When it last sent, or another thread had its answer.
    pub(super) silent_since_ms: u64,
    /// When it saw the end of the answers.
    pub(super) ended_ms: Option<u64>,
}

impl Client {
    /// Makes up client `number` of a server that answers `requests_max` requests for each connection.
    pub(super) fn new(random: &mut Random, number: usize, requests_max: usize) -> Self {
        use Ending::*;
        let ending = random.of(&[
            Finish, Finish, Close, Idle, Silent, HeadStall, HeadDrip, BodyStall, Bad, Reset, Unread,
        ]);
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        let count = match ending {
            Silent => 0,
            _ => 1 + random.below(10),
        };
        for index in 0..count {
            let closes = ending == Close && index + 1 == count;
            let answer = request(&mut bytes, random, number * 100 + index, closes);
            expected.push(answer);
        }
        let last = |status| Answer {
            status,
            body: None,
            head_only: false,
            closes: true,
        };
        match ending {
            HeadStall | HeadDrip => {
                bytes.extend(b"GET /half HTTP/1.1\r\nHo");
                expected.push(last(408));
            }
            BodyStall => {
                bytes.extend(b"POST /half HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf");
                expected.push(last(408));
            }
            Bad => {
                bytes.extend(b"GET /bad HTTP/1.1\r\nHost : t\r\n\r\n");
                expected.push(last(400));
                request(&mut bytes, random, number * 100 + 99, false);
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
            ending,
            pieces: pieces(&bytes, random, ending),
            expected,
            received: Vec::new(),
            silent_since_ms: 0,
            ended_ms: None,
        }
    }

    /// Whether it must get all its answers.
    pub(super) fn is_owed_all(&self) -> bool {
        !matches!(self.ending, Ending::Reset | Ending::Unread)
    }
}

/// Appends a request to `bytes`; returns its answer.
fn request(bytes: &mut Vec<u8>, random: &mut Random, id: usize, closes: bool) -> Answer {
    let how = match random.below(40) {
        0 => "panic",
        1 => "lost",
        2 => "slow",
        3..12 => "later",
        12..16 => "soon",
        _ => "now",
    };
    let size = random.of(&[0, 1, 40, 500, 3000, 20_000]);
    let method = random.of(&["GET", "GET", "GET", "HEAD", "POST", "CHUNKED"]);
    let end = if closes { "Connection: close\r\n" } else { "" };
    let name = if method == "CHUNKED" { "POST" } else { method };
    let head = format!("{name} /{id}/{size}/{how} HTTP/1.1\r\nHost: t\r\n{end}");
    bytes.extend(head.as_bytes());
    let body = vec![b'b'; random.of(&[0, 1, 300, 5000])];
    match method {
        "POST" => {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend(&body);
        }
        "CHUNKED" => {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(700) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        }
        _ => bytes.extend(b"\r\n"),
    }
    let takes_body = matches!(method, "POST" | "CHUNKED");
    let is_answered = !matches!(how, "panic" | "lost");
    let sent = if takes_body { body.len() } else { 0 };
    Answer {
        status: if is_answered { 200 } else { 500 },
        body: is_answered.then(|| super::service::body(id, size, sent)),
        head_only: method == "HEAD",
        closes: closes || !is_answered,
    }
}

/// Cuts `bytes` where chance says, with pauses where no deadline is near.
fn pieces(bytes: &[u8], random: &mut Random, ending: Ending) -> VecDeque<Piece> {
    let most = random.of(&[3, 60, 2000, 1 << 20]);
    let pauses = matches!(ending, Ending::Finish | Ending::Close | Ending::Reset);
    let mut pauses_left = if pauses { random.below(8) } else { 0 };
    let mut pieces = VecDeque::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + random.below(most)));
        pieces.push_back(Piece::Bytes(piece.to_vec()));
        rest = after;
        if ending == Ending::Reset && random.one_in(8) {
            break;
        }
        if pauses_left > 0 && random.one_in(4) {
            pauses_left -= 1;
            pieces.push_back(Piece::Pause(1));
        }
    }
    match ending {
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
