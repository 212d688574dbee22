//! Every answer of the server equals the oracle's, byte by byte, on generated tweets and queries.
//!
//! The store is made from the oracle's own tables, so that only the query half is compared.

use super::*;
use std::process::Command;

pub(super) struct Set {
    pub(super) seed: &'static str,
    /// Queries by default: 21,000 in all sets together, fewer where the oracle takes longest.
    pub(super) queries: usize,
    /// Number of users: the fewer, the more contacts each.
    pub(super) users: &'static str,
    pub(super) empty: &'static str,
    pub(super) empty_answer: &'static str,
}

#[test]
fn answers_are_the_oracles_with_few_users_and_many_contacts() {
    compare(&Set {
        seed: "11",
        queries: 3_000,
        users: "40",
        empty: "invalid",
        empty_answer: "invalid",
    });
}

#[test]
fn answers_are_the_oracles_with_the_usual_mix() {
    compare(&Set {
        seed: "12",
        queries: 9_000,
        users: "600",
        empty: "header",
        empty_answer: "header",
    });
}

#[test]
fn answers_are_the_oracles_with_many_users_and_few_contacts() {
    compare(&Set {
        seed: "13",
        queries: 9_000,
        users: "5000",
        empty: "header_nl",
        empty_answer: "header_newline",
    });
}

fn compare(set: &Set) {
    let cases = std::env::var(CASES).ok();
    let cases = cases.map_or(set.queries, |text| text.parse().unwrap());
    let directory = TempDir::new();
    let answers = ask_oracle(&directory, set, cases);
    let path = directory.join("store");
    let oracle_dump = fs::read_to_string(directory.join("dump.jsonl")).unwrap();
    build(&path, &oracle_dump);
    assert_eq!(dump(&path), oracle_dump);

    let setting = format!("twitter.empty_answer={}", set.empty_answer);
    let server = serve(&path, &["--set", &setting]);
    let mut client = server.connect();
    let mut rows = 0;
    let mut kinds = Kinds::default();
    for line in answers.lines() {
        let (query, want): (String, String) = serde_json::from_str(line).unwrap();
        let got = ask(&mut client, &query);
        assert_eq!((got.status, got.text()), (200, want.clone()), "{query}");
        assert_eq!(got.field("content-type"), Some("text/plain; charset=utf-8"));
        rows += usize::from(want.contains('\t'));
        kinds.note(&query, &want);
    }
    kinds.check(cases);
    assert_eq!(answers.lines().count(), cases);
    assert!(rows > cases / 2, "only {rows} of {cases} answers have rows");
    let valid = server.metric("trident_requests_total{endpoint=\"twitter\",outcome=\"valid\"}");
    assert_eq!(valid, rows as u64);
    assert_eq!(
        server.metric("trident_requests_total{endpoint=\"twitter\""),
        cases as u64
    );
    assert_eq!(
        server.metric("trident_store_lookups_total{result=\"corrupt\"}"),
        0
    );
}

/// Counts of the kinds of queries and answers, so that gaps of the generator are noticed.
#[derive(Default)]
struct Kinds {
    reply: usize,
    retweet: usize,
    both: usize,
    /// Phrases or hashtags outside ASCII.
    unicode: usize,
    /// Phrases that can overlap themselves, such as `haha`.
    overlapping: usize,
    /// Users that are listed among their own contacts.
    own: usize,
    /// Two rows or more, of which some have equal scores in most sets.
    lists: usize,
    nothing_or_invalid: usize,
}

