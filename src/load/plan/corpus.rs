//! The corpus: requests with the right answers, JSON lines, one entry each (docs/load.md).
//!
//! Made by `scripts/make-corpus` from an independent oracle; read once at the start. Requests become
//! ready-made bytes here, and expectations become what `check` compares with.

use crate::load::{Identity, LoadError, judge::chain};
use flate2::read::MultiGzDecoder;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use std::{collections::BTreeMap, fs, io::Read, path::Path};

/// The corpus that is part of the program: `scripts/make-corpus` without arguments.
const BUILT_IN: &[u8] = include_bytes!("../../../data/load-corpus.jsonl.gz");
/// What stands for the file's name in messages.
const BUILT_IN_NAME: &str = "built-in corpus";
/// First bytes of a gzip file.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// All entries, and which endpoint has which.
#[derive(Debug)]
pub struct Corpus {
    /// Names of the endpoints in the order of their first entries.
    pub endpoints: Vec<String>,
    /// Indices of the entries of each endpoint.
    pub entries_of: Vec<Vec<usize>>,
    /// Every entry.
    pub entries: Vec<Entry>,
}

/// A request and its right answer.
#[derive(Debug)]
pub struct Entry {
    /// Index of its endpoint.
    pub endpoint: usize,
    /// The request's bytes, without the value of Host.
    pub request: Request,
    /// The status of the answer.
    pub status: u16,
    /// How its body is checked.
    pub expect: Expect,
}

/// Bytes of a request with a gap for the target's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    before_host: Box<[u8]>,
    after_host: Box<[u8]>,
}

/// How a body is checked.
#[derive(Debug, PartialEq)]
pub enum Expect {
    /// Only the status counts.
    Any,
    /// These bytes.
    Exact(Box<[u8]>),
    /// Bytes with this SHA-256.
    Sha256([u8; 32]),
    /// First line, then a packed chain equal to this one as JSON; its hashes are recomputed too.
    Chain(Box<Value>),
    /// First line, then a packed chain that rightly continues this request.
    Extends(Box<Value>),
    /// First line, then a matrix; sent back as decode it must give this text.
    DecodesTo(String),
    /// First line, then 64 lower-case hex digits: the key is not known here.
    TokenForm,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectLine {
    #[serde(default = "ok")]
    status: u16,
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

fn get() -> String {
    "GET".into()
}

fn ok() -> u16 {
    200
}

impl Corpus {
    /// Reads `path`, gzip or plain; without one the corpus that is part of the program.
    ///
    /// # Errors
    /// The file cannot be read, has no entry, or has a line that is none.
    pub fn read(path: Option<&Path>, identity: &Identity) -> Result<Self, LoadError> {
        let name = path.map_or_else(|| BUILT_IN_NAME.into(), |path| path.display().to_string());
        let failed = |source| LoadError::Input {
            path: name.clone().into(),
            source,
        };
        let bytes = path.map_or_else(|| Ok(BUILT_IN.to_vec()), fs::read);
        let mut bytes = bytes.map_err(failed)?;
        if bytes.starts_with(GZIP) {
            let mut plain = Vec::new();
            let unpacked = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain);
            unpacked.map_err(failed)?;
            bytes = plain;
        }
        Self::parse(&bytes, &name, identity)
    }

    pub fn parse(bytes: &[u8], name: &str, identity: &Identity) -> Result<Self, LoadError> {
        let mut corpus = Self {
            endpoints: Vec::new(),
            entries_of: Vec::new(),
            entries: Vec::new(),
        };
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
            request: request(&line)?,
            status: line.expect.status,
            expect: expect(line.expect, identity)?,
        });
        Ok(())
    }
}

impl Request {
    /// A GET of `target`.
    pub fn get(target: &str) -> Self {
        Self {
            before_host: format!("GET {target} HTTP/1.1\r\nHost: ")
                .into_bytes()
                .into(),
            after_host: b"\r\n\r\n"[..].into(),
        }
    }

    /// Appends the whole request for `host`.
    pub fn append_to(&self, out: &mut Vec<u8>, host: &str) {
        out.extend_from_slice(&self.before_host);
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(&self.after_host);
    }
}

fn request(line: &Line) -> Result<Request, String> {
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    // An answer to HEAD has a length and no body, one to CONNECT has neither.
    if !token(&line.method) || ["HEAD", "CONNECT"].contains(&line.method.as_str()) {
        return Err(format!("method {:?} cannot be used", line.method));
    }
    let visible = |text: &str| text.bytes().all(|b| b > b' ' && b != 0x7f);
    if !line.target.starts_with('/') || !visible(&line.target) {
        return Err("target must start with / and have no spaces".into());
    }
    let mut after = String::new();
    for (name, value) in &line.headers {
        if !token(name) || value.contains(['\r', '\n']) {
            return Err(format!("header {name:?} cannot be sent"));
        }
        after.push_str(&format!("\r\n{name}: {value}"));
    }
    if let Some(body) = &line.body {
        after.push_str(&format!("\r\nContent-Length: {}", body.len()));
    }
    after.push_str("\r\n\r\n");
    after.push_str(line.body.as_deref().unwrap_or_default());
    Ok(Request {
        before_host: format!("{} {} HTTP/1.1\r\nHost: ", line.method, line.target)
            .into_bytes()
            .into(),
        after_host: after.into_bytes().into(),
    })
}

fn expect(line: ExpectLine, identity: &Identity) -> Result<Expect, String> {
    let with_first_line = |result: &str| {
        let bytes = format!("{}{result}", identity.first_line()).into_bytes();
        Expect::Exact(bytes.into())
    };
    let mut found = Vec::new();
    if let Some(body) = line.body {
        found.push(Expect::Exact(body.into_bytes().into()));
    }
    if let Some(text) = line.body_base64 {
        let bytes = base64_simd::STANDARD.decode_to_vec(text);
        let bytes = bytes.map_err(|_| "body_base64 is no padded base64")?;
        found.push(Expect::Exact(bytes.into()));
    }
    if let Some(digits) = line.body_sha256 {
        found.push(Expect::Sha256(digest(&digits)?));
    }
    if let Some(result) = line.result {
        found.push(with_first_line(&result));
    }
    if let Some(packed) = line.chain {
        found.push(Expect::Chain(Box::new(chain::unpack(packed.as_bytes())?)));
    }
    if let Some(packed) = line.extends {
        found.push(Expect::Extends(Box::new(chain::unpack(packed.as_bytes())?)));
    }
    if let Some(text) = line.decodes_to {
        found.push(Expect::DecodesTo(text));
    }
    if let Some(token) = line.token {
        found.push(match &identity.auth_key {
            Some(key) => with_first_line(&token_text(key, &identity.team, &token)),
            None => Expect::TokenForm,
        });
    }
    if found.len() > 1 {
        return Err("expect: more than one way to check the body".into());
    }
    Ok(found.pop().unwrap_or(Expect::Any))
}

/// HMAC-SHA-256(key, team "|" timestamp "|" message) in hex (docs/protocol/auth.md).
fn token_text(key: &[u8; 32], team: &str, token: &Token) -> String {
    let Token { timestamp, message } = token;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{team}|{timestamp}|{message}").as_bytes());
    chain::hex(&mac.finalize().into_bytes())
}

/// 32 bytes of 64 hex digits.
///
/// # Errors
/// Something else.
pub fn digest(digits: &str) -> Result<[u8; 32], String> {
    let wrong = || "expected 64 hex digits".to_owned();
    let mut out = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(out)
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
        assert_eq!(entry.status, 400);
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
