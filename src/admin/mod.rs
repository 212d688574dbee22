//! The service of the admin listener: metrics, the live page, its history, the controls. The application
//! itself serves public listeners and does not know this module.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` | the live page |
//! | `GET /metrics` | Prometheus text |
//! | `GET /admin/state` | identity, phase, settings of note, counters, as JSON |
//! | `GET /admin/history?since=MS` | the last two minutes by the second, the last thirty by the minute, as JSON; with `since` only what is newer |
//! | `POST /admin/…` | a control, see `control` |
//!
//! All other requests go to the application. So do those to `/twitter/tweets`, but pages of other sites must not send
//! tweets and deletions here.
//!
//! The connection's worker answers everything within some hundred microseconds; blocking work has a
//! separate thread.
//!
//! Files: `service` is what the listener calls; `guard` checks who asks; `page` is the live page, `state` and
//! `history` its figures, which `sampler` reads once a second; `control` changes the server; `profile` records flame
//! graphs.

mod control;
mod guard;
mod history;
mod page;
pub(crate) mod profile;
mod sampler;
mod service;
mod state;

use crate::{
    app,
    codec::{decimal, query},
    http::{Handled, Head, Method, Reply, Request, Service, Status, TEXT},
    metrics::{self, Counter},
};
use control::Control;

pub use service::{AdminService, Options};

/// What only the admin listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Page,
    Metrics,
    State,
    History,
    Control(Control),
}

impl Resource {
    fn of(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"/" => Self::Page,
            b"/metrics" => Self::Metrics,
            b"/admin/state" => Self::State,
            b"/admin/history" => Self::History,
            path => Self::Control(Control::of(path)?),
        })
    }

    const fn allow(self) -> &'static str {
        match self {
            Self::Control(_) => "POST",
            _ => "GET, HEAD",
        }
    }

    fn takes(self, method: Method) -> bool {
        match method {
            Method::Get | Method::Head => self.allow() == "GET, HEAD",
            Method::Post => self.allow() == "POST",
            Method::Put | Method::Delete | Method::Other | Method::Unknown => false,
        }
    }
}

impl Service for AdminService {
    type Worker = app::Worker;

    fn worker(&self) -> app::Worker {
        self.app.worker()
    }

    fn call(&self, worker: &mut app::Worker, request: &Request<'_>, reply: Reply<'_>) -> Handled {
        if let Some(resource) = Resource::of(request.head.path) {
            return self.operate(resource, request, reply);
        }
        // The only request to the application that changes what is served.
        if request.head.path == app::TWEETS_PATH.as_bytes()
            && let Err(text) = self.admit_writer(request)
        {
            reply.line(Status::Forbidden, text);
            return Counter::TweetsRefused.into();
        }
        self.app.call_as_operator(worker, request, reply)
    }

    fn takes(&self, head: &Head<'_>) -> bool {
        match Resource::of(head.path) {
            Some(resource) => resource.takes(head.method),
            None => self.app.takes_from_operator(head),
        }
    }
}

const JSON: &str = "application/json";

/// The Prometheus text exposition format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// State and history must not be cached.
const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");

const UNKNOWN_HOST: &str = "unknown Host: use an address, or list the name in admin_hosts";

impl AdminService {
    /// Whether `request` may change the store: not if a page of another site made a browser send it.
    fn admit_writer(&self, request: &Request<'_>) -> Result<(), &'static str> {
        if guard::is_cross_site(request) {
            return Err(guard::CROSS_SITE);
        }
        if guard::is_own_host(request, &self.options.hosts) {
            Ok(())
        } else {
            Err(UNKNOWN_HOST)
        }
    }

    fn operate(&self, resource: Resource, request: &Request<'_>, reply: Reply<'_>) -> Handled {
        if !resource.takes(request.head.method) {
            let fields = [("Allow", resource.allow())];
            reply.send(Status::MethodNotAllowed, TEXT, &fields, |out| {
                out.extend_from_slice(b"method not allowed here\n");
            });
            return Counter::AdminRefused.into();
        }
        // Metrics hold no secret, and scrapers may use any name for their target.
        if resource != Resource::Metrics && !guard::is_own_host(request, &self.options.hosts) {
            reply.line(Status::Forbidden, UNKNOWN_HOST);
            return Counter::AdminRefused.into();
        }
        match resource {
            Resource::Page => self.page.answer(reply),
            Resource::Metrics => reply.send(Status::Ok, METRICS_TYPE, &[], |out| {
                let (totals, reasons) = (metrics::Totals::read(), app::reasons());
                metrics::write_text(&totals, &self.gauges(), &reasons, out);
            }),
            Resource::State => {
                let mut body = self.state_json();
                reply.send(Status::Ok, JSON, &[NO_STORE], |out| out.append(&mut body));
            }
            Resource::History => {
                let since = query::first(request.head.query, b"since");
                let since_ms = since.and_then(decimal::parse_u63).unwrap_or(0);
                let mut body = self.history.lock().json(since_ms);
                reply.send(Status::Ok, JSON, &[NO_STORE], |out| out.append(&mut body));
            }
            Resource::Control(control) => return self.control(control, request, reply),
        }
        Counter::AdminValid.into()
    }
}
