//! `GET /twitter`: the value of a user from the open store or from a database, and the answer.
//!
//! | state of the store | answer to a well-formed request |
//! | --- | --- |
//! | none is open | 503 |
//! | the user's value is corrupt, or LMDB reports an error | 500: a list that is wrong or empty would look like the truth; another instance may have a good copy |
//! | the user is not in it, or has no contact of the type | as `twitter.empty_answer` says |
//!
//! `source` opens and replaces the store, `answers` writes what both this file and `database` answer.

mod answers;
mod database;
pub(super) mod source;

use super::{
    reasons::Invalid,
    state::{App, Worker},
};
use crate::{
    http::{Handled, Reply, Request, Status},
    metrics::Counter,
    twitter::{self, Found, query, score},
};
use answers::Identity;

/// `GET /twitter`.
pub(super) fn answer(
    app: &App,
    worker: &mut Worker,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Handled {
    let scratch = &mut worker.twitter;
    let handled = match query::parse(request.head.query, &mut scratch.query) {
        Ok(query) => match app.database() {
            None => look_up(app, &query, &mut scratch.score, reply).into(),
            Some(client) => {
                database::look_up(app, client, request, &query, &mut scratch.score, reply)
            }
        },
        Err(reject) => {
            Invalid::Twitter(reject).count();
            match reject {
                twitter::Reject::Limit | twitter::Reject::Offset => {
                    answers::bad_page(reject, reply).into()
                }
                _ => answers::invalid(&app.team_line, reply).into(),
            }
        }
    };
    scratch.release_large_buffers();
    handled
}

fn look_up(
    app: &App,
    request: &twitter::Query<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) -> Counter {
    let store = app.twitter.store.load();
    let Some(store) = store.as_deref() else {
        let text = "no store is open: give one with --twitter-store, or see the log";
        reply.line(Status::ServiceUnavailable, text);
        return Counter::TwitterUnavailable;
    };
    let reader = match store.read() {
        Ok(reader) => reader,
        Err(error) => return answers::fail(Counter::StoreFailed, request.user_id, &error, reply),
    };
    match reader.get(request.user_id) {
        Ok(Some(value)) => match Found::new(value) {
            Ok(found) => answers::list(Identity::of(app), &found, request, scratch, reply),
            Err(error) => answers::fail(Counter::StoreCorrupt, request.user_id, &error, reply),
        },
        Ok(None) => answers::missing(Identity::of(app), reply),
        Err(error) => answers::fail(Counter::StoreFailed, request.user_id, &error, reply),
    }
}
