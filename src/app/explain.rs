//! `trident explain`: takes a request in any of its text forms and calls the endpoint that explains it. No
//! socket.

use super::Options;
use crate::{
    auth::{Authority, Mode},
    blockchain::Blockchain,
    codec::{base64url, query, zlib::Deflater},
    explain::{Explanation, Verdict},
    qrcode::{self, QrCode},
    store::{Location, Store},
    twitter,
};

/// A target that no endpoint explains.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} cannot be explained; give a URL of /blockchain, /qrcode or /twitter, a cc text, a request's JSON or a file that exists"
)]
pub struct UnknownTarget(String);

/// The endpoints with one configuration.
pub struct Explainer {
    blockchain: Blockchain,
    qrcode: QrCode,
    options: Options,
}

impl Explainer {
    /// Prepares the endpoints. The store is opened when a request needs it.
    pub fn new(options: Options) -> Self {
        Self {
            blockchain: Blockchain::new(options.blockchain.clone()),
            qrcode: QrCode::new(),
            options,
        }
    }

    /// Explains one request: a URL with or without host, a request line, a `cc` text, or the JSON that a `cc`
    /// text packs.
    ///
    /// # Errors
    /// A URL whose path is not an endpoint's.
    pub fn explain(&self, input: &[u8]) -> Result<Explanation, UnknownTarget> {
        let input = target(input.trim_ascii());
        if input.starts_with(b"{") || input.starts_with(b"[") {
            return Ok(self.blockchain.explain(&packed(input)));
        }
        let (path, raw) = match memchr::memchr(b'?', input) {
            Some(at) => (&input[..at], &input[at + 1..]),
            None => (input, &b""[..]),
        };
        match path {
            b"/blockchain" => {
                let cc = query::first(raw, b"cc").unwrap_or_default();
                Ok(self.blockchain.explain(cc))
            }
            b"/qrcode" => Ok(self.qrcode(raw)),
            b"/twitter" => Ok(twitter::explain(raw, |user| self.stored(user))),
            // A `cc` text in the standard alphabet may have slashes too; one that begins with a slash counts as a path.
            [b'/', ..] => Err(UnknownTarget(String::from_utf8_lossy(path).into_owned())),
            _ => Ok(self
                .blockchain
                .explain(input.strip_prefix(b"cc=").unwrap_or(input))),
        }
    }

    fn qrcode(&self, raw: &[u8]) -> Explanation {
        let mut explanation = self.qrcode.explain(raw);
        if let Ok(qrcode::Query::Decode {
            data,
            timestamp: Some(timestamp),
        }) = qrcode::parse(raw)
            && let Ok(message) = self.qrcode.decode(&mut self.qrcode.scratch(), data)
            && let Verdict::Valid(answer) = &mut explanation.verdict
        {
            answer.push_str(&format!(
                "  token    {}\n",
                self.token(timestamp, message.as_bytes())
            ));
        }
        explanation
    }

    fn token(&self, timestamp: i64, message: &[u8]) -> String {
        let auth = &self.options.auth;
        match (auth.mode, &auth.key) {
            (Mode::Rest, _) => format!("what {} says", auth.rest.url),
            (Mode::Embedded, None) => {
                "another one after each start: auth.key is not set (TRIDENT_AUTH_KEY)".into()
            }
            (Mode::Embedded, Some(key)) => {
                let mut token = Vec::new();
                let team = self.options.team_name.as_bytes();
                Authority::new(key).issue(team, timestamp, message, &mut token);
                String::from_utf8_lossy(&token).into_owned()
            }
        }
    }

