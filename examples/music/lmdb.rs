//! The store in LMDB files: reads on the worker that asks, writes on one thread that groups them.
//!
//! ```text
//! worker ─ reads ─────────────────────────────▶ answer
//!   └─ writes ─ queue ─ writer: as many as wait ─ one commit, synced ─▶ keeps their promises
//! ```
//!
//! A commit is on disk when it returns, so nothing that was answered can be lost. It takes about as long for a hundred
//! writes as for one: the more writes there are, the more share a commit.

use std::{fs::File, path::Path, thread, time::UNIX_EPOCH};

use anyhow::Context;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use heed::{
    CommitOrAbort, Database, Env, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithTls, types::Bytes,
};
use serde_json::json;
use trident::http::Promise;
use uuid::Uuid;

use crate::{
    model::{self, Kind, Object},
    work::{Command, Outcome, Refusal, Token, Work, pair},
};

/// Writes that wait for the writer; one more is refused. At a commit a millisecond, below a second of waiting.
const QUEUE_MAX: usize = 4096;

/// Writes in one commit.
const GROUP_MAX: usize = 512;

/// Log-ins of a user that are valid at the same time: one more ends the oldest, so that tokens do not accumulate.
const LOG_INS_MAX: usize = 16;

type Records = Database<'static, Bytes, Bytes>;
type Job = (Work, Promise<Outcome>);

/// An open store.
pub struct Store {
    tables: Tables,
    queue: Sender<Job>,
}

#[derive(Clone)]
struct Tables {
    env: Env<WithTls>,
    /// By kind: id → text of the object.
    objects: [Records; Kind::ALL.len()],
    /// Token → nothing.
    tokens: Records,
    /// Id of a song and id of a playlist that names it → nothing.
    named_by: Records,
}

impl Store {
    /// Opens the store in `directory`, which is created if it does not exist, for up to `bytes_max` bytes. Starts its
    /// writer.
    pub fn open(directory: &Path, bytes_max: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let tables = Tables::open(directory, bytes_max)
            .with_context(|| format!("cannot open the store in {}", directory.display()))?;
        // The files' names must be as durable as their content.
        File::open(directory)?.sync_all()?;
        let (queue, jobs) = bounded(QUEUE_MAX);
        let writer = tables.clone();
        thread::Builder::new()
            .name("writer".into())
            .spawn(move || writer.write(&jobs))?;
        Ok(Self { tables, queue })
    }

    /// Does work that only reads.
    pub fn read(&self, work: &Work) -> Outcome {
        let read = || {
            let txn = self.tables.env.read_txn()?;
            self.tables.read(&txn, work)
        };
        read().unwrap_or_else(|error| Err(Refusal::Failed(error.to_string())))
    }

    /// Does any work on the writer's thread and keeps the promise when the result is durable.
    pub fn write(&self, work: Work, promise: Promise<Outcome>) {
        match self.queue.try_send((work, promise)) {
            Ok(()) => {}
            Err(TrySendError::Full((_, promise))) => promise.keep(Err(Refusal::Busy)),
            Err(TrySendError::Disconnected((_, promise))) => {
                promise.keep(Err(Refusal::Failed("its writer has ended".into())));
            }
        }
    }
}

