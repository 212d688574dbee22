//! INVALID is counted by reason: each reason is provoked over a socket and its counter read. The requests to
//! `/blockchain` are the oracle's; the oracle, not the server, says which rule they break.

use serde_json::{Value, json};
use trident::app;

use super::chain::pack;
use crate::harness::{Client, Response, Server};

const CASES: &str = include_str!("../../data/blockchain_cases.jsonl");

/// The rule that the oracle broke, and the reason.
const BLOCKCHAIN: &[(&str, &str)] = &[
    ("bad_base64", "base64"),
    ("bad_zlib", "zlib"),
    ("bad_json", "json"),
    ("missing_chain", "shape"),
    ("missing_field", "transaction_keys"),
    ("float_amt", "transaction_value"),
    ("block_id_jump", "block_id"),
    ("reward_missing", "reward_place"),
    ("time_equal", "time"),
    ("negative_amt", "negative"),
    ("tx_hash", "transaction_hash"),
    ("tx_sig", "signature"),
    ("overdraw", "overdraft"),
    ("reward_amount", "reward_amount"),
    ("block_hash", "block_hash"),
    ("hash_over_target", "target"),
    ("new_reward", "new_reward"),
];

/// (query of `/qrcode`, label `endpoint`, reason). The first two are frequent typing mistakes.
const QRCODE: &[(&str, &str, &str)] = &[
    ("type=encoed&data=a", "qrcode_other", "type"),
    ("type=encode&data=a&format=jpeg", "qrcode_other", "format"),
    ("type=encode", "qrcode_other", "data"),
    (
        "type=decode&data=0x1&timestamp=now",
        "qrcode_other",
        "timestamp",
    ),
    (
        "type=encode&data=twenty-three+letters+xx",
        "qrcode_encode",
        "too_long",
    ),
    ("type=decode&data=0x12", "qrcode_decode", "words"),
];

const TWITTER: &[(&str, &str)] = &[
    ("user_id=x&type=both&phrase=a&hashtag=a", "user_id"),
    ("user_id=1&type=all&phrase=a&hashtag=a", "type"),
    ("user_id=1&type=both&hashtag=a", "phrase"),
    ("user_id=1&type=both&phrase=a&hashtag=", "hashtag"),
    ("user_id=1&type=both&phrase=a&hashtag=a&limit=x", "limit"),
    ("user_id=1&type=both&phrase=a&hashtag=a&offset=-1", "offset"),
];

/// A server, and the series that were provoked.
struct Provoked<'s> {
    server: &'s Server,
    client: Client,
    seen: Vec<String>,
}

impl<'s> Provoked<'s> {
    fn new(server: &'s Server) -> Self {
        Self {
            server,
            client: server.connect(),
            seen: Vec::new(),
        }
    }

    /// Sends `target` and expects INVALID (400 for a page) and one more of this reason, and of this reason alone.
    fn by(&mut self, target: &str, endpoint: &str, reason: &str) {
        let labels = format!("{{endpoint=\"{endpoint}\",reason=\"{reason}\"}}");
        let series = format!("trident_invalid_total{labels}");
        let before = self.server.metrics();
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n");
        let answer: Response = self.client.ask(request.as_bytes());
        let is_refused = match reason {
            "limit" | "offset" => answer.status == 400,
            _ => answer.status == 200 && answer.text().ends_with("\nINVALID"),
        };
        assert!(is_refused, "{target}: {}", answer.text());
        let after = self.server.metrics();
        for name in [series.as_str(), "trident_invalid_total{"] {
            assert_eq!(after.sum(name), before.sum(name) + 1, "{target} {name}");
        }
        self.seen.push(series);
    }

    fn by_chain(&mut self, request: &Value, reason: &str) {
        let target = format!("/blockchain?cc={}", pack(&request.to_string()));
        self.by(&target, "blockchain", reason);
    }
}

