//! The life of the server: open the stores, bind, serve, stop.
//!
//! [`run`] serves the three endpoints and the operator; [`host`] a service of your own (docs/services.md).
//!
//! `listener` has the sockets, `lifecycle` the phases and signals, `notify` the service manager.

pub(crate) mod lifecycle;
pub(crate) mod listener;
pub(crate) mod notify;

use std::{io::Write, net::SocketAddr, sync::Arc, thread};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::{
    admin::{self, AdminService},
    app::{self, App, Health, Phase},
    crash,
    http::{
        Acceptor, Listener, NoWorkers, Server, Service, Settings, limits::OTHER_DESCRIPTORS_MAX,
    },
    metrics::turn,
    remedy::Trying,
};
pub use lifecycle::Drain;
use lifecycle::{ReloadSignals, StopSignals};
use listener::{Audience, Bound};
use notify::Manager;

/// Settings of the process: addresses, workers, stop.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses of the public listener.
    pub listen: Vec<SocketAddr>,
    /// Address of the admin listener; `None` = no admin listener.
    pub admin: Option<SocketAddr>,
    /// Worker threads, each with its own epoll loop; 0 = one per available processor.
    pub workers: usize,
    /// Pins worker threads to processors.
    pub pin_workers: bool,
    /// Stack of one connection's coroutine in bytes; rounded up to whole pages.
    pub stack_bytes: usize,
    /// Pending connections the kernel keeps for the accept loop.
    pub backlog: u32,
    /// The stop.
    pub drain: Drain,
    /// Bounds of the HTTP loop.
    pub limits: crate::http::Limits,
    /// The operator's side.
    pub operator: admin::Options,
    /// Settings of the measurement.
    pub measure: turn::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))],
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
            workers: 0,
            pin_workers: true,
            stack_bytes: 64 << 10,
            backlog: 4096,
            drain: Drain::default(),
            limits: crate::http::Limits::default(),
            operator: admin::Options::default(),
            measure: turn::Options::default(),
        }
    }
}

/// Serves until a stop signal; returns when everything has ended. `warnings` are logged when the start has succeeded:
/// before an error they would look like its cause.
pub fn run(options: Options, app: app::Options, warnings: &[String]) -> anyhow::Result<()> {
    let manager = Manager::of_process();
    info!(phase = ?Phase::Starting, "phase");
    manager.enter(Phase::Starting);
    let signals = catch_stop_signals()?;
    let reload_signals = ReloadSignals::catch()
        .map_err(Trying::Start.explained())
        .context("cannot catch signals")?;
    let workers = apply_process_settings(&options)?;
    let app = Arc::new(App::open(app)?);
    let bound = listener::open(&options.listen, options.admin, options.backlog)?;
    let addresses = bound
        .iter()
        .map(|bound| Ok((bound.socket.local_addr()?, bound.audience)))
        .collect::<std::io::Result<Vec<_>>>()?;
    info!(store = app.store_text(), "endpoints are set up");
    let server = start_server(&options)?;
    let admin = Arc::new(AdminService::new(
        Arc::clone(&app),
        Arc::clone(&server),
        options.operator.clone(),
        workers,
        signals.stopper(),
    ));
    if addresses
        .iter()
        .any(|(_, audience)| *audience == Audience::Admin)
    {
        admin
            .observe()
            .map_err(Trying::Start.explained())
            .context("cannot start the thread that samples")?;
    }
    admin::profile::on_signal(&options.operator.profile)
        .map_err(Trying::Start.explained())
        .context("cannot start the profiler")?;
    reload_signals
        .serve(&app, &manager)
        .map_err(Trying::Start.explained())
        .context("cannot start the thread that reloads")?;
    let listeners = serve_each(bound, &server, &app, &admin);
    let acceptor = accept(&server, listeners, &manager)?;
    let health = app.health();
    health.enter(Phase::Ready);
    for warning in warnings.iter().chain(&app.warnings()) {
        warn!("{warning}");
    }
    greet(&addresses, workers);
    // The service manager learns of it when the next request would succeed: a database may be slow.
    let signal = signals.wait_until(|| app.is_ready()).unwrap_or_else(|| {
        lifecycle::enter(health, Phase::Ready, &manager);
        signals.wait()
    });
    info!(signal, "stop signal");
    lifecycle::stop(
        signal,
        &server,
        health,
        || acceptor.stop(),
        &signals,
        &manager,
        &options.drain,
    );
    lifecycle::enter(health, Phase::Stopped, &manager);
    Ok(())
}

