//! Calls to other services.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use parking_lot::Mutex;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use ureq::{
    Agent,
    http::{Method, Request, StatusCode},
};

/// Connections kept to one service: as many as threads that call.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// The type of a body with JSON.
const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

/// A service did not do what it was asked for, and perhaps will later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotDone(String);

/// A caller of one service.
#[derive(Clone)]
pub struct Client {
    /// Connections, timeouts, TLS.
    pub agent: Agent,
    /// What every path is added to: the service's address without a slash at its end.
    pub base: String,
    /// Sent with every call if there is one.
    pub token: Option<String>,
    /// How long the service is not asked after a call without an answer: for callers that can do without it, and that one
    /// that hangs must not delay. Zero at first.
    pub avoided: Duration,
    pub(super) avoided_until: Arc<Mutex<Option<Instant>>>,
}

impl Client {
    /// A caller that waits at most `timeout` for an answer.
    pub fn new(base: &str, timeout: Duration, token: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_idle_connections(8 * IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX);
        Self {
            agent: config.build().into(),
            base: base.trim_end_matches('/').into(),
            token,
            avoided: Duration::ZERO,
            avoided_until: Arc::default(),
        }
    }

    /// A caller of another service, otherwise the same.
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').into(),
            avoided_until: Arc::default(),
            ..self.clone()
        }
    }

    /// Status and body of the answer.
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        if *self.avoided_until.lock() > Some(Instant::now()) {
            return Err(NotDone(format!("no answer from {} just now", self.base)).into());
        }
        let url = format!("{}{path}", self.base);
        let has_body = !matches!(method, Method::GET | Method::DELETE);
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let sent = if has_body {
            self.agent.run(request.body(body)?)
        } else {
            self.agent.run(request.body(())?)
        };
        let answered = sent.and_then(|mut answer| {
            let body = answer.body_mut().with_config().limit(u64::MAX);
            let body = body.read_to_vec()?;
            Ok((answer.status(), body))
        });
        if answered.is_err() {
            *self.avoided_until.lock() = Some(Instant::now() + self.avoided);
        }
        // What follows the question mark may be a signature.
        let place = url.split('?').next().unwrap_or_default();
        answered.with_context(|| NotDone(format!("no answer from {place}")))
    }

    /// The JSON of the answer to a call; an error with the service's message if it refuses.
    pub fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let fields = if body.is_some() { JSON } else { &[] };
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, answer) = self.ask(method, path, fields, body.as_bytes())?;
        let place = || format!("{}{path} answers {status}", self.base);
        if status.is_success() {
            return serde_json::from_slice(&answer).with_context(place);
        }
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let error = &answer["error"];
        let told = error["message"].as_str().or(error.as_str());
        let told = told.unwrap_or("it says no more");
        Err(NotDone(format!("{}: {told}", place())).into())
    }

    /// The same, of which only matters that it is done.
    pub fn order(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<()> {
        self.json::<IgnoredAny>(method, path, Some(body)).map(drop)
    }
}
