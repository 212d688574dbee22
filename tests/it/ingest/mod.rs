//! `POST /twitter/tweets`: a store that took tweets in batches equals the store that the ETL makes of all of them.
//!
//! The tests compare the sums and checksums that `trident store verify` reports: over every value and over every record
//! of the history, so the next batch starts from the right state too.

mod answers;
mod cost;
mod crash;
mod failures;
mod mysql;
mod power;
mod rules;
mod serving;

use crate::{
    etl::sets::{Directory, deletion_of, fresh_directory},
    harness::{Client, Response, Server, pace},
};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use trident::{
    etl::{self, Options, progress::Silent, sink::store::StoreSink},
    store::{Meta, maintenance},
    synth::{self, Dataset},
};

/// Hashtags left out of the counts in these tests, some of them common in the generated tweets.
const EXCLUDED: &str = "Cloud\nistanbul\nοδος\ntag\t1";

/// A reproducible sequence of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Generated lines, newlines included, and among them other versions of some of these tweets: with
/// another time, sender, text, reply, retweet or tags.
fn lines(seed: u64, count: u64, users: u64) -> Vec<Vec<u8>> {
    let dataset = Dataset::new(synth::Options {
        seed,
        users,
        tags: 60,
        excluded: 5,
        valid_per_mille: 850,
    });
    let mut random = Random(seed);
    let mut lines = Vec::new();
    for index in 0..count {
        let mut line = Vec::new();
        dataset.write_line(index, &mut line);
        line.push(b'\n');
        for _ in 0..random.below(8) / 5 {
            lines.extend(other_version(&line, &mut random));
        }
        lines.push(line);
    }
    lines
}

/// Lines, and among them deletions of some of their tweets and of tweets that nobody knows.
fn lines_with_deletions(seed: u64, count: u64, users: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let mut lines = lines(seed, count, users);
    let deletions: Vec<_> = lines.iter().filter(|_| random.below(9) == 0).collect();
    let deletions = deletions.into_iter().filter_map(|line| deletion_of(line));
    let unknown = format!(
        "{{\"delete\":{{\"status\":{{\"id\":{}}}}}}}",
        random.below(9)
    );
    let deletions: Vec<_> = deletions.chain([unknown.into_bytes()]).collect();
    for deletion in deletions {
        lines.push([deletion, b"\n".to_vec()].concat());
    }
    lines
}

fn other_version(line: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut tweet: serde_json::Value = serde_json::from_slice(line).ok()?;
    let fields = tweet.as_object_mut()?;
    fields.get("entities")?;
    let hour = random.below(24);
    for _ in 0..1 + random.below(2) {
        match random.below(7) {
            0 => drop(fields.insert("text".into(), format!("version {hour}").into())),
            1 => drop(fields.insert("in_reply_to_user_id".into(), (hour + 1).into())),
            2 => drop(fields.remove("retweeted_status")),
            3 => {
                let tags = serde_json::json!({"hashtags": [{"text": "Tag"}, {"text": "CLOUD"}]});
                fields.insert("entities".into(), tags);
            }
            4 => {
                let user = serde_json::json!({"id": hour + 1, "screen_name": "somebody else"});
                fields.insert("user".into(), user);
            }
            _ => {
                let day = 1 + random.below(28);
                let time = format!("Fri Apr {day:02} {hour:02}:30:11 +0000 2014");
                fields.insert("created_at".into(), time.into());
            }
        }
    }
    Some((tweet.to_string() + "\n").into_bytes())
}

/// Lets the ETL make the store of `lines` at `path`.
fn build(directory: &Path, path: &Path, lines: &[Vec<u8>], history: bool) -> Meta {
    let (input, excluded) = (
        directory.join("input.jsonl"),
        directory.join("excluded.txt"),
    );
    fs::write(&input, lines.concat()).unwrap();
    fs::write(&excluded, EXCLUDED).unwrap();
    let options = Options {
        exclude: Some(excluded),
        history,
        memory_bytes: 32 << 20,
        workers: 1,
        partitions: Some(2),
        allow_empty: true, // after deletions nobody may have a contact
        ..Options::new(vec![input], directory.join("work"))
    };
    let mut sink = StoreSink::create(path, true).unwrap();
    etl::run(&options, &mut sink, &Silent).unwrap();
    sink.meta().unwrap().clone()
}

fn verify(path: &Path) -> Meta {
    maintenance::verify(path).unwrap()
}

