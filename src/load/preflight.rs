//! Sends one request to each target before the run: a target that is down or answers for another team is an
//! error at once instead of a report full of failures.
//!
//! `--no-preflight` skips it. The run, not the preflight, decides whether answers are right.

use crate::load::{
    error::LoadError,
    identity::Identity,
    judge::expect::Expect,
    plan::{
        corpus::{Corpus, Entry},
        stage::Stage,
    },
    wire::{
        response::{self, Response},
        target::Target,
    },
};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Time for a target to accept the connection, and again to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// The endpoint whose answers depend on a store.
const STORE_ENDPOINT: &str = "twitter";
/// Most of its answers that are compared.
const SAMPLE_MAX: usize = 4;
/// Most bytes of an unexpected first line in a message.
const LINE_BYTES_MAX: usize = 80;

/// Sends one request to every target.
///
/// # Errors
/// A target does not answer, or answers for another team.
pub fn check(
    targets: &[Target],
    stages: &[Stage],
    corpus: &Corpus,
    identity: &Identity,
) -> Result<(), LoadError> {
    let is_sent = |entry: &&Entry| {
        let weight = |stage: &Stage| stage.weights[entry.endpoint];
        stages.iter().any(|stage| weight(stage) > 0.0)
    };
    let team_line = identity.team_line();
    let mut sent = corpus.entries.iter().filter(is_sent);
    let any = sent.clone().next();
    let Some(entry) = sent
        .find(|entry| entry.expect.has_line(team_line.as_bytes()))
        .or(any)
    else {
        return Ok(());
    };
    let sample = store_sample(corpus, stages, &team_line);
    targets.iter().try_for_each(|target| {
        check_one(target, entry, &team_line)?;
        check_store(target, &sample, store_remedy(corpus.is_built_in))
    })
}

/// Some entries whose right answers come from the tweets of a store.
fn store_sample<'a>(corpus: &'a Corpus, stages: &[Stage], team_line: &str) -> Vec<&'a Entry> {
    let endpoint = corpus
        .endpoints
        .iter()
        .position(|name| name == STORE_ENDPOINT);
    let is_sent = |at: &usize| stages.iter().any(|stage| stage.weights[*at] > 0.0);
    let Some(endpoint) = endpoint.filter(is_sent) else {
        return Vec::new();
    };
    let entries = corpus.entries_of[endpoint]
        .iter()
        .map(|at| &corpus.entries[*at]);
    let is_telling = |entry: &&Entry| match &entry.expect {
        // Any store can answer INVALID, or list nothing for a user that it does not have.
        Expect::Exact(body) => {
            let result = body.strip_prefix(team_line.as_bytes()).unwrap_or_default();
            !result.is_empty() && result != b"INVALID"
        }
        _ => false,
    };
    entries.filter(is_telling).take(SAMPLE_MAX).collect()
}

/// What to do if the store is another one.
fn store_remedy(is_built_in: bool) -> &'static str {
    const OTHER_CORPUS: &str = "make a corpus of the tweets of that store (scripts/make-corpus --tweets FILE --out CORPUS, \
                                then --corpus CORPUS)";
    if is_built_in {
        "let the server have the corpus' store (trident gen corpus --store DIR, then trident serve --twitter-store \
         DIR), or make a corpus of its own tweets (scripts/make-corpus --tweets FILE --out CORPUS, then --corpus CORPUS)"
    } else {
        OTHER_CORPUS
    }
}

/// Fails if no answer to `sample` is the corpus's: then the target has another store.
fn check_store(target: &Target, sample: &[&Entry], remedy: &str) -> Result<(), LoadError> {
    let mut answered = 0;
    for entry in sample {
        let bytes = exchange(target, entry).map_err(|message| LoadError::Target {
            target: target.url.clone(),
            message,
        })?;
        let Ok(Some(response)) = response::parse(&bytes, true) else {
            return Ok(());
        };
        let is_right = matches!(&entry.expect, Expect::Exact(body) if **body == *response.body);
        if is_right || !entry.status.accepts(response.status) {
            return Ok(());
        }
        answered += 1;
    }
    if answered == 0 {
        return Ok(());
    }
    Err(LoadError::Usage(format!(
        "{}: its answers of /{STORE_ENDPOINT} are from another store than the corpus'; {remedy}, leave the endpoint out \
         (--mix blockchain,qrcode), or start anyway with --no-preflight",
        target.url
    )))
}

fn check_one(target: &Target, entry: &Entry, team_line: &str) -> Result<(), LoadError> {
    let failed = |message: String| LoadError::Target {
        target: target.url.clone(),
        message,
    };
    let bytes = exchange(target, entry).map_err(failed)?;
    // `exchange` has found a whole response in these bytes.
    let Ok(Some(response)) = response::parse(&bytes, true) else {
        return Ok(());
    };
    let is_other = entry.status.accepts(response.status)
        && entry.expect.has_line(team_line.as_bytes())
        && !response.body.starts_with(team_line.as_bytes());
    if is_other {
        return Err(LoadError::Usage(format!(
            "{}: the first line of its answer is {:?} and not {:?}; give the server's --team and --aws-account, \
             or start anyway with --no-preflight",
            target.url,
            line_of(&response),
            team_line.trim_end()
        )));
    }
    Ok(())
}

/// Sends the request of `entry` and returns the received bytes, which begin with a whole response.
fn exchange(target: &Target, entry: &Entry) -> Result<Vec<u8>, String> {
    let mut socket =
        TcpStream::connect_timeout(&target.address, ANSWER_WITHIN).map_err(|error| {
            format!(
                "no connection to {}: {error}; start the server, or correct --target",
                target.address
            )
        })?;
    let broken = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            "no answer within a second; --no-preflight starts the test anyway".to_owned()
        }
        _ => format!("no answer: {error}"),
    };
    let mut request = Vec::new();
    entry.request.append_to(&mut request, &target.host);
    let deadline = Instant::now() + ANSWER_WITHIN;
    socket
        .set_write_timeout(Some(ANSWER_WITHIN))
        .and_then(|()| socket.write_all(&request))
        .map_err(broken)?;
    let mut received = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1)); // 0 would mean no timeout
        let read = socket
            .set_read_timeout(Some(left))
            .and_then(|()| socket.read(&mut buffer))
            .map_err(broken)?;
        received.extend_from_slice(&buffer[..read]);
        match response::parse(&received, read == 0) {
            Ok(Some(_)) => return Ok(received),
            Ok(None) if read == 0 => {
                return Err("closes the connection without a whole answer".into());
            }
            Ok(None) if Instant::now() >= deadline => {
                return Err(broken(ErrorKind::TimedOut.into()));
            }
            Ok(None) => {}
            Err(malformed) => return Err(format!("does not answer in HTTP: {}", malformed.0)),
        }
    }
}

fn line_of(response: &Response<'_>) -> String {
    let line = response.body.split(|byte| *byte == b'\n').next();
    let line = line.unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]).into_owned()
}
