//! Generated and hand-written input, with the oracle's answers. Made once per test run.

use std::{
    collections::HashMap,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use trident::synth::{
    self, Dataset,
    output::{Form, write_lines},
};

/// An input with the oracle's results for it.
pub struct Set {
    pub name: &'static str,
    /// All lines in one plain file.
    pub data: PathBuf,
    pub excluded: PathBuf,
    pub dump: String,
    bytes: Vec<u8>,
    stats: HashMap<String, u64>,
    _directory: Directory,
}

impl Set {
    /// The lines, without newlines.
    pub fn lines(&self) -> Vec<&[u8]> {
        self.bytes
            .strip_suffix(b"\n")
            .unwrap_or(&self.bytes)
            .split(|&b| b == b'\n')
            .collect()
    }

    /// What another command of the oracle prints.
    pub fn oracle(&self, command: &str) -> String {
        self.oracle_as("replace", command)
    }

    /// As above, with one of the two choices for damaged strings.
    pub fn oracle_as(&self, compat: &str, command: &str) -> String {
        run_oracle(compat, command, &self.data, &self.excluded)
    }

    /// A number of the oracle's `stats` command; 0 if it does not name it.
    pub fn stat(&self, name: &str) -> u64 {
        self.stats.get(name).copied().unwrap_or(0)
    }
}

/// A new, empty directory for one test, deleted after it unless it fails.
pub struct Directory(PathBuf);

impl Deref for Directory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// Makes a [`Directory`]; what earlier runs of the tests left behind is deleted first.
pub fn fresh_directory(name: &str) -> Directory {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let base = BASE.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("etl");
        let _ = fs::remove_dir_all(&base);
        base
    });
    let path = base.join(format!("{}-{name}", NEXT.fetch_add(1, Relaxed)));
    fs::create_dir_all(&path).unwrap();
    Directory(path)
}

/// Three sets of the Python generator with every kind of bad line, one of ours, and one by hand.
pub fn all() -> &'static [Set] {
    static SETS: OnceLock<Vec<Set>> = OnceLock::new();
    SETS.get_or_init(|| {
        let mut sets = vec![
            generated("many valid", "11", &["--lines", "6000", "--valid", "0.9"]),
            generated("many bad", "12", &["--lines", "6000", "--valid", "0.3"]),
            // Few users and tags: many shared tags, large scores, busy pairs.
            generated(
                "crowded",
                "13",
                &["--lines", "5000", "--users", "40", "--tags", "90"],
            ),
            deletions(),
        ];
        sets.push(by_our_generator());
        sets.push(by_hand());
        sets
    })
}

fn generated(name: &'static str, seed: &str, options: &[&str]) -> Set {
    let directory = fresh_directory("set");
    let (data, excluded) = (
        directory.join("tweets.jsonl"),
        directory.join("excluded.txt"),
    );
    let python = |command: &str, out: &Path, options: &[&str]| {
        let mut run = Command::new("python3");
        run.arg(script("tweet_gen.py"))
            .args([command, "--seed", seed, "--out"])
            .arg(out);
        assert!(
            run.args(options).output().unwrap().status.success(),
            "{run:?}"
        );
    };
    python("tweets", &data, options);
    python("excluded", &excluded, &[]);
    with_answers(name, directory, data, excluded)
}

/// Tweets of few users, one in nine of them deleted before or after its line, and every other notice.
fn deletions() -> Set {
    let options = ["--lines", "4000", "--users", "60", "--tags", "90"];
    let generated = generated("", "15", &options);
    let mut lines = Vec::new();
    for (at, line) in generated.lines().into_iter().enumerate() {
        let deletion = (at % 9 == 0).then(|| deletion_of(line)).flatten();
        let (before, after) = match at % 2 {
            0 => (deletion, None),
            _ => (None, deletion),
        };
        let own = Some(line.to_vec());
        lines.extend([before, own, after].into_iter().flatten());
    }
    for notice in [
        "scrub_geo",
        "limit",
        "status_withheld",
        "user_withheld",
        "warning",
    ] {
        lines.push(format!("{{\"{notice}\":{{\"track\":7}}}}").into_bytes());
    }
    // The tweet is unknown, the deletion names no tweet, or the line is a tweet.
    for line in [
        r#"{"delete":{"status":{"id":99,"id_str":"99","user_id":3}}}"#,
        r#"{"delete":{"status":{"id":99}},"limit":{}}"#,
        r#"{"delete":{"status":{}}}"#,
        r#"{"delete":7}"#,
        r#"{"id":98,"delete":{"status":{"id":97}}}"#,
    ] {
        lines.push(line.into());
    }
    let directory = fresh_directory("set");
    let (data, excluded) = (
        directory.join("tweets.jsonl"),
        directory.join("excluded.txt"),
    );
    lines.push(Vec::new());
    fs::write(&data, lines.join(&b'\n')).unwrap();
    fs::copy(&generated.excluded, &excluded).unwrap();
    with_answers("deletions", directory, data, excluded)
}

