//! `--record`: failing pairs of request and answer as JSON lines, to inspect and to send again.
//!
//! Workers write under a lock: only failures, and only the first [`PAIRS_MAX`]. Pairs of an agent go to its
//! coordinator.

use crate::load::{
    error::LoadError,
    format::hex,
    judge::{
        check::FollowUp,
        expect::{Expect, StatusRule},
    },
    plan::corpus::Corpus,
    tally::counts::{Failure, Outcome},
    wire::response::Response,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Most pairs kept, because a server that fails everything would fill the disk.
pub const PAIRS_MAX: u64 = 1_000;

/// Where failing pairs go.
pub struct Recorder {
    path: PathBuf,
    inner: Mutex<Inner>,
}

/// Writes or sends a pair.
type Put = Box<dyn FnMut(&Value) -> io::Result<()> + Send>;

struct Inner {
    put: Put,
    pairs: u64,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Creates the file and replaces an existing one.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(path: &Path) -> Result<Self, LoadError> {
        let mut file = File::create(path).map_err(|source| LoadError::File {
            path: path.into(),
            source,
        })?;
        // One call per line: pairs are few, and each is in the file as soon as it has failed.
        let recorder = Self::over(move |pair| file.write_all(format!("{pair}\n").as_bytes()));
        Ok(Self {
            path: path.into(),
            ..recorder
        })
    }

    /// A recorder that passes each pair to `put`.
    pub fn over(put: impl FnMut(&Value) -> io::Result<()> + Send + 'static) -> Self {
        Self {
            path: PathBuf::new(),
            inner: Mutex::new(Inner {
                put: Box::new(put),
                pairs: 0,
                failed: None,
            }),
        }
    }

    /// Records an answer that was not right.
    pub fn answer(
        &self,
        corpus: &Corpus,
        entry: usize,
        follow_up: Option<&FollowUp>,
        url: &str,
        outcome: Outcome,
        answer: &Response<'_>,
    ) {
        let reason = match outcome {
            Outcome::Wrong(reason) => reason,
            Outcome::Failed(failure) => failure.name(),
            Outcome::Correct => "correct",
        };
        let got = json!({"status": answer.status, "body": text(&answer.body)});
        let mut pair = pair(corpus, entry, url, reason, got);
        if let Some(follow_up) = follow_up {
            pair["then"] =
                json!({"target": follow_up.target, "expected": text(&follow_up.expected)});
        }
        self.write(&pair);
    }

    /// Records a request without an answer.
    pub fn failure(&self, corpus: &Corpus, entry: usize, url: &str, failure: Failure) {
        self.write(&pair(corpus, entry, url, failure.name(), Value::Null));
    }

    /// Records a pair as it is.
    pub fn write(&self, pair: &Value) {
        let mut inner = self.inner.lock();
        if inner.pairs < PAIRS_MAX && inner.failed.is_none() {
            inner.pairs += 1;
            inner.failed = (inner.put)(pair).err();
        }
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// Not everything could be written.
    pub fn finish(self) -> Result<(), LoadError> {
        let failed = self.inner.into_inner().failed;
        let failed = failed.map(|source| LoadError::File {
            path: self.path,
            source,
        });
        failed.map_or(Ok(()), Err)
    }
}

fn pair(corpus: &Corpus, entry: usize, url: &str, reason: &str, got: Value) -> Value {
    let found = &corpus.entries[entry];
    let mut request = Vec::new();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    found.request.append_to(&mut request, host);
    json!({
        "endpoint": corpus.endpoints[found.endpoint],
        "entry": entry,
        "url": url,
        "request": text(&request),
        "reason": reason,
        "expected": expected(found.status, &found.expect),
        "got": got,
    })
}

fn expected(status: StatusRule, expect: &Expect) -> Value {
    let mut out = match expect {
        Expect::Any => json!({}),
        Expect::Exact(body) => json!({"body": text(body)}),
        Expect::Sha256(digest) => json!({"body_sha256": hex(digest)}),
        Expect::Chain(chain) => json!({"chain": chain}),
        Expect::Extends(request) => json!({"extends": request}),
        Expect::DecodesTo(text) => json!({"decodes_to": text}),
        Expect::TokenForm => json!({"token": "64 hex digits"}),
    };
    out["status"] = match status {
        StatusRule::Is(status) => status.into(),
        StatusRule::BelowOr(_) => "below 400".into(),
    };
    out
}

/// Bytes as text; invalid UTF-8 becomes U+FFFD.
fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}
