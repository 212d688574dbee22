//! Path and method to handler.

use super::{ADMIN, App, Worker, answer, ingest, networked, twitter};
use crate::{
    http::{Method, Outcome, Reply, Request, Status, TEXT},
    metrics,
};

/// Everything that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Home,
    Alive,
    Ready,
    Blockchain,
    QrCode,
    Twitter,
    Tweets,
    RestAuth,
    RestVerify,
    Metrics,
    Reload,
    StoreCache,
}

impl Endpoint {
    /// The endpoint of a path; some are there for the admin listener only.
    fn of(path: &[u8], listener: u8) -> Option<Self> {
        Some(match path {
            b"/blockchain" => Self::Blockchain,
            b"/twitter" => Self::Twitter,
            b"/qrcode" => Self::QrCode,
            b"/" => Self::Home,
            b"/healthz" => Self::Alive,
            b"/readyz" => Self::Ready,
            b"/rest_auth" => Self::RestAuth,
            b"/rest_verify" => Self::RestVerify,
            b"/metrics" if listener == ADMIN => Self::Metrics,
            b"/twitter/tweets" => Self::Tweets,
            b"/admin/reload" if listener == ADMIN => Self::Reload,
            b"/admin/cache" if listener == ADMIN => Self::StoreCache,
            _ => return None,
        })
    }

    /// The methods it takes, as an `Allow` value.
    const fn allow(self) -> &'static str {
        match self {
            Self::Blockchain => "GET, HEAD, POST",
            Self::RestAuth | Self::RestVerify | Self::Reload | Self::StoreCache | Self::Tweets => {
                "POST"
            }
            _ => "GET, HEAD",
        }
    }

    const fn takes(self, method: Method) -> bool {
        match (self, method) {
            (_, Method::Other | Method::Unknown) => false,
            (Self::Blockchain, _) => true,
            (
                Self::RestAuth | Self::RestVerify | Self::Reload | Self::StoreCache | Self::Tweets,
                _,
            ) => {
                matches!(method, Method::Post)
            }
            _ => !matches!(method, Method::Post),
        }
    }
}

/// Answers a request.
pub(super) fn route(
    app: &App,
    worker: &mut Worker,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Outcome {
    let endpoint = Endpoint::of(request.head.path, request.listener).filter(|endpoint| {
        *endpoint != Endpoint::Tweets || app.ingest.is_open_to(request.listener)
    });
    let Some(endpoint) = endpoint else {
        reply.line(Status::NotFound, "not found; the endpoints are listed at /");
        return Outcome::Done;
    };
    if !endpoint.takes(request.head.method) {
        refuse_method(endpoint, reply);
        return Outcome::Done;
    }
    match endpoint {
        Endpoint::Blockchain => answer::blockchain(app, worker, request, reply),
        Endpoint::QrCode => return answer::qrcode(app, worker, request, reply),
        Endpoint::Twitter => return twitter::answer(app, worker, request, reply),
        Endpoint::Alive => reply.text(|out| out.extend_from_slice(b"ok\n")),
        Endpoint::Ready if app.is_ready() => reply.text(|out| out.extend_from_slice(b"ready\n")),
        Endpoint::Ready => reply.line(
            Status::ServiceUnavailable,
            "not ready: starting, draining, or the database is not there",
        ),
        Endpoint::Home => reply.text(|out| out.extend_from_slice(HOME)),
        Endpoint::RestAuth => answer::rest_auth(app, request, reply),
        Endpoint::RestVerify => answer::rest_verify(app, request, reply),
        Endpoint::Metrics => reply.send(Status::Ok, METRICS_TYPE, &[], |out| {
            metrics::write_text(out);
            if let Some(client) = app.database() {
                networked::write_gauges(client, out);
            }
        }),
        Endpoint::Reload => return twitter::reload(app, reply),
        Endpoint::Tweets => return ingest::answer(app, request, reply),
        Endpoint::StoreCache => networked::cache(app, request, reply),
    }
    Outcome::Done
}

#[cold]
fn refuse_method(endpoint: Endpoint, reply: Reply<'_>) {
    let fields = [("Allow", endpoint.allow())];
    reply.send(Status::MethodNotAllowed, TEXT, &fields, |out| {
        out.extend_from_slice(b"method not allowed here; allowed: ");
        out.extend_from_slice(endpoint.allow().as_bytes());
        out.push(b'\n');
    });
}

/// The Prometheus text exposition format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const HOME: &[u8] = b"Trident\n\
    GET  /blockchain?cc=...                       validate a chain, mine and append a block (POST: the text as body)\n\
    GET  /qrcode?type=encode&data=TEXT            encrypted matrix; &format=svg|png|text: a scannable code\n\
    GET  /qrcode?type=decode&data=HEX&timestamp=N auth token of the message in the matrix\n\
    GET  /twitter?user_id=N&type=reply|retweet|both&phrase=TEXT&hashtag=TEXT\n\
    \x20                                             contacts of a user, the closest first\n\
    POST /rest_auth, /rest_verify                 the auth authority, JSON\n\
    GET  /healthz, /readyz                        alive; would the next request succeed\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::PUBLIC;

    #[test]
    fn allow_says_what_is_taken() {
        for path in [
            "/",
            "/healthz",
            "/readyz",
            "/blockchain",
            "/qrcode",
            "/twitter",
            "/twitter/tweets",
            "/rest_auth",
            "/rest_verify",
            "/metrics",
            "/admin/reload",
            "/admin/cache",
        ] {
            let endpoint = Endpoint::of(path.as_bytes(), ADMIN).unwrap();
            for (method, name) in [
                (Method::Get, "GET"),
                (Method::Head, "HEAD"),
                (Method::Post, "POST"),
            ] {
                assert_eq!(
                    endpoint.takes(method),
                    endpoint.allow().contains(name),
                    "{path} {name}"
                );
            }
            assert!(!endpoint.takes(Method::Other));
        }
    }

    #[test]
    fn the_operators_endpoints_are_not_public() {
        assert_eq!(Endpoint::of(b"/metrics", PUBLIC), None);
        assert_eq!(Endpoint::of(b"/admin/reload", PUBLIC), None);
        assert_eq!(Endpoint::of(b"/blockchain/", PUBLIC), None);
    }
}
