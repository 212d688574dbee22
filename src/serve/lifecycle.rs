//! From start to stop: the phases, the signals, the order of a graceful stop.
//!
//! ```text
//! starting ─▶ ready ─▶ draining ─▶ finishing ─▶ stopped
//! ```
//!
//! The order of the stop is the one that loses no request behind any layer-4 balancer: readiness
//! fails and every answer says `Connection: close` at once, while new connections are accepted for
//! longer than the balancer needs to notice; only then listeners and idle connections are closed.

use std::{
    fmt::Display,
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, unbounded};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{info, warn};

use super::notify::Manager;
use crate::{
    app::{App, Reload},
    http::Server,
};

/// How often the end of the last connection is looked for.
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

/// What the process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Configuration is valid; sockets and stores are being opened. Not ready.
    Starting,
    /// The next request would succeed.
    Ready,
    /// A stop signal came: not ready, every answer ends its connection, new ones are accepted.
    Draining,
    /// Listeners are closed; requests in flight are being answered.
    Finishing,
    /// Everything has ended.
    Stopped,
}

/// Stop signals in order of arrival.
pub struct StopSignals(Receiver<i32>);

impl StopSignals {
    /// Catches SIGTERM and SIGINT from now on.
    pub fn catch() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let (send, receive) = unbounded();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    if send.send(signal).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self(receive))
    }

    /// Blocks until a stop signal comes.
    pub fn wait(&self) -> i32 {
        self.0.recv().unwrap_or(SIGTERM)
    }

    /// Waits for `timeout`; true if a further stop signal came first.
    fn again_within(&self, timeout: Duration) -> bool {
        match self.0.recv_timeout(timeout) {
            Ok(_) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        }
    }
}

/// SIGHUP: open again what may have changed.
pub struct ReloadSignals(Signals);

impl ReloadSignals {
    /// Catches SIGHUP from now on; one that comes before [`serve`](Self::serve) is kept.
    pub fn catch() -> io::Result<Self> {
        Signals::new([SIGHUP]).map(Self)
    }

    /// Reloads on every signal, on a thread of its own. The application logs the outcome.
    pub fn serve(self, server: &Arc<Server<App>>, manager: &Arc<Manager>) -> io::Result<()> {
        let (mut signals, server, manager) = (self.0, Arc::clone(server), Arc::clone(manager));
        thread::Builder::new()
            .name("reload".into())
            .spawn(move || {
                for _ in signals.forever() {
                    manager.reload(|| server.service().reload(), outcome_text);
                }
            })
            .map(drop)
    }
}

impl Phase {
    /// The name in logs and status lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Finishing => "finishing",
            Self::Stopped => "stopped",
        }
    }
}

/// Records a change of phase and tells the service manager.
pub fn enter(phase: Phase, manager: &Manager) {
    info!(?phase, "phase");
    manager.enter(phase);
}

/// Stops the server in the order above. Returns the number of connections cut off.
pub fn stop(
    server: &Arc<Server<App>>,
    stop_accepting: impl FnOnce(),
    signals: &StopSignals,
    manager: &Manager,
    options: &super::Options,
) -> usize {
    let deadline = Instant::now() + options.drain_deadline;
    server.service().health().set_ready(false);
    server.announce_close();
    enter(Phase::Draining, manager);
    info!(
        accept_ms = options.drain_accept.as_millis() as u64,
        deadline_ms = options.drain_deadline.as_millis() as u64,
        "draining; a second signal stops at once"
    );
    if signals.again_within(options.drain_accept.min(options.drain_deadline)) {
        return cut_off(server, "second signal");
    }
    enter(Phase::Finishing, manager);
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

fn cut_off(server: &Arc<Server<App>>, why: &str) -> usize {
    let connections = server.connections_open();
    warn!(why, connections, "stopping with connections open");
    connections
}
