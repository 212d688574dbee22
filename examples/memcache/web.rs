//! Every role on the HTTP loop: a table of calls, answers, a few threads for work that blocks, health and metrics.
//!
//! ```text
//! request ─ table of calls ─▶ Plan::Now ────────────────────▶ answer
//!                      └────▶ Plan::Later ─ queue ─ threads ─▶ answer (Deferred)
//! ```

use std::{sync::Arc, thread, time::Instant};

use crossbeam::channel::{Sender, bounded};
use matchit::{Params, Router};
use percent_encoding::percent_decode_str;
use prometheus::{Encoder, Gauge, IntCounter, Registry, TextEncoder, core::Collector};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use trident::{
    app::{Health, bearer},
    http::{Deferred, Handled, Method, Promise, Reply, Request, Service, Status, TEXT},
    metrics::Counter,
};

use crate::common::{JSON, PROMETHEUS, metrics::Metrics};

/// Requests that wait for a thread; one more is answered with 503.
const QUEUE_MAX: usize = 4096;

/// The variable with the token of calls between the roles; without it they need none.
pub const TOKEN: &str = "MEMCACHE_TOKEN";

/// An answer. Every failure has the form `{"success":"false","error":{"code":…,"message":…}}`.
pub struct Answer {
    status: Status,
    kind: &'static str,
    field: Option<(&'static str, String)>,
    body: Box<dyn AsRef<[u8]> + Send>,
}

/// The result, or the answer that reports the failure.
pub type Tried<T> = Result<T, Answer>;

impl Answer {
    /// 200 with any body.
    pub fn ok(kind: &'static str, body: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self {
            status: Status::Ok,
            kind,
            field: None,
            body: Box::new(body),
        }
    }

    /// 200 with JSON.
    pub fn json(value: &Value) -> Self {
        Self::ok(JSON, value.to_string())
    }

    /// `{"success":"true"}`
    pub fn done() -> Self {
        Self::json(&json!({"success": "true"}))
    }

    /// A failure.
    pub fn error(status: Status, message: impl ToString) -> Self {
        let error = json!({"code": status.code(), "message": message.to_string()});
        Self {
            status,
            ..Self::json(&json!({"success": "false", "error": error}))
        }
    }

    fn with(self, name: &'static str, value: &str) -> Self {
        Self {
            field: Some((name, value.into())),
            ..self
        }
    }
}

/// How a call is answered.
pub enum Plan {
    /// At once.
    Now(Answer),
    /// On a thread that may block.
    Later(Box<dyn FnOnce() -> Answer + Send>),
}

/// Work that may block and fail.
pub fn later(work: impl FnOnce() -> Tried<Answer> + Send + 'static) -> Plan {
    Plan::Later(Box::new(|| work().unwrap_or_else(|failure| failure)))
}

/// Plans the answer to a call.
type Planner<R> = fn(&Arc<R>, &Asked<'_>) -> Tried<Plan>;

/// A row of a role's table of calls.
pub struct Call<R> {
    method: &'static str,
    path: &'static str,
    is_internal: bool,
    plan: Planner<R>,
}

impl<R> Call<R> {
    /// A call for everybody. GET takes HEAD too; parameters of the path are written as `{name}`.
    pub const fn open(method: &'static str, path: &'static str, plan: Planner<R>) -> Self {
        Self {
            method,
            path,
            is_internal: false,
            plan,
        }
    }

    /// A call for the other roles: it needs the token, if there is one.
    pub const fn internal(method: &'static str, path: &'static str, plan: Planner<R>) -> Self {
        Self {
            is_internal: true,
            ..Self::open(method, path, plan)
        }
    }
}

/// A request with the parameters of its path.
pub struct Asked<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    params: Params<'a, 'a>,
}

impl Asked<'_> {
    /// A parameter of the path, decoded.
    pub fn text(&self, name: &str) -> Tried<String> {
        let raw = self.params.get(name).unwrap_or_default();
        let text = percent_decode_str(raw).decode_utf8();
        text.map(Into::into)
            .map_err(|_| Answer::error(Status::BadRequest, format!("{name} is not UTF-8")))
    }

    /// The body as JSON. Its type must say so: without asking, a page of another site cannot send that type here.
    pub fn json<T: DeserializeOwned>(&self) -> Tried<T> {
        let sent = self.request.field(b"content-type").unwrap_or_default();
        if sent.split(|byte| *byte == b';').next() != Some(JSON.as_bytes()) {
            let message = "send JSON with Content-Type: application/json";
            return Err(Answer::error(Status::UnsupportedMediaType, message));
        }
        serde_json::from_slice(self.request.body)
            .map_err(|error| Answer::error(Status::BadRequest, format!("the body: {error}")))
    }
}

/// A role of the program.
pub trait Role: Send + Sync + Sized + 'static {
    /// Its calls.
    const CALLS: &'static [Call<Self>];

    /// Name and value of its own metrics; names of counters end in `_total`.
    fn figures(&self) -> Vec<(&'static str, f64)>;
}

