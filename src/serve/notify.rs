//! Messages to the service manager: sd_notify(3); none without a `NOTIFY_SOCKET`.
//!
//! | message | when |
//! | --- | --- |
//! | `READY=1` | sockets listen, every worker has run, `/readyz` answers 200: the next request succeeds |
//! | `RELOADING=1`, then `READY=1` | around a reload by SIGHUP |
//! | `STOPPING=1` | the moment a stop signal is taken |
//! | `WATCHDOG=1` | a quarter of `WATCHDOG_USEC` after the last, if every serving thread has run since |
//! | `STATUS=` | with each of these: the phase, the request rate, connections, or who is stuck |
//!
//! The only file that knows the protocol. A failed message does not stop the server: it is logged once. Not
//! here: inherited listeners (`listener`), what the phases mean (`lifecycle`).

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use parking_lot::Mutex;
use sd_notify::NotifyState;
use tracing::warn;

use crate::{
    app::Phase,
    http::{Pulse, Server},
    metrics,
    remedy::Trying,
};

/// How often the status line is renewed where no watchdog asks for more.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Beats within one watchdog period: one may be late and one lost.
const BEATS_PER_PERIOD: u32 = 4;

/// How long the workers may take to run for the first time: half of the unit's `TimeoutStartSec`, so that the
/// reason is in the journal before the manager ends the start without one. `tests/ops/files/test_consistency.py` compares
/// the two.
const FIRST_RUN: Duration = Duration::from_secs(60);

/// How long a message may wait for a manager that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The service manager, if this process has one.
pub struct Manager {
    /// `None` if there is no manager.
    socket: Option<UnixDatagram>,
    phase: Mutex<Phase>,
    failed: AtomicBool,
}

impl Manager {
    /// The manager named by the environment. An unreachable manager is logged and ignored.
    pub fn of_process() -> Arc<Self> {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            connect(&name)
                .inspect_err(|error| warn!(%error, ?name, "cannot reach the service manager; it was named by NOTIFY_SOCKET"))
                .ok()
        });
        Arc::new(Self {
            socket,
            phase: Mutex::new(Phase::Starting),
            failed: AtomicBool::new(false),
        })
    }

    /// Tells a change of phase.
    pub fn enter(&self, phase: Phase) {
        // Held while sending, so that a beat cannot overwrite this status with the previous phase's.
        let mut present_phase = self.phase.lock();
        *present_phase = phase;
        let status = NotifyState::Status(phase.name());
        match phase {
            Phase::Ready => self.tell(&[NotifyState::Ready, status]),
            Phase::Draining => self.tell(&[NotifyState::Stopping, status]),
            Phase::Starting | Phase::Finishing | Phase::Stopped => self.tell(&[status]),
        }
    }

    /// Runs `reload` between `RELOADING=1` and `READY=1`; `outcome` describes its result for people.
    pub fn reload<T>(&self, reload: impl FnOnce() -> T, outcome: impl FnOnce(T) -> String) {
        if !self.is_ready() {
            return drop(reload()); // a manager that waits for a stop must not hear of readiness again
        }
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
        let text = outcome(reload());
        let phase = self.phase.lock();
        if *phase == Phase::Ready {
            self.tell(&[NotifyState::Ready, NotifyState::Status(&text)]);
        }
    }

    /// Waits until every serving thread has run once, then beats until the server is gone.
    ///
    /// # Errors
    /// A worker does not run, or no thread can be started.
    pub fn watch(self: &Arc<Self>, server: &Arc<Server>, pulse: Pulse) -> anyhow::Result<()> {
        let mut pulse = pulse;
        pulse.ask();
        let give_up = Instant::now() + FIRST_RUN;
        while let Some(who) = pulse.silent() {
            if Instant::now() > give_up {
                bail!(
                    "{who} has not run within {} s of its start; see what else takes the processors (top), or give \
                     fewer --workers",
                    FIRST_RUN.as_secs()
                );
            }
            thread::sleep(Duration::from_millis(1));
        }
        if self.socket.is_none() {
            return Ok(());
        }
        let (manager, server) = (Arc::clone(self), Arc::downgrade(server));
        thread::Builder::new()
            .name("notify".into())
            .spawn(move || manager.beat(&server, pulse))
            .map_err(Trying::Start.explained())
            .context("cannot start the thread that tells the service manager")?;
        Ok(())
    }

    fn beat(&self, server: &Weak<Server>, mut pulse: Pulse) {
        let watchdog = sd_notify::watchdog_enabled().filter(|period| !period.is_zero());
        let every = watchdog.map_or(STATUS_EVERY, |period| {
            (period / BEATS_PER_PERIOD).min(STATUS_EVERY)
        });
        let (mut requests, mut since) = (metrics::answers(), Instant::now());
        let mut silent_since = None;
        loop {
            let silent = pulse.silent();
            if silent.is_none() {
                silent_since = None;
            }
            pulse.ask(); // silent threads keep their question
            let Some(server) = server.upgrade() else {
                return;
            };
            let total = metrics::answers();
            let rate =
                total.wrapping_sub(requests) as f64 / since.elapsed().as_secs_f64().max(0.001);
            (requests, since) = (total, Instant::now());
            let load = format!(
                "{rate:.0} requests/s, {} connections",
                server.connections_open()
            );
            drop(server);
            let trouble = silent.map(|who| {
                let start: &mut Instant = silent_since.get_or_insert_with(|| {
                    warn!(
                        who,
                        "a serving thread does not run; no watchdog beats until it does"
                    );
                    Instant::now()
                });
                format!("; {who} stuck for {} s", start.elapsed().as_secs())
            });
            self.tell_beat(
                watchdog.is_some() && trouble.is_none(),
                &load,
                trouble.as_deref(),
            );
            thread::sleep(every);
        }
    }

    fn tell_beat(&self, alive: bool, load: &str, trouble: Option<&str>) {
        let phase = self.phase.lock();
        let text = format!("{}: {load}{}", phase.name(), trouble.unwrap_or_default());
        let status = NotifyState::Status(&text);
        if alive {
            self.tell(&[NotifyState::Watchdog, status]);
        } else {
            self.tell(&[status]);
        }
    }

    fn is_ready(&self) -> bool {
        *self.phase.lock() == Phase::Ready
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let message: String = state.iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = socket.send(message.as_bytes())
            && !self.failed.swap(true, Relaxed)
        {
            warn!(%error, "cannot tell the service manager; it may take this process for stuck");
        }
    }
}

/// A socket to the manager: a path, or after `@` a name outside the file system. Not the crate's sender,
/// which lacks such names and waits forever.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(socket)
}
