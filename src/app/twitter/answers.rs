//! The answers of `/twitter`, wherever the value comes from.

use std::{fmt::Display, time::Duration};

use tracing::warn;

use crate::{
    app::state::App,
    http::{Reply, Status},
    log::Throttle,
    metrics::{self, Counter},
    twitter::{self, EmptyAnswer, Found, score},
};

/// What all answers have in common.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) team_line: &'a [u8],
    pub(super) empty_answer: EmptyAnswer,
}

impl<'a> Identity<'a> {
    pub(super) fn of(app: &'a App) -> Self {
        Self {
            team_line: &app.team_line,
            empty_answer: app.twitter.empty_answer,
        }
    }
}

/// Answers a malformed query.
#[cold]
pub(super) fn invalid(team_line: &[u8], reply: Reply<'_>) -> Counter {
    reply.text(|out| EmptyAnswer::Invalid.write(team_line, out));
    Counter::TwitterInvalid
}

/// Answers a `limit` or an `offset` that is not a number. Both are this server's additions, so the answer is not the
/// protocol's INVALID.
#[cold]
pub(super) fn bad_page(reject: twitter::Reject, reply: Reply<'_>) -> Counter {
    let text = match reject {
        twitter::Reject::Limit => "limit: expected a number from 1 on",
        _ => "offset: expected a number from 0 on",
    };
    reply.line(Status::BadRequest, text);
    Counter::TwitterRefused
}

/// Answers for a user that does not exist.
pub(super) fn missing(identity: Identity<'_>, reply: Reply<'_>) -> Counter {
    metrics::add(Counter::StoreMissing, 1);
    let Identity {
        team_line,
        empty_answer,
    } = identity;
    reply.text(|out| empty_answer.write(team_line, out));
    Counter::TwitterEmpty
}

/// Answers for a user that was found.
pub(super) fn list(
    identity: Identity<'_>,
    found: &Found<'_>,
    request: &twitter::Query<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) -> Counter {
    metrics::add(Counter::StoreFound, 1);
    reply.text(|out| {
        let start = out.len();
        out.extend_from_slice(identity.team_line);
        match found.write_rows(request, scratch, out) {
            0 => {
                out.truncate(start);
                identity.empty_answer.write(identity.team_line, out);
                Counter::TwitterEmpty
            }
            _ => Counter::TwitterValid,
        }
    })
}

/// Counts a failed lookup, logs at most one every ten seconds, answers 500.
#[cold]
pub(super) fn fail(
    counter: Counter,
    user_id: u64,
    error: &dyn Display,
    reply: Reply<'_>,
) -> Counter {
    static LINES: Throttle = Throttle::every(Duration::from_secs(10));
    metrics::add(counter, 1);
    if LINES.admits() {
        let failed_total = metrics::read(counter);
        warn!(user_id, %error, failed_total, "store lookup failed; run `trident store verify`");
    }
    let text = "this user's value cannot be read from the store";
    reply.line(Status::InternalServerError, text);
    Counter::TwitterUnavailable
}
