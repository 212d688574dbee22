//! What coordinator and agent say to each other: one JSON value per line, each of a bounded length.

use crate::load::{
    plan::stage::Stage,
    tally::counts::{Failure, Interval, Tally},
    wire::connection::Lifetime,
    worker::send_delay_histogram,
};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, Read, Write},
    time::Duration,
};

/// Protocol version; both sides must have the same.
pub const PROTOCOL: u32 = 2;
/// Longest line before the proof of the token.
pub const GREETING_BYTES_MAX: u64 = 4 << 10;
/// Longest line after it: a job has the corpus in it.
pub const LINE_BYTES_MAX: u64 = 256 << 20;
/// Most reasons of wrong answers that are counted separately.
const REASONS_MAX: usize = 64;

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToAgent {
    /// The proof that the coordinator has the token.
    Proof(String),
    /// What to run.
    Job(Box<Job>),
    /// Begin now.
    Start,
    /// End early.
    Stop,
}

/// From an agent.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromAgent {
    /// The first line.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// What the proof is computed from.
        nonce: String,
        /// Threads that the agent would use.
        workers: usize,
    },
    /// The agent can begin.
    Ready,
    /// The agent will not run the job, or could not go on; the reason.
    Refused(String),
    /// A failing pair of request and answer.
    Pair(Value),
    /// What one worker counted.
    Interval(WireInterval),
    /// All workers have ended.
    End,
}

/// A run, and the share of this agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub team: String,
    pub account: String,
    /// The corpus; the agent cannot read the files that it came from.
    pub corpus: Box<RawValue>,
    /// URLs.
    pub targets: Vec<String>,
    pub stages: Vec<Stage>,
    pub connections: usize,
    pub pipeline: usize,
    pub timeout: Duration,
    pub check: bool,
    pub lifetime: Lifetime,
    pub preflight: bool,
    /// Whether failing pairs are wanted.
    pub record: bool,
    /// The number of the agent's first worker, how many workers it runs, and how many all agents run.
    pub first_worker: usize,
    pub own_workers: usize,
    pub all_workers: usize,
}

/// An [`Interval`].
#[derive(Debug, Serialize, Deserialize)]
pub struct WireInterval {
    stage: usize,
    second: u64,
    cells: Vec<(usize, WireTally)>,
    late: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireTally {
    correct: u64,
    wrong: BTreeMap<String, u64>,
    failed: Vec<u64>,
    bytes: u64,
    latency: String,
}

impl WireInterval {
    pub fn of(interval: &Interval) -> io::Result<Self> {
        let cells = interval.cells.iter().enumerate();
        let cells = cells.filter_map(|(index, tally)| Some((index, tally.as_ref()?)));
        let cells = cells.map(|(index, tally)| {
            let wrong = tally.wrong.iter();
            let tally = WireTally {
                correct: tally.correct,
                wrong: wrong.map(|(name, n)| ((*name).into(), *n)).collect(),
                failed: tally.failed.to_vec(),
                bytes: tally.bytes,
                latency: packed(&tally.latency_ns)?,
            };
            Ok((index, tally))
        });
        Ok(Self {
            stage: interval.stage,
            second: interval.second,
            cells: cells.collect::<io::Result<_>>()?,
            late: packed(&interval.late_ns)?,
        })
    }

    /// The interval, if it is one of a run of `stages` stages, `cells` cells and at most `seconds` seconds.
    pub fn read(self, stages: usize, cells: usize, seconds: u64) -> io::Result<Interval> {
        if self.stage >= stages || self.second > seconds {
            return Err(odd("a count of another run"));
        }
        let mut out = vec![None; cells];
        for (index, tally) in self.cells {
            let mut read = Tally::default();
            let failed: [u64; Failure::ALL.len()] = tally
                .failed
                .try_into()
                .map_err(|_| odd("failures of another kind"))?;
            read.correct = tally.correct;
            read.failed = failed;
            read.bytes = tally.bytes;
            for (reason, count) in &tally.wrong {
                *read.wrong.entry(known(reason)).or_default() += count;
            }
            read.latency_ns = unpacked(&tally.latency, &read.latency_ns)?;
            *out.get_mut(index)
                .ok_or_else(|| odd("a count of another run"))? = Some(Box::new(read));
        }
        Ok(Interval {
            stage: self.stage,
            second: self.second,
            cells: out,
            late_ns: unpacked(&self.late, &send_delay_histogram())?,
        })
    }
}

fn packed(histogram: &Histogram<u32>) -> io::Result<String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(base64_simd::STANDARD.encode_to_string(&bytes))
}

