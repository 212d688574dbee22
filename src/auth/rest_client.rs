//! The client of an external authority, for `auth.mode = "rest"` (docs/protocol/auth.md).
//!
//! A caller passes a claim and a continuation to [`RestClient::submit`] and continues at once; one of
//! `connections_max` threads makes the call and runs the continuation with the token or an error. Request
//! threads never wait here and the client's threads never serve requests, so a slow authority delays its
//! own callers until their deadline and no other request.
//!
//! Bounds: calls under way (`connections_max`), calls waiting (`queue_max`, one more is
//! [`RestError::Busy`]), time from `submit` to the continuation (`deadline`), bytes of an answer.
//! The queue is first in first out and all deadlines have the same length, so every thread is free
//! again before the next claim in line expires: the deadline holds for waiting claims too.
//!
//! Plain HTTP only; an authority behind TLS needs a local proxy.

use std::{
    borrow::Cow,
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::RestOptions;

/// Most bytes of an answer that are read; a genuine one has about 100.
const ANSWER_BYTES_MAX: u64 = 4 << 10;

/// Longest token accepted. Ours have 64 bytes; another authority's may have any text of one line.
const FOREIGN_TOKEN_BYTES_MAX: usize = 1 << 10;

/// Longest deadline. Far beyond any use; keeps "now plus deadline" representable.
pub const DEADLINE_MAX: Duration = Duration::from_secs(3600);

/// Stack of a client thread: room for name resolution and the HTTP client, where the default of
/// 2 MiB would let a thousand connections reserve 2 GB.
const STACK_BYTES: usize = 256 << 10;

/// Runs on a client thread with the token or the reason there is none. Must not block: it holds up
/// one connection to the authority.
pub type Done = Box<dyn FnOnce(Result<String, RestError>) + Send>;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RestError {
    /// Too many calls wait already.
    #[error("too many calls wait for the authority")]
    Busy,
    /// The deadline passed while waiting, connecting or reading.
    #[error("the authority did not answer before the deadline")]
    Deadline,
    /// No connection: refused, unreachable, or the name is unknown.
    #[error("the authority cannot be reached")]
    Refused,
    /// The connection ended before the answer did.
    #[error("the authority closed the connection without an answer")]
    Disconnected,
    /// A status other than 200, or a body that is not the JSON agreed.
    #[error("the authority's answer is not the one agreed")]
    BadAnswer,
    /// The client was stopped before the call was made.
    #[error("the client of the authority is stopping")]
    Stopped,
}

/// Why no client could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL is unusable.
    #[error("the authority's URL {url:?} is not of the form http://host:port/path: {reason}")]
    Url {
        /// The URL given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A number of the options is zero.
    #[error("the authority's {0} must be more than zero")]
    Zero(&'static str),
    /// The deadline is longer than [`DEADLINE_MAX`].
    #[error("the authority's deadline must be an hour at most")]
    Deadline,
    /// The system gave no thread.
    #[error("no thread for the authority's client")]
    Thread(#[source] std::io::Error),
}

impl RestOptions {
    /// Whether a client can be started with these options; no connection is tried.
    pub fn check(&self) -> Result<(), StartError> {
        let fault = |reason: &str| StartError::Url {
            url: self.url.clone(),
            reason: reason.into(),
        };
        let uri: ureq::http::Uri = self
            .url
            .parse()
            .map_err(|error| fault(&format!("{error}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(fault("TLS is not built in")),
            _ => return Err(fault("it does not begin with http://")),
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(fault("it names no host"));
        }
        // The parser takes any text for a port.
        let server = uri.authority().and_then(|a| a.as_str().rsplit('@').next());
        if server != uri.host() && uri.port_u16().is_none_or(|port| port == 0) {
            return Err(fault("its port is not a number from 1 to 65535"));
        }
        for (is_zero, name) in [
            (self.deadline.is_zero(), "deadline"),
            (self.connections_max == 0, "connections_max"),
            (self.queue_max == 0, "queue_max"),
        ] {
            if is_zero {
                return Err(StartError::Zero(name));
            }
        }
        if self.deadline > DEADLINE_MAX {
            return Err(StartError::Deadline);
        }
        Ok(())
    }
}

/// A running client. Dropping it answers every waiting claim with [`RestError::Stopped`], waits for
/// the calls under way (their deadline at most) and ends the threads.
pub struct RestClient {
    /// `None` only while being dropped.
    queue: Option<Sender<Claim>>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    deadline: Duration,
}

impl RestClient {
    /// Starts the threads. The authority need not be up yet.
    pub fn start(options: RestOptions) -> Result<Self, StartError> {
        options.check()?;
        let (sender, receiver) = bounded(options.queue_max);
        let mut client = Self {
            queue: Some(sender),
            stopping: Arc::default(),
            threads: Vec::with_capacity(options.connections_max),
            deadline: options.deadline,
        };
        for index in 0..options.connections_max {
            let (receiver, stopping) = (receiver.clone(), client.stopping.clone());
            let connection = Connection::new(options.url.clone());
            let thread = std::thread::Builder::new()
                .name(format!("auth-{index}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(connection, &receiver, &stopping))
                .map_err(StartError::Thread)?;
            client.threads.push(thread);
        }
        Ok(client)
    }

    /// Asks for the token of (`team`, `timestamp` in milliseconds, `message`) without waiting.
    /// `done` runs exactly once, on another thread, unless this returns an error; then it never
    /// runs. JSON holds text, so bytes of `message` that are not UTF-8 are sent as U+FFFD.
    pub fn submit(
        &self,
        team: Arc<str>,
        timestamp: i64,
        message: Vec<u8>,
        done: Done,
    ) -> Result<(), RestError> {
        let queue = self.queue.as_ref().ok_or(RestError::Stopped)?;
        let reply = Reply(Some(done));
        let deadline = Instant::now() + self.deadline;
        queue
            .try_send(Claim {
                team,
                timestamp,
                message,
                deadline,
                reply,
            })
            .map_err(|refused| {
                refused.into_inner().reply.0 = None;
                RestError::Busy
            })
    }
}

impl Drop for RestClient {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A continuation may hold the last reference to the client, and a thread cannot wait
            // for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// One call to make.
struct Claim {
    team: Arc<str>,
    timestamp: i64,
    message: Vec<u8>,
    deadline: Instant,
    reply: Reply,
}

/// The continuation. Dropped unused it runs with [`RestError::Stopped`], so neither a panic nor a stop
/// leaves a request waiting.
struct Reply(Option<Done>);

impl Reply {
    fn send(mut self, answer: Result<String, RestError>) {
        if let Some(done) = self.0.take() {
            done(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(RestError::Stopped));
        }
    }
}

/// Body of a client thread: makes calls until the client is dropped. Sleeps in the channel.
fn work(mut connection: Connection, queue: &Receiver<Claim>, stopping: &AtomicBool) {
    for claim in queue {
        // A panic, most likely in a continuation, costs its own claim and not the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if stopping.load(Ordering::Relaxed) {
                return;
            }
            let answer = connection.call(&claim);
            claim.reply.send(answer);
        }));
    }
}

/// A thread's connection to the authority.
struct Connection {
    url: String,
    agent: ureq::Agent,
    /// The last exchange was complete, so the agent's next call is likely to reuse its connection.
    reused: bool,
}

impl Connection {
    fn new(url: String) -> Self {
        Self {
            url,
            agent: agent(),
            reused: false,
        }
    }

    /// Makes the call. When a connection kept from an earlier call turns out dead, which the
    /// authority's own idle timeout makes normal, tries once more on a fresh one: the call changes
    /// nothing at the authority, so a second one does no harm.
    fn call(&mut self, claim: &Claim) -> Result<String, RestError> {
        let body = request_body(claim);
        let reused = self.reused;
        match self.attempt(&body, claim.deadline) {
            Err(RestError::Disconnected) if reused => {
                self.agent = agent();
                self.attempt(&body, claim.deadline)
            }
            answer => answer,
        }
    }

    fn attempt(&mut self, body: &[u8], deadline: Instant) -> Result<String, RestError> {
        self.reused = false;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(RestError::Deadline);
        }
        let request = self
            .agent
            .post(&self.url)
            .config()
            .timeout_global(Some(left))
            .build();
        let mut response = request
            .content_type("application/json")
            .send(body)
            .map_err(cause_of)?;
        // Whatever the status, a connection can be reused only after its answer was read to the end.
        let answer = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(cause_of)?;
        self.reused = true;
        if response.status() != 200 {
            return Err(RestError::BadAnswer);
        }
        token_of(&answer).ok_or(RestError::BadAnswer)
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(1)
        .proxy(None)
        .user_agent(concat!("trident/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn request_body(claim: &Claim) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        team_name: &'a str,
        timestamp: i64,
        decoded_qrcode: Cow<'a, str>,
    }
    let body = Body {
        team_name: &claim.team,
        timestamp: claim.timestamp,
        decoded_qrcode: String::from_utf8_lossy(&claim.message),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The token of an answer, if the answer is the one agreed.
fn token_of(answer: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        message: String,
        token: String,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let token = answer.token;
    let believable = (1..=FOREIGN_TOKEN_BYTES_MAX).contains(&token.len())
        && !token.chars().any(char::is_control);
    (answer.message == "SUCCESS" && believable).then_some(token)
}

fn cause_of(error: ureq::Error) -> RestError {
    match error {
        ureq::Error::Timeout(_) => RestError::Deadline,
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => RestError::Disconnected,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => RestError::Deadline,
            _ => RestError::Refused,
        },
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => RestError::Refused,
        _ => RestError::BadAnswer,
    }
}

#[cfg(test)]
mod tests;