impl Tables {
    #[allow(unsafe_code)] // mapping a file is outside Rust's guarantees
    fn open(directory: &Path, bytes_max: usize) -> anyhow::Result<Self> {
        const PAGE_BYTES: usize = 64 << 10; // the largest of any Linux system
        let mut options = EnvOpenOptions::new();
        options
            .map_size(bytes_max.next_multiple_of(PAGE_BYTES))
            .max_dbs(5);
        // SAFETY: LMDB's locks are on, and nothing but LMDB opens the files for writing.
        let env = unsafe { options.open(directory)? };
        let created = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
            let user = opener.create_database::<Bytes, Bytes>(txn, Some(Kind::User.name()))?;
            let music = opener.create_database(txn, Some(Kind::Music.name()))?;
            let playlist = opener.create_database(txn, Some(Kind::Playlist.name()))?;
            let tokens = opener.create_database(txn, Some("token"))?;
            let named_by = opener.create_database(txn, Some("named_by"))?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((
                user, music, playlist, tokens, named_by,
            )))
        })?;
        let Some((user, music, playlist, tokens, named_by)) = created.commit() else {
            anyhow::bail!("its tables cannot be made");
        };
        Ok(Self {
            env,
            objects: [user, music, playlist],
            tokens,
            named_by,
        })
    }

    /// The writer: until the store is dropped, commits everything that waits.
    fn write(&self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut group = vec![first];
            group.extend(jobs.try_iter().take(GROUP_MAX - 1));
            self.commit(group);
        }
    }

    /// Commits a group. If that fails, each write is tried alone, so that no write is refused because of another.
    fn commit(&self, group: Vec<Job>) {
        match self.attempt(&group) {
            Ok(outcomes) => group
                .into_iter()
                .zip(outcomes)
                .for_each(|((_, promise), outcome)| promise.keep(outcome)),
            Err(_) if group.len() > 1 => group.into_iter().for_each(|job| self.commit(vec![job])),
            Err(error) => {
                let refusal = match error {
                    heed::Error::Mdb(MdbError::MapFull) => Refusal::Full,
                    error => Refusal::Failed(error.to_string()),
                };
                for (_, promise) in group {
                    promise.keep(Err(refusal.clone()));
                }
            }
        }
    }

    fn attempt(&self, group: &[Job]) -> heed::Result<Vec<Outcome>> {
        let mut txn = self.env.write_txn()?;
        let outcomes = group
            .iter()
            .map(|(work, _)| self.apply(&mut txn, work))
            .collect::<heed::Result<_>>()?;
        txn.commit()?;
        Ok(outcomes)
    }

    fn read(&self, txn: &RoTxn<'_>, work: &Work) -> heed::Result<Outcome> {
        if !self.admits(txn, work.token)? {
            return Ok(Err(Refusal::NoToken));
        }
        Ok(match &work.command {
            Ok(Command::Read(kind, id)) => self
                .text(txn, *kind, *id)?
                .map(<[u8]>::to_vec)
                .ok_or_else(|| Refusal::not_found(*kind, *id)),
            Ok(_) => Err(Refusal::Failed("it cannot write here".into())),
            Err(refusal) => Err(refusal.clone()),
        })
    }

    /// Does one work. Everything is checked before the first write: a refusal leaves nothing behind.
    fn apply(&self, txn: &mut RwTxn<'_>, work: &Work) -> heed::Result<Outcome> {
        let command = match &work.command {
            Ok(command) if !work.only_reads() => command,
            _ => return self.read(txn, work),
        };
        if !self.admits(txn, work.token)? {
            return Ok(Err(Refusal::NoToken));
        }
        match command {
            Command::Read(..) => self.read(txn, work),
            Command::Write(kind, id, object) => self.put(txn, *kind, *id, object.clone()),
            Command::Update(kind, id, object) => match self.text(txn, *kind, *id)? {
                Some(_) => self.put(txn, *kind, *id, object.clone()),
                None => Ok(Err(Refusal::not_found(*kind, *id))),
            },
            Command::Delete(kind, id) => self.delete(txn, *kind, *id),
            Command::AddSong(playlist, song) => {
                if self.text(txn, Kind::Music, *song)?.is_none() {
                    return Ok(Err(Refusal::not_found(Kind::Music, *song)));
                }
                self.edit(txn, *playlist, |songs| {
                    if !songs.contains(song) {
                        songs.push(*song);
                    }
                    Ok(())
                })
            }
            Command::RemoveSong(playlist, song) => self.edit(txn, *playlist, |songs| {
                let at = songs.iter().position(|other| other == song);
                let at = at.ok_or_else(|| Refusal::not_found(Kind::Music, *song))?;
                songs.remove(at);
                Ok(())
            }),
            Command::LogIn(user) => self.log_in(txn, *user),
            Command::LogOff => {
                if let Some(token) = work.token {
                    self.tokens.delete(txn, &token)?;
                }
                Ok(Ok(b"{}".to_vec()))
            }
        }
    }

    fn admits(&self, txn: &RoTxn<'_>, token: Option<Token>) -> heed::Result<bool> {
        token.map_or(Ok(true), |token| {
            Ok(self.tokens.get(txn, &token)?.is_some())
        })
    }

    fn text<'t>(&self, txn: &'t RoTxn<'_>, kind: Kind, id: Uuid) -> heed::Result<Option<&'t [u8]>> {
        self.objects[kind as usize].get(txn, id.as_bytes())
    }

    /// The songs of a stored playlist; none if it does not exist.
    fn songs(&self, txn: &RoTxn<'_>, id: Uuid) -> heed::Result<Vec<Uuid>> {
        Ok(self
            .playlist(txn, id)?
            .and_then(|playlist| model::songs(&playlist).ok())
            .unwrap_or_default())
    }

    fn playlist(&self, txn: &RoTxn<'_>, id: Uuid) -> heed::Result<Option<Object>> {
        let text = self.text(txn, Kind::Playlist, id)?;
        text.map(serde_json::from_slice)
            .transpose()
            .map_err(|error| heed::Error::Decoding(error.into()))
    }

    fn put(
        &self,
        txn: &mut RwTxn<'_>,
        kind: Kind,
        id: Uuid,
        object: Object,
    ) -> heed::Result<Outcome> {
        if kind == Kind::Playlist {
            let songs = match model::songs(&object) {
                Ok(songs) => songs,
                Err(why) => return Ok(Err(Refusal::Invalid(why))),
            };
            for song in &songs {
                if self.text(txn, Kind::Music, *song)?.is_none() {
                    let why = format!("member songs names {song}: there is no such song");
                    return Ok(Err(Refusal::Invalid(why)));
                }
            }
            self.forget_songs(txn, id)?;
            for song in &songs {
                self.named_by.put(txn, &pair(*song, id), &[])?;
            }
        }
        let text = model::text(kind, id, object);
        self.objects[kind as usize].put(txn, id.as_bytes(), &text)?;
        Ok(Ok(text))
    }

    fn delete(&self, txn: &mut RwTxn<'_>, kind: Kind, id: Uuid) -> heed::Result<Outcome> {
        if self.text(txn, kind, id)?.is_none() {
            return Ok(Err(Refusal::not_found(kind, id)));
        }
        match kind {
            Kind::User => {
                for (_, token) in self.log_ins(txn, id)? {
                    self.tokens.delete(txn, &token)?;
                }
            }
            Kind::Music => {
                let first = self.named_by.prefix_iter(txn, id.as_bytes())?.next();
                if let Some((pair, _)) = first.transpose()? {
                    let playlist = Uuid::from_slice(&pair[16..]).unwrap_or_default();
                    return Ok(Err(Refusal::SongInUse(playlist)));
                }
            }
            Kind::Playlist => self.forget_songs(txn, id)?,
        }
        self.objects[kind as usize].delete(txn, id.as_bytes())?;
        Ok(Ok(json!({kind.id_member(): id.to_string()})
            .to_string()
            .into_bytes()))
    }

    fn forget_songs(&self, txn: &mut RwTxn<'_>, playlist: Uuid) -> heed::Result<()> {
        for song in self.songs(txn, playlist)? {
            self.named_by.delete(txn, &pair(song, playlist))?;
        }
        Ok(())
    }

    fn edit(
        &self,
        txn: &mut RwTxn<'_>,
        id: Uuid,
        change: impl FnOnce(&mut Vec<Uuid>) -> Result<(), Refusal>,
    ) -> heed::Result<Outcome> {
        let Some(mut playlist) = self.playlist(txn, id)? else {
            return Ok(Err(Refusal::not_found(Kind::Playlist, id)));
        };
        let mut songs = self.songs(txn, id)?;
        if let Err(refusal) = change(&mut songs) {
            return Ok(Err(refusal));
        }
        model::set_songs(&mut playlist, &songs);
        self.put(txn, Kind::Playlist, id, playlist)
    }

    /// For each valid log-in of a user: when it began, and its token.
    fn log_ins(&self, txn: &RoTxn<'_>, user: Uuid) -> heed::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let tokens = self.tokens.prefix_iter(txn, user.as_bytes())?;
        tokens
            .map(|token| token.map(|(token, since)| (since.to_vec(), token.to_vec())))
            .collect()
    }

    fn log_in(&self, txn: &mut RwTxn<'_>, user: Uuid) -> heed::Result<Outcome> {
        if self.text(txn, Kind::User, user)?.is_none() {
            return Ok(Err(Refusal::not_found(Kind::User, user)));
        }
        let log_ins = self.log_ins(txn, user)?;
        if let Some((_, oldest)) = log_ins
            .iter()
            .min()
            .filter(|_| log_ins.len() >= LOG_INS_MAX)
        {
            self.tokens.delete(txn, oldest)?;
        }
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let secret = Uuid::new_v4();
        self.tokens
            .put(txn, &pair(user, secret), &now.to_be_bytes())?;
        let token = format!("{}{}", user.simple(), secret.simple());
        Ok(Ok(json!({"token": token}).to_string().into_bytes()))
    }
}
