//! What all workers share: the endpoints, made from their settings, and the state behind them.
//!
//! The handlers (`answer`, `twitter`, `ingest`) borrow it; it names none of them.

use std::sync::Arc;

use anyhow::Context;

use super::{
    health::Health,
    ingest::Ingest,
    twitter::source::{Reload, Twitter},
};
use crate::{
    auth::{self, Authority, Key, RestClient},
    blockchain::{self, Blockchain},
    cache::{self, Cache, Policy},
    qrcode::{self, QrCode},
    remedy::Trying,
    store::{Meta, StoreError, database},
    twitter::{Options as TwitterOptions, Scratch as TwitterScratch},
};

/// Settings of the application as a whole.
#[derive(Clone, Debug)]
pub struct Options {
    /// First field of every answer's first line.
    pub team_name: String,
    /// Second field of every answer's first line.
    pub aws_account: String,
    /// Bytes all answer caches may hold together; 0 turns every cache off.
    pub cache_bytes: usize,
    /// The `/blockchain` endpoint.
    pub blockchain: blockchain::Options,
    /// The auth authority.
    pub auth: auth::Options,
    /// The `/twitter` endpoint.
    pub twitter: TwitterOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            team_name: "TEAMID".into(),
            aws_account: "000000000000".into(),
            cache_bytes: 0,
            blockchain: blockchain::Options::default(),
            auth: auth::Options::default(),
            twitter: TwitterOptions::default(),
        }
    }
}

/// How a decoded message becomes a token.
pub(super) enum Tokens {
    /// A library call.
    Embedded(Authority),
    /// A call to another process.
    Rest(RestClient),
}

/// State shared by all workers.
pub struct App {
    pub(super) team: Arc<str>,
    /// `TEAM,ACCOUNT\n`: the first line of every protocol answer.
    pub(super) team_line: Arc<[u8]>,
    /// Nearly always true, but a team may call itself `Équipe`.
    pub(super) team_line_is_ascii: bool,
    pub(super) health: Health,
    pub(super) blockchain: Blockchain,
    /// Whole answers of `/blockchain` by the text of `cc`.
    pub(super) answers: Cache,
    pub(super) qrcode: QrCode,
    pub(super) tokens: Tokens,
    /// Shared with the threads that reload and ingest.
    pub(super) twitter: Arc<Twitter>,
    /// `/twitter/tweets`.
    pub(super) ingest: Ingest,
}

/// Scratch of one worker.
pub struct Worker {
    pub(super) blockchain: blockchain::Scratch,
    pub(super) qrcode: qrcode::Scratch,
    pub(super) twitter: TwitterScratch,
}

impl App {
    /// Prepares every endpoint.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        let ingest = options.twitter.ingest.clone();
        let twitter = Arc::new(Twitter::open(options.twitter)?);
        let team_line = format!("{},{}\n", options.team_name, options.aws_account);
        Ok(Self {
            ingest: Ingest::start(ingest, &twitter)
                .map_err(Trying::Start.explained())
                .context("cannot start the thread that ingests tweets")?,
            team_line_is_ascii: team_line.is_ascii(),
            team_line: team_line.into_bytes().into(),
            team: options.team_name.into(),
            health: Health::default(),
            blockchain: Blockchain::new(options.blockchain),
            answers: Cache::new(options.cache_bytes),
            qrcode: QrCode::new(),
            tokens: tokens(options.auth)?,
            twitter,
        })
    }

    /// Reopens the configured store if it has changed. Blocks until done; requests continue meanwhile.
    pub fn reload(&self) -> Result<Reload, StoreError> {
        self.twitter.reload()
    }

    /// The store of `/twitter` in a few words, for people.
    pub fn store_text(&self) -> String {
        self.twitter.text()
    }

    /// Warnings about the open store, for example that it has no users or takes no tweets.
    pub fn warnings(&self) -> Vec<String> {
        self.twitter.warnings()
    }

    /// Whether a reload is under way.
    pub fn is_reloading(&self) -> bool {
        self.twitter.is_reloading()
    }

    /// The path and metadata of the open store of `/twitter`.
    pub fn store(&self) -> Option<(String, Meta)> {
        self.twitter.meta()
    }

    /// Batches of tweets that the open store has taken since it was built.
    pub fn store_updates(&self) -> u64 {
        self.twitter.updates()
    }

    /// Batches of tweets that wait to be written.
    pub fn ingest_waiting(&self) -> usize {
        self.ingest.waiting()
    }

    /// The client of the store of `/twitter`, if that is in a database.
    pub(super) fn database(&self) -> Option<&database::Client> {
        self.twitter.database()
    }

    /// Whether the store of `/twitter` is open; `None` if it is in no directory.
    pub fn store_is_open(&self) -> Option<bool> {
        self.twitter.is_open()
    }

    /// Whether the next request is likely to succeed.
    pub fn is_ready(&self) -> bool {
        self.not_ready().is_none()
    }

    /// Why the next request is not likely to succeed, for people; `None` = it is likely to.
    ///
    /// A store in files that could not be opened again is a fault of this machine, so a balancer should ask another one.
    pub fn not_ready(&self) -> Option<&'static str> {
        if !self.health.is_ready() {
            return Some("starting or draining");
        }
        if self.database().is_some_and(|client| !client.is_ready()) {
            return Some("the database of /twitter does not answer");
        }
        let text = "the store of /twitter could not be opened again; see the log";
        self.twitter.is_closed().then_some(text)
    }

    /// The client of the database of `/twitter` and its cache as they are now; `None` without one.
    pub fn database_state(&self) -> Option<database::ClientState> {
        self.database().map(database::Client::state)
    }

    /// Changes capacity, policy or both of the cache in front of the database, effective at once, and
    /// returns its state; `None` without a database.
    pub fn set_database_cache(
        &self,
        bytes_max: Option<usize>,
        policy: Option<Policy>,
    ) -> Option<cache::Stats> {
        let client = self.database()?;
        client.set_cache(bytes_max, policy);
        Some(client.state().cache)
    }

    /// First line of every protocol answer, without its newline: team and account.
    pub fn identity(&self) -> String {
        String::from_utf8_lossy(self.team_line.trim_ascii_end()).into_owned()
    }

    /// Whole answers of `/blockchain`.
    pub fn cache(&self) -> &Cache {
        &self.answers
    }

    /// Readiness, as the lifecycle sets it.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

fn tokens(options: auth::Options) -> anyhow::Result<Tokens> {
    if options.mode == auth::Mode::Rest {
        let client = RestClient::start(options.rest)
            .context("cannot start the client of the auth authority; check auth.url")?;
        return Ok(Tokens::Rest(client));
    }
    let key = match options.key {
        Some(key) => key,
        None => Key::random()
            .context("cannot make a random auth key; set TRIDENT_AUTH_KEY or auth.key_file")?,
    };
    Ok(Tokens::Embedded(Authority::new(&key)))
}
