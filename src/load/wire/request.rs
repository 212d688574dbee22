//! A request as ready-made bytes: only the value of Host is filled in when it is sent.

use crate::load::format::base64;
use serde::{Deserialize, Serialize};

/// Bytes of a request with a gap for the target's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestBytes {
    #[serde(with = "base64")]
    before_host: Box<[u8]>,
    #[serde(with = "base64")]
    after_host: Box<[u8]>,
}

impl RequestBytes {
    /// A GET of `target`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target, "\r\n\r\n".into())
    }

    /// A request whose bytes after the value of Host are `after_host`.
    pub fn new(method: &str, target: &str, after_host: Vec<u8>) -> Self {
        let before_host = format!("{method} {target} HTTP/1.1\r\nHost: ");
        Self {
            before_host: before_host.into_bytes().into(),
            after_host: after_host.into(),
        }
    }

    /// Appends the whole request for `host`.
    pub fn append_to(&self, out: &mut Vec<u8>, host: &str) {
        out.extend_from_slice(&self.before_host);
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(&self.after_host);
    }
}
