//! A service as a table of calls: parameters in paths, JSON, forms, pages, work that blocks, tokens, health, metrics.
//!
//! ```text
//! request ─ table of calls ─▶ Plan::Now ──────────────────────────────────▶ answer
//!                      └────▶ Plan::Later ─ threads, or a queue of the app's ─▶ answer (Deferred)
//! ```

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    env,
    future::ready,
    io::{self, ErrorKind},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Instant,
};

use crossbeam::channel::{Sender, bounded};
use futures_util::{FutureExt, stream};
use matchit::Router;
use multer::{Multipart, bytes::Bytes};
use percent_encoding::percent_decode_str;
use prometheus::proto::MetricFamily;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use trident::{
    app::{Health, bearer},
    http::{Deferred, Handled, Head, Method, Promise, Reply, Request, Service, Status, TEXT},
    metrics::Counter,
};

use super::{
    HTML, JSON,
    client::NotDone,
    kv,
    metrics::{self, Metrics},
};

/// Calls that wait for a thread; one more is answered with 503.
const QUEUE_MAX: usize = 4096;

/// The type of Prometheus' text.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A service.
pub trait App: Send + Sync + Sized + 'static {
    /// What the names of its metrics begin with.
    const NAME: &'static str;

    /// Its parts, each with metrics of its own; the last one also has health, metrics and unknown paths.
    const PARTS: &'static [&'static str];

    /// The variable with the token that the calls with [`Call::with_token`] need. Without it they need none.
    const TOKEN: &'static str = "";

    /// Its calls.
    fn calls() -> Vec<Call<Self>> {
        Vec::new()
    }

    /// Whether the request carries what the calls with [`Call::with_token`] need; otherwise what to send.
    fn admits(request: &Request<'_>, token: Option<&str>) -> Result<(), &'static str> {
        let is_admitted = token.is_none_or(|token| bearer::has_token(request, token));
        is_admitted
            .then_some(())
            .ok_or("send Authorization: Bearer TOKEN with the service's token")
    }

    /// The body that reports a failure.
    fn failure(status: Status, message: &str) -> Value {
        json!({"success": "false", "error": {"code": status.code(), "message": message}})
    }

    /// Its own metrics: an object of numbers, of null for what is not known, and of further objects. A name is that of the
    /// service and of every member on the way; those of counters end in `_total`.
    fn figures(&self) -> Value {
        Value::Null
    }
}

/// An answer.
pub struct Answer {
    status: Status,
    kind: &'static str,
    field: Option<(&'static str, String)>,
    body: Body,
}

enum Body {
    Bytes(Box<dyn AsRef<[u8]> + Send>),
    Failure(String),
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
            body: Body::Bytes(Box::new(body)),
        }
    }

    /// 200 with JSON.
    pub fn json(value: &impl Serialize) -> Self {
        Self::ok(JSON, serde_json::to_vec(value).unwrap_or_default()) // keys are strings: it cannot fail
    }

    /// A failure.
    pub fn failure(status: Status, message: impl ToString) -> Self {
        Self {
            status,
            kind: JSON,
            field: None,
            body: Body::Failure(message.to_string()),
        }
    }

    /// 400.
    pub fn invalid(message: impl ToString) -> Self {
        Self::failure(Status::BadRequest, message)
    }

    /// 503: the call may be tried again.
    pub fn busy(message: impl ToString) -> Self {
        Self::failure(Status::ServiceUnavailable, message).with("Retry-After", "1")
    }

    /// 401.
    pub fn unauthorized(message: impl ToString) -> Self {
        Self::failure(Status::Unauthorized, message).with("WWW-Authenticate", "Bearer")
    }

    fn with(self, name: &'static str, value: &str) -> Self {
        Self {
            field: Some((name, value.into())),
            ..self
        }
    }
}

/// Done, and nothing more to say: `{"success":"true"}`.
impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::json(&json!({"success": "true"}))
    }
}

impl From<kv::Error> for Answer {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::Busy => Self::busy(error),
            kv::Error::Full => Self::failure(Status::InsufficientStorage, error),
            _ => Self::failure(Status::InternalServerError, error),
        }
    }
}

impl From<anyhow::Error> for Answer {
    fn from(error: anyhow::Error) -> Self {
        let of_disk = error.downcast_ref().map(io::Error::kind);
        match error.downcast_ref::<kv::Error>() {
            Some(error) => error.clone().into(),
            None if of_disk == Some(ErrorKind::StorageFull) => kv::Error::Full.into(),
            None if error.is::<NotDone>() => Self::busy(format!("{error:#}")),
            None => Self::failure(Status::InternalServerError, format!("{error:#}")),
        }
    }
}

