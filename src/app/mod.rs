//! What joins HTTP and the endpoints: routing, identity, the two lines of an answer.
//!
//! Holds no algorithm. An endpoint gets bytes and an output buffer; this module decides whether its outcome
//! becomes an answer, `INVALID` or a status.
//!
//! `route` is the table of endpoints, `guide` the same for people. Behind it: `answer` (a handler for each
//! endpoint), `picture` and `accept` (pictures of `/qrcode`), `twitter`, `ingest` (its tweets) with `bearer`,
//! `health`. `reasons` counts what is `INVALID`, `explain` tells why, `state` is what workers share.

mod accept;
mod answer;
pub mod bearer;
mod explain;
pub mod guide;
mod health;
mod ingest;
mod picture;
mod reasons;
pub mod route;
mod state;
mod twitter;

use crate::{
    http::{Handled, Head, Reply, Request, Service},
    twitter::Scratch as TwitterScratch,
};

pub use explain::{Explainer, UnknownTarget};
pub use health::{Health, Phase};
pub use reasons::reasons;
pub use route::TWEETS_PATH;
pub use state::{App, Options, Worker};
pub use twitter::source::Reload;

impl App {
    /// Answers a request of the operator, for whom every endpoint exists.
    pub fn call_as_operator(
        &self,
        worker: &mut Worker,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> Handled {
        route::route(self, worker, request, reply, |_| true)
    }

    /// False if path, method or token already decide the answer to a request of the operator (401, 404, 405).
    pub fn takes_from_operator(&self, head: &Head<'_>) -> bool {
        self.takes_from(head, |_| true)
    }

    /// False if path, method or token already decide the answer.
    fn takes_from(&self, head: &Head<'_>, is_visible: impl Fn(&str) -> bool) -> bool {
        route::takes(head.path, head.method, is_visible)
            && (head.path != TWEETS_PATH.as_bytes()
                || self.ingest.admits(&Request { head, body: &[] }))
    }

    fn is_visible(&self, path: &str) -> bool {
        path != TWEETS_PATH || self.ingest.is_public()
    }
}

impl Service for App {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        Worker {
            blockchain: self.blockchain.scratch(),
            qrcode: self.qrcode.scratch(),
            twitter: TwitterScratch::default(),
        }
    }

    fn call(&self, worker: &mut Worker, request: &Request<'_>, reply: Reply<'_>) -> Handled {
        route::route(self, worker, request, reply, |path| self.is_visible(path))
    }

    fn takes(&self, head: &Head<'_>) -> bool {
        self.takes_from(head, |path| self.is_visible(path))
    }
}
