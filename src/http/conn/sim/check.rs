//! What must be true of every simulation: each client gets exactly its answers, in order, and nothing else; deadlines
//! are kept to the tick; the totals are those of the connections; no trace of a connection remains.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering::Relaxed,
};

use super::{
    client::{Answer, Client},
    clock::{SimClock, TICK_MS},
    plan::{Ending, Plan},
    service::{self, Scripted},
    wire::SimSocket,
};
use crate::http::{
    conn::{Conn, Stage},
    server::Server,
};

/// A simulation that has ended.
pub(super) struct Ended {
    /// Requests answered, or what went wrong.
    pub(super) outcome: Result<usize, Violation>,
    /// The choices that were made, if the story was told.
    pub(super) choices: Vec<u32>,
    pub(super) story: Vec<String>,
}

/// What a check found wrong.
#[derive(Clone, Debug)]
pub(super) struct Violation(pub(super) String);

impl Violation {
    /// What is the same in all violations of its kind.
    pub(super) fn kind(&self) -> String {
        let general = self.0.split(':').next().unwrap_or_default();
        general.chars().filter(|c| !c.is_ascii_digit()).collect()
    }
}

/// Runs a simulation; a panic is a violation too.
pub(super) fn caught(run: impl FnOnce() -> Result<usize, Violation>) -> Result<usize, Violation> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        violation(format!("a panic: {}", text.unwrap_or("?")))
    })
}

fn violation<T>(text: String) -> Result<T, Violation> {
    Err(Violation(text))
}

/// For the time between two turns: what the server counts is what its connections have, and what a reload replaced is
/// held by nobody but requests that wait for their answers.
pub(super) fn totals<'c>(
    server: &Server,
    conns: impl Iterator<Item = &'c Conn<Scripted, SimSocket>>,
) -> Result<(), Violation> {
    let (mut open, mut bytes, mut deferred) = (0, 0, 0);
    for conn in conns {
        open += 1;
        bytes += conn.stage.buffered_bytes();
        deferred += usize::from(matches!(conn.stage, Stage::Deferred(..)));
    }
    let counted = [&server.open, &server.buffered_bytes].map(|total| total.load(Relaxed));
    if counted != [open, bytes] {
        return violation(format!(
            "there are {open} connections with {bytes} bytes, and counted are: {counted:?}"
        ));
    }
    let held = service::held();
    if held > deferred {
        return violation(format!(
            "{held} replaced editions are held, and {deferred} answers are awaited"
        ));
    }
    Ok(())
}

/// For the moment when nothing more can happen before the next tick: by then a client must have every answer it is
/// owed, up to the first one that another thread still works on.
pub(super) fn nothing_is_forgotten(
    index: usize,
    client: &mut Client,
    plan: &Plan,
    server: &Server,
) -> Result<(), Violation> {
    compare(index, client, plan, server)?;
    if !client.is_owed_all() || client.owed.is_some() {
        return Ok(());
    }
    let is_due = |answer: &&Answer| answer.status != 408;
    let all = client.expected.iter().filter(is_due).count();
    let slow = service::first_slow(index);
    let due = slow.map_or(all, |before| before.min(all));
    let (count, _) = client.compared;
    if count < due {
        return violation(format!(
            "client {index} has {count} of {due} answers, and nothing will bring it the next"
        ));
    }
    let closes = client
        .expected
        .last()
        .is_some_and(|last| last.closes && last.status != 408);
    let ends = slow.is_none() && (closes || client.ending == Ending::Finish);
    if ends && client.ended_ms.is_none() {
        return violation(format!(
            "client {index} has all answers, and nothing will bring it the end"
        ));
    }
    Ok(())
}

