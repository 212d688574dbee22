//! One function per endpoint: parameters in, reply out; returns the counter of the answer.

use std::{sync::Arc, time::Duration};

use tracing::warn;

use super::{
    accept,
    picture::Picture,
    reasons::Invalid,
    state::{App, Tokens, Worker},
};
use crate::{
    auth::{
        self, RestError,
        rest_api::{self, BadRequest},
    },
    blockchain,
    codec::query,
    http::{BY_ACCEPT, Deferred, Handled, Method, Reply, Request, Status, TEXT},
    log::Throttle,
    metrics::{self, Counter},
    qrcode::{self, Message},
};

const INVALID: &[u8] = b"INVALID";
const JSON: &str = "application/json";

/// 200 with the team line and what `write` appends, which is ASCII.
#[inline]
fn ascii<R>(app: &App, reply: Reply<'_>, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(&app.team_line);
        write(out)
    };
    if app.team_line_is_ascii {
        reply.ascii(write)
    } else {
        reply.text(write)
    }
}

/// As [`ascii`], for an answer that another `Accept` might have changed.
#[inline]
fn ascii_by_accept<R>(app: &App, reply: Reply<'_>, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(&app.team_line);
        write(out)
    };
    if app.team_line_is_ascii {
        reply.ascii_by_accept(write)
    } else {
        reply.send(Status::Ok, TEXT, &[BY_ACCEPT], write)
    }
}

