//! The corpus: requests with the right answers, one entry per JSON line (docs/load.md).
//!
//! Made by `scripts/make-corpus` from an independent oracle; read once at the start. Requests become
//! ready-made bytes here, and expectations become what `check` compares with.

use crate::load::{
    error::LoadError,
    identity::Identity,
    judge::expect::{Expect, ExpectLine, StatusRule},
    wire::request::RequestBytes,
};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

/// The corpus that is part of the program: `scripts/make-corpus` without arguments.
const BUILT_IN: &[u8] = include_bytes!("../../../data/load-corpus.jsonl.gz");
/// Its name in messages.
const BUILT_IN_NAME: &str = "built-in corpus";
/// First bytes of a gzip file.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// All entries, grouped by endpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Corpus {
    /// Names of the endpoints in the order of their first entries.
    pub endpoints: Vec<String>,
    /// Indices of the entries of each endpoint.
    pub entries_of: Vec<Vec<usize>>,
    /// Every entry.
    pub entries: Vec<Entry>,
    /// Whether endpoints weigh as much as they have entries; otherwise all weigh the same.
    pub by_count: bool,
    /// Whether entries are sent in their order.
    pub in_order: bool,
    /// When each entry is due, in seconds after the first, if the source says so.
    pub times: Vec<f64>,
    /// The server that the URLs name.
    pub server: Option<String>,
    /// A remark about the corpus for whoever reads the report.
    pub note: Option<String>,
    /// Whether it is the corpus in the program, whose store `trident gen corpus` makes.
    pub is_built_in: bool,
}

/// A request and its right answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Index of its endpoint.
    pub endpoint: usize,
    /// The request's bytes, without the value of Host.
    pub request: RequestBytes,
    /// The status of the answer.
    pub status: StatusRule,
    /// How its body is checked.
    pub expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    endpoint: String,
    #[serde(default = "get")]
    method: String,
    target: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    expect: ExpectLine,
}

fn get() -> String {
    "GET".into()
}

impl Corpus {
    /// How many entries there are.
    pub fn entries_len(&self) -> usize {
        self.entries_of.iter().map(Vec::len).sum()
    }

    /// Whether all indices are within bounds, as in a corpus that was read here.
    pub fn is_consistent(&self) -> bool {
        let endpoints = self.endpoints.len();
        let is_entry = |index: &usize| *index < self.entries.len();
        !self.entries.is_empty()
            && self.entries_of.len() == endpoints
            && self.entries.iter().all(|entry| entry.endpoint < endpoints)
            && self
                .entries_of
                .iter()
                .all(|of| !of.is_empty() && of.iter().all(is_entry))
    }

    /// Reads `path`, gzip or plain; without a path the built-in corpus.
    ///
    /// # Errors
    /// The file cannot be read, has no entry, or has a malformed line.
    pub fn read(path: Option<&Path>, identity: &Identity) -> Result<Self, LoadError> {
        let name = path.map_or_else(|| BUILT_IN_NAME.into(), |path| path.display().to_string());
        let bytes = match path {
            None => built_in(),
            Some(path) => fs::read(path).and_then(unpacked),
        };
        let bytes = bytes.map_err(|source| LoadError::Input {
            path: name.clone().into(),
            source,
        })?;
        let mut corpus = Self::parse(&bytes, &name, identity)?;
        corpus.is_built_in = path.is_none();
        Ok(corpus)
    }

    pub fn parse(bytes: &[u8], name: &str, identity: &Identity) -> Result<Self, LoadError> {
        let mut corpus = Self::default();
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            corpus
                .add(line, identity)
                .map_err(|message| LoadError::Corpus {
                    corpus: name.into(),
                    line: index + 1,
                    message,
                })?;
        }
        if corpus.entries.is_empty() {
            return Err(LoadError::Usage(format!("{name}: no entry in it")));
        }
        Ok(corpus)
    }

    fn add(&mut self, line: &[u8], identity: &Identity) -> Result<(), String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let known = self
            .endpoints
            .iter()
            .position(|name| *name == line.endpoint);
        let endpoint = known.unwrap_or_else(|| {
            self.endpoints.push(line.endpoint.clone());
            self.entries_of.push(Vec::new());
            self.endpoints.len() - 1
        });
        self.entries_of[endpoint].push(self.entries.len());
        self.entries.push(Entry {
            endpoint,
            request: request(
                &line.method,
                &line.target,
                &line.headers,
                line.body.as_deref().map(str::as_bytes),
            )?,
            status: StatusRule::Is(line.expect.status),
            expect: line.expect.read(identity)?,
        });
        Ok(())
    }
}

