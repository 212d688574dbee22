//! The service on the HTTP loop: a request becomes a work for the store, its outcome an answer.

use std::{sync::Arc, time::Instant};

use matchit::{Params, Router};
use serde_json::json;
use trident::{
    app::{Health, bearer},
    codec::query,
    http::{Deferred, Handled, Head, Method, Reply, Request, Service, Status, TEXT},
    metrics::Counter,
};
use uuid::Uuid;

use crate::{
    common::{JSON, PROMETHEUS, metrics::Metrics},
    lmdb::Store,
    model::{self, Kind},
    route::{self, Operation, PARTS, Part, Route},
    work::{Command, Outcome, Refusal, TOKEN_BYTES, Token, Work, pair},
};

/// The answer of `/`.
const GUIDE: &str = include_str!("guide.txt");

/// Users, music and playlists over HTTP.
pub struct Music {
    routes: Router<Route>,
    store: Store,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// What is counted for an answer.
struct Book {
    metrics: Arc<Metrics>,
    part: Part,
    since: Instant,
}

impl Music {
    /// The service over a store; `/readyz` reports `health`.
    pub fn new(store: Store, health: Arc<Health>) -> anyhow::Result<Self> {
        Ok(Self {
            routes: route::table()?,
            store,
            metrics: Arc::new(Metrics::new("music", &PARTS)?),
            health,
        })
    }

    fn book(&self, part: Part, since: Instant) -> Book {
        Book {
            metrics: Arc::clone(&self.metrics),
            part,
            since,
        }
    }

    /// Lets the store do the work: a read at once, a write on its thread.
    fn carry_out(&self, work: Work, book: Book, reply: Reply<'_>) -> Handled {
        if work.only_reads() {
            return book.outcome(self.store.read(&work), reply).into();
        }
        let (promise, deferred) = Deferred::new(move |outcome: Option<Outcome>, reply| {
            let dropped = || Err(Refusal::Failed("its writer has ended".into()));
            book.outcome(outcome.unwrap_or_else(dropped), reply)
        });
        self.store.write(work, promise);
        deferred.into()
    }

    fn own(&self, route: Route, book: &Book, reply: Reply<'_>) -> Handled {
        let (status, kind) = match route {
            Route::Ready if !self.health.is_ready() => (Status::ServiceUnavailable, TEXT),
            Route::Metrics => (Status::Ok, PROMETHEUS),
            _ => (Status::Ok, TEXT),
        };
        reply.send(status, kind, &[], |out| match route {
            Route::Metrics => self.metrics.write(out),
            Route::Guide => out.extend_from_slice(GUIDE.as_bytes()),
            _ => out.extend_from_slice(if status == Status::Ok {
                b"ok\n"
            } else {
                b"not ready\n"
            }),
        });
        book.answered(status).into()
    }
}

impl Service for Music {
    type Worker = ();

    fn worker(&self) {}

    fn takes(&self, head: &Head<'_>) -> bool {
        let path = str::from_utf8(head.path).ok();
        path.and_then(|path| self.routes.at(path).ok())
            .is_some_and(|found| found.value.takes(head.method))
    }

    fn call(&self, _: &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let since = Instant::now();
        let path = str::from_utf8(request.head.path).unwrap_or_default();
        let Ok(found) = self.routes.at(path) else {
            let book = self.book(Part::Other, since);
            return book
                .error(
                    Status::NotFound,
                    &[],
                    "no such path; GET / lists them",
                    reply,
                )
                .into();
        };
        let route = *found.value;
        let book = self.book(route.part(), since);
        if !route.takes(request.head.method) {
            let allow = [("Allow", route.allow())];
            return book
                .error(
                    Status::MethodNotAllowed,
                    &allow,
                    "method not allowed",
                    reply,
                )
                .into();
        }
        if book.part == Part::Other {
            return self.own(route, &book, reply);
        }
        let needs_token = !matches!(route, Route::LogIn | Route::Objects(Kind::User));
        let token = token(request);
        if needs_token && token.is_none() {
            return book.outcome(Err(Refusal::NoToken), reply).into();
        }
        let work = Work {
            token: token.filter(|_| needs_token),
            command: command(route, &found.params, request),
        };
        self.carry_out(work, book, reply)
    }
}

impl Book {
    fn outcome(&self, outcome: Outcome, reply: Reply<'_>) -> Counter {
        let refusal = match outcome {
            Ok(body) => {
                reply.send(Status::Ok, JSON, &[], |out| out.extend_from_slice(&body));
                return self.answered(Status::Ok);
            }
            Err(refusal) => refusal,
        };
        let (status, fields): (_, &[_]) = match refusal {
            Refusal::Invalid(_) => (Status::BadRequest, &[]),
            Refusal::NoToken => (Status::Unauthorized, &[("WWW-Authenticate", "Bearer")]),
            Refusal::NotFound(..) => (Status::NotFound, &[]),
            Refusal::SongInUse(_) => (Status::Conflict, &[]),
            Refusal::Busy => (Status::ServiceUnavailable, &[("Retry-After", "1")]),
            Refusal::Full => (Status::InsufficientStorage, &[]),
            Refusal::Failed(_) => (Status::InternalServerError, &[]),
        };
        self.error(status, fields, &refusal.to_string(), reply)
    }