/// `/blockchain`: `cc` from the query, or the whole body of a POST.
pub(super) fn blockchain(
    app: &App,
    worker: &mut Worker,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Counter {
    let cc = match request.head.method {
        Method::Post => Some(request.body),
        _ => query::first(request.head.query, b"cc"),
    };
    ascii(app, reply, |out| {
        let cc = cc.ok_or(blockchain::Reject::Base64);
        match cc.and_then(|cc| extended_chain(app, worker, cc, out)) {
            Ok(()) => Counter::BlockchainValid,
            Err(reject) => {
                Invalid::Blockchain(reject).count();
                out.extend_from_slice(INVALID);
                Counter::BlockchainInvalid
            }
        }
    })
}

/// Appends the answer for `cc` from the cache or from the endpoint. In the cache an INVALID request is
/// one byte, its reason; no answer is that short.
fn extended_chain(
    app: &App,
    worker: &mut Worker,
    cc: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), blockchain::Reject> {
    if !app.answers.is_on() {
        return compute_chain(app, worker, cc, out);
    }
    let start = out.len();
    if app.answers.get(cc, out) {
        metrics::add(Counter::CacheHits, 1);
        let reject = match &out[start..] {
            [index] => blockchain::Reject::ALL.get(usize::from(*index)),
            _ => None,
        };
        return reject.map_or(Ok(()), |reject| {
            out.truncate(start);
            Err(*reject)
        });
    }
    metrics::add(Counter::CacheMisses, 1);
    let outcome = compute_chain(app, worker, cc, out);
    let evicted = match outcome {
        Ok(()) => app.answers.put(cc, &out[start..]),
        Err(reject) => app.answers.put(cc, &[reject as u8]),
    };
    metrics::add(Counter::CacheEvictions, evicted);
    outcome
}

fn compute_chain(
    app: &App,
    worker: &mut Worker,
    cc: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), blockchain::Reject> {
    let outcome = app.blockchain.answer(&mut worker.blockchain, cc, out);
    metrics::add(Counter::MiningTries, worker.blockchain.mining_tries());
    outcome
}

/// `/qrcode`: encode, decode, or a picture of a standard code.
pub(super) fn qrcode(
    app: &App,
    worker: &mut Worker,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Handled {
    match qrcode::parse(request.head.query) {
        Ok(qrcode::Query::Encode { data, format }) => {
            // Without a format the client's Accept decides: whatever the answer is, it was negotiated.
            let negotiated = format.is_none();
            match format.or_else(|| accept::picture(request.values(b"accept"))) {
                Some(format) => {
                    let wanted = Picture {
                        format,
                        data,
                        negotiated,
                    };
                    wanted.answer(app, worker, request, reply).into()
                }
                None => encoded(app, worker, data, reply).into(),
            }
        }
        Ok(qrcode::Query::Decode { data, timestamp }) => {
            decoded(app, worker, data, timestamp, reply)
        }
        Err(reject) => {
            Invalid::QrCode(reject).count();
            invalid(app, Counter::QrInvalid, reply).into()
        }
    }
}

fn encoded(app: &App, worker: &mut Worker, data: &[u8], reply: Reply<'_>) -> Counter {
    ascii_by_accept(app, reply, |out| {
        match app.qrcode.encode(&mut worker.qrcode, data, out) {
            Ok(()) => Counter::QrEncodeValid,
            Err(reject) => {
                Invalid::QrCode(reject).count();
                out.extend_from_slice(INVALID);
                Counter::QrEncodeInvalid
            }
        }
    })
}

fn decoded(
    app: &App,
    worker: &mut Worker,
    data: &[u8],
    timestamp: Option<i64>,
    reply: Reply<'_>,
) -> Handled {
    let message = match app.qrcode.decode(&mut worker.qrcode, data) {
        Ok(message) => message,
        Err(reject) => {
            Invalid::QrCode(reject).count();
            return invalid(app, Counter::QrDecodeInvalid, reply).into();
        }
    };
    match (timestamp, &app.tokens) {
        (Some(timestamp), Tokens::Rest(client)) => {
            return ask_authority(app, client, timestamp, message, reply);
        }
        (Some(timestamp), Tokens::Embedded(authority)) => ascii(app, reply, |out| {
            authority.issue(app.team.as_bytes(), timestamp, message.as_bytes(), out);
            metrics::add(Counter::AuthCallsEmbedded, 1);
        }),
        (None, _) => reply.text(|out| {
            out.extend_from_slice(&app.team_line);
            out.extend_from_slice(message.as_bytes());
        }),
    }
    Counter::QrDecodeValid.into()
}

#[cold]
fn invalid(app: &App, counter: Counter, reply: Reply<'_>) -> Counter {
    ascii(app, reply, |out| out.extend_from_slice(INVALID));
    counter
}

/// Sends the message to the external authority; the connection waits, its worker does not.
fn ask_authority(
    app: &App,
    client: &auth::RestClient,
    timestamp: i64,
    message: Message,
    reply: Reply<'_>,
) -> Handled {
    let team_line = Arc::clone(&app.team_line);
    let (promise, deferred) = Deferred::new(move |result, reply| {
        reply.text(|out| {
            out.extend_from_slice(&team_line);
            match result {
                Some(Ok(token)) => {
                    metrics::add(Counter::AuthCallsOk, 1);
                    out.extend_from_slice(String::as_bytes(&token));
                    return Counter::QrDecodeValid;
                }
                Some(Err(error)) => note_failure(error),
                None => note_failure(RestError::Stopped),
            }
            out.extend_from_slice(INVALID);
            Counter::QrDecodeInvalid
        })
    });
    let team = Arc::clone(&app.team);
    let message = message.as_bytes().to_vec();
    let done = Box::new(move |result| promise.keep(result));
    match client.submit(team, timestamp, message, done) {
        Ok(()) => deferred.into(),
        Err(error) => {
            note_failure(error);
            invalid(app, Counter::QrDecodeInvalid, reply).into()
        }
    }
}

/// Counts a failed call, and logs one every ten seconds at most.
#[cold]
fn note_failure(error: RestError) {
    static LINES: Throttle = Throttle::every(Duration::from_secs(10));
    metrics::add(Counter::AuthCallsFailed, 1);
    Invalid::Authority.count();
    if LINES.admits() {
        let failed_total = metrics::read(Counter::AuthCallsFailed);
        warn!(%error, failed_total, "auth authority did not answer; decode requests get INVALID");
    }
}

/// `POST /rest_auth`.
pub(super) fn rest_auth(app: &App, request: &Request<'_>, reply: Reply<'_>) -> Counter {
    let counters = [Counter::AuthIssued, Counter::AuthRefused];
    authority_call(app, reply, counters, |authority, out| {
        rest_api::rest_auth(authority, request.body, out)
    })
}

/// `POST /rest_verify`.
pub(super) fn rest_verify(app: &App, request: &Request<'_>, reply: Reply<'_>) -> Counter {
    let counters = [Counter::AuthVerified, Counter::VerifyRefused];
    authority_call(app, reply, counters, |authority, out| {
        rest_api::rest_verify(authority, request.body, out)
    })
}

fn authority_call(
    app: &App,
    reply: Reply<'_>,
    [valid, refused]: [Counter; 2],
    call: impl FnOnce(&auth::Authority, &mut Vec<u8>) -> Result<(), BadRequest>,
) -> Counter {
    let Tokens::Embedded(authority) = &app.tokens else {
        reply.line(Status::NotFound, "no authority here: auth.mode is rest");
        return refused;
    };
    let mut body = Vec::new();
    let (status, counter) = match call(authority, &mut body) {
        Ok(()) => (Status::Ok, valid),
        Err(bad) => {
            body.clear();
            bad.write(&mut body);
            (Status::BadRequest, refused)
        }
    };
    reply.send(status, JSON, &[], |out| out.append(&mut body));
    counter
}
