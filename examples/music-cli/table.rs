//! CSV files of users, music and playlists: loading them into the service, and requests for load tests from them.
//!
//! The first line names the columns: the id and the members, such as `user_id,fname,lname,email`. The songs of a playlist
//! are separated by blanks.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use anyhow::Context;
use csv::StringRecord;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::{
    caller::Client,
    client::{KINDS, Kind, log_in},
};

/// Writes in flight: they share the commits of the store.
const WRITES: usize = 32;

/// Number of reads in a load test for each write.
const READS_PER_WRITE: usize = 20;

/// One file for each kind.
#[derive(clap::Args)]
pub struct Tables {
    /// Columns user_id, fname, lname, email.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Columns music_id, Artist, SongTitle.
    #[arg(long, value_name = "FILE")]
    music: Option<PathBuf>,
    /// Columns playlist_id, name, songs.
    #[arg(long, value_name = "FILE")]
    playlists: Option<PathBuf>,
}

impl Tables {
    /// The files that were given, in the order in which they are loaded.
    fn files(&self) -> impl Iterator<Item = (&'static Kind, &Path)> {
        let files = [&self.users, &self.music, &self.playlists];
        KINDS
            .iter()
            .zip(files)
            .filter_map(|(kind, file)| Some((kind, file.as_deref()?)))
    }
}

/// A file's objects with their ids.
struct Rows {
    lines: csv::StringRecordsIntoIter<File>,
    columns: StringRecord,
    kind: &'static Kind,
}

impl Rows {
    fn open(kind: &'static Kind, file: &Path) -> anyhow::Result<Self> {
        let open = || {
            let mut reader = csv::Reader::from_path(file)?;
            let columns = reader.headers()?.clone();
            Ok::<_, csv::Error>((reader, columns))
        };
        let (reader, columns) =
            open().with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self {
            lines: reader.into_records(),
            columns,
            kind,
        })
    }
}

impl Iterator for Rows {
    type Item = anyhow::Result<(String, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        let object = |line: StringRecord| -> anyhow::Result<_> {
            let member = |name: &str| line.get(self.columns.iter().position(|c| c == name)?);
            let id = member(self.kind.id).with_context(|| format!("no column {}", self.kind.id))?;
            Ok((id.to_owned(), self.kind.object(member)?))
        };
        Some(match self.lines.next()? {
            Ok(line) => {
                let number = line.position().map_or(0, csv::Position::line);
                object(line).with_context(|| format!("line {number}"))
            }
            Err(error) => Err(error.into()),
        })
    }
}

/// Stores every object of the files under its id. The same files may be loaded again.
pub fn load(client: &mut Client, tables: &Tables) -> anyhow::Result<()> {
    // Without a token, a temporary user is made.
    let guest = match &client.token {
        Some(_) => None,
        None => Some(become_guest(client)?),
    };
    let loaded = tables
        .files()
        .try_for_each(|(kind, file)| load_file(client, kind, file));
    if let Some(guest) = guest {
        client.json::<Value>(Method::DELETE, &format!("/api/v1/user/{guest}"), None)?;
        client.token = None;
    }
    loaded
}

fn become_guest(client: &mut Client) -> anyhow::Result<String> {
    let user = json!({"fname": "CSV", "lname": "loader", "email": ""});
    let user: Value = client.json(Method::POST, "/api/v1/user/", Some(&user))?;
    let id = user["user_id"]
        .as_str()
        .context("an answer without user_id")?;
    log_in(client, id)?;
    Ok(id.into())
}

fn load_file(client: &Client, kind: &'static Kind, file: &Path) -> anyhow::Result<()> {
    let total = Rows::open(kind, file)?.count();
    let style = ProgressStyle::with_template("{msg:9} {wide_bar} {pos}/{len} {per_sec} {eta}")?;
    let bar = ProgressBar::new(total as u64)
        .with_style(style)
        .with_message(kind.name);
    let rows = Mutex::new(Rows::open(kind, file)?);
    let store = || -> anyhow::Result<()> {
        loop {
            let next = rows.lock().ok().and_then(|mut rows| rows.next());
            let Some((id, object)) = next.transpose()? else {
                return Ok(());
            };
            let path = format!("/api/v1/datastore/write?objtype={}&objkey={id}", kind.name);
            client
                .order(Method::POST, &path, &object)
                .with_context(|| format!("{} {id}", kind.name))?;
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITES).map(|_| scope.spawn(store)).collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the loader panicked")))
        })
    })
    .with_context(|| format!("cannot load {}", file.display()))?;
    bar.finish();
    eprintln!("{}: {total} loaded from {}", kind.name, file.display());
    Ok(())
}

/// Writes requests with their right answers for `trident load --corpus`: every object is read, and one write follows
/// every `READS_PER_WRITE` reads. The answers have the files' content, not the service's.
pub fn corpus(client: &mut Client, tables: &Tables, out: &mut impl Write) -> anyhow::Result<()> {
    if client.token.is_none() {
        let users = tables
            .users
            .as_deref()
            .context("--users is needed to log in")?;
        let first = Rows::open(&KINDS[0], users)?.next();
        let (user, _) = first.context("the file of users is empty")??;
        log_in(client, &user)?;
    }
    let token = client.token.clone().unwrap_or_default();
    let headers = json!({"Authorization": format!("Bearer {token}")});
    for (kind, file) in tables.files() {
        for (number, row) in Rows::open(kind, file)?.enumerate() {
            let (id, object) = row?;
            let mut answer = object.clone();
            answer[kind.id] = id.as_str().into();
            let expect = json!({"body": answer.to_string()});
            let read = json!({
                "endpoint": kind.name, "target": format!("/api/v1/{}/{id}", kind.name),
                "headers": headers, "expect": expect,
            });
            writeln!(out, "{read}")?;
            if number % READS_PER_WRITE == 0 {
                let path = format!("/api/v1/datastore/update?objtype={}&objkey={id}", kind.name);
                let write = json!({
                    "endpoint": kind.name, "method": "PUT", "target": path,
                    "headers": headers, "body": object.to_string(), "expect": expect,
                });
                writeln!(out, "{write}")?;
            }
        }
    }
    Ok(())
}