/// The notice that deletes the tweet of a line.
pub fn deletion_of(line: &[u8]) -> Option<Vec<u8>> {
    let tweet: serde_json::Value = serde_json::from_slice(line).ok()?;
    let (id, user) = (tweet["id"].as_u64()?, &tweet["user"]["id"]);
    let status = serde_json::json!({"id": id, "id_str": id.to_string(), "user_id": user});
    Some(
        serde_json::json!({"delete": {"status": status}})
            .to_string()
            .into_bytes(),
    )
}

fn by_our_generator() -> Set {
    let directory = fresh_directory("set");
    let (data, excluded) = (
        directory.join("tweets.jsonl"),
        directory.join("excluded.txt"),
    );
    let dataset = Dataset::new(synth::Options::for_lines(14, 6000));
    let mut file = fs::File::create(&data).unwrap();
    let line = |index, line: &mut Vec<u8>| dataset.write_line(index, line);
    write_lines(6000, 2, Form::Plain, &mut file, line).unwrap();
    fs::write(&excluded, dataset.excluded_list()).unwrap();
    with_answers("our generator", directory, data, excluded)
}

fn by_hand() -> Set {
    let directory = fresh_directory("set");
    let (data, excluded) = (
        directory.join("tweets.jsonl"),
        directory.join("excluded.txt"),
    );
    fs::write(&data, hand_written_lines()).unwrap();
    fs::write(&excluded, "\u{feff}Excluded\r\n\n  ΟΔΟΣ \n").unwrap();
    with_answers("by hand", directory, data, excluded)
}

fn with_answers(name: &'static str, directory: Directory, data: PathBuf, excluded: PathBuf) -> Set {
    let oracle = |command: &str| run_oracle("replace", command, &data, &excluded);
    let number = |line: &str| {
        let (name, number) = line.split_once(' ').unwrap();
        (name.to_owned(), number.parse().unwrap())
    };
    let stats = oracle("stats").lines().map(number).collect();
    let bytes = fs::read(&data).unwrap();
    Set {
        name,
        dump: oracle("dump"),
        stats,
        bytes,
        data,
        excluded,
        _directory: directory,
    }
}

fn run_oracle(compat: &str, command: &str, data: &Path, excluded: &Path) -> String {
    let mut run = Command::new("python3");
    run.arg(script("twitter_oracle.py"))
        .args([command, "--compat", compat])
        .arg("--data")
        .arg(data);
    run.arg("--excluded")
        .arg(excluded)
        .env("PYTHONIOENCODING", "utf-8");
    let output = run.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracle")
        .join(name)
}

/// One tweet; `more` is inserted before the closing brace.
fn tweet(id: u64, user: u64, text: &str, tags: &[&str], more: &str) -> Vec<u8> {
    let tags: Vec<_> = tags
        .iter()
        .map(|tag| serde_json::json!({ "text": tag }))
        .collect();
    let line = serde_json::json!({
        "created_at": "Fri Apr 04 05:30:11 +0000 2014", "id": id, "lang": "en", "text": text,
        "user": {"id": user, "screen_name": format!("user{user}"), "description": "d\t\n\\"},
        "entities": {"hashtags": tags},
    });
    let line = line.to_string();
    [&line.as_bytes()[..line.len() - 1], more.as_bytes(), b"}"].concat()
}

