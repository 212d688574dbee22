//! The controls of an operator over a running server.
//!
//! | request | does |
//! | --- | --- |
//! | `POST /admin/cache?capacity_bytes=N&policy=P` | sets the answer cache, or the database's cache if there is one: 0 bytes turn it off; `lru` or `random`; a missing parameter changes nothing |
//! | `POST /admin/cache/clear` | drops every answer |
//! | `POST /admin/reload` | opens the store again |
//! | `POST /admin/drain` | stops the server as SIGTERM does |
//! | `POST /admin/profile?seconds=N` | answers with a CPU flame graph of the next N seconds (10), SVG |
//!
//! They require `Authorization: Bearer <admin_token>`, which a page of another site cannot send. If no token is
//! configured, only the reload and the database's cache can be controlled, for scripts on this machine. Changes last
//! until restart.

use std::{borrow::Cow, sync::Arc, thread, time::Duration};

use tracing::{info, warn};

use super::{guard, profile, service::AdminService};
use crate::{
    app::{Reload, bearer},
    cache::Policy,
    codec::{decimal, query},
    http::{Deferred, Handled, Reply, Request, Status},
    log::Throttle,
    metrics::{self, Counter},
};

/// Most bytes the cache can be set to, as in the settings.
const CACHE_BYTES_MAX: u64 = 1 << 40;

/// A control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Cache,
    ClearCache,
    Reload,
    Drain,
    Profile,
}

impl Control {
    pub(super) fn of(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"/admin/cache" => Self::Cache,
            b"/admin/cache/clear" => Self::ClearCache,
            b"/admin/reload" => Self::Reload,
            b"/admin/drain" => Self::Drain,
            b"/admin/profile" => Self::Profile,
            _ => return None,
        })
    }
}

/// The result of a control, for its answer.
enum Done {
    Text(String),
    /// A picture.
    Svg(Vec<u8>),
}