impl Kinds {
    fn note(&mut self, query: &str, answer: &str) {
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut named = pairs.filter(|(found, _)| *found == name);
            named.next().map_or("", |(_, value)| value)
        };
        match value("type") {
            "reply" => self.reply += 1,
            "retweet" => self.retweet += 1,
            "both" => self.both += 1,
            _ => {}
        }
        let high = |text: &str| {
            let digits = text
                .split('%')
                .skip(1)
                .filter_map(|rest| rest.chars().next());
            digits.into_iter().any(|digit| digit >= '8')
        };
        self.unicode += usize::from(high(value("phrase")) || high(value("hashtag")));
        let phrase = value("phrase").as_bytes();
        let overlaps = (1..phrase.len()).any(|n| phrase.starts_with(&phrase[n..]));
        self.overlapping += usize::from(overlaps && !phrase.contains(&b'%'));
        let own = format!("\n{}\t", value("user_id").trim_start_matches('0'));
        self.own += usize::from(answer.contains(&own));
        self.lists += usize::from(answer.matches('\t').count() > 3);
        self.nothing_or_invalid += usize::from(!answer.contains('\t'));
    }

    fn check(&self, cases: usize) {
        for (name, count, of_a_thousand) in [
            ("reply", self.reply, 100),
            ("retweet", self.retweet, 100),
            ("both", self.both, 100),
            ("unicode", self.unicode, 50),
            ("overlapping phrase", self.overlapping, 3),
            ("own contact", self.own, 3),
            ("several rows", self.lists, 100),
            ("nothing to list, or invalid", self.nothing_or_invalid, 30),
        ] {
            assert!(
                count >= cases * of_a_thousand / 1000,
                "{name}: {count} of {cases}"
            );
        }
    }
}

/// Generates tweets and queries; returns the oracle's answers and leaves its tables in `dump.jsonl`.
pub(super) fn ask_oracle(directory: &TempDir, set: &Set, cases: usize) -> String {
    let at = |name: &str| directory.join(name).into_os_string().into_string().unwrap();
    let (tweets, popular, queries) = (at("t.jsonl"), at("popular.txt"), at("q.txt"));
    let lines = cases.clamp(6000, 30_000).to_string();
    let cases = cases.to_string();
    let generator = |arguments: &[&str]| python("tweet_gen.py", arguments);
    let seed = ["--seed", set.seed];
    generator(
        &[
            &[
                "tweets", "--lines", &lines, "--users", set.users, "--out", &tweets,
            ],
            &seed[..],
        ]
        .concat(),
    );
    generator(&[&["excluded", "--out", &popular], &seed[..]].concat());
    let data = ["--data", &tweets, "--excluded", &popular];
    generator(
        &[
            &["queries", "--n", &cases, "--out", &queries],
            &seed[..],
            &data[..],
        ]
        .concat(),
    );
    let (dump, answers) = (at("dump.jsonl"), at("answers.jsonl"));
    let oracle = |arguments: &[&str]| python("twitter_oracle.py", &[arguments, &data].concat());
    oracle(&["dump", "--out", &dump]);
    oracle(&[
        "answer",
        "--queries",
        &queries,
        "--empty",
        set.empty,
        "--out",
        &answers,
    ]);
    fs::read_to_string(answers).unwrap()
}

fn python(script: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracle")
        .join(script);
    let output = Command::new("python3")
        .arg("-B")
        .arg(path)
        .args(arguments)
        .output();
    let output = output.expect("python3 is needed to run the oracle");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {stderr}");
}

/// Makes a store of the oracle's tables.
pub(super) fn build(path: &Path, dump: &str) {
    let users = dump.lines().map(|line| {
        let user: serde_json::Value = serde_json::from_str(line).unwrap();
        let user_id = user["user_id"].as_u64().unwrap();
        let mut encoder = Encoder::default();
        for contact in user["contacts"].as_array().unwrap() {
            add(&mut encoder, user_id, contact);
        }
        let mut value = Vec::new();
        encoder.finish(user_id, &mut value).unwrap();
        (user_id, value)
    });
    store(path, users);
}

fn add(encoder: &mut Encoder, user_id: u64, contact: &serde_json::Value) {
    let text = |name: &str| contact[name].as_str().unwrap().as_bytes();
    let other = contact["user_id"].as_u64().unwrap();
    let same = contact["same"].as_u64().unwrap();
    encoder.contact(
        other,
        other == user_id,
        same,
        text("screen_name"),
        text("description"),
    );
    for tweet in contact["tweets"].as_array().unwrap() {
        let tags = tweet["tags"].as_array().unwrap();
        encoder.tweet(
            tweet["id"].as_u64().unwrap(),
            tweet["created_at"].as_i64().unwrap(),
            tweet["types"].as_u64().unwrap() as u32,
            tweet["text"].as_str().unwrap().as_bytes(),
            tags.iter().map(|tag| tag.as_str().unwrap().as_bytes()),
        );
    }
}

/// What `trident store dump` prints.
fn dump(path: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trident"))
        .args(["store", "dump"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
