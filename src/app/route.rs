//! The table of endpoints, and path and method to handler.
//!
//! A new endpoint is a row of [`ENDPOINTS`], its handler, and its counters in `metrics::names`. The
//! router, `Allow`, the page at `/`, README, `--help`, the start banner and the tests follow from the row
//! (with `guide`). The operator's address has more paths; `admin` knows them.

use std::{fmt::Write, sync::LazyLock};

use super::{
    answer, ingest,
    state::{App, Worker},
    twitter,
};
use crate::{
    http::{Handled, Method, Reply, Request, Status, TEXT},
    metrics::{Counter, Endpoint as Label},
};

/// Requests up to this width have their answer beside them on the page at `/`.
const REQUEST_WIDTH: usize = 46;

/// Path of the requests that take tweets and deletions in.
pub const TWEETS_PATH: &str = "/twitter/tweets";

/// A path and its properties.
pub struct Endpoint {
    /// The whole path.
    pub path: &'static str,
    methods: Methods,
    handler: Handler,
    /// Its requests, for people and for tests.
    pub requests: &'static [Form],
}

type Handler = fn(&App, &mut Worker, &Request<'_>, Reply<'_>) -> Handled;

/// One form of a request.
pub struct Form {
    /// Method and target, parameters in capitals.
    pub request: &'static str,
    /// The answer, in one line.
    pub answer: &'static str,
    /// The metrics' label `endpoint`.
    pub label: Label,
    /// A request of this form.
    pub example: Example,
}

/// A request that a server without any settings answers with a valid answer.
pub enum Example {
    /// No example: the request needs data that an example cannot know.
    None,
    /// A target to GET.
    Get(&'static str),
    /// Like `Get`, and shown to a new user: start banner, `--help`, README.
    FirstStep(&'static str),
    /// A target and the body to POST there.
    Post(&'static str, &'static str),
}

/// The methods an endpoint takes.
#[derive(Clone, Copy)]
enum Methods {
    Get,
    Post,
    GetAndPost,
    PostAndDelete,
}

impl Methods {
    /// As a value of `Allow`.
    const fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::GetAndPost => "GET, HEAD, POST",
            Self::PostAndDelete => "POST, DELETE",
        }
    }

    const fn take(self, method: Method) -> bool {
        match method {
            Method::Get | Method::Head => matches!(self, Self::Get | Self::GetAndPost),
            Method::Post => matches!(self, Self::Post | Self::GetAndPost | Self::PostAndDelete),
            Method::Delete => matches!(self, Self::PostAndDelete),
            Method::Put | Method::Other | Method::Unknown => false,
        }
    }
}

