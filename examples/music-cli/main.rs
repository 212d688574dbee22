//! Command line client of the music service: objects, a prompt with history, CSV files, requests for load tests.
//!
//! ```text
//! music-cli create user fname=Ada lname=Lovelace email=ada@example.org
//! music-cli shell
//! music-cli load --users users.csv --music music.csv --playlists playlists.csv
//! music-cli corpus --users users.csv --music music.csv > music.jsonl
//! ```

#![allow(clippy::print_stdout)] // its answers

#[path = "../common/client.rs"]
#[allow(dead_code)] // it has what services need, too
mod caller;
mod client;
mod table;

use std::{env, io, path::PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};
use rustyline::{DefaultEditor, error::ReadlineError};
use serde_json::Value;
use ureq::http::Method;

use caller::Client;
use client::{Kind, connect, log_in};

/// Client of the music service.
#[derive(Parser)]
#[command(name = "music-cli")]
struct Arguments {
    /// Address of the service.
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    server: String,
    /// Token of `login`; from MUSIC_TOKEN if it is not given.
    #[arg(long)]
    token: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    One(One),
    /// A prompt that takes create, read, delete, login and logoff, with history.
    Shell,
    /// Stores CSV files, with progress. The same files may be loaded again.
    Load(table::Tables),
    /// Prints requests and right answers for `trident load --corpus` from CSV files that were loaded.
    Corpus(table::Tables),
}

/// A line at the prompt.
#[derive(Parser)]
#[command(name = "", multicall = false, no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    one: One,
}

#[derive(Subcommand)]
enum One {
    /// A new object: user, music or playlist, and its members as name=value (songs=ID,ID).
    Create {
        kind: String,
        #[arg(required = true, value_name = "NAME=VALUE")]
        members: Vec<String>,
    },
    /// An object.
    Read { kind: String, id: String },
    /// Deletes an object.
    Delete { kind: String, id: String },
    /// Prints the token of a user; at the prompt it is kept.
    Login { user_id: String },
    /// Ends the token.
    Logoff,
}

impl One {
    fn run(&self, client: &mut Client) -> anyhow::Result<Value> {
        let path = |kind: &str, id: &str| {
            let kind = Kind::of(kind)?;
            Ok::<_, anyhow::Error>(format!("/api/v1/{}/{id}", kind.name))
        };
        match self {
            Self::Create { kind, members } => {
                let known = Kind::of(kind)?;
                let given = |name: &str| {
                    let mut pairs = members.iter().filter_map(|pair| pair.split_once('='));
                    pairs
                        .find(|(given, _)| *given == name)
                        .map(|(_, value)| value)
                };
                client.json(Method::POST, &path(kind, "")?, Some(&known.object(given)?))
            }
            Self::Read { kind, id } => client.json(Method::GET, &path(kind, id)?, None),
            Self::Delete { kind, id } => client.json(Method::DELETE, &path(kind, id)?, None),
            Self::Login { user_id } => log_in(client, user_id),
            Self::Logoff => {
                let answer = client.json(Method::PUT, "/api/v1/user/logoff", None)?;
                client.token = None;
                Ok(answer)
            }
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let token = arguments.token.or_else(|| env::var("MUSIC_TOKEN").ok());
    let mut client = connect(&arguments.server, token);
    match arguments.command {
        Command::One(one) => println!("{:#}", one.run(&mut client)?),
        Command::Shell => shell(&mut client)?,
        Command::Load(tables) => table::load(&mut client, &tables)?,
        Command::Corpus(tables) => {
            table::corpus(
                &mut client,
                &tables,
                &mut io::BufWriter::new(io::stdout().lock()),
            )?;
        }
    }
    Ok(())
}

/// Reads lines until the end of the input. A mistake is reported, then the prompt continues.
fn shell(client: &mut Client) -> anyhow::Result<()> {
    let mut editor = DefaultEditor::new().context("cannot read from this terminal")?;
    let history = env::var_os("HOME").map(|home| PathBuf::from(home).join(".music_history"));
    if let Some(history) = &history {
        let _ = editor.load_history(history); // it does not exist at first
    }
    loop {
        let line = match editor.readline("music> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        let Some(words) = shlex::split(&line) else {
            println!("a quote is open");
            continue;
        };
        if words.is_empty() {
            continue;
        }
        editor.add_history_entry(&line)?;
        match Line::try_parse_from(words) {
            Ok(line) => match line.one.run(client) {
                Ok(answer) => println!("{answer:#}"),
                Err(error) => println!("{error:#}"),
            },
            Err(error) => println!("{error}"),
        }
    }
    if let Some(history) = &history {
        editor.save_history(history)?;
    }
    Ok(())
}