/// A store of the first of `parts` with history, and the rest as bodies to send.
struct Split {
    directory: Directory,
    path: PathBuf,
    batches: Vec<Vec<u8>>,
    /// What the ETL makes of the first part and the first `n` batches.
    expected: Vec<Meta>,
}

/// Shuffles `lines` and deals them out. `steps`: expect after each batch and not only at the end.
fn split(mut lines: Vec<Vec<u8>>, seed: u64, batch_count: usize, steps: bool) -> Split {
    let directory = fresh_directory("ingest");
    let path = directory.join("store");
    let mut random = Random(seed);
    random.shuffle(&mut lines);
    // The first part may be empty.
    let base = random.below(lines.len());
    let mut ends: Vec<usize> = (1..batch_count)
        .map(|_| base + random.below(lines.len() - base))
        .collect();
    ends.sort_unstable();
    ends.push(lines.len());
    let (mut start, mut batches) = (base, Vec::new());
    for &end in &ends {
        let mut batch = lines[start..end].concat();
        if random.below(2) == 0 && batch.ends_with(b"}\n") {
            batch.pop();
        }
        batches.push(batch);
        start = end;
    }
    let other = directory.join("other");
    ends.insert(0, base);
    let last = ends.len() - 1;
    let wanted = ends.iter().enumerate().filter(|(n, _)| steps || *n == last);
    let expected = wanted
        .map(|(_, end)| build(&directory, &other, &lines[..*end], true))
        .collect();
    build(&directory, &path, &lines[..base], true);
    Split {
        directory,
        path,
        batches,
        expected,
    }
}

fn serve(path: &Path, settings: &[&str]) -> Server {
    let mut command = Server::command();
    command
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .arg("--twitter-store")
        .arg(path);
    for setting in settings {
        command.args(["--set", setting]);
    }
    Server::spawn(command)
}

fn post(body: &[u8], fields: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /twitter/tweets HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const GZIP: &str = "Content-Encoding: gzip\r\n";

fn admin(server: &Server) -> Client {
    Client::connect(server.admin.unwrap())
}

/// What the answer counts.
fn counts(answer: &Response) -> serde_json::Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// A server that took tweets old and new, refused some, and had its store replaced.
pub fn used_server() -> (Directory, Server) {
    let lines = lines(3, 200, 20);
    let directory = fresh_directory("ingest-used");
    let path = directory.join("store");
    build(&directory, &path, &lines[..100], true);
    let server = serve(&path, &["twitter.ingest=admin"]);
    let mut client = admin(&server);
    counts(&client.ask(&post(&lines.concat(), "")));
    let later = String::from_utf8_lossy(&lines.concat()).replace(" 2014\"", " 2020\"");
    counts(&client.ask(&post(later.as_bytes(), "")));
    let notices = [
        "scrub_geo",
        "limit",
        "status_withheld",
        "user_withheld",
        "warning",
    ];
    let notices = notices.map(|notice| format!("{{\"{notice}\":{{}}}}").into_bytes());
    let deletions = lines.iter().filter_map(|line| deletion_of(line));
    let deletions: Vec<_> = deletions.chain(notices).collect();
    counts(&client.ask(&post(&deletions.join(&b'\n'), "")));
    counts(&client.ask(&post(later.as_bytes(), "")));
    assert_eq!(client.ask(&post(b"x", GZIP)).status, 400);
    build(&directory, &path, &lines[..50], true);
    assert_eq!(client.ask(&post(&lines[0], "")).status, 503);
    (directory, server)
}

/// Sends at most three of the batches and kills the server while it works on the last. Returns how many were accepted.
///
/// The kill comes after a share of the time that a batch just took, so fast and slow machines are killed at the same
/// steps.
fn send_until_killed(server: &Server, random: &mut Random, batches: &[Vec<u8>]) -> usize {
    let mut client = admin(server);
    let mut took = Duration::from_millis(5);
    let whole = random.below(3).min(batches.len() - 1);
    for batch in &batches[..whole] {
        let began = Instant::now();
        counts(&client.ask(&post(&gzip(batch), GZIP)));
        took = began.elapsed();
    }
    client.send(&post(&gzip(&batches[whole]), GZIP));
    pace(took * random.below(1_500) as u32 / 1_000);
    server.signal("KILL");
    let answer = client.response();
    whole + usize::from(answer.is_some_and(|answer| answer.status == 200))
}
