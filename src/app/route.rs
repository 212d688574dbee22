//! Path and method to handler.

use super::{App, Worker, answer, ingest, twitter};
use crate::{
    http::{Handled, Method, Reply, Request, Status, TEXT},
    metrics::Counter,
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
}

impl Endpoint {
    /// The endpoint of a path.
    fn of(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"/blockchain" => Self::Blockchain,
            b"/twitter" => Self::Twitter,
            b"/qrcode" => Self::QrCode,
            b"/" => Self::Home,
            b"/healthz" => Self::Alive,
            b"/readyz" => Self::Ready,
            b"/rest_auth" => Self::RestAuth,
            b"/rest_verify" => Self::RestVerify,
            super::TWEETS_PATH => Self::Tweets,
            _ => return None,
        })
    }

    /// The methods it takes, as an `Allow` value.
    const fn allow(self) -> &'static str {
        match self {
            Self::Blockchain => "GET, HEAD, POST",
            Self::RestAuth | Self::RestVerify | Self::Tweets => "POST",
            _ => "GET, HEAD",
        }
    }

    const fn takes(self, method: Method) -> bool {
        match (self, method) {
            (_, Method::Other | Method::Unknown) => false,
            (Self::Blockchain, _) => true,
            (Self::RestAuth | Self::RestVerify | Self::Tweets, _) => {
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
) -> Handled {
    let endpoint = Endpoint::of(request.head.path).filter(|endpoint| {
        *endpoint != Endpoint::Tweets || app.ingest.is_open_to(request.listener)
    });
    let Some(endpoint) = endpoint else {
        reply.line(Status::NotFound, "not found; the endpoints are listed at /");
        return Counter::OtherRefused.into();
    };
    if !endpoint.takes(request.head.method) {
        return refuse_method(endpoint, reply).into();
    }
    let counter = match endpoint {
        Endpoint::Blockchain => answer::blockchain(app, worker, request, reply),
        Endpoint::QrCode => return answer::qrcode(app, worker, request, reply),
        Endpoint::Twitter => return twitter::answer(app, worker, request, reply),
        Endpoint::Alive => plain(b"ok\n", reply),
        Endpoint::Ready if app.is_ready() => plain(b"ready\n", reply),
        Endpoint::Ready => {
            let text = "not ready: starting, draining, or the database is not there";
            reply.line(Status::ServiceUnavailable, text);
            Counter::OtherFailed
        }
        Endpoint::Home => plain(HOME, reply),
        Endpoint::RestAuth => answer::rest_auth(app, request, reply),
        Endpoint::RestVerify => answer::rest_verify(app, request, reply),
        Endpoint::Tweets => return ingest::answer(app, request, reply),
    };
    counter.into()
}

fn plain(text: &[u8], reply: Reply<'_>) -> Counter {
    reply.text(|out| out.extend_from_slice(text));
    Counter::OtherValid
}

#[cold]
fn refuse_method(endpoint: Endpoint, reply: Reply<'_>) -> Counter {
    let fields = [("Allow", endpoint.allow())];
    reply.send(Status::MethodNotAllowed, TEXT, &fields, |out| {
        out.extend_from_slice(b"method not allowed here; allowed: ");
        out.extend_from_slice(endpoint.allow().as_bytes());
        out.push(b'\n');
    });
    Counter::OtherRefused
}

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
        ] {
            let endpoint = Endpoint::of(path.as_bytes()).unwrap();
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
    fn paths_match_as_a_whole() {
        assert_eq!(Endpoint::of(b"/metrics"), None);
        assert_eq!(Endpoint::of(b"/blockchain/"), None);
    }
}
