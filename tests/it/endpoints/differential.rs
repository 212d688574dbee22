//! Thousands of seeded requests through the socket, against the answers of the Python oracle.
//!
//! `TRIDENT_TEST_CASES` sets how many (3,000), `TRIDENT_TEST_SEED` which. Requests are pipelined in
//! batches, to a server without caches and twice to one with a cache.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::Value;

use super::chain;
use crate::harness::{AUTH_KEY, Client, Response, Server};

/// A request and its answer, as `tests/oracle/cases.py` writes them. Texts are bytes, one a character.
#[derive(Deserialize)]
struct Case {
    name: String,
    method: String,
    target: String,
    body: Option<String>,
    #[serde(default)]
    chunked: bool,
    status: u16,
    compare: String,
    expect: String,
}

/// Requests sent before their answers are read.
const BATCH: usize = 8;

/// Most differences shown.
const SHOWN_MAX: usize = 10;

fn bytes(text: &str) -> Vec<u8> {
    let byte = |c: char| u8::try_from(u32::from(c)).expect("a byte");
    text.chars().map(byte).collect()
}

impl Case {
    fn request(&self) -> Vec<u8> {
        let mut request = format!("{} ", self.method).into_bytes();
        request.extend(bytes(&self.target));
        request.extend_from_slice(b" HTTP/1.1\r\nHost: t\r\n");
        let body = bytes(self.body.as_deref().unwrap_or_default());
        if self.chunked {
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(1 + body.len() / 3) {
                request.extend(format!("{:X};x\r\n", chunk.len()).bytes());
                request.extend_from_slice(chunk);
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\n\r\n");
        } else {
            if self.body.is_some() {
                request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
            }
            request.extend_from_slice(b"\r\n");
            request.extend_from_slice(&body);
        }
        request
    }

    /// The difference; `None` if there is none.
    fn difference(&self, answer: &Response) -> Option<String> {
        if answer.status != self.status {
            return Some(format!("status {}", answer.status));
        }
        let expected = bytes(&self.expect);
        let same = match self.compare.as_str() {
            "exact" => answer.body == expected,
            "head" => answer
                .field("content-length")
                .is_some_and(|length| length != "0"),
            "length" => answer.field("content-length") == Some(&expected.len().to_string()),
            "refusal" => is_refusal(&answer.body),
            "chain" => return chain_difference(&answer.body, &expected),
            other => panic!("comparison {other}"),
        };
        (!same).then(|| excerpt(&answer.body))
    }
}

fn is_refusal(body: &[u8]) -> bool {
    let message = serde_json::from_slice::<Value>(body).ok();
    let message = message
        .as_ref()
        .and_then(|body| body.as_object()?.get("message")?.as_str());
    message.is_some_and(|message| message != "SUCCESS" && !message.is_empty())
}

/// Two answers of `/blockchain`: equal if their chains are. A chain that the oracle takes for valid is also checked
/// without the oracle.
fn chain_difference(answer: &[u8], expected: &[u8]) -> Option<String> {
    let packed = |body: &[u8]| {
        let (team_line, second) = body.split_at(body.iter().position(|b| *b == b'\n')? + 1);
        Some((team_line.to_vec(), second.to_vec()))
    };
    let (team_line, answer) = packed(answer)?;
    let (expected_line, expected) = packed(expected)?;
    if team_line != expected_line {
        return Some(excerpt(&team_line));
    }
    if expected == b"INVALID" || answer == b"INVALID" {
        return (expected != answer).then(|| excerpt(&answer));
    }
    let chain = match chain::unpack(&answer) {
        Ok(chain) => chain,
        Err(fault) => return Some(fault),
    };
    if Ok(&chain) != chain::unpack(&expected).as_ref() {
        return Some(chain.to_string());
    }
    chain::check(&chain).err()
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

/// Asks for a batch and returns the differences.
fn ask(client: &mut Client, batch: &[(usize, Case)], faults: &mut Vec<String>) {
    client.send(
        &batch
            .iter()
            .flat_map(|(_, case)| case.request())
            .collect::<Vec<u8>>(),
    );
    for (number, case) in batch {
        let answer = match case.method.as_str() {
            "HEAD" => client.head_response(),
            _ => client.response(),
        };
        let answer = answer.unwrap_or_else(|| panic!("closed at case {number}: {}", case.name));
        if let Some(difference) = case.difference(&answer) {
            let asked = excerpt(case.body.as_ref().unwrap_or(&case.target).as_bytes());
            let expected = excerpt(&bytes(&case.expect));
            faults.push(format!(
                "case {number}, {}\n  asked    {asked:?}\n  expected {expected:?}\n  got      {difference:?}",
                case.name
            ));
        }
    }
}

#[test]
fn every_answer_is_the_oracles() {
    let setting = |name: &str, or: &str| env::var(name).unwrap_or_else(|_| or.to_owned());
    let count = setting("TRIDENT_TEST_CASES", "3000");
    let seed = setting("TRIDENT_TEST_SEED", "1");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/cases.py");
    let mut oracle = Command::new("python3")
        .args([script, &count, &seed, AUTH_KEY])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let plain = Server::start(&["--cache-bytes", "0"]);
    let cached = Server::start(&["--cache-bytes", "67108864"]);
    let (mut to_plain, mut to_cached) = (plain.connect(), cached.connect());
    let mut faults = Vec::new();
    let mut lines = BufReader::new(oracle.stdout.take().unwrap())
        .lines()
        .enumerate()
        .peekable();
    while lines.peek().is_some() {
        let batch: Vec<(usize, Case)> = lines
            .by_ref()
            .take(BATCH)
            .map(|(number, line)| (number, serde_json::from_str(&line.unwrap()).unwrap()))
            .collect();
        ask(&mut to_plain, &batch, &mut faults);
        ask(&mut to_cached, &batch, &mut faults);
        ask(&mut to_cached, &batch, &mut faults);
    }
    assert!(oracle.wait().unwrap().success(), "the oracle failed");
    let hits = cached.metric("trident_cache_lookups_total{result=\"hit\"}");
    assert!(hits > 0, "the cache was not used");
    assert_eq!(plain.metric("trident_handler_panics_total"), 0);
    let shown = faults.len().min(SHOWN_MAX);
    assert!(
        faults.is_empty(),
        "{} differences, seed {seed}:\n{}",
        faults.len(),
        faults[..shown].join("\n")
    );
}
