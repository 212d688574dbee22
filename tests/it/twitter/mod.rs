//! `/twitter` through a real socket: against the oracle, by name, and while stores come and go.
//!
//! [`oracle`] needs `python3`. `TRIDENT_TEST_CASES` sets the number of queries per data set.

pub mod mysql;
mod oracle;
mod pages;
mod reload;
mod rules;
pub mod stores;

use crate::{
    harness::{Client, Response, Server},
    temp_dir::TempDir,
};
use std::{fs, path::Path, sync::atomic::Ordering::Relaxed};
use trident::store::{Meta, StoreWriter, value::Encoder};

/// Variable with the number of queries per data set.
const CASES: &str = "TRIDENT_TEST_CASES";

/// First line of every answer of a server started with [`TEAM`].
const TEAM_LINE: &str = "TeamCoolCloud,123400000001\n";

/// Arguments that make the server answer in the oracle's name.
const TEAM: [&str; 4] = [
    "--set",
    "team.name=TeamCoolCloud",
    "--set",
    "team.aws_account=123400000001",
];

/// A contact tweet: types (1 reply, 2 retweet), text, tags.
type Tweet<'a> = (u32, &'a str, &'a [&'a str]);

/// A contact: id, sum of the counts of common tags, tweets from old to new.
type Contact<'a> = (u64, u64, &'a [Tweet<'a>]);

/// The value of `user_id` with contacts by ascending id.
fn value(user_id: u64, contacts: &[Contact<'_>]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    for (other, same, tweets) in contacts {
        let (name, about) = (format!("name{other}"), format!("about {other}"));
        let own = *other == user_id;
        encoder.contact(*other, own, *same, name.as_bytes(), about.as_bytes());
        for (at, (types, text, tags)) in tweets.iter().enumerate() {
            let tags = tags.iter().map(|tag| tag.as_bytes());
            encoder.tweet(at as u64, at as i64, *types, text.as_bytes(), tags);
        }
    }
    let mut out = Vec::new();
    encoder.finish(user_id, &mut out).unwrap();
    out
}

/// Makes a store at `path` with `users` by ascending id, and replaces an existing one.
fn store(path: &Path, users: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Meta {
    let mut writer = StoreWriter::create(path, true).unwrap();
    for (user_id, value) in users {
        writer.put(user_id, &value).unwrap();
    }
    writer.finish().unwrap()
}

/// A server that answers from the store at `path` in the oracle's name.
fn serve(path: &Path, more: &[&str]) -> Server {
    let mut command = Server::command();
    command
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(TEAM)
        .arg("--twitter-store")
        .arg(path)
        .args(more);
    Server::spawn(command)
}

fn get(query: &str) -> Vec<u8> {
    format!("GET /twitter?{query} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes()
}

fn ask(client: &mut Client, query: &str) -> Response {
    client.ask(&get(query))
}