    fn error(
        &self,
        status: Status,
        fields: &[(&str, &str)],
        why: &str,
        reply: Reply<'_>,
    ) -> Counter {
        reply.send(status, JSON, fields, |out| {
            out.extend_from_slice(json!({"error": why}).to_string().as_bytes());
        });
        self.answered(status)
    }

    fn answered(&self, status: Status) -> Counter {
        self.metrics
            .answered(self.part as usize, status, self.since)
    }
}

/// The token of `Authorization: Bearer TOKEN`, if it has the form of one.
fn token(request: &Request<'_>) -> Option<Token> {
    let digits = bearer::token(request)?;
    if digits.len() != 2 * TOKEN_BYTES {
        return None;
    }
    let (user, secret) = digits.split_at(TOKEN_BYTES);
    Some(pair(
        Uuid::try_parse_ascii(user).ok()?,
        Uuid::try_parse_ascii(secret).ok()?,
    ))
}

fn command(
    route: Route,
    params: &Params<'_, '_>,
    request: &Request<'_>,
) -> Result<Command, Refusal> {
    let object = |kind| model::object(kind, request.body).map_err(Refusal::Invalid);
    let id = |kind, name| {
        let text = params.get(name).unwrap_or_default();
        Uuid::try_parse(text).map_err(|_| Refusal::NotFound(kind, text.into()))
    };
    Ok(match (route, request.head.method) {
        (Route::Objects(kind), _) => Command::Write(kind, Uuid::new_v4(), object(kind)?),
        (Route::Object(kind), Method::Put) => Command::Update(kind, id(kind, "id")?, object(kind)?),
        (Route::Object(kind), Method::Delete) => Command::Delete(kind, id(kind, "id")?),
        (Route::Object(kind), _) => Command::Read(kind, id(kind, "id")?),
        (Route::Song, Method::Put) => {
            Command::AddSong(id(Kind::Playlist, "id")?, id(Kind::Music, "song")?)
        }
        (Route::Song, _) => {
            Command::RemoveSong(id(Kind::Playlist, "id")?, id(Kind::Music, "song")?)
        }
        (Route::LogIn, _) => {
            Command::LogIn(model::id("user_id", request.body).map_err(Refusal::Invalid)?)
        }
        (Route::Datastore(operation), _) => datastore(operation, request)?,
        _ => Command::LogOff,
    })
}

/// `?objtype=KIND&objkey=ID`; a write without a key makes one.
fn datastore(operation: Operation, request: &Request<'_>) -> Result<Command, Refusal> {
    let invalid = |why: &str| Refusal::Invalid(why.into());
    let member = |name: &[u8]| query::first(request.head.query, name);
    let objtype = member(b"objtype").ok_or_else(|| invalid("member objtype is missing"))?;
    let kind = Kind::of(objtype)
        .ok_or_else(|| invalid("member objtype is none of user, music, playlist"))?;
    let key = match (member(b"objkey"), operation) {
        (None, Operation::Write) => Uuid::new_v4(),
        (None, _) => return Err(invalid("member objkey is missing")),
        (Some(text), _) => match (Uuid::try_parse_ascii(text), operation) {
            (Ok(id), _) => id,
            (Err(_), Operation::Write) => return Err(invalid("member objkey is not a UUID")),
            (Err(_), _) => {
                let text = String::from_utf8_lossy(text).into_owned();
                return Err(Refusal::NotFound(kind, text));
            }
        },
    };
    let object = || model::object(kind, request.body).map_err(Refusal::Invalid);
    Ok(match operation {
        Operation::Read => Command::Read(kind, key),
        Operation::Write => Command::Write(kind, key, object()?),
        Operation::Update => Command::Update(kind, key, object()?),
        Operation::Delete => Command::Delete(kind, key),
    })
}