    /// The stored value of a user, if the store is a directory.
    fn stored(&self, user_id: u64) -> Result<Option<Vec<u8>>, String> {
        let path = match &self.options.twitter.store {
            None => return Err("name a store with --twitter-store for the answer".into()),
            Some(Location::Database(_)) => {
                return Err("the store is a database: ask a server for the answer".into());
            }
            Some(Location::Directory(path)) => path,
        };
        let look_up = || {
            let store = Store::open(path)?;
            let reader = store.read()?;
            Ok(reader.get(user_id)?.map(<[u8]>::to_vec))
        };
        look_up().map_err(|error: crate::store::StoreError| error.to_string())
    }
}

/// Path and query of a URL or of a request line; anything else as it is.
fn target(input: &[u8]) -> &[u8] {
    let words = || input.split(|byte| *byte == b' ');
    let is_method = |word: &[u8]| matches!(word, b"GET" | b"HEAD" | b"POST");
    let url = match words().next() {
        Some(method) if is_method(method) => words().nth(1).unwrap_or_default(),
        _ => input,
    };
    let rest = url
        .strip_prefix(b"http://")
        .or_else(|| url.strip_prefix(b"https://"));
    match rest {
        Some(rest) => memchr::memchr(b'/', rest).map_or(b"/".as_slice(), |at| &rest[at..]),
        None => url,
    }
}

/// JSON as a `cc` text.
fn packed(json: &[u8]) -> Vec<u8> {
    let (mut stream, mut cc) = (Vec::new(), Vec::new());
    Deflater::new(1).deflate(json, &mut stream);
    base64url::encode(&stream, &mut cc);
    cc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Key;

    fn explained(input: &str) -> Result<String, UnknownTarget> {
        let mut options = Options::default();
        options.auth.key = Some(Key([7; 32]));
        let explanation = Explainer::new(options).explain(input.as_bytes())?;
        Ok(explanation.to_string())
    }

    #[test]
    fn a_request_is_told_by_its_form() {
        let vectors = include_str!("../../tests/data/vectors.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let mut vectors = vectors["vectors"].as_array().unwrap().iter();
        let is_valid = |vector: &&serde_json::Value| {
            vector["endpoint"] == "blockchain" && vector["expect"] == "valid"
        };
        let cc = vectors.find(is_valid).unwrap()["cc"].as_str().unwrap();
        let whole = explained(cc).unwrap();
        assert!(whole.contains("\nVALID\n"), "{whole}");
        for form in [
            format!("/blockchain?cc={cc}"),
            format!("http://127.0.0.1:8080/blockchain?cc={cc}\n"),
            format!("GET /blockchain?cc={cc} HTTP/1.1"),
            format!("cc={cc}"),
        ] {
            assert_eq!(explained(&form).unwrap(), whole, "{form}");
        }
        let json = explained("{\"chain\":[]}").unwrap();
        assert!(
            json.contains("INVALID  shape") && json.contains("the request: new_target"),
            "{json}"
        );
        let unknown = explained("http://host/metrics?x=1")
            .unwrap_err()
            .to_string();
        assert!(
            unknown.starts_with("/metrics cannot be explained; "),
            "{unknown}"
        );
    }

    #[test]
    fn tokens_and_typos_of_qrcode() {
        let encoded = explained("/qrcode?type=encode&data=CC+Team").unwrap();
        assert!(
            encoded.contains("VALID\n  ##############") && encoded.contains("  answer  0x"),
            "{encoded}"
        );
        let typo = explained("https://host/qrcode?type=encoed&data=a").unwrap();
        assert!(
            typo.contains("INVALID  type") && typo.contains("found     \"encoed\""),
            "{typo}"
        );
        let format = explained("/qrcode?type=encode&data=a&format=jpeg").unwrap();
        assert!(
            format.contains("svg, png or text") && format.contains("\"jpeg\""),
            "{format}"
        );
    }

    #[test]
    fn a_request_of_twitter_without_a_store_says_what_is_missing() {
        let text = explained("/twitter?user_id=1&type=both&phrase=a&hashtag=b").unwrap();
        assert!(
            text.contains("VALID\n  well-formed; name a store with --twitter-store"),
            "{text}"
        );
    }
}
