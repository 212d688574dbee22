//! The right response to a request: the `expect` object of a corpus entry (docs/load.md).
//!
//! Read once, when the corpus is read; `check` compares responses with it.

use crate::load::{
    format::{base64, digest, hex},
    identity::Identity,
    judge::chain,
};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

/// How a body is checked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Expect {
    /// Only the status is checked.
    Any,
    /// These bytes.
    Exact(#[serde(with = "base64")] Box<[u8]>),
    /// Bytes with this SHA-256.
    Sha256([u8; 32]),
    /// First line, then a packed chain equal to this one as JSON; its hashes are recomputed too.
    Chain(Box<Value>),
    /// First line, then a packed chain that adds one right block to this request's chain.
    Extends(Box<Value>),
    /// First line, then a matrix; a decode request with it must return this text.
    DecodesTo(String),
    /// First line, then 64 lower-case hex digits: the key is unknown here.
    TokenForm,
}

/// Which status is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusRule {
    /// This one.
    Is(u16),
    /// Anything below 400, or this one.
    BelowOr(u16),
}

impl StatusRule {
    /// Whether an answer with `status` is right.
    pub fn accepts(self, status: u16) -> bool {
        match self {
            Self::Is(right) => status == right,
            Self::BelowOr(other) => status < 400 || status == other,
        }
    }
}

/// The `expect` object as written: a status, and at most one way to check the body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectLine {
    /// The status of the response.
    #[serde(default = "ok")]
    pub status: u16,
    body: Option<String>,
    body_base64: Option<String>,
    body_sha256: Option<String>,
    result: Option<String>,
    chain: Option<String>,
    extends: Option<String>,
    decodes_to: Option<String>,
    token: Option<Token>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    timestamp: i64,
    message: String,
}

fn ok() -> u16 {
    200
}

impl Expect {
    /// Whether a right body begins with `line`.
    pub fn has_line(&self, line: &[u8]) -> bool {
        match self {
            Self::Any | Self::Sha256(_) => false,
            Self::Exact(body) => body.starts_with(line),
            Self::Chain(_) | Self::Extends(_) | Self::DecodesTo(_) | Self::TokenForm => true,
        }
    }
}

impl ExpectLine {
    /// How the body is checked.
    ///
    /// # Errors
    /// A field is malformed, or there is more than one way to check the body.
    pub fn read(self, identity: &Identity) -> Result<Expect, String> {
        let with_team_line = |result: &str| {
            let bytes = format!("{}{result}", identity.team_line()).into_bytes();
            Expect::Exact(bytes.into())
        };
        let mut found = Vec::new();
        if let Some(body) = self.body {
            found.push(Expect::Exact(body.into_bytes().into()));
        }
        if let Some(text) = self.body_base64 {
            let bytes = base64_simd::STANDARD.decode_to_vec(text);
            let bytes = bytes.map_err(|_| "body_base64 is not padded base64")?;
            found.push(Expect::Exact(bytes.into()));
        }
        if let Some(digits) = self.body_sha256 {
            found.push(Expect::Sha256(digest(&digits)?));
        }
        if let Some(result) = self.result {
            found.push(with_team_line(&result));
        }
        if let Some(packed) = self.chain {
            found.push(Expect::Chain(Box::new(chain::unpack(packed.as_bytes())?)));
        }
        if let Some(packed) = self.extends {
            found.push(Expect::Extends(Box::new(chain::unpack(packed.as_bytes())?)));
        }
        if let Some(text) = self.decodes_to {
            found.push(Expect::DecodesTo(text));
        }
        if let Some(token) = self.token {
            found.push(match &identity.auth_key {
                Some(key) => with_team_line(&token_text(key, &identity.team, &token)),
                None => Expect::TokenForm,
            });
        }
        if found.len() > 1 {
            return Err("expect: more than one way to check the body".into());
        }
        Ok(found.pop().unwrap_or(Expect::Any))
    }
}

/// HMAC-SHA-256(key, team "|" timestamp "|" message) in hex (docs/protocol/auth.md).
fn token_text(key: &[u8; 32], team: &str, token: &Token) -> String {
    let Token { timestamp, message } = token;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{team}|{timestamp}|{message}").as_bytes());
    hex(&mac.finalize().into_bytes())
}