/// The first request in which the oracle broke this rule.
fn cc(kind: &str) -> String {
    let mut cases = CASES
        .lines()
        .map(|case| serde_json::from_str::<Value>(case).unwrap());
    let case = cases.find(|case| case["kind"] == kind).unwrap();
    case["cc"].as_str().unwrap().to_owned()
}

#[test]
fn every_reason_has_a_counter_that_counts() {
    // A modulus of two words, which makes signatures slow.
    let modulus = format!("blockchain.modulus={}", (1u128 << 127) + 29);
    let server = Server::with(&["auth.mode=rest", "auth.url=http://127.0.0.1:1/rest_auth"]);
    let mut provoked = Provoked::new(&server);
    for (kind, reason) in BLOCKCHAIN {
        provoked.by(
            &format!("/blockchain?cc={}", cc(kind)),
            "blockchain",
            reason,
        );
    }
    let empty = |target: &str| json!({ "chain": [], "new_target": target, "new_tx": [] });
    provoked.by_chain(&empty("00"), "target_unreachable");
    provoked.by_chain(&empty("00000001"), "mining_tries");
    provoked.by_chain(&empty(&"0".repeat(1 << 20)), "inflated_size");
    for (query, endpoint, reason) in QRCODE {
        provoked.by(&format!("/qrcode?{query}"), endpoint, reason);
    }
    let no_code = "0x0".repeat(32);
    provoked.by(
        &format!("/qrcode?type=decode&data={no_code}"),
        "qrcode_decode",
        "no_code",
    );
    for (query, reason) in TWITTER {
        provoked.by(&format!("/twitter?{query}"), "twitter", reason);
    }
    let grid = include_str!("../../data/qrcode_cases.tsv")
        .lines()
        .find_map(|line| line.strip_prefix("decode\t"))
        .and_then(|case| case.split('\t').next())
        .unwrap();
    let decode = format!("/qrcode?type=decode&data={grid}&timestamp=1");
    provoked.by(&decode, "qrcode_decode", "authority");

    let slow = Server::with(&[&modulus]);
    let mut signing = Provoked::new(&slow);
    let own: Vec<_> = (1..=17)
        .map(|time| json!({ "recv": 1, "amt": 0, "time": time.to_string() }))
        .collect();
    let many = json!({ "chain": [], "new_target": "1", "new_tx": own });
    signing.by_chain(&many, "own_transactions");

    let mut seen: Vec<_> = provoked.seen.into_iter().chain(signing.seen).collect();
    let mut all: Vec<_> = app::reasons().iter().map(ToString::to_string).collect();
    seen.sort();
    all.sort();
    assert_eq!(seen, all, "a reason that nothing provokes");
}

/// An answer from the cache counts for the reason it was first given for.
#[test]
fn a_cached_answer_keeps_its_reason() {
    let server = Server::start(&["--cache-bytes", "65536"]);
    let mut provoked = Provoked::new(&server);
    for (kind, reason) in BLOCKCHAIN {
        let target = format!("/blockchain?cc={}", cc(kind));
        provoked.by(&target, "blockchain", reason);
        provoked.by(&target, "blockchain", reason);
    }
    assert_eq!(
        server.metric("trident_cache_lookups_total{result=\"hit\"}"),
        BLOCKCHAIN.len() as u64
    );
}

/// What the live page reads has the same numbers.
#[test]
fn the_state_of_the_live_page_has_the_reasons() {
    let server = Server::start(&[]);
    let mut provoked = Provoked::new(&server);
    provoked.by("/qrcode?type=encoed&data=a", "qrcode_other", "type");
    let request = b"GET /admin/state HTTP/1.1\r\nHost: t\r\n\r\n";
    let state = Client::connect(server.admin.unwrap()).ask(request).text();
    let state: Value = serde_json::from_str(&state).unwrap();
    let invalid = state["invalid"].as_object().unwrap();
    assert_eq!(invalid.len(), app::reasons().len());
    assert_eq!(invalid["qrcode_other type"], 1);
    assert_eq!(invalid["qrcode_other format"], 0);
}
