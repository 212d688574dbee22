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

use crate::{app::App, http::Server};

/// How often the end of the last connection is looked for.
const POLL: Duration = Duration::from_millis(20);

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
    pub fn serve(self, server: &Arc<Server<App>>) -> io::Result<()> {
        let (mut signals, server) = (self.0, Arc::clone(server));
        thread::Builder::new()
            .name("reload".into())
            .spawn(move || {
                signals
                    .forever()
                    .for_each(|_| drop(server.service().reload()))
            })
            .map(drop)
    }
}

/// Records a change of phase.
pub fn enter(phase: Phase) {
    info!(?phase, "phase");
}

/// Stops the server in the order above. Returns the number of connections cut off.
pub fn stop(
    server: &Arc<Server<App>>,
    stop_accepting: impl FnOnce(),
    signals: &StopSignals,
    options: &super::Options,
) -> usize {
    let deadline = Instant::now() + options.drain_deadline;
    enter(Phase::Draining);
    server.service().health().set_ready(false);
    server.announce_close();
    info!(
        accept_ms = options.drain_accept.as_millis() as u64,
        deadline_ms = options.drain_deadline.as_millis() as u64,
        "draining; a second signal stops at once"
    );
    if signals.again_within(options.drain_accept.min(options.drain_deadline)) {
        return cut_off(server, "second signal");
    }
    enter(Phase::Finishing);
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
