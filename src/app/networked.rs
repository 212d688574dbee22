//! `/twitter` from a database: a hit in the cache is answered at once, everything else later.
//!
//! | outcome | answer |
//! | --- | --- |
//! | no connection, deadline passed, too many wait, an error of the server | 503 with `Retry-After` |
//! | the value is corrupt | 500, as from an embedded store |
//! | everything else | as from an embedded store |

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    App,
    twitter::{self, Identity},
};
use crate::{
    cache::Policy,
    codec::query as codec_query,
    http::{Outcome, Pending, Reply, Request, Status, TEXT, Waker},
    metrics::{self, Counter, Mark},
    store::database::{Answer, Client, LookupError},
    twitter::{Found, Request as Query, Scratch, query, score},
};

/// Seconds a refused client is asked to wait: about as long as the return of a database may go
/// unnoticed.
const RETRY_AFTER_SECONDS: &str = "1";

/// Looks the user up and answers, or lets the connection wait.
pub(super) fn look_up(
    app: &App,
    client: &Client,
    request: &Request<'_>,
    query: &Query<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) -> Outcome {
    let identity = app.twitter_identity();
    if let Some(value) = client.cached(query.user_id) {
        respond(&Ok(value), identity, query, scratch, reply);
        return Outcome::Done;
    }
    let Some(waker) = Waker::current() else {
        refuse(LookupError::Down, reply);
        return Outcome::Done;
    };
    let pending = Lookup {
        query: request.head.query.into(),
        answer: Arc::default(),
        first_line: Arc::clone(&app.first_line),
        nothing_to_list: identity.nothing_to_list,
        asked: metrics::mark(),
    };
    let slot = Arc::clone(&pending.answer);
    let done = Box::new(move |answer| {
        *slot.lock() = Some(answer);
        waker.wake();
    });
    match client.look_up(query.user_id, done) {
        None => Outcome::Pending(Box::new(pending)),
        Some(answer) => {
            respond(&answer, identity, query, scratch, reply);
            Outcome::Done
        }
    }
}

/// A lookup that is under way.
struct Lookup {
    /// Of the request, which is not there any more when the answer comes.
    query: Box<[u8]>,
    answer: Arc<Mutex<Option<Answer>>>,
    first_line: Arc<[u8]>,
    nothing_to_list: crate::twitter::NothingToList,
    asked: Mark,
}

impl Pending for Lookup {
    fn ready(&self) -> bool {
        self.answer.lock().is_some()
    }

    fn finish(self: Box<Self>, reply: Reply<'_>) {
        let _timed = metrics::turn::resume(self.asked);
        let answer = self.answer.lock().take();
        let answer = answer.unwrap_or(Err(LookupError::Down));
        let identity = Identity {
            first_line: &self.first_line,
            nothing_to_list: self.nothing_to_list,
        };
        let mut scratch = Scratch::default();
        // It was well-formed when the lookup began.
        if let Ok(query) = query::parse(&self.query, &mut scratch.query) {
            respond(&answer, identity, &query, &mut scratch.score, reply);
        }
    }
}

fn respond(
    answer: &Answer,
    identity: Identity<'_>,
    query: &Query<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) {
    match answer {
        Ok(Some(value)) => match Found::new(value) {
            Ok(found) => twitter::list(identity, &found, query, scratch, reply),
            Err(error) => twitter::fail(Counter::StoreCorrupt, query.user_id, &error, reply),
        },
        Ok(None) => twitter::missing(identity, reply),
        Err(error @ LookupError::Corrupt) => {
            twitter::fail(error.counter(), query.user_id, error, reply);
        }
        Err(error) => refuse(*error, reply),
    }
}

#[cold]
fn refuse(error: LookupError, reply: Reply<'_>) {
    metrics::add(error.counter(), 1);
    let fields = [("Retry-After", RETRY_AFTER_SECONDS)];
    reply.send(Status::ServiceUnavailable, TEXT, &fields, |out| {
        out.extend_from_slice(error.to_string().as_bytes());
        out.push(b'\n');
    });
    metrics::answered(Counter::TwitterUnavailable);
}

/// `POST /admin/cache?capacity_bytes=N&policy=lru|random`: changes what is given and tells the state.
pub(super) fn cache(app: &App, request: &Request<'_>, reply: Reply<'_>) {
    let Some(client) = app.database() else {
        let text = "no cache: the store of /twitter is not in a database";
        reply.line(Status::Conflict, text);
        return metrics::answered(Counter::OtherRefused);
    };
    let Some((bytes_max, policy)) = cache_change(request.head.query) else {
        let text = "expected capacity_bytes=0…1099511627776, policy=lru or policy=random";
        reply.line(Status::BadRequest, text);
        return metrics::answered(Counter::OtherRefused);
    };
    client.set_cache(bytes_max, policy);
    let state = client.state().cache;
    reply.line(
        Status::Ok,
        &format!(
            "capacity_bytes={} bytes={} entries={} policy={}",
            state.bytes_max,
            state.bytes,
            state.entries,
            if state.policy == Policy::Lru {
                "lru"
            } else {
                "random"
            },
        ),
    );
    metrics::answered(Counter::OtherValid);
}

/// Capacity and policy, as far as they are given; `None` if one of them is wrong.
fn cache_change(query: &[u8]) -> Option<(Option<usize>, Option<Policy>)> {
    const BYTES_MAX: u64 = 1 << 40;
    let bytes_max = match codec_query::first(query, b"capacity_bytes") {
        None => None,
        Some(digits) => {
            let bytes = crate::codec::decimal::parse_u63(digits)?;
            Some(usize::try_from(bytes).ok().filter(|_| bytes <= BYTES_MAX)?)
        }
    };
    let policy = match codec_query::first(query, b"policy") {
        None => None,
        Some(b"lru") => Some(Policy::Lru),
        Some(b"random") => Some(Policy::Random),
        Some(_) => return None,
    };
    Some((bytes_max, policy))
}
