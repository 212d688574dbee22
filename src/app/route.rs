//! Path and method to handler.
use super::{App, Worker};
use crate::{codec::query, http::{Method, Outcome, Reply, Request, Status, TEXT}, metrics};

/// Answers a request.
pub(super) fn route(app: &App, worker: &mut Worker, request: &Request<'_>, reply: Reply<'_>) -> Outcome {
    match request.head.path {
        b"/blockchain" => {
            let cc = if request.head.method == Method::Post { Some(request.body) } else { query::first(request.head.query, b"cc") };
            reply.text(|out| {
                out.extend_from_slice(&app.first_line);
                if cc.is_none_or(|cc| app.blockchain.answer(&mut worker.blockchain, cc, out).is_err()) {
                    out.extend_from_slice(b"INVALID");
                }
            });
        }
        b"/healthz" | b"/" if request.head.method == Method::Other => {
            reply.send(Status::MethodNotAllowed, TEXT, &[("Allow", "GET, HEAD")], |_| ())
        }
        b"/healthz" | b"/" => reply.text(|out| out.extend_from_slice(b"ok\n")),
        b"/readyz" if app.health.is_ready() => reply.text(|out| out.extend_from_slice(b"ready\n")),
        b"/readyz" => reply.line(Status::ServiceUnavailable, "draining"),
        b"/metrics" => reply.text(metrics::write_text),
        _ => reply.line(Status::NotFound, "not found"),
    }
    Outcome::Done
}