/// Checks a finished simulation. Returns the number of answers given.
pub(super) fn all_is_over<'c>(
    plan: &Plan,
    server: &Server,
    clock: &SimClock,
    clients: impl Iterator<Item = &'c mut Client>,
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
            .is_some_and(|slot| slot.load(Relaxed) != 0)
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
        compare(index, client, plan, server)?;
        let (count, bytes) = client.compared;
        answers += count;
        if !client.is_owed_all() {
            continue;
        }
        let owed = client.owed.unwrap_or(usize::MAX);
        if count < owed.min(client.expected.len()) {
            return violation(format!("client {index} got {count} answers"));
        }
        let last = count.checked_sub(1).map(|last| &client.expected[last]);
        if client.is_owed_notice && last.is_none_or(|last| !last.closes) {
            return violation(format!(
                "client {index}, idle, was not told that its answer is the last"
            ));
        }
        let rest = &client.received[bytes..];
        if !rest.is_empty() {
            let rest = rest[..rest.len().min(200)].escape_ascii();
            return violation(format!("client {index} got more behind the last: {rest}"));
        }
        if client.owed.is_none() {
            deadline_was_kept(index, client, clock.in_turns_ms())?;
        }
    }
    Ok(answers)
}

/// Compares what a client received since the last comparison with what it must receive.
fn compare(
    index: usize,
    client: &mut Client,
    plan: &Plan,
    server: &Server,
) -> Result<(), Violation> {
    let (mut count, mut at) = client.compared;
    let mut body = Vec::new();
    while let Some(expected) = client.expected.get(count) {
        let rest = &client.received[at..];
        let Some((answer, bytes)) = parse(rest, expected.head_only) else {
            break;
        };
        if let Some((id, size, received)) = expected.body {
            body.clear();
            service::body(&mut body, id, size, received);
        }
        let is_right = answer.status == expected.status
            && (expected.head_only || expected.body.is_none() || answer.body == body);
        // A server that is short of room refuses what it likes.
        let is_refused = answer.status == 503 && answer.closes && plan.budget_bytes < 1 << 20;
        // A server that stops ends a connection with any answer.
        let stops = answer.closes && server.closing.load(Relaxed) || client.owed.is_some();
        let ends_rightly = answer.closes == expected.closes || answer.closes && stops;
        if !(is_refused || is_right && ends_rightly) {
            let got = rest[..bytes.min(200)].escape_ascii();
            let wanted = (expected.status, expected.closes);
            return violation(format!(
                "an answer is not the right one: number {count} of client {index} should be {wanted:?} and is {got}"
            ));
        }
        at += bytes;
        count += 1;
        if answer.closes {
            client.expected.truncate(count);
            client.expected[count - 1].closes = true;
        }
    }
    client.compared = (count, at);
    Ok(())
}

/// An answer as it came.
pub(super) struct Got<'b> {
    pub(super) status: u16,
    body: &'b [u8],
    closes: bool,
}

/// The answer at the front of `bytes` and its length, with `100 Continue` before it; `None` if it is incomplete or
/// malformed.
pub(super) fn parse(bytes: &[u8], head_only: bool) -> Option<(Got<'_>, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) | Err(_) => return None,
    };
    if response.code == Some(100) {
        let (got, behind) = parse(&bytes[head..], head_only)?;
        return Some((got, head + behind));
    }
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
    let got = Got {
        status: response.code?,
        body: bytes.get(head..head + length)?,
        closes: field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
    };
    Some((got, head + length))
}

/// A silent client is cut off when its time is over: never earlier, and at most a tick later. Time that passed within
/// turns, `late_ms`, may come on top, and before its silence.
fn deadline_was_kept(index: usize, client: &Client, late_ms: u64) -> Result<(), Violation> {
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
    let earliest_ms = (seconds * 1000_u64).saturating_sub(late_ms);
    let latest_ms = seconds * 1000 + TICK_MS + late_ms;
    if !(earliest_ms..=latest_ms).contains(&waited_ms) {
        return violation(format!(
            "client {index}, silent, was cut off after {waited_ms} ms instead of {seconds} s"
        ));
    }
    Ok(())
}