/// How a call is answered.
pub enum Plan {
    /// At once.
    Now(Answer),
    /// When the promise is kept, which another thread must do.
    Later(Box<dyn FnOnce(Promise<Answer>) + Send>),
}

type Handle<A, T> = Box<dyn Fn(&A, &Asked<'_>) -> Tried<T> + Send + Sync>;

enum Handler<A> {
    Quick(Handle<A, Answer>),
    Slow(Handle<A, Answer>),
    Planned(Handle<A, Plan>),
}

/// A row of the table of calls.
pub struct Call<A> {
    method: &'static str,
    path: String,
    part: usize,
    needs_token: bool,
    handler: Handler<A>,
}

impl<A: App> Call<A> {
    /// A call that is answered by the worker: it must not block. GET takes HEAD too; parameters of the path are written
    /// as `{name}`.
    pub fn quick<R: Into<Answer>>(
        method: &'static str,
        path: impl Into<String>,
        handle: impl Fn(&A, &Asked<'_>) -> Tried<R> + Send + Sync + 'static,
    ) -> Self {
        let handle = move |app: &A, asked: &Asked<'_>| handle(app, asked).map(Into::into);
        Self::new(method, path.into(), Handler::Quick(Box::new(handle)))
    }

    /// A call that is answered by a thread that may block.
    pub fn slow<R: Into<Answer>>(
        method: &'static str,
        path: impl Into<String>,
        handle: impl Fn(&A, &Asked<'_>) -> Tried<R> + Send + Sync + 'static,
    ) -> Self {
        let handle = move |app: &A, asked: &Asked<'_>| handle(app, asked).map(Into::into);
        Self::new(method, path.into(), Handler::Slow(Box::new(handle)))
    }

    /// A call that says itself how it is answered.
    pub fn planned(
        method: &'static str,
        path: impl Into<String>,
        handle: impl Fn(&A, &Asked<'_>) -> Tried<Plan> + Send + Sync + 'static,
    ) -> Self {
        Self::new(method, path.into(), Handler::Planned(Box::new(handle)))
    }

    /// GET of a value as JSON; it must not block.
    pub fn shown<T: Serialize>(
        path: &str,
        value: impl Fn(&A) -> T + Send + Sync + 'static,
    ) -> Self {
        Self::quick("GET", path, move |app, _| Ok(Answer::json(&value(app))))
    }

    /// POST of an order that the path says all of: its body is `{}`, as JSON. It may block.
    pub fn order<R: Into<Answer>>(
        path: &str,
        carry_out: impl Fn(&A) -> Tried<R> + Send + Sync + 'static,
    ) -> Self {
        Self::slow("POST", path, move |app, asked| {
            let Nothing {} = asked.json()?;
            carry_out(app)
        })
    }

    /// GET of a text that never changes.
    pub fn text(path: &str, text: &'static str) -> Self {
        Self::quick("GET", path, move |_, _| Ok(Answer::ok(TEXT, text)))
    }

    /// GET of a page that never changes.
    pub fn page(path: &str, html: &'static str) -> Self {
        Self::quick("GET", path, move |_, _| Ok(Answer::ok(HTML, html)))
    }

    fn new(method: &'static str, path: String, handler: Handler<A>) -> Self {
        Self {
            method,
            path,
            part: A::PARTS.len() - 1,
            needs_token: false,
            handler,
        }
    }

    /// The call counts for this one of [`App::PARTS`].
    pub fn of_part(self, part: usize) -> Self {
        Self { part, ..self }
    }

    /// The call needs the token.
    pub fn with_token(mut self) -> Self {
        self.needs_token = true;
        self
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What a call gets of its request.
pub struct Asked<'a> {
    params: Vec<(String, String)>,
    /// The query.
    pub query: Cow<'a, [u8]>,
    /// The bearer token.
    pub token: Option<Cow<'a, [u8]>>,
    content_type: Cow<'a, [u8]>,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

impl<'a> Asked<'a> {
    fn of(request: &Request<'a>, params: Vec<(String, String)>) -> Self {
        let content_type = request.field(b"content-type").unwrap_or_default();
        Self {
            params,
            query: request.head.query.into(),
            token: bearer::token(request).map(Cow::Borrowed),
            content_type: content_type.into(),
            body: request.body.into(),
        }
    }

    fn into_owned(self) -> Asked<'static> {
        Asked {
            params: self.params,
            query: self.query.into_owned().into(),
            token: self.token.map(|token| token.into_owned().into()),
            content_type: self.content_type.into_owned().into(),
            body: self.body.into_owned().into(),
        }
    }

    /// A parameter of the path, decoded.
    pub fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The body as JSON. Its type must say so: without asking, a page of another site cannot send that type here.
    pub fn json<T: DeserializeOwned>(&self) -> Tried<T> {
        if self.content_type.split(|byte| *byte == b';').next() != Some(JSON.as_bytes()) {
            let message = "send JSON with Content-Type: application/json";
            return Err(Answer::failure(Status::UnsupportedMediaType, message));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Answer::invalid(format!("the body: {error}")))
    }

    /// The only member of a JSON body.
    pub fn member<T: DeserializeOwned>(&self, name: &str) -> Tried<T> {
        let mut body: HashMap<String, T> = self.json()?;
        match (body.len(), body.remove(name)) {
            (1, Some(value)) => Ok(value),
            _ => Err(Answer::invalid(format!("the body has not just {name}"))),
        }
    }

    /// The parts of a form.
    pub fn form(&self) -> Tried<Form> {
        let boundary = multer::parse_boundary(String::from_utf8_lossy(&self.content_type))
            .map_err(|_| Answer::invalid("send a form as multipart/form-data"))?;
        let body = Bytes::copy_from_slice(&self.body);
        let parts = async {
            let body = stream::once(ready(Ok::<_, Infallible>(body)));
            let mut form = Multipart::new(body, boundary);
            let mut parts = HashMap::new();
            while let Some(part) = form.next_field().await.map_err(Answer::invalid)? {
                let name = part.name().unwrap_or_default().to_owned();
                let content = part.bytes().await.map_err(Answer::invalid)?;
                if parts.insert(name.clone(), content).is_some() {
                    return Err(Answer::invalid(format!("{name} is there twice")));
                }
            }
            Ok(Form(parts))
        };
        // The whole body is here, so this never waits.
        let parts = parts.now_or_never();
        parts.unwrap_or_else(|| Err(Answer::invalid("the body is cut off")))
    }

    /// Refuses a request with parameters in its URL.
    pub fn without_query(&self) -> Tried<()> {
        let message = "parameters in the URL are refused; send them in the body";
        let is_without = self.query.is_empty().then_some(());
        is_without.ok_or_else(|| Answer::invalid(message))
    }
}

/// The parts of a form by name.
pub struct Form(HashMap<String, Bytes>);

impl Form {
    /// The bytes of a part.
    pub fn part(&self, name: &str) -> Tried<&[u8]> {
        let missing = || Answer::invalid(format!("{name} is missing"));
        self.0.get(name).map(AsRef::as_ref).ok_or_else(missing)
    }

    /// A part that is text.
    pub fn text(&self, name: &str) -> Tried<&str> {
        str::from_utf8(self.part(name)?)
            .map_err(|_| Answer::invalid(format!("{name} is not UTF-8")))
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A service on the loop.
pub struct Web<A> {
    app: Arc<A>,
    routes: Router<Vec<Arc<Call<A>>>>,
    jobs: Sender<Job>,
    metrics: Arc<Metrics>,
    token: Option<String>,
}

impl<A: App> Web<A> {
    /// A service with `threads` threads for calls that block; `/readyz` reports `health`.
    pub fn new(app: Arc<A>, threads: usize, health: Arc<Health>) -> anyhow::Result<Self> {
        let (jobs, queue) = bounded::<Job>(QUEUE_MAX);
        for _ in 0..threads {
            let queue = queue.clone();
            let work = move || {
                for job in &queue {
                    let _ = catch_unwind(AssertUnwindSafe(job)); // a panic costs one call
                }
            };
            thread::Builder::new().name("calls".into()).spawn(work)?;
        }
        let metrics = Arc::new(Metrics::new(A::NAME, A::PARTS)?);
        let told = Arc::clone(&metrics);
        let own = [
            Call::text("/healthz", "ok\n"),
            Call::quick("GET", "/readyz", move |_, _| {
                let ready = health.is_ready().then(|| Answer::ok(TEXT, "ok\n"));
                ready.ok_or_else(|| Answer::busy("not ready"))
            }),
            Call::quick("GET", "/metrics", move |app: &A, _| {
                let text = metrics::text(&told.families(&app.figures()));
                Ok(Answer::ok(PROMETHEUS, text))
            }),
        ];
        let mut by_path = BTreeMap::<_, Vec<_>>::new();
        for call in A::calls().into_iter().chain(own) {
            let calls = by_path.entry(call.path.clone()).or_default();
            calls.push(Arc::new(call));
        }
        let mut routes = Router::new();
        for (path, calls) in by_path {
            routes.insert(path, calls)?;
        }
        Ok(Self {
            app,
            routes,
            jobs,
            metrics,
            token: env::var(A::TOKEN).ok(),
        })
    }

    /// What reads all metrics.
    pub fn reader(&self) -> impl Fn() -> Vec<MetricFamily> + Send + 'static {
        let (app, metrics) = (Arc::clone(&self.app), Arc::clone(&self.metrics));
        move || metrics.families(&app.figures())
    }

    /// The part that a request counts for, and its call with its parameters or the refusal.
    #[allow(clippy::type_complexity)]
    fn find(
        &self,
        request: &Request<'_>,
    ) -> (usize, Tried<(&Arc<Call<A>>, Vec<(String, String)>)>) {
        let path = str::from_utf8(request.head.path).unwrap_or_default();
        let Ok(found) = self.routes.at(path) else {
            let unknown = Answer::failure(Status::NotFound, "no such path");
            return (A::PARTS.len() - 1, Err(unknown));
        };
        let decoded = |(name, value): (&str, &str)| match percent_decode_str(value).decode_utf8() {
            Ok(text) => Ok((name.to_owned(), text.into_owned())),
            Err(_) => Err(Answer::invalid(format!("{name} is not UTF-8"))),
        };
        let calls = found.value;
        let call = || {
            let method = match request.head.method {
                Method::Get | Method::Head => "GET",
                Method::Post => "POST",
                Method::Put => "PUT",
                Method::Delete => "DELETE",
                Method::Other | Method::Unknown => "",
            };
            let call = calls.iter().find(|call| call.method == method);
            let call = call.ok_or_else(|| {
                let allow: Vec<_> = calls.iter().map(|call| call.method).collect();
                let allow = allow.join(", ").replace("GET", "GET, HEAD");
                let message = format!("this path takes {allow}");
                Answer::failure(Status::MethodNotAllowed, message).with("Allow", &allow)
            })?;
            if call.needs_token {
                A::admits(request, self.token.as_deref()).map_err(Answer::unauthorized)?;
            }
            let params = found.params.iter().map(decoded).collect::<Tried<_>>()?;
            Ok((call, params))
        };
        (calls[0].part, call())
    }

    fn plan(&self, call: &Arc<Call<A>>, asked: Asked<'_>) -> Tried<Plan> {
        match &call.handler {
            Handler::Quick(handle) => handle(&self.app, &asked).map(Plan::Now),
            Handler::Planned(handle) => handle(&self.app, &asked),
            Handler::Slow(_) => {
                let (call, app, asked) =
                    (Arc::clone(call), Arc::clone(&self.app), asked.into_owned());
                let jobs = self.jobs.clone();
                Ok(Plan::Later(Box::new(move |promise| {
                    let job = move || {
                        if let Handler::Slow(handle) = &call.handler {
                            promise.keep(handle(&app, &asked).unwrap_or_else(|failure| failure));
                        }
                    };
                    drop(jobs.try_send(Box::new(job))); // a full queue drops the promise
                })))
            }
        }
    }
}

impl<A: App> Service for Web<A> {
    type Worker = ();

    fn worker(&self) {}

    fn takes(&self, head: &Head<'_>) -> bool {
        self.find(&Request { head, body: &[] }).1.is_ok()
    }

    fn call(&self, _: &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let since = Instant::now();
        let (part, found) = self.find(request);
        let metrics = Arc::clone(&self.metrics);
        let send = move |answer: Answer, reply: Reply<'_>| -> Counter {
            let field = answer.field.as_ref();
            let field = field.map(|(name, value)| (*name, value.as_str()));
            let status = answer.status;
            reply.send(status, answer.kind, field.as_slice(), |out| {
                match answer.body {
                    Body::Bytes(bytes) => out.extend_from_slice((*bytes).as_ref()),
                    Body::Failure(message) => {
                        out.extend_from_slice(A::failure(status, &message).to_string().as_bytes());
                    }
                }
            });
            metrics.answered(part, status, since)
        };
        let plan = found.and_then(|(call, params)| self.plan(call, Asked::of(request, params)));
        match plan {
            Ok(Plan::Now(answer)) | Err(answer) => send(answer, reply).into(),
            Ok(Plan::Later(start)) => {
                let (promise, deferred) = Deferred::new(move |answer: Option<Answer>, reply| {
                    let dropped =
                        || Answer::busy("too many calls wait, or this one failed; try again");
                    send(answer.unwrap_or_else(dropped), reply)
                });
                start(promise);
                deferred.into()
            }
        }
    }
}
