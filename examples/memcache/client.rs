//! Calls from one role to another.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use ureq::{
    Agent,
    http::{Method, Request, StatusCode},
};

use crate::{common::JSON, web::TOKEN};

/// Connections kept to each role: as many as threads that call.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// A caller.
pub struct Client {
    agent: Agent,
    token: Option<String>,
}

impl Client {
    /// A caller that waits at most `timeout` for an answer.
    pub fn new(timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_idle_connections(8 * IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .build();
        Self {
            agent: config.into(),
            token: std::env::var(TOKEN).ok(),
        }
    }

    /// Status and body of the answer.
    pub fn ask(
        &self,
        method: Method,
        url: &str,
        body: &[u8],
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let has_body = !matches!(method, Method::GET | Method::DELETE);
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let sent = if has_body {
            let request = request.header("Content-Type", JSON);
            self.agent.run(request.body(body)?)
        } else {
            self.agent.run(request.body(())?)
        };
        let mut answer = sent.with_context(|| format!("no answer from {url}"))?;
        let body = answer.body_mut().with_config().limit(u64::MAX);
        let body = body.read_to_vec()?;
        Ok((answer.status(), body))
    }

    /// The JSON of the answer to a call; an error with the role's message if it refuses.
    pub fn json(&self, method: Method, url: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method, url, body.to_string().as_bytes())?;
        if !status.is_success() {
            bail!("{url}: {status} {}", String::from_utf8_lossy(&answer));
        }
        serde_json::from_slice(&answer).with_context(|| format!("{url} answers no JSON"))
    }
}