/// Why a control was refused or failed.
struct Refusal(Status, Cow<'static, str>);

impl Refusal {
    const fn new(status: Status, text: &'static str) -> Self {
        Self(status, Cow::Borrowed(text))
    }
}

/// Work that blocks, for a thread of its own. It may ask whether its client is still there.
type Work = Box<dyn FnOnce(&dyn Fn() -> bool) -> Result<Done, Refusal> + Send>;

/// Progress of a control on the worker.
enum Progress {
    Done(Done),
    Blocks(Work),
}

impl AdminService {
    /// Runs a control, or returns why not.
    pub(super) fn control(
        &self,
        control: Control,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> Handled {
        let begun = self
            .permit(control, request)
            .and_then(|()| self.begin(control, request.head.query));
        match begun {
            Ok(Progress::Done(done)) => answer(control, Ok(done), reply).into(),
            Ok(Progress::Blocks(work)) => in_thread(control, work, reply),
            Err(refusal) => answer(control, Err(refusal), reply).into(),
        }
    }

    fn begin(&self, control: Control, query: &[u8]) -> Result<Progress, Refusal> {
        let text = match control {
            Control::Cache => self.set_cache(query)?,
            Control::ClearCache => self.clear_cache(),
            Control::Drain => self.drain(),
            Control::Reload => return self.reload().map(Progress::Blocks),
            Control::Profile => return record(query).map(Progress::Blocks),
        };
        Ok(Progress::Done(Done::Text(text)))
    }

    fn permit(&self, control: Control, request: &Request<'_>) -> Result<(), Refusal> {
        if guard::is_cross_site(request) {
            return Err(Refusal::new(Status::Forbidden, guard::CROSS_SITE));
        }
        match (self.options.token.as_str(), control) {
            ("", Control::Reload) => Ok(()),
            ("", Control::Cache) if self.app.database_state().is_some() => Ok(()),
            ("", _) => Err(Refusal::new(
                Status::Forbidden,
                "controls are off: set admin_token to use them",
            )),
            (token, _) if bearer::has_token(request, token) => Ok(()),
            _ => Err(Refusal::new(
                Status::Unauthorized,
                "wrong or missing token: send Authorization: Bearer and the admin_token",
            )),
        }
    }

    /// Changes the settings in `query` of the answer cache, or of the database's cache.
    fn set_cache(&self, query: &[u8]) -> Result<String, Refusal> {
        let Some((bytes_max, policy)) = cache_change(query) else {
            return Err(Refusal::new(
                Status::BadRequest,
                "expected capacity_bytes=0…1099511627776, policy=lru, policy=random or both",
            ));
        };
        let state = match self.app.set_database_cache(bytes_max, policy) {
            Some(state) => state,
            None => {
                let cache = self.app.cache();
                if let Some(policy) = policy {
                    cache.set_policy(policy);
                }
                if let Some(bytes_max) = bytes_max {
                    metrics::add(Counter::CacheEvictions, cache.set_bytes_max(bytes_max));
                }
                cache.stats()
            }
        };
        Ok(format!(
            "capacity_bytes={} bytes={} entries={} policy={}",
            state.bytes_max, state.bytes, state.entries, state.policy
        ))
    }

    fn clear_cache(&self) -> String {
        let dropped = self.app.cache().clear();
        metrics::add(Counter::CacheEvictions, dropped);
        format!("{dropped} answers dropped")
    }

    fn drain(&self) -> String {
        (self.stop)();
        "draining".into()
    }

    fn reload(&self) -> Result<Work, Refusal> {
        if self.app.is_reloading() {
            return Err(Refusal::new(Status::Conflict, "a reload is under way"));
        }
        let app = Arc::clone(&self.app);
        Ok(Box::new(move |_| match app.reload() {
            Ok(Reload::Replaced) => Ok(Done::Text(format!("replaced: {}", app.store_text()))),
            Ok(Reload::Unchanged) => Ok(Done::Text(format!("unchanged: {}", app.store_text()))),
            Ok(Reload::NoStore) => Err(Refusal::new(Status::Conflict, "no store is configured")),
            Err(error) => Err(Refusal(
                Status::InternalServerError,
                error.to_string().into(),
            )),
        }))
    }
}

/// Records a flame graph for as long as `query` says.
fn record(query: &[u8]) -> Result<Work, Refusal> {
    let seconds = match query::first(query, b"seconds") {
        None => Some(profile::Options::default().seconds),
        Some(digits) => decimal::parse_u63(digits),
    };
    let Some(seconds) = seconds.filter(|seconds| (1..=profile::SECONDS_MAX).contains(seconds))
    else {
        let text = "seconds: expected a number from 1 to 300";
        return Err(Refusal::new(Status::BadRequest, text));
    };
    Ok(Box::new(move |is_wanted| {
        match profile::record(seconds, is_wanted) {
            Ok(svg) => Ok(Done::Svg(svg)),
            Err(error) => Err(Refusal(Status::Conflict, error.to_string().into())),
        }
    }))
}

/// Does `work` in a separate thread while the connection waits.
fn in_thread(control: Control, work: Work, reply: Reply<'_>) -> Handled {
    let (promise, mut deferred) = Deferred::new(move |outcome, reply| {
        let lost = Refusal::new(
            Status::InternalServerError,
            "its thread panicked; see the log",
        );
        answer(control, outcome.unwrap_or(Err(lost)), reply)
    });
    let thread = thread::Builder::new().name("control".into());
    let peer = deferred.watch();
    let work = move || {
        let outcome = work(&|| !peer.is_gone());
        promise.keep(outcome);
    };
    match thread.spawn(work) {
        Ok(_detached) => deferred.into(),
        Err(_) => {
            let refusal = Refusal::new(Status::ServiceUnavailable, "no thread can be started");
            answer(control, Err(refusal), reply).into()
        }
    }
}

/// Answers, logs and counts the result of a control.
fn answer(control: Control, outcome: Result<Done, Refusal>, reply: Reply<'_>) -> Counter {
    let Refusal(status, text) = match outcome {
        Ok(done) => {
            metrics::add(Counter::ControlsDone, 1);
            match done {
                Done::Text(text) => {
                    info!(?control, text, "control");
                    reply.line(Status::Ok, &text);
                }
                Done::Svg(mut svg) => {
                    info!(?control, "control");
                    reply.send(Status::Ok, "image/svg+xml", &[], |out| out.append(&mut svg));
                }
            }
            return Counter::AdminValid;
        }
        Err(refusal) => refusal,
    };
    log_refusal(control, status, &text);
    bearer::refuse(status, &text, reply);
    let (control, answer) = match status.code() {
        ..500 => (Counter::ControlsRefused, Counter::AdminRefused),
        _ => (Counter::ControlsFailed, Counter::AdminFailed),
    };
    metrics::add(control, 1);
    answer
}

/// Logs a failure always, a refusal at most once a second: anybody can ask for refusals without end.
fn log_refusal(control: Control, status: Status, text: &str) {
    static LINES: Throttle = Throttle::every(Duration::from_secs(1));
    if status.code() >= 500 || LINES.admits() {
        let refused_total = metrics::read(Counter::ControlsRefused);
        warn!(?control, status = status.code(), %text, refused_total, "control refused or failed");
    }
}

/// Capacity and policy, if given; `None` if neither is given or one is wrong.
fn cache_change(query: &[u8]) -> Option<(Option<usize>, Option<Policy>)> {
    let bytes_max = match query::first(query, b"capacity_bytes") {
        None => None,
        Some(digits) => {
            let bytes = decimal::parse_u63(digits).filter(|bytes| *bytes <= CACHE_BYTES_MAX)?;
            Some(usize::try_from(bytes).ok()?)
        }
    };
    let policy = match query::first(query, b"policy") {
        None => None,
        Some(word) => Some(str::from_utf8(word).ok()?.parse().ok()?),
    };
    (bytes_max.is_some() || policy.is_some()).then_some((bytes_max, policy))
}
