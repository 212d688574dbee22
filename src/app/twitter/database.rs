//! `/twitter` from a database: a hit in the cache is answered at once, everything else later.
//!
//! | outcome | answer |
//! | --- | --- |
//! | no connection, deadline passed, too many wait, an error of the server | 503 with `Retry-After` |
//! | the value is corrupt | 500, as from an embedded store |
//! | everything else | as from an embedded store |

use std::sync::Arc;

use super::answers::{self, Identity};
use crate::{
    app::state::App,
    http::{Deferred, Handled, Reply, Request, Status, TEXT},
    metrics::{self, Counter},
    store::database::{Answer, Client, LookupError},
    twitter::{Found, Query, Scratch, query, score},
};

/// Seconds that a refused client should wait: about as long as a returned database stays unnoticed.
const RETRY_AFTER_SECONDS: &str = "1";

/// Looks the user up and answers, or lets the connection wait.
pub(super) fn look_up(
    app: &App,
    client: &Client,
    request: &Request<'_>,
    query: &Query<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) -> Handled {
    let identity = Identity::of(app);
    if let Some(value) = client.cached(query.user_id) {
        return respond(&Ok(value), identity, query, scratch, reply).into();
    }
    let later = later(app, request.head.query);
    let (promise, deferred) = Deferred::new(later);
    let done = Box::new(move |answer| promise.keep(answer));
    match client.look_up(query.user_id, done) {
        None => deferred.into(),
        Some(answer) => respond(&answer, identity, query, scratch, reply).into(),
    }
}

/// Answers when the lookup has ended. The request is gone by then, so this keeps a copy of the query.
fn later(
    app: &App,
    query: &[u8],
) -> impl FnOnce(Option<Answer>, Reply<'_>) -> Counter + Send + use<> {
    let query: Box<[u8]> = query.into();
    let team_line = Arc::clone(&app.team_line);
    let empty_answer = Identity::of(app).empty_answer;
    move |answer, reply| {
        let answer = answer.unwrap_or(Err(LookupError::Down));
        let identity = Identity {
            team_line: &team_line,
            empty_answer,
        };
        let mut scratch = Scratch::default();
        match query::parse(&query, &mut scratch.query) {
            Ok(query) => respond(&answer, identity, &query, &mut scratch.score, reply),
            Err(_) => answers::invalid(&team_line, reply), // it was well-formed when the lookup began
        }
    }
}

fn respond(
    answer: &Answer,
    identity: Identity<'_>,
    query: &Query<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) -> Counter {
    match answer {
        Ok(Some(value)) => match Found::known(value) {
            Ok(found) => answers::list(identity, &found, query, scratch, reply),
            Err(error) => answers::fail(Counter::StoreCorrupt, query.user_id, &error, reply),
        },
        Ok(None) => answers::missing(identity, reply),
        Err(error @ LookupError::Corrupt) => {
            answers::fail(error.counter(), query.user_id, error, reply)
        }
        Err(error) => refuse(*error, reply),
    }
}

#[cold]
fn refuse(error: LookupError, reply: Reply<'_>) -> Counter {
    metrics::add(error.counter(), 1);
    let fields = [("Retry-After", RETRY_AFTER_SECONDS)];
    reply.send(Status::ServiceUnavailable, TEXT, &fields, |out| {
        out.extend_from_slice(error.to_string().as_bytes());
        out.push(b'\n');
    });
    Counter::TwitterUnavailable
}
