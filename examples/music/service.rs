//! The table of calls: a request becomes a work for the store, its outcome an answer.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Value, json};
use trident::{
    app::bearer,
    codec::query,
    http::{Promise, Request},
};
use uuid::Uuid;

use crate::{
    common::{
        Answer, App, Asked, Call, JSON, Status, Tried,
        kv::{Error, Kv},
        web::Plan,
    },
    model::{self, Kind},
    work::{Command, Outcome, Refusal, TOKEN_BYTES, TOKEN_WANTED, Token, Work, pair},
};

/// Users, music and playlists over HTTP.
pub struct Music {
    kv: Arc<Kv>,
}

/// What a request asks for, or why not.
type Wanted = Result<Command, Refusal>;

/// What a call of the datastore asks for.
type Operation = fn(&Asked<'_>) -> Wanted;

/// What a call does to a playlist and a song.
type Edit = fn(Uuid, Uuid) -> Command;

/// The numbers of two of [`App::PARTS`]; those of the kinds are the kinds' own.
const USER: usize = Kind::User as usize;
const DATASTORE: usize = 3;

impl App for Music {
    const NAME: &'static str = "music";
    const PARTS: &'static [&'static str] = &["user", "music", "playlist", "datastore", "other"];

    fn calls() -> Vec<Call<Self>> {
        let mut calls = vec![
            Call::text("/", include_str!("guide.txt")),
            call("PUT", "/api/v1/user/login", USER, |asked| {
                let user = model::id("user_id", &asked.body).map_err(Refusal::Invalid)?;
                Ok(Command::LogIn(user))
            }),
            call("PUT", "/api/v1/user/logoff", USER, |_| Ok(Command::LogOff)).with_token(),
        ];
        for (path, method, operation) in OPERATIONS {
            calls.push(call(method, path, DATASTORE, operation).with_token());
        }
        for kind in Kind::ALL {
            let (part, all) = (kind as usize, format!("/api/v1/{}", kind.name()));
            for path in [all.clone(), format!("{all}/")] {
                let create = call("POST", &path, part, move |asked| {
                    Ok(Command::Write(kind, Uuid::new_v4(), object(kind, asked)?))
                });
                calls.push(match kind {
                    Kind::User => create,
                    _ => create.with_token(),
                });
            }
            let mut one = |method, wanted: fn(Kind, Uuid, &Asked<'_>) -> Wanted| {
                let path = format!("{all}/{{id}}");
                let wanted = move |asked: &Asked<'_>| wanted(kind, id(kind, "id", asked)?, asked);
                calls.push(call(method, &path, part, wanted).with_token());
            };
            one("GET", |kind, id, _| Ok(Command::Read(kind, id)));
            if kind != Kind::Music {
                one("PUT", |kind, id, asked| {
                    Ok(Command::Update(kind, id, object(kind, asked)?))
                });
            }
            one("DELETE", |kind, id, _| Ok(Command::Delete(kind, id)));
        }
        let edits: [(_, Edit); 2] = [("PUT", Command::AddSong), ("DELETE", Command::RemoveSong)];
        for (method, edit) in edits {
            let path = "/api/v1/playlist/{id}/songs/{song}";
            let wanted = move |asked: &Asked<'_>| {
                let playlist = id(Kind::Playlist, "id", asked)?;
                Ok(edit(playlist, id(Kind::Music, "song", asked)?))
            };
            calls.push(call(method, path, Kind::Playlist as usize, wanted).with_token());
        }
        calls
    }

    /// Whether it has the form of one: the store knows which are valid.
    fn admits(request: &Request<'_>, _: Option<&str>) -> Result<(), &'static str> {
        let token = bearer::token(request).and_then(token);
        token.map(drop).ok_or(TOKEN_WANTED)
    }

    fn failure(_: Status, message: &str) -> Value {
        json!({"error": message})
    }
}

impl Music {
    /// The service over a store.
    pub fn new(kv: Kv) -> Self {
        Self { kv: Arc::new(kv) }
    }

    /// Lets the store do the work: what waits for nobody at once, everything else on its threads.
    fn carry_out(&self, work: Work) -> Plan {
        let reads = work.only_reads();
        if reads && !self.kv.is_remote() {
            let outcome = self.kv.read(move |tables| work.run(tables));
            return Plan::Now(answer(outcome));
        }
        let kv = Arc::clone(&self.kv);
        Plan::Later(Box::new(move |promise: Promise<Answer>| {
            kv.later(
                !reads,
                move |tables| work.run(tables),
                |outcome| promise.keep(answer(outcome)),
            );
        }))
    }
}

