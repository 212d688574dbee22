//! The rules between objects, within a transaction of any store.
//!
//! A playlist names only songs that exist, so a song that a playlist names cannot be deleted. A user's tokens end with
//! the user. Everything is checked before the first write: a refusal leaves nothing behind.

use std::time::UNIX_EPOCH;

use serde_json::json;
use uuid::Uuid;

use crate::{
    common::kv::{Error, Result, Tables},
    model::{self, Kind, Object},
    work::{Command, Outcome, Refusal, Work, pair},
};

/// The tables: of each kind (id → text of the object); of tokens (token → when it was made); of pairs (id of a song and
/// id of a playlist that names it → nothing).
pub const TABLES: [&str; 5] = ["user", "music", "playlist", "token", "named_by"];
const TOKENS: usize = 3;
const NAMED_BY: usize = 4;

/// Log-ins of a user that are valid at the same time: one more ends the oldest, so that tokens do not accumulate.
const LOG_INS_MAX: usize = 16;

impl Work {
    /// Does it as a whole or not at all.
    pub fn run(&self, tables: &mut dyn Tables) -> Result<Outcome> {
        if let Some(token) = &self.token
            && tables.get(TOKENS, token)?.is_none()
        {
            return Ok(Err(Refusal::NoToken));
        }
        let command = match &self.command {
            Ok(command) => command,
            Err(refusal) => return Ok(Err(refusal.clone())),
        };
        match command {
            Command::Read(kind, id) => text(tables, *kind, *id),
            Command::Write(kind, id, object) => put(tables, *kind, *id, object.clone()),
            Command::Update(kind, id, object) => match text(tables, *kind, *id)? {
                Ok(_) => put(tables, *kind, *id, object.clone()),
                refused => Ok(refused),
            },
            Command::Delete(kind, id) => delete(tables, *kind, *id),
            Command::AddSong(playlist, song) => {
                if let Err(refusal) = text(tables, Kind::Music, *song)? {
                    return Ok(Err(refusal));
                }
                edit(tables, *playlist, |songs| {
                    if !songs.contains(song) {
                        songs.push(*song);
                    }
                    Ok(())
                })
            }
            Command::RemoveSong(playlist, song) => edit(tables, *playlist, |songs| {
                let at = songs.iter().position(|other| other == song);
                let at = at.ok_or_else(|| Refusal::not_found(Kind::Music, *song))?;
                songs.remove(at);
                Ok(())
            }),
            Command::LogIn(user) => log_in(tables, *user),
            Command::LogOff => {
                if let Some(token) = &self.token {
                    tables.delete(TOKENS, token)?;
                }
                Ok(Ok(b"{}".to_vec()))
            }
        }
    }
}

fn text(tables: &mut dyn Tables, kind: Kind, id: Uuid) -> Result<Outcome> {
    let text = tables.get(kind as usize, id.as_bytes())?;
    Ok(text.ok_or_else(|| Refusal::not_found(kind, id)))
}

/// A stored playlist and its songs.
fn playlist(text: &[u8]) -> Result<(Object, Vec<Uuid>)> {
    let broken = |why: String| Error::Failed(format!("a stored playlist: {why}"));
    let playlist = serde_json::from_slice(text).map_err(|error| broken(error.to_string()))?;
    let songs = model::songs(&playlist).map_err(broken)?;
    Ok((playlist, songs))
}

fn put(tables: &mut dyn Tables, kind: Kind, id: Uuid, object: Object) -> Result<Outcome> {
    if kind == Kind::Playlist {
        let songs = match model::songs(&object) {
            Ok(songs) => songs,
            Err(why) => return Ok(Err(Refusal::Invalid(why))),
        };
        for song in &songs {
            if text(tables, Kind::Music, *song)?.is_err() {
                let why = format!("member songs names {song}: there is no such song");
                return Ok(Err(Refusal::Invalid(why)));
            }
        }
        forget_songs(tables, id)?;
        for song in &songs {
            tables.put(NAMED_BY, &pair(*song, id), &[])?;
        }
    }
    let text = model::text(kind, id, object);
    tables.put(kind as usize, id.as_bytes(), &text)?;
    Ok(Ok(text))
}

fn delete(tables: &mut dyn Tables, kind: Kind, id: Uuid) -> Result<Outcome> {
    if let Err(refusal) = text(tables, kind, id)? {
        return Ok(Err(refusal));
    }
    match kind {
        Kind::User => {
            for (token, _) in tables.prefixed(TOKENS, id.as_bytes(), LOG_INS_MAX)? {
                tables.delete(TOKENS, &token)?;
            }
        }
        Kind::Music => {
            if let Some((pair, _)) = tables.prefixed(NAMED_BY, id.as_bytes(), 1)?.first() {
                let playlist = Uuid::from_slice(&pair[16..]).unwrap_or_default();
                return Ok(Err(Refusal::SongInUse(playlist)));
            }
        }
        Kind::Playlist => forget_songs(tables, id)?,
    }
    tables.delete(kind as usize, id.as_bytes())?;
    let deleted = json!({kind.id_member(): id.to_string()});
    Ok(Ok(deleted.to_string().into_bytes()))
}

fn forget_songs(tables: &mut dyn Tables, id: Uuid) -> Result<()> {
    let Ok(stored) = text(tables, Kind::Playlist, id)? else {
        return Ok(());
    };
    for song in playlist(&stored)?.1 {
        tables.delete(NAMED_BY, &pair(song, id))?;
    }
    Ok(())
}

fn edit(
    tables: &mut dyn Tables,
    id: Uuid,
    change: impl FnOnce(&mut Vec<Uuid>) -> std::result::Result<(), Refusal>,
) -> Result<Outcome> {
    let stored = match text(tables, Kind::Playlist, id)? {
        Ok(stored) => stored,
        refused => return Ok(refused),
    };
    let (mut playlist, mut songs) = playlist(&stored)?;
    if let Err(refusal) = change(&mut songs) {
        return Ok(Err(refusal));
    }
    model::set_songs(&mut playlist, &songs);
    put(tables, Kind::Playlist, id, playlist)
}

fn log_in(tables: &mut dyn Tables, user: Uuid) -> Result<Outcome> {
    if let Err(refusal) = text(tables, Kind::User, user)? {
        return Ok(Err(refusal));
    }
    let log_ins = tables.prefixed(TOKENS, user.as_bytes(), LOG_INS_MAX)?;
    if log_ins.len() == LOG_INS_MAX
        && let Some((oldest, _)) = log_ins.iter().min_by_key(|(_, since)| since)
    {
        tables.delete(TOKENS, oldest)?;
    }
    let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let secret = Uuid::new_v4();
    tables.put(TOKENS, &pair(user, secret), &now.to_be_bytes())?;
    let token = format!("{}{}", user.simple(), secret.simple());
    Ok(Ok(json!({"token": token}).to_string().into_bytes()))
}