/// The lines of the built-in corpus.
///
/// # Errors
/// None, unless the program is damaged.
pub fn built_in() -> io::Result<Vec<u8>> {
    unpacked(BUILT_IN.to_vec())
}

fn unpacked(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if !bytes.starts_with(GZIP) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain)?;
    Ok(plain)
}

/// The bytes of a request.
///
/// # Errors
/// One of its parts cannot be sent.
pub fn request(
    method: &str,
    target: &str,
    headers: &BTreeMap<String, String>,
    body: Option<&[u8]>,
) -> Result<RequestBytes, String> {
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    // An answer to HEAD has a length and no body; an answer to CONNECT has neither.
    if !token(method) || ["HEAD", "CONNECT"].contains(&method) {
        return Err(format!("method {method:?} cannot be used"));
    }
    let visible = |text: &str| text.bytes().all(|b| b > b' ' && b != 0x7f);
    if !target.starts_with('/') || !visible(target) {
        return Err("target must start with / and have no spaces".into());
    }
    let mut after = String::new();
    for (name, value) in headers {
        if !token(name) || value.contains(['\r', '\n']) {
            return Err(format!("header {name:?} cannot be sent"));
        }
        after.push_str(&format!("\r\n{name}: {value}"));
    }
    if let Some(body) = body {
        after.push_str(&format!("\r\nContent-Length: {}", body.len()));
    }
    after.push_str("\r\n\r\n");
    let mut after = after.into_bytes();
    after.extend_from_slice(body.unwrap_or_default());
    Ok(RequestBytes::new(method, target, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            team: "T".into(),
            account: "1".into(),
            auth_key: Some([7; 32]),
        }
    }

    fn parse(text: &str) -> Result<Corpus, LoadError> {
        Corpus::parse(text.as_bytes(), "c", &identity())
    }

    #[test]
    fn the_built_in_corpus_has_all_endpoints() {
        let corpus = Corpus::read(None, &identity()).unwrap();
        assert_eq!(corpus.endpoints, ["blockchain", "qrcode", "twitter"]);
        let kinds = |expect: fn(&Expect) -> bool| {
            corpus
                .entries
                .iter()
                .filter(|entry| expect(&entry.expect))
                .count()
        };
        assert!(kinds(|e| matches!(e, Expect::Chain(_))) > 100);
        assert!(kinds(|e| matches!(e, Expect::Extends(_))) > 10);
        assert!(kinds(|e| matches!(e, Expect::DecodesTo(_))) > 10);
        assert_eq!(kinds(|e| matches!(e, Expect::Any | Expect::TokenForm)), 0);
    }

    #[test]
    fn an_entry_becomes_bytes() {
        let corpus = parse(
            r#"{"endpoint":"a","method":"POST","target":"/x","headers":{"A":"b"},"body":"é","expect":{"status":400,"result":"r"}}"#,
        )
        .unwrap();
        let entry = &corpus.entries[0];
        let mut bytes = Vec::new();
        entry.request.append_to(&mut bytes, "h:1");
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "POST /x HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 2\r\n\r\né"
        );
        assert_eq!(entry.status, StatusRule::Is(400));
        assert_eq!(entry.expect, Expect::Exact(b"T,1\nr"[..].into()));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let good = r#"{"endpoint":"a","target":"/","expect":{}}"#;
        for (line, hint) in [
            ("{", "EOF"),
            (
                r#"{"endpoint":"a","target":"x","expect":{}}"#,
                "start with /",
            ),
            (r#"{"endpoint":"a","target":"/ ","expect":{}}"#, "no spaces"),
            (
                r#"{"endpoint":"a","target":"/","method":"HEAD","expect":{}}"#,
                "HEAD",
            ),
            (
                r#"{"endpoint":"a","target":"/","headers":{"A":"\r\n"},"expect":{}}"#,
                "header",
            ),
            (
                r#"{"endpoint":"a","target":"/","expect":{"x":1}}"#,
                "unknown field",
            ),
            (
                r#"{"endpoint":"a","target":"/","expect":{"body":"","result":""}}"#,
                "more than one",
            ),
            (
                r#"{"endpoint":"a","target":"/","expect":{"body_sha256":"é"}}"#,
                "64 hex",
            ),
            (
                r#"{"endpoint":"a","target":"/","expect":{"chain":"AA=="}}"#,
                "inflate",
            ),
        ] {
            let message = parse(&format!("{good}\n\n{line}\n"))
                .unwrap_err()
                .to_string();
            assert!(
                message.starts_with("c:3: ") && message.contains(hint),
                "{message}"
            );
        }
        assert!(parse("\n").unwrap_err().to_string().contains("no entry"));
    }
}