/// A call that the store answers.
fn call(
    method: &'static str,
    path: &str,
    part: usize,
    wanted: impl Fn(&Asked<'_>) -> Wanted + Send + Sync + 'static,
) -> Call<Music> {
    Call::planned(
        method,
        path,
        move |music: &Music, asked: &Asked<'_>| -> Tried<Plan> {
            let token = asked.token.as_deref().and_then(token);
            let command = wanted(asked);
            Ok(music.carry_out(Work { token, command }))
        },
    )
    .of_part(part)
}

fn answer(outcome: Result<Outcome, Error>) -> Answer {
    let refusal = match outcome {
        Ok(Ok(text)) => return Answer::ok(JSON, text),
        Ok(Err(refusal)) => refusal,
        Err(error) => return error.into(),
    };
    let status = match &refusal {
        Refusal::Invalid(_) => Status::BadRequest,
        Refusal::NoToken => return Answer::unauthorized(TOKEN_WANTED),
        Refusal::NotFound(..) => Status::NotFound,
        Refusal::SongInUse(_) => Status::Conflict,
    };
    Answer::failure(status, refusal)
}

fn token(digits: &[u8]) -> Option<Token> {
    let (user, secret) = digits.split_at_checked(TOKEN_BYTES)?;
    if secret.len() != TOKEN_BYTES {
        return None;
    }
    let id = |digits| Uuid::try_parse_ascii(digits).ok();
    Some(pair(id(user)?, id(secret)?))
}

fn object(kind: Kind, asked: &Asked<'_>) -> Result<model::Object, Refusal> {
    model::object(kind, &asked.body).map_err(Refusal::Invalid)
}

fn id(kind: Kind, name: &str, asked: &Asked<'_>) -> Result<Uuid, Refusal> {
    let text = asked.param(name);
    Uuid::try_parse(text).map_err(|_| Refusal::NotFound(kind, text.into()))
}

/// The datastore below the services: path, method, what is wanted.
const OPERATIONS: [(&str, &str, Operation); 4] = [
    ("/api/v1/datastore/read", "GET", |asked| {
        let (kind, key) = datastore(asked)?;
        Ok(Command::Read(kind, key.found(kind)?))
    }),
    ("/api/v1/datastore/write", "POST", |asked| {
        let (kind, key) = datastore(asked)?;
        let id = match key.0 {
            None => Uuid::new_v4(),
            Some(text) => Uuid::try_parse(&text)
                .map_err(|_| Refusal::Invalid("member objkey is not a UUID".into()))?,
        };
        Ok(Command::Write(kind, id, object(kind, asked)?))
    }),
    ("/api/v1/datastore/update", "PUT", |asked| {
        let (kind, key) = datastore(asked)?;
        Ok(Command::Update(
            kind,
            key.found(kind)?,
            object(kind, asked)?,
        ))
    }),
    ("/api/v1/datastore/delete", "DELETE", |asked| {
        let (kind, key) = datastore(asked)?;
        Ok(Command::Delete(kind, key.found(kind)?))
    }),
];

/// The value of `objkey`.
struct Key<'a>(Option<Cow<'a, str>>);

impl Key<'_> {
    /// The id of an object that should be there.
    fn found(self, kind: Kind) -> Result<Uuid, Refusal> {
        let missing = || Refusal::Invalid("member objkey is missing".into());
        let text = self.0.ok_or_else(missing)?;
        Uuid::try_parse(&text).map_err(|_| Refusal::NotFound(kind, text.into()))
    }
}

/// `?objtype=KIND&objkey=ID`
fn datastore<'a>(asked: &'a Asked<'_>) -> Result<(Kind, Key<'a>), Refusal> {
    let member = |name: &[u8]| query::first(&asked.query, name);
    let invalid = |why: &str| Refusal::Invalid(why.into());
    let objtype = member(b"objtype").ok_or_else(|| invalid("member objtype is missing"))?;
    let kind = Kind::of(objtype)
        .ok_or_else(|| invalid("member objtype is none of user, music, playlist"))?;
    Ok((kind, Key(member(b"objkey").map(String::from_utf8_lossy))))
}