/// Every endpoint of the public address, the most frequent first: the router searches from the top.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        path: "/blockchain",
        methods: Methods::GetAndPost,
        handler: |app, worker, request, reply| {
            answer::blockchain(app, worker, request, reply).into()
        },
        requests: &[
            Form {
                request: "GET /blockchain?cc=TEXT",
                answer: "validates a chain, mines and appends a block: the longer chain, packed as the request was, or INVALID",
                label: Label::Blockchain,
                example: Example::FirstStep(
                    "/blockchain?cc=eJydkE2KwzAMRu-itReyJceWrzKUkh-3CbSZoTHtQMndxwmmaWlXo5XQJ1uPd4e2r4cRwtcd6tNpn37X9hLbKwSN4jwzokESBfU5QbBYSkEazhECaOuNNci4FSjo66nPoZHYtI4E5p2Cn-9bHjHleOgg4GMLtfiDdTEHqb4cY1pmEWb1AjUNRwjEXqgS74lJfeY8xIzFWOnKYqHmzKcdvUMbJpsT67zOx6c4dm_fFcbG5v2uaVeqf_gREY_saDm5-eEKnRYyT35c0aM3PSzW68a96OnWJ2O87Z-VlckibDf_AYzbev0=",
                ),
            },
            Form {
                request: "POST /blockchain",
                answer: "the same with TEXT as the body",
                label: Label::Blockchain,
                example: Example::None,
            },
        ],
    },
    Endpoint {
        path: "/qrcode",
        methods: Methods::Get,
        handler: answer::qrcode,
        requests: &[
            Form {
                request: "GET /qrcode?type=encode&data=TEXT",
                answer: "the encrypted matrix as hex words",
                label: Label::QrEncode,
                example: Example::Get("/qrcode?type=encode&data=CC+Team"),
            },
            Form {
                request: "GET /qrcode?type=encode&data=TEXT&format=svg|png|text",
                answer: "a standard, scannable code; the field Accept: image/png asks for one too",
                label: Label::QrPicture,
                example: Example::FirstStep("/qrcode?type=encode&data=hello&format=text"),
            },
            Form {
                request: "GET /qrcode?type=decode&data=HEX&timestamp=N",
                answer: "the auth token of the message in the matrix; without timestamp the message",
                label: Label::QrDecode,
                example: Example::Get(
                    "/qrcode?type=decode&data=0x69f13c0x341736620x3e7e5dfa0xd4ab050f0xfe0d32bf0x80cef4d40xe13181240x904546510xdc9f749d0x8a8c92c0x3d2767970x2401bf3f0x43a9e0x989b945a0xe04823d70xf1d9916d0xfbf92b450x44e0851b0x309f0ec00xb33d259b0x311b86070x363c3c020x2ecdd8bf0xef4205e0x82206e5b0x2b68b81d0x6a7d557b0x9c5760f60x1fdaf3f00x380b96c50x574b6f9f0x2107ed4f&timestamp=1706567491530",
                ),
            },
        ],
    },
    Endpoint {
        path: "/twitter",
        methods: Methods::Get,
        handler: twitter::answer,
        requests: &[Form {
            request: "GET /twitter?user_id=N&type=reply|retweet|both&phrase=TEXT&hashtag=TEXT",
            answer: "the user's contacts, the closest first; from a small built-in sample unless twitter.store names a store",
            label: Label::Twitter,
            example: Example::FirstStep(
                "/twitter?user_id=3298353627&type=both&phrase=weekend&hashtag=ThanksBest",
            ),
        }],
    },
    Endpoint {
        path: "/rest_auth",
        methods: Methods::Post,
        handler: |app, _, request, reply| answer::rest_auth(app, request, reply).into(),
        requests: &[Form {
            request: "POST /rest_auth",
            answer: "the auth authority for other programs: the token of a message, in JSON",
            label: Label::RestAuth,
            example: Example::Post(
                "/rest_auth",
                r#"{"team_name":"TEAMID","timestamp":1706567290739,"decoded_qrcode":"Upc7Lu"}"#,
            ),
        }],
    },
    Endpoint {
        path: "/rest_verify",
        methods: Methods::Post,
        handler: |app, _, request, reply| answer::rest_verify(app, request, reply).into(),
        requests: &[Form {
            request: "POST /rest_verify",
            answer: "whether a token is that of a message, in JSON",
            label: Label::RestVerify,
            example: Example::Post(
                "/rest_verify",
                r#"{"team_name":"TEAMID","timestamp":1706567290739,"decoded_qrcode":"Upc7Lu","token":"00"}"#,
            ),
        }],
    },
    Endpoint {
        path: TWEETS_PATH,
        methods: Methods::PostAndDelete,
        handler: |app, _, request, reply| ingest::answer(&app.ingest, request, reply),
        requests: &[
            Form {
                request: "POST /twitter/tweets",
                answer: "takes tweets into the store while it serves; off unless twitter.ingest says where",
                label: Label::Tweets,
                example: Example::None,
            },
            Form {
                request: "DELETE /twitter/tweets?id=N",
                answer: "deletes a tweet for good, also one that comes later; as above",
                label: Label::Tweets,
                example: Example::None,
            },
        ],
    },
    Endpoint {
        path: "/healthz",
        methods: Methods::Get,
        handler: |_, _, _, reply| plain(b"ok\n", reply).into(),
        requests: &[Form {
            request: "GET /healthz",
            answer: "200: the process is alive",
            label: Label::Other,
            example: Example::Get("/healthz"),
        }],
    },
    Endpoint {
        path: "/readyz",
        methods: Methods::Get,
        handler: |app, _, _, reply| ready(app, reply).into(),
        requests: &[Form {
            request: "GET /readyz",
            answer: "200 if the next request would succeed, else 503 and the reason",
            label: Label::Other,
            example: Example::Get("/readyz"),
        }],
    },
    Endpoint {
        path: "/",
        methods: Methods::Get,
        handler: |_, _, _, reply| plain(home(), reply).into(),
        requests: &[Form {
            request: "GET /",
            answer: "this table",
            label: Label::Other,
            example: Example::Get("/"),
        }],
    },
];

/// Answers a request by the endpoint of its path, if the client may use it.
#[inline]
pub(super) fn route(
    app: &App,
    worker: &mut Worker,
    request: &Request<'_>,
    reply: Reply<'_>,
    is_visible: impl Fn(&str) -> bool,
) -> Handled {
    let Some(endpoint) = find(request.head.path).filter(|found| is_visible(found.path)) else {
        reply.line(Status::NotFound, "not found; the endpoints are listed at /");
        return Counter::OtherRefused.into();
    };
    if !endpoint.methods.take(request.head.method) {
        return refuse_method(endpoint.methods, reply).into();
    }
    (endpoint.handler)(app, worker, request, reply)
}

