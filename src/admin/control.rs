//! The controls: what an operator may do to a running server.
//!
//! | request | does |
//! | --- | --- |
//! | `POST /admin/cache?capacity_bytes=N&policy=P` | sets the answer cache, or the one in front of the database if there is one: 0 bytes turn it off; `lru` or `random`, none keeps the present one |
//! | `POST /admin/cache/clear` | drops every answer |
//! | `POST /admin/reload` | opens the store anew |
//! | `POST /admin/drain` | stops the server as SIGTERM does |
//! | `POST /admin/profile?seconds=N` | answers with a CPU flame graph of the next N seconds (10), SVG |
//!
//! They want `Authorization: Bearer <admin_token>`, which a page of another site cannot send. Without a
//! token configured there are only the reload and the database's cache, for scripts on this machine. Changes last until restart.

use tracing::{info, warn};

use super::{
    CROSS_SITE, Site, guard, profile,
    state::{POLICIES, policy_name},
};
use crate::{
    codec::{decimal, query},
    http::{Outcome, Reply, Request, Status, TEXT},
    metrics::{self, Counter},
};

/// Most bytes the cache can be set to, as in the settings.
const CACHE_BYTES_MAX: u64 = 1 << 40;

/// A control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Cache,
    ClearCache,
    Reload,
    Drain,
    Profile,
}

impl Control {
    pub(super) fn of(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"/admin/cache" => Self::Cache,
            b"/admin/cache/clear" => Self::ClearCache,
            b"/admin/reload" => Self::Reload,
            b"/admin/drain" => Self::Drain,
            b"/admin/profile" => Self::Profile,
            _ => return None,
        })
    }
}

/// What is left to do for a permitted control.
enum Done {
    /// To tell what was done.
    Told(String),
    Reload,
    StoreCache,
    /// To record for so many seconds.
    Profile(u64),
}

/// Why a control is not used.
struct Refusal(Status, &'static str);

impl Site {
    /// Uses a control, or says why not.
    pub(super) fn control(
        &self,
        control: Control,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> Outcome {
        let outcome = self.permit(control, request).and_then(|()| match control {
            Control::Cache if self.app.database_state().is_some() => Ok(Done::StoreCache),
            Control::Cache => self.set_cache(request.head.query).map(Done::Told),
            Control::ClearCache => Ok(Done::Told(self.clear_cache())),
            Control::Drain => Ok(Done::Told(self.drain())),
            Control::Reload => Ok(Done::Reload),
            Control::Profile => profile_seconds(request.head.query).map(Done::Profile),
        });
        if outcome.is_ok() {
            metrics::add(Counter::ControlsDone, 1);
        }
        match outcome {
            Ok(Done::StoreCache) => self.app.answer_store_cache(request, reply),
            Ok(Done::Reload) => return self.app.reload_later(reply),
            Ok(Done::Profile(seconds)) => return profile::answer(seconds, reply),
            Ok(Done::Told(text)) => {
                info!(?control, text, "control");
                reply.line(Status::Ok, &text);
                metrics::answered(Counter::OtherValid);
            }
            Err(Refusal(status, text)) => {
                metrics::add(Counter::ControlsRefused, 1);
                warn!(?control, status = status.code(), "control refused");
                let fields: &[_] = match status {
                    Status::Unauthorized => &[("WWW-Authenticate", "Bearer")],
                    _ => &[],
                };
                reply.send(status, TEXT, fields, |out| {
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'\n');
                });
                metrics::answered(Counter::OtherRefused);
            }
        }
        Outcome::Done
    }

    fn permit(&self, control: Control, request: &Request<'_>) -> Result<(), Refusal> {
        if guard::is_cross_site(request) {
            return Err(Refusal(Status::Forbidden, CROSS_SITE));
        }
        match (self.options.token.as_str(), control) {
            ("", Control::Reload) => Ok(()),
            ("", Control::Cache) if self.app.database_state().is_some() => Ok(()),
            ("", _) => Err(Refusal(
                Status::Forbidden,
                "controls are off: set admin_token to use them",
            )),
            (token, _) if guard::has_token(request, token) => Ok(()),
            _ => Err(Refusal(
                Status::Unauthorized,
                "wrong or missing token: send Authorization: Bearer and the admin_token",
            )),
        }
    }

    fn set_cache(&self, query: &[u8]) -> Result<String, Refusal> {
        let bytes = query::first(query, b"capacity_bytes").and_then(decimal::parse_u63);
        let Some(bytes) = bytes.filter(|bytes| *bytes <= CACHE_BYTES_MAX) else {
            let text = "capacity_bytes: expected a number from 0 to 1099511627776";
            return Err(Refusal(Status::BadRequest, text));
        };
        let cache = self.app.cache();
        if let Some(name) = query::first(query, b"policy") {
            let policy = POLICIES
                .into_iter()
                .find(|policy| policy_name(*policy).as_bytes() == name)
                .ok_or(Refusal(
                    Status::BadRequest,
                    "policy: expected lru or random",
                ))?;
            cache.set_policy(policy);
        }
        let dropped = cache.set_bytes_max(bytes as usize);
        metrics::add(Counter::CacheEvictions, dropped);
        let policy = policy_name(cache.policy());
        Ok(format!(
            "cache capacity {bytes} bytes, policy {policy}, {dropped} answers dropped"
        ))
    }

    fn clear_cache(&self) -> String {
        let dropped = self.app.cache().clear();
        metrics::add(Counter::CacheEvictions, dropped);
        format!("{dropped} answers dropped")
    }

    fn drain(&self) -> String {
        (self.stop)();
        "draining".into()
    }
}

fn profile_seconds(query: &[u8]) -> Result<u64, Refusal> {
    let Some(seconds) = query::first(query, b"seconds") else {
        return Ok(profile::Options::default().seconds);
    };
    decimal::parse_u63(seconds)
        .filter(|seconds| (1..=profile::SECONDS_MAX).contains(seconds))
        .ok_or(Refusal(
            Status::BadRequest,
            "seconds: expected a number from 1 to 300",
        ))
}