type Job = (Box<dyn FnOnce() -> Answer + Send>, Promise<Answer>);

/// A role on the loop.
pub struct Web<R: 'static> {
    role: Arc<R>,
    routes: Router<Vec<&'static Call<R>>>,
    jobs: Sender<Job>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    token: Option<String>,
}

impl<R: Role> Web<R> {
    /// A role called `name` with `threads` threads for work that blocks.
    pub fn new(
        name: &str,
        role: Arc<R>,
        threads: usize,
        health: Arc<Health>,
    ) -> anyhow::Result<Self> {
        let (jobs, queue) = bounded::<Job>(QUEUE_MAX);
        for _ in 0..threads {
            let queue = queue.clone();
            let work = move || {
                queue
                    .iter()
                    .for_each(|(work, promise)| promise.keep(work()))
            };
            thread::Builder::new().name("calls".into()).spawn(work)?;
        }
        let mut routes = Router::<Vec<&'static Call<R>>>::new();
        for call in R::CALLS {
            match routes.at_mut(call.path) {
                Ok(found) => found.value.push(call),
                Err(_) => routes.insert(call.path, vec![call])?,
            }
        }
        Ok(Self {
            role,
            routes,
            jobs,
            metrics: Arc::new(Metrics::new("memcache", &[name])?),
            health,
            token: std::env::var(TOKEN).ok(),
        })
    }

    fn plan(&self, request: &Request<'_>) -> Tried<Plan> {
        let path = str::from_utf8(request.head.path).unwrap_or_default();
        let own = match path {
            "/healthz" => Some(Answer::ok(TEXT, "ok\n")),
            "/readyz" if self.health.is_ready() => Some(Answer::ok(TEXT, "ok\n")),
            "/readyz" => Some(Answer::error(Status::ServiceUnavailable, "not ready")),
            "/metrics" => Some(Answer::ok(PROMETHEUS, self.figures())),
            _ => None,
        };
        if let Some(own) = own {
            return Ok(Plan::Now(own));
        }
        let found = self.routes.at(path);
        let found = found.map_err(|_| Answer::error(Status::NotFound, "no such path"))?;
        let method = match request.head.method {
            Method::Get | Method::Head => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            _ => "",
        };
        let call = found.value.iter().find(|call| call.method == method);
        let call = call.ok_or_else(|| {
            let allow = found.value.iter().map(|call| call.method);
            let allow = allow
                .collect::<Vec<_>>()
                .join(", ")
                .replace("GET", "GET, HEAD");
            let message = format!("this path takes {allow}");
            Answer::error(Status::MethodNotAllowed, message).with("Allow", &allow)
        })?;
        if call.is_internal && !self.admits(request) {
            let message = format!("only for the other roles: send the token in {TOKEN}");
            let refusal = Answer::error(Status::Unauthorized, message);
            return Err(refusal.with("WWW-Authenticate", "Bearer"));
        }
        let params = found.params;
        (call.plan)(&self.role, &Asked { request, params })
    }

    fn admits(&self, request: &Request<'_>) -> bool {
        let token = self.token.as_ref();
        token.is_none_or(|token| bearer::has_token(request, token))
    }

    fn figures(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.metrics.write(&mut out);
        let registry = Registry::new();
        for (name, value) in self.role.figures() {
            let made = if name.ends_with("_total") {
                IntCounter::new(name, name).map(|counter| {
                    counter.inc_by(value as u64);
                    Box::new(counter) as Box<dyn Collector>
                })
            } else {
                Gauge::new(name, name).map(|gauge| {
                    gauge.set(value);
                    Box::new(gauge) as Box<dyn Collector>
                })
            };
            let _ = made.and_then(|made| registry.register(made)); // fails only for an invalid name
        }
        let _ = TextEncoder::new().encode(&registry.gather(), &mut out);
        out
    }
}

impl<R: Role> Service for Web<R> {
    type Worker = ();

    fn worker(&self) {}

    fn call(&self, _: &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let since = Instant::now();
        let metrics = Arc::clone(&self.metrics);
        let send = move |answer: Answer, reply: Reply<'_>| -> Counter {
            let field = answer.field.as_ref();
            let field = field.map(|(name, value)| (*name, value.as_str()));
            reply.send(answer.status, answer.kind, field.as_slice(), |out| {
                out.extend_from_slice((*answer.body).as_ref());
            });
            metrics.answered(0, answer.status, since)
        };
        let work = match self.plan(request) {
            Ok(Plan::Later(work)) => work,
            Ok(Plan::Now(answer)) | Err(answer) => return send(answer, reply).into(),
        };
        let (promise, deferred) = Deferred::new(move |answer: Option<Answer>, reply| {
            let dropped = || {
                let message = "too many requests wait, or this one failed; try again";
                Answer::error(Status::ServiceUnavailable, message).with("Retry-After", "1")
            };
            send(answer.unwrap_or_else(dropped), reply)
        });
        drop(self.jobs.try_send((work, promise))); // a full queue drops the promise
        deferred.into()
    }
}
