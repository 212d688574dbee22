//! From start to stop: the phases, the signals, the order of a graceful stop.
//!
//! ```text
//! starting ─▶ ready ─▶ draining ─▶ finishing ─▶ stopped
//! ```
//!
//! This order of the stop loses no request behind any layer-4 balancer: readiness fails and every answer
//! says `Connection: close` at once, while new connections are accepted until the balancer sends none; only
//! then listeners and idle connections are closed.
//!
//! When does accepting end? When `accept` has passed and no request for an endpoint came for `quiet`. A
//! balancer may send connections to an instance long after it noticed, and keeps checking readiness, so
//! health checks do not count. SIGINT comes from a person at a terminal, without a balancer: accepting ends
//! as soon as no client is connected.

use std::{
    fmt::Display,
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{info, warn};

use super::notify::Manager;
use crate::{
    app::{App, Health, Phase, Reload},
    http::Server,
    metrics::{self, Counter},
};

/// How often readiness and the end of the last connection are checked.
const POLL: Duration = Duration::from_millis(20);

/// A reload in the words of a status line.
fn outcome_text<E: Display>(outcome: Result<Reload, E>) -> String {
    match outcome {
        Ok(Reload::Replaced) => "ready: reloaded, a new store is serving".into(),
        Ok(Reload::Unchanged) => "ready: reloaded, the store is the same".into(),
        Ok(Reload::NoStore) => "ready: nothing to reload, no store is configured".into(),
        Err(error) => format!("ready: reload failed, the old store goes on serving: {error}"),
    }
}

/// The times of a stop. `accept` and `deadline` count from the signal.
#[derive(Clone, Debug)]
pub struct Drain {
    /// New connections are accepted at least this long: the time a balancer needs to notice and to stop
    /// sending connections.
    pub accept: Duration,
    /// After `accept`, accepting continues until no request has come for this long.
    pub quiet: Duration,
    /// Reserved before `deadline` for requests in flight: accepting ends then, even if requests still come.
    pub finish: Duration,
    /// When the process ends, even if requests are still in flight.
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            accept: Duration::from_secs(65),
            quiet: Duration::from_secs(10),
            finish: Duration::from_secs(15),
            deadline: Duration::from_secs(120),
        }
    }
}

/// Stop signals in order of arrival.
pub struct StopSignals {
    receive: Receiver<i32>,
    send: Sender<i32>,
}

impl StopSignals {
    /// Catches SIGTERM and SIGINT from now on.
    pub fn catch() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let (send, receive) = unbounded();
        let to_send = send.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    if to_send.send(signal).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { receive, send })
    }

    /// A function that stops the server like a first SIGTERM.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + use<> {
        let send = self.send.clone();
        move || {
            let _ = send.send(SIGTERM); // fails only when nobody waits any more
        }
    }

    /// Blocks until `is_ready` or a stop signal comes; returns the signal.
    pub fn wait_until(&self, is_ready: impl Fn() -> bool) -> Option<i32> {
        while !is_ready() {
            match self.receive.recv_timeout(POLL) {
                Ok(signal) => return Some(signal),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Some(SIGTERM),
            }
        }
        None
    }

    /// Blocks until a stop signal comes.
    pub fn wait(&self) -> i32 {
        self.receive.recv().unwrap_or(SIGTERM)
    }

    /// Waits for `timeout`; true if a further stop signal came first.
    fn again_within(&self, timeout: Duration) -> bool {
        match self.receive.recv_timeout(timeout) {
            Ok(_) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        }
    }
}

/// SIGHUP: reopen the store if it has changed.
pub struct ReloadSignals(Signals);

impl ReloadSignals {
    /// Catches SIGHUP from now on; one that comes before [`serve`](Self::serve) is kept.
    pub fn catch() -> io::Result<Self> {
        Signals::new([SIGHUP]).map(Self)
    }

    /// Reloads on every signal, on a thread of its own. The application logs the outcome.
    pub fn serve(self, app: &Arc<App>, manager: &Arc<Manager>) -> io::Result<()> {
        let (mut signals, app, manager) = (self.0, Arc::clone(app), Arc::clone(manager));
        thread::Builder::new()
            .name("reload".into())
            .spawn(move || {
                for _ in signals.forever() {
                    manager.reload(|| app.reload(), outcome_text);
                }
            })
            .map(drop)
    }
}

/// Records a change of phase and tells the service manager.
pub fn enter(health: &Health, phase: Phase, manager: &Manager) {
    health.enter(phase);
    info!(?phase, "phase");
    manager.enter(phase);
}

/// Stops the server in the order above, for `signal`. Returns the number of connections cut off.
pub fn stop(
    signal: i32,
    server: &Server,
    health: &Health,
    stop_accepting: impl FnOnce(),
    signals: &StopSignals,
    manager: &Manager,
    drain: &Drain,
) -> usize {
    let begun = Instant::now();
    let deadline = begun + drain.deadline;
    health.enter(Phase::Draining);
    server.announce_close();
    enter(health, Phase::Draining, manager);
    info!(
        accept_ms = drain.accept.as_millis() as u64,
        quiet_ms = drain.quiet.as_millis() as u64,
        deadline_ms = drain.deadline.as_millis() as u64,
        "draining; a second signal stops at once"
    );
    let mut quiet = Quiet::since(begun);
    let nobody_is_there = || signal == SIGINT && server.connections_open() == 0;
    while !nobody_is_there() && !quiet.accepting_may_end(drain, begun) {
        if signals.again_within(POLL) {
            return cut_off(server, "second signal");
        }
    }
    enter(health, Phase::Finishing, manager);
    stop_accepting();
    loop {
        server.end_idle();
        if server.connections_open() == 0 {
            return 0;
        }
        if Instant::now() >= deadline {
            return cut_off(server, "deadline");
        }
        if signals.again_within(POLL) {
            return cut_off(server, "second signal");
        }
    }
}

/// Measures how long no request for an endpoint has come.
struct Quiet {
    asked: u64,
    since: Instant,
}

impl Quiet {
    fn since(since: Instant) -> Self {
        Self {
            asked: asked(),
            since,
        }
    }

    /// Whether balancer and clients send no more requests, or no time is left to wait.
    fn accepting_may_end(&mut self, drain: &Drain, begun: Instant) -> bool {
        let (now, asked) = (Instant::now(), asked());
        if asked != self.asked {
            *self = Self { asked, since: now };
        }
        let passed = now - begun;
        let is_quiet = now.saturating_duration_since(self.since) >= drain.quiet;
        passed >= drain.accept && (is_quiet || passed + drain.finish >= drain.deadline)
    }
}

/// Requests for endpoints so far, without health checks, other answers of 200 or 503 under the label `other`, and the
/// operator's own requests.
fn asked() -> u64 {
    let not_asked = [
        Counter::OtherValid,
        Counter::OtherFailed,
        Counter::AdminValid,
        Counter::AdminRefused,
        Counter::AdminFailed,
    ];
    let probes = not_asked.into_iter().map(metrics::read).sum();
    // The counters may change while they are summed.
    metrics::answers().saturating_sub(probes)
}

fn cut_off(server: &Server, why: &str) -> usize {
    let connections = server.connections_open();
    warn!(why, connections, "stopping with connections open");
    connections
}