/// Whether a path exists for this client and takes the method.
pub(super) fn takes(path: &[u8], method: Method, is_visible: impl Fn(&str) -> bool) -> bool {
    find(path).is_some_and(|found| is_visible(found.path) && found.methods.take(method))
}

#[inline]
fn find(path: &[u8]) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| {
        let own = endpoint.path.as_bytes();
        // The last byte tells paths of one length apart without the call that compares them.
        (own.len(), own.last()) == (path.len(), path.last()) && own == path
    })
}

#[inline(always)] // where the text is known, copying it takes no call
fn plain(text: &[u8], reply: Reply<'_>) -> Counter {
    reply.ascii(|out| out.extend_from_slice(text));
    Counter::OtherValid
}

fn ready(app: &App, reply: Reply<'_>) -> Counter {
    let Some(why) = app.not_ready() else {
        return plain(b"ready\n", reply);
    };
    reply.line(Status::ServiceUnavailable, &format!("not ready: {why}"));
    Counter::OtherFailed
}

#[cold]
fn refuse_method(methods: Methods, reply: Reply<'_>) -> Counter {
    let allow = methods.allow();
    reply.send(Status::MethodNotAllowed, TEXT, &[("Allow", allow)], |out| {
        out.extend_from_slice(b"method not allowed here; allowed: ");
        out.extend_from_slice(allow.as_bytes());
        out.push(b'\n');
    });
    Counter::OtherRefused
}

/// Every form of a request.
pub fn forms() -> impl Iterator<Item = &'static Form> {
    ENDPOINTS.iter().flat_map(|endpoint| endpoint.requests)
}

/// The page at `/`.
fn home() -> &'static [u8] {
    static HOME: LazyLock<String> = LazyLock::new(|| format!("Trident\n{}", list()));
    HOME.as_bytes()
}

/// Every form of a request with its answer.
pub fn list() -> String {
    let mut text = String::new();
    for Form {
        request, answer, ..
    } in forms()
    {
        let _ = match request.len() {
            ..=REQUEST_WIDTH => writeln!(text, "{request:REQUEST_WIDTH$} {answer}"),
            _ => writeln!(text, "{request}\n{:REQUEST_WIDTH$} {answer}", ""),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_says_what_is_taken() {
        for methods in [
            Methods::Get,
            Methods::Post,
            Methods::GetAndPost,
            Methods::PostAndDelete,
        ] {
            let allowed: Vec<_> = methods.allow().split(", ").collect();
            for (method, name) in [
                (Method::Get, "GET"),
                (Method::Head, "HEAD"),
                (Method::Post, "POST"),
                (Method::Put, "PUT"),
                (Method::Delete, "DELETE"),
            ] {
                assert_eq!(methods.take(method), allowed.contains(&name), "{name}");
            }
        }
    }

    #[test]
    fn paths_match_as_a_whole() {
        assert!(find(b"/metrics").is_none() && find(b"/blockchain/").is_none());
        for endpoint in ENDPOINTS {
            let found = find(endpoint.path.as_bytes()).unwrap();
            assert!(std::ptr::eq(found, endpoint), "{} twice", endpoint.path);
        }
    }

    #[test]
    fn forms_are_of_their_endpoint_and_every_label_has_one() {
        for endpoint in ENDPOINTS {
            for form in endpoint.requests {
                let (method, target) = form.request.split_once(' ').unwrap();
                assert_eq!(target.split('?').next(), Some(endpoint.path));
                assert!(
                    endpoint.methods.allow().contains(method),
                    "{}",
                    form.request
                );
                let example = match form.example {
                    Example::Get(target) | Example::FirstStep(target) => Some((target, "GET")),
                    Example::Post(target, _) => Some((target, "POST")),
                    Example::None => None,
                };
                if let Some((target, of)) = example {
                    assert_eq!(target.split('?').next(), Some(endpoint.path));
                    assert_eq!(method, of);
                }
            }
        }
        let forms = || ENDPOINTS.iter().flat_map(|endpoint| endpoint.requests);
        for label in Label::ALL {
            // No form is meant to end as "neither encode nor decode".
            let has_form = forms().any(|form| form.label == *label);
            let is_of_forms = !matches!(label, Label::QrOther | Label::Admin);
            assert_eq!(has_form, is_of_forms, "{label:?}");
        }
    }
}