/// A histogram with the bounds of `like`: others cannot be added to ours.
fn unpacked(text: &str, like: &Histogram<u32>) -> io::Result<Histogram<u32>> {
    let bytes = base64_simd::STANDARD
        .decode_to_vec(text)
        .map_err(|error| odd(&error.to_string()))?;
    let read: Histogram<u32> = Deserializer::new()
        .deserialize(&mut &bytes[..])
        .map_err(|error| odd(&error.to_string()))?;
    let bounds = |one: &Histogram<u32>| (one.low(), one.high(), one.sigfig());
    if bounds(&read) != bounds(like) {
        return Err(odd("a histogram of other bounds"));
    }
    Ok(read)
}

/// The reason as the tallies keep it: it is never freed, so there may be only a few.
fn known(reason: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock();
    if let Some(same) = known.get(reason) {
        return same;
    }
    if known.len() >= REASONS_MAX || reason.len() > REASONS_MAX {
        return "other";
    }
    let kept: &'static str = String::from(reason).leak();
    known.insert(kept);
    kept
}

/// Writes one line.
pub fn send(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Reads one line of at most `bytes_max`; `None` at the end of the connection.
pub fn receive<T: DeserializeOwned>(
    from: &mut impl BufRead,
    bytes_max: u64,
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let read = from.take(bytes_max).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(odd("a line that is too long or cut off"));
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::counts::Outcome;

    fn interval() -> Interval {
        let mut tally = Tally::default();
        tally.record(Outcome::Correct, Duration::from_millis(3));
        tally.record(Outcome::Wrong("body"), Duration::from_millis(9));
        tally.record(Outcome::Failed(Failure::Reset), Duration::ZERO);
        Interval {
            stage: 1,
            second: 7,
            cells: vec![None, Some(Box::new(tally))],
            late_ns: send_delay_histogram(),
        }
    }

    #[test]
    fn an_interval_arrives_as_it_was_sent() {
        let mut line = Vec::new();
        let sent = FromAgent::Interval(WireInterval::of(&interval()).unwrap());
        send(&mut line, &sent).unwrap();
        let Some(FromAgent::Interval(wire)) = receive(&mut &line[..], LINE_BYTES_MAX).unwrap()
        else {
            panic!("another message");
        };
        let read = wire.read(2, 2, 7).unwrap();
        let (sent, read) = (interval().cells, read.cells);
        let (sent, read) = (sent[1].as_ref().unwrap(), read[1].as_ref().unwrap());
        assert_eq!(format!("{:?}", sent.wrong), format!("{:?}", read.wrong));
        assert_eq!((sent.correct, sent.failed), (read.correct, read.failed));
        assert_eq!(sent.latency_ns, read.latency_ns);
    }

    #[test]
    fn what_does_not_belong_to_the_run_is_refused() {
        let wire = || WireInterval::of(&interval()).unwrap();
        assert!(wire().read(1, 2, 7).is_err(), "stage");
        assert!(wire().read(2, 1, 7).is_err(), "cell");
        assert!(wire().read(2, 2, 6).is_err(), "second");
        let mut other = wire();
        other.cells[0].1.latency = other.late.clone();
        assert!(other.read(2, 2, 7).is_err(), "bounds");
        let mut other = wire();
        other.cells[0].1.failed.pop();
        assert!(other.read(2, 2, 7).is_err(), "failures");
        assert!(
            receive::<FromAgent>(&mut &b"\"Ready\"\n"[..], 5).is_err(),
            "length"
        );
        assert!(receive::<FromAgent>(&mut &b""[..], 5).unwrap().is_none());
    }
}
