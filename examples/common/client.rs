//! Calls to other services.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use ureq::{
    Agent,
    http::{Method, Request, StatusCode},
};

/// Connections kept to one service: as many as threads that call.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// The type of a body with JSON.
const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

/// A caller.
pub struct Client {
    /// Connections, timeouts, TLS.
    pub agent: Agent,
    /// Sent with every call if there is one.
    pub token: Option<String>,
}

impl Client {
    /// A caller that waits at most `timeout` for an answer.
    pub fn new(timeout: Duration, token: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_idle_connections(8 * IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .build();
        let agent = config.into();
        Self { agent, token }
    }

    /// Status and body of the answer.
    pub fn ask(
        &self,
        method: Method,
        url: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let has_body = !matches!(method, Method::GET | Method::DELETE);
        let mut request = Request::builder().method(method).uri(url);
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
        // What follows the question mark may be a signature.
        let place = url.split('?').next().unwrap_or_default();
        let mut answer = sent.with_context(|| format!("no answer from {place}"))?;
        let body = answer.body_mut().with_config().limit(u64::MAX);
        let body = body.read_to_vec()?;
        Ok((answer.status(), body))
    }

    /// The JSON of the answer to a call; an error with the service's message if it refuses.
    pub fn json(&self, method: Method, url: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let fields = if body.is_some() { JSON } else { &[] };
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, answer) = self.ask(method, url, fields, body.as_bytes())?;
        let value: Value = serde_json::from_slice(&answer)
            .with_context(|| format!("{url} answers {status} and no JSON"))?;
        if status.is_success() {
            return Ok(value);
        }
        let error = &value["error"];
        let told = error["message"].as_str().or(error.as_str());
        bail!("{url}: {status}: {}", told.unwrap_or("it says no more"))
    }
}
