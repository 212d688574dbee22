//! What must be true of every simulation: each client gets exactly its answers, in order, and nothing else; deadlines
//! are kept to the tick; no trace of a connection remains.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    client::{Answer, Client, Ending},
    service,
};
use crate::http::{clock, server::Server};

/// What a check found wrong.
#[derive(Debug)]
pub(super) struct Violation(pub(super) String);

fn violation<T>(text: String) -> Result<T, Violation> {
    Err(Violation(text))
}

/// For the moment when nothing more can happen before the next tick: by then a client must have every answer it is
/// owed, up to the first one that another thread still works on.
pub(super) fn nothing_is_forgotten(index: usize, client: &Client) -> Result<(), Violation> {
    let is_due = |answer: &&Answer| answer.status != 408;
    let all = client.expected.iter().filter(is_due).count();
    let slow = service::first_slow(index);
    let due = slow.map_or(all, |before| before.min(all));
    let (count, _) = compare(index, client)?;
    if client.is_owed_all() && count < due {
        return violation(format!(
            "client {index} has {count} of {due} answers, and nothing will bring it the next"
        ));
    }
    let closes = client
        .expected
        .last()
        .is_some_and(|last| last.closes && last.status != 408);
    let ends = slow.is_none() && (closes || client.ending == Ending::Finish);
    if client.is_owed_all() && ends && client.ended_ms.is_none() {
        return violation(format!(
            "client {index} has all answers, and nothing will bring it the end"
        ));
    }
    Ok(())
}

/// Checks a finished simulation. Returns the number of answers given.
pub(super) fn all_is_over<'c>(
    server: &Server,
    clients: impl Iterator<Item = &'c Client>,
) -> Result<usize, Violation> {
    let left = [&server.open, &server.buffered_bytes].map(|total| total.load(Relaxed));
    if left != [0, 0] {
        return violation(format!(
            "{} connections and {} bytes are left",
            left[0], left[1]
        ));
    }
    let is_used = |number: &i32| {
        server
            .slots
            .get(*number)
            .is_some_and(|s| s.load(Relaxed) != 0)
    };
    if let Some(number) = (0..16).find(is_used) {
        return violation(format!("slot {number} is not free"));
    }
    let mut called = service::called();
    called.sort_unstable();
    if let Some(pair) = called.windows(2).find(|pair| pair[0] == pair[1]) {
        return violation(format!("request {} was handled twice", pair[0]));
    }
    let mut answers = 0;
    for (index, client) in clients.enumerate() {
        let (count, rest) = compare(index, client)?;
        answers += count;
        if client.is_owed_all() {
            if count < client.expected.len() {
                return violation(format!("client {index} got {count} answers"));
            }
            if !rest.is_empty() {
                let rest = rest.escape_ascii();
                return violation(format!("client {index} got more behind the last: {rest}"));
            }
            deadline_was_kept(index, client)?;
        }
    }
    Ok(answers)
}

/// Compares what a client received with what it must receive. Returns how many answers came whole, and the bytes behind
/// them.
fn compare(index: usize, client: &Client) -> Result<(usize, &[u8]), Violation> {
    let mut rest = &client.received[..];
    for (count, expected) in client.expected.iter().enumerate() {
        let Some((answer, bytes)) = parse(rest, expected.head_only) else {
            return Ok((count, rest));
        };
        let differs = answer.status != expected.status
            || answer.closes != expected.closes
            || !expected.head_only && expected.body.is_some() && answer.body != expected.body;
        if differs {
            let got = rest[..bytes.min(200)].escape_ascii();
            let wanted = (expected.status, expected.closes);
            return violation(format!(
                "answer {count} of client {index} is not the right one ({wanted:?}): {got}"
            ));
        }
        rest = &rest[bytes..];
    }
    Ok((client.expected.len(), rest))
}

/// The answer at the front of `bytes` and its length; `None` if it is incomplete or malformed.
fn parse(bytes: &[u8], head_only: bool) -> Option<(Answer, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) | Err(_) => return None,
    };
    let field = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|f| f.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let length = if head_only {
        0
    } else {
        field("content-length")?.parse().ok()?
    };
    let answer = Answer {
        status: response.code?,
        body: Some(bytes.get(head..head + length)?.to_vec()),
        head_only,
        closes: field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
    };
    Some((answer, head + length))
}

/// A silent client is cut off when its time is over: never earlier, and at most a tick later.
fn deadline_was_kept(index: usize, client: &Client) -> Result<(), Violation> {
    let seconds = match (client.ending, client.expected.last()) {
        (Ending::Silent, _) => 5,
        (Ending::HeadStall | Ending::HeadDrip, Some(last)) if last.status == 408 => 5,
        (Ending::BodyStall, Some(last)) if last.status == 408 => 10,
        (Ending::Idle, Some(last)) if !last.closes => 75,
        _ => return Ok(()),
    };
    let Some(ended_ms) = client.ended_ms else {
        return violation(format!("client {index} saw no end"));
    };
    let waited_ms = ended_ms.saturating_sub(client.silent_since_ms);
    let tick_ms = clock::TICK.as_millis() as u64;
    if !(seconds * 1000..=seconds * 1000 + tick_ms).contains(&waited_ms) {
        return violation(format!(
            "client {index}, silent, was cut off after {waited_ms} ms instead of {seconds} s"
        ));
    }
    Ok(())
}