fn hand_written_lines() -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let reply = |to: u64| format!(",\"in_reply_to_user_id\":{to}");
    let retweet = |of: u64| format!(",\"retweeted_status\":{{\"user\":{{\"id\":{of}}}}}");

    // A hub with enough tags for them to be stored apart, and contacts that share some, one of them
    // another hub; tags that need escaping; a contact without tags.
    let many: Vec<String> = (0..300).map(|i| format!("Tag\t{i}\\")).collect();
    for (chunk, tags) in many.chunks(25).enumerate() {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        for hub in [1, 2] {
            let id = hub * 1000 + chunk as u64;
            let to = 3 + chunk as u64 % 3;
            lines.push(tweet(id, hub, "hub", &tags, &reply(to)));
        }
    }
    lines.push(tweet(3001, 1, "to the other hub", &["tag\t1\\"], &reply(2)));
    lines.push(tweet(
        3002,
        3,
        "x",
        &["TAG\t7\\", "tag\t7\\", "excluded"],
        &retweet(1),
    ));
    lines.push(tweet(
        3003,
        4,
        "x",
        &["Οδος", "İ", "TAG\t299\\"],
        &retweet(2),
    ));

    // Both types at once, a reply to oneself, identifiers at their limits.
    lines.push(tweet(4001, 7, "both", &["a"], &(reply(8) + &retweet(8))));
    lines.push(tweet(4002, 7, "self", &["a"], &(reply(7) + &retweet(7))));
    lines.push(tweet(
        4003,
        7,
        "self and other",
        &["a"],
        &(reply(7) + &retweet(8)),
    ));
    lines.push(tweet(0, 0, "zero", &["a"], &reply(9223372036854775807)));
    lines.push(tweet(9223372036854775807, 9, "max", &["a"], &reply(0)));
    lines.push(tweet(
        4004,
        9,
        "no one",
        &["a"],
        ",\"in_reply_to_user_id\":9223372036854775808",
    ));
    lines.push(tweet(
        4005,
        9,
        "minus zero",
        &["a"],
        ",\"in_reply_to_user_id\":-0",
    ));
    lines.push(tweet(
        4006,
        9,
        "float",
        &["a"],
        ",\"in_reply_to_user_id\":8.0,\"in_reply_to_user_id_str\":\"008\"",
    ));

    // Repeated and escaped keys: the last one wins.
    lines.push(tweet(
        5001,
        10,
        "old",
        &["a"],
        &(",\"te\\u0078t\":\"new\"".to_owned() + &reply(11)),
    ));
    lines.push(tweet(
        5002,
        10,
        "x",
        &["a"],
        ",\"user\":{\"id\":12},\"in_reply_to_user_id_str\":\"1\\u0033\"",
    ));
    lines.push(tweet(5003, 10, "x", &["a"], ",\"entities\":{\"hashtags\":[{\"text\":\"b\",\"text\":\"\"},7]},\"in_reply_to_user_id\":11"));
    lines.push(tweet(5004, 10, "x", &["a"], ",\"entities\":{}"));

    // Numbers rounded as floats are, with the right text beside them: two tweets and four users, not one.
    for id in [1_234_567_890_123_456_789_u64, 1_234_567_890_123_456_791] {
        let rounded = (id as f64) as u64;
        let more = format!(
            ",\"id_str\":\"{id}\",\"user\":{{\"id\":{rounded},\"id_str\":\"{id}\"}},\
             \"in_reply_to_user_id\":{rounded},\"in_reply_to_user_id_str\":\"{id}\",\
             \"retweeted_status\":{{\"user\":{{\"id\":{rounded},\"id_str\":\"{}\"}}}}",
            id + 10
        );
        lines.push(tweet(rounded, 1, "rounded", &["a"], &more));
    }
    lines.push(tweet(
        5101,
        10,
        "no digits",
        &["a"],
        &(reply(11) + ",\"id_str\":\"x\""),
    ));

    // Damage inside strings, in the text, in a name, in a tag and in a key.
    let damaged = |text: &[u8], more: &[u8]| {
        let line = tweet(6000 + more.len() as u64, 14, "@@", &["a"], &reply(15));
        let at = line.windows(2).position(|w| w == b"@@").unwrap();
        [&line[..at], text, &line[at + 2..line.len() - 1], more, b"}"].concat()
    };
    lines.push(damaged(
        b"\\ud83d \\ude00\\ud83d\\ud83d\\ude00 \\uD83Dx \\u0000",
        b" ",
    ));
    lines.push(damaged(
        b"\xff \xc3( \xe2\x82 \xed\xa0\xbd \xf0\x9f\x98 \xc0\x80",
        b"  ",
    ));
    lines.push(damaged(
        b"\xf4\x90\x80\x80\xef\xbf\xbe\xe2\x80\xa8\x7f\\b\\f\\/",
        b"   ",
    ));
    lines.push(damaged(
        b"t",
        b",\"\xff\":\"\xfe\",\"entities\":{\"hashtags\":[{\"text\":\"\\udc00\xe9\"}]}",
    ));
    lines.push(damaged(b"\x01", b""));
    lines.push(damaged(b"\\x", b""));
    lines.push(damaged(b"t", b"\xff"));

    // Duplicates that differ in one field each.
    for text in ["a", "b\\", "b\t", "b"] {
        lines.push(tweet(7001, 16, text, &["a"], &reply(17)));
    }
    for tags in [&["a"][..], &["A"], &["a", "b"], &["a", "B"]] {
        lines.push(tweet(7002, 16, "t", tags, &reply(17)));
    }
    lines.push(tweet(7003, 16, "t", &["a"], &reply(17)));
    lines.push(tweet(7003, 16, "t", &["a"], ""));
    lines.push(tweet(7003, 16, "t", &["a"], ",\"lang\":\"de\""));

    for odd in [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "NaN",
        "\u{feff}{}",
        "{\"a\":1}{\"b\":2}",
        "{\"a\":",
    ] {
        lines.push(odd.as_bytes().to_vec());
    }
    lines.push(tweet(
        8001,
        18,
        "carriage return",
        &["a"],
        &(reply(19) + "\r\t "),
    ));
    let deep = "[".repeat(500) + &"]".repeat(500);
    lines.push(tweet(
        8002,
        18,
        "deep",
        &["a"],
        &format!("{},\"x\":{deep}", reply(19)),
    ));
    lines.push(tweet(8003, 18, &"long ".repeat(40_000), &["a"], &reply(19)));
    lines.push(tweet(8004, 18, "no newline at the end", &["a"], &reply(19)));
    lines.join(&b'\n')
}