/// Serves one service on `options.listen` until a stop signal, with the same start and stop as [`run`]; returns when
/// everything has ended. `listening` gets the addresses once requests are accepted.
///
/// There is no admin listener: `options.admin` and `options.operator` are not read. `/healthz`, `/readyz` and metrics
/// are up to the service. `health` is what its `/readyz` should report.
///
/// # Errors
/// An address is taken, or a thread cannot be started.
pub fn host<S: Service>(
    options: &Options,
    service: Arc<S>,
    health: &Health,
    listening: impl FnOnce(&[SocketAddr]),
) -> anyhow::Result<()> {
    let manager = Manager::of_process();
    manager.enter(Phase::Starting);
    let signals = catch_stop_signals()?;
    apply_process_settings(options)?;
    let bound = listener::open(&options.listen, None, options.backlog)?;
    let addresses = bound
        .iter()
        .map(|bound| bound.socket.local_addr())
        .collect::<std::io::Result<Vec<_>>>()?;
    let server = start_server(options)?;
    let hosted = server.host(service);
    let listeners = bound
        .into_iter()
        .map(|bound| Listener::new(bound.socket, bound.inherited, &hosted))
        .collect();
    let acceptor = accept(&server, listeners, &manager)?;
    lifecycle::enter(health, Phase::Ready, &manager);
    listening(&addresses);
    let signal = signals.wait();
    lifecycle::stop(
        signal,
        &server,
        health,
        || acceptor.stop(),
        &signals,
        &manager,
        &options.drain,
    );
    lifecycle::enter(health, Phase::Stopped, &manager);
    Ok(())
}

fn catch_stop_signals() -> anyhow::Result<StopSignals> {
    StopSignals::catch()
        .map_err(Trying::Start.explained())
        .context("cannot catch signals")
}

fn start_server(options: &Options) -> anyhow::Result<Arc<Server>> {
    Server::start(options.limits.clone())
        .map_err(Trying::Start.explained())
        .context("cannot start the server")
}

/// Begins to accept, watched by the service manager.
fn accept(
    server: &Arc<Server>,
    listeners: Vec<Listener>,
    manager: &Arc<Manager>,
) -> anyhow::Result<Acceptor> {
    let acceptor = Acceptor::start(server, listeners)
        .map_err(Trying::Start.explained())
        .context("cannot accept connections")?;
    manager.watch(server, acceptor.pulse()?)?;
    Ok(acceptor)
}

/// Applies what is set once in a process; returns the number of workers.
fn apply_process_settings(options: &Options) -> Result<usize, NoWorkers> {
    raise_descriptor_limit(options.limits.connections_max);
    let workers = match options.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    Settings {
        workers,
        pin_workers: options.pin_workers,
        stack_bytes: options.stack_bytes,
    }
    .apply()?;
    options.measure.apply();
    // After the workers, whose crate has a handler too.
    crash::install(None);
    Ok(workers)
}

/// Gives each socket the service of its audience.
fn serve_each(
    bound: Vec<Bound>,
    server: &Arc<Server>,
    app: &Arc<App>,
    admin: &Arc<AdminService>,
) -> Vec<Listener> {
    let app = server.host(Arc::clone(app));
    let admin = server.host(Arc::clone(admin));
    let listener = |bound: Bound| match bound.audience {
        Audience::Public => Listener::new(bound.socket, bound.inherited, &app),
        Audience::Admin => Listener::new(bound.socket, bound.inherited, &admin),
    };
    bound.into_iter().map(listener).collect()
}

/// Prints addresses and first commands for a person at a terminal. A closed standard output is not an
/// error.
fn greet(addresses: &[(SocketAddr, Audience)], workers: usize) {
    let version = env!("CARGO_PKG_VERSION");
    info!(version, workers, ?addresses, "listening");
    let mut text = format!("trident {version} with {workers} worker(s)\n");
    for (address, audience) in addresses {
        let name = match audience {
            Audience::Admin => "admin",
            Audience::Public => "serving",
        };
        text += &format!("  {name} http://{address}\n");
    }
    if let Some((public, _)) = addresses
        .iter()
        .find(|(_, audience)| *audience == Audience::Public)
    {
        let mut public = *public;
        if public.ip().is_unspecified() {
            public.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        text += &format!("  endpoints: http://{public}/ lists them; for example\n");
        for command in app::guide::first_steps(&public.to_string()) {
            text += &format!("    {command}\n");
        }
    }
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Raises the soft limit of open descriptors to what `connections_max` connections need, as far as the hard limit
/// allows. The check of the configuration warns of a hard limit that is too low; a failure here leaves the limit as it
/// was.
fn raise_descriptor_limit(connections_max: usize) {
    let wanted = (connections_max + OTHER_DESCRIPTORS_MAX) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` means that there is no limit.
    if let Some(current) = current.filter(|current| *current < wanted) {
        let raised = maximum.map_or(wanted, |maximum| wanted.min(maximum));
        let limit = Rlimit {
            current: Some(raised.max(current)),
            maximum,
        };
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
