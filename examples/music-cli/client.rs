//! Calls of the music service.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::caller::Client;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A kind of object: its name, the member with its id, its members.
pub struct Kind {
    /// Its name in paths.
    pub name: &'static str,
    /// The member with the id, in answers and in CSV files.
    pub id: &'static str,
    /// What an object consists of; `songs` is a list.
    pub members: &'static [&'static str],
}

/// Every kind; those that others refer to come first.
pub const KINDS: [Kind; 3] = [
    Kind {
        name: "user",
        id: "user_id",
        members: &["fname", "lname", "email"],
    },
    Kind {
        name: "music",
        id: "music_id",
        members: &["Artist", "SongTitle"],
    },
    Kind {
        name: "playlist",
        id: "playlist_id",
        members: &["name", "songs"],
    },
];

impl Kind {
    /// The kind called `name`.
    pub fn of(name: &str) -> anyhow::Result<&'static Self> {
        let kind = KINDS.iter().find(|kind| kind.name == name);
        kind.with_context(|| format!("{name} is none of user, music, playlist"))
    }

    /// An object from the texts of its members; songs are separated by blanks or commas.
    pub fn object<'t>(&self, member: impl Fn(&str) -> Option<&'t str>) -> anyhow::Result<Value> {
        let mut object = serde_json::Map::new();
        for name in self.members {
            let text = member(name).with_context(|| format!("{} needs {name}", self.name))?;
            let value = match *name {
                "songs" => text
                    .split([' ', ','])
                    .filter(|id| !id.is_empty())
                    .collect::<Value>(),
                _ => text.into(),
            };
            object.insert((*name).into(), value);
        }
        Ok(object.into())
    }
}

/// A client of the service at `server`, such as `http://127.0.0.1:8081`.
pub fn connect(server: &str, token: Option<String>) -> Client {
    Client::new(server, TIMEOUT, token)
}

/// Logs a user in; the client keeps the token.
pub fn log_in(client: &mut Client, user: &str) -> anyhow::Result<Value> {
    let body = json!({"user_id": user});
    let answer: Value = client.json(Method::PUT, "/api/v1/user/login", Some(&body))?;
    client.token = answer["token"].as_str().map(Into::into);
    Ok(answer)
}
