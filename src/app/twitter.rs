//! `/twitter`: the open store, its replacement while requests go on, and the answer to a request.
//!
//! | state of the store | answer to a well-formed request |
//! | --- | --- |
//! | none is open | 503 |
//! | the user's value is corrupt, or LMDB reports an error | 500: a list that is wrong or empty would look like the truth; another instance may have a good copy |
//! | the user is not in it, or has no contact of the type | as `twitter.nothing_to_list` says |

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::{App, Worker, networked};
use crate::{
    http::{Handled, Reply, Request, Status},
    log::Throttle,
    metrics::{self, Counter},
    store::{
        Location, Meta, Store, StoreError,
        database::{self, Address, Client, Start},
    },
    twitter::{self, Found, IngestAccess, IngestOptions, NothingToList, Options, query, score},
};

/// The store and what names it.
pub(super) struct Twitter {
    path: Option<PathBuf>,
    /// The store if it is in a database; `store` is then empty for ever.
    database: Option<Client>,
    nothing_to_list: NothingToList,
    ingest: IngestOptions,
    /// Swapped by reloads. A reader holds what it loaded for one request, so an old store is closed
    /// as soon as the last request that found it is answered.
    store: ArcSwapOption<Store>,
    /// Held while a store is being opened.
    reloading: Mutex<()>,
}

/// What a reload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The name still stands for the store that is open.
    Unchanged,
    /// Another store is serving now.
    Replaced,
    /// No store is configured.
    NoStore,
}

impl Twitter {
    pub(super) fn open(options: Options) -> Result<Self, StoreError> {
        let (path, database) = match options.store {
            None => (None, None),
            Some(Location::Directory(path)) => (Some(path), None),
            Some(Location::Database(address)) => (None, Some(connect(address, options.mysql)?)),
        };
        let open = |path| open_store(path, &options.ingest);
        let store = path.as_deref().map(open).transpose()?;
        Ok(Self {
            path,
            database,
            nothing_to_list: options.nothing_to_list,
            ingest: options.ingest,
            store: ArcSwapOption::new(store.map(Arc::new)),
            reloading: Mutex::new(()),
        })
    }

    pub(super) fn reload(&self) -> Result<Reload, StoreError> {
        let _one_at_a_time = self.reloading.lock();
        let outcome = self.swap();
        let counter = match &outcome {
            Ok(Reload::Replaced) => Counter::ReloadReplaced,
            Ok(_) => Counter::ReloadUnchanged,
            Err(_) => Counter::ReloadFailed,
        };
        metrics::add(counter, 1);
        match &outcome {
            Ok(outcome) => info!(?outcome, store = self.text(), "reload"),
            Err(error) => warn!(%error, "reload failed; the old store goes on serving"),
        }
        outcome
    }

    pub(super) fn is_reloading(&self) -> bool {
        self.reloading.is_locked()
    }

    fn swap(&self) -> Result<Reload, StoreError> {
        if let Some(database) = &self.database {
            let is_replaced = database.check()?;
            return Ok([Reload::Unchanged, Reload::Replaced][usize::from(is_replaced)]);
        }
        let Some(path) = &self.path else {
            return Ok(Reload::NoStore);
        };
        if let Some(open) = &*self.store.load()
            && !open.is_replaced_at(path)
        {
            return Ok(Reload::Unchanged);
        }
        let new = open_store(path, &self.ingest)?;
        self.store.store(Some(Arc::new(new)));
        Ok(Reload::Replaced)
    }

    /// The store that is open.
    pub(super) fn store(&self) -> Option<Arc<Store>> {
        self.store.load_full()
    }

    pub(super) fn meta(&self) -> Option<(String, Meta)> {
        if let Some(database) = &self.database {
            let meta = database.meta()?;
            return Some((database.address().to_string(), meta));
        }
        let store = self.store.load();
        let store = store.as_deref()?;
        Some((store.path().display().to_string(), store.meta().clone()))
    }

    pub(super) fn text(&self) -> String {
        if let Some(database) = &self.database {
            let address = database.address();
            return match database.meta() {
                None => format!("{address}, not reached yet"),
                Some(meta) => {
                    format!(
                        "{address} users={} data={:08x}",
                        meta.users, meta.content_crc32
                    )
                }
            };
        }
        let store = self.store.load();
        let Some(store) = store.as_deref() else {
            return "none".into();
        };
        let meta = store.meta();
        let (path, data) = (store.path().display(), meta.content_crc32);
        match store.updates_meta() {
            Ok(updates) if updates.batches > 0 => {
                let (users, batches) = (updates.users, updates.batches);
                format!("{path} users={users} data={data:08x} updates={batches}")
            }
            _ => format!("{path} users={} data={data:08x}", meta.users),
        }
    }
}

fn open_store(path: &Path, ingest: &IngestOptions) -> Result<Store, StoreError> {
    match ingest.access {
        IngestAccess::Off => Store::open(path),
        _ => Store::open_for_updates(path, ingest.updates_bytes_max),
    }
}

/// Connects to a database. One that is only away must not keep everything else from being served.
fn connect(address: Address, options: database::Options) -> Result<Client, StoreError> {
    let (client, start) = Client::start(address, options)?;
    if let Start::Waiting(error) = start {
        warn!(%error, "/twitter waits for its database; not ready until it answers");
    }
    Ok(client)
}

impl App {
    /// The client of the store of `/twitter`, if that is in a database.
    pub(super) fn database(&self) -> Option<&Client> {
        self.twitter.database.as_ref()
    }

    /// Whether the next request is likely to succeed.
    pub fn is_ready(&self) -> bool {
        self.health.is_ready() && self.database().is_none_or(Client::is_ready)
    }

    pub(super) fn twitter_identity(&self) -> Identity<'_> {
        Identity {
            team_line: &self.team_line,
            nothing_to_list: self.twitter.nothing_to_list,
        }
    }
}

/// What every answer has in common.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) team_line: &'a [u8],
    pub(super) nothing_to_list: NothingToList,
}

/// `GET /twitter`.
pub(super) fn answer(
    app: &App,
    worker: &mut Worker,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Handled {
    let scratch = &mut worker.twitter;
    let handled = match query::parse(request.head.query, &mut scratch.query) {
        Ok(query) => match app.database() {
            None => look_up(app, &query, &mut scratch.score, reply).into(),
            Some(client) => {
                networked::look_up(app, client, request, &query, &mut scratch.score, reply)
            }
        },
        Err(twitter::Invalid) => invalid(&app.team_line, reply).into(),
    };
    scratch.release_large_buffers();
    handled
}

/// Answers a malformed query.
#[cold]
pub(super) fn invalid(team_line: &[u8], reply: Reply<'_>) -> Counter {
    reply.text(|out| NothingToList::Invalid.write(team_line, out));
    Counter::TwitterInvalid
}

fn look_up(
    app: &App,
    request: &twitter::Request<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) -> Counter {
    let store = app.twitter.store.load();
    let Some(store) = store.as_deref() else {
        let text = "no store is open: give one with --twitter-store, or see the log of the start";
        reply.line(Status::ServiceUnavailable, text);
        return Counter::TwitterUnavailable;
    };
    let reader = match store.read() {
        Ok(reader) => reader,
        Err(error) => return fail(Counter::StoreFailed, request.user_id, &error, reply),
    };
    match reader.get(request.user_id) {
        Ok(Some(value)) => match Found::new(value) {
            Ok(found) => list(app.twitter_identity(), &found, request, scratch, reply),
            Err(error) => fail(Counter::StoreCorrupt, request.user_id, &error, reply),
        },
        Ok(None) => missing(app.twitter_identity(), reply),
        Err(error) => fail(Counter::StoreFailed, request.user_id, &error, reply),
    }
}

/// Answers for a user that does not exist.
pub(super) fn missing(identity: Identity<'_>, reply: Reply<'_>) -> Counter {
    metrics::add(Counter::StoreMissing, 1);
    let Identity {
        team_line,
        nothing_to_list,
    } = identity;
    reply.text(|out| nothing_to_list.write(team_line, out));
    Counter::TwitterNothing
}

/// Answers for a user that was found.
pub(super) fn list(
    identity: Identity<'_>,
    found: &Found<'_>,
    request: &twitter::Request<'_>,
    scratch: &mut score::Scratch,
    reply: Reply<'_>,
) -> Counter {
    metrics::add(Counter::StoreFound, 1);
    reply.text(|out| {
        let start = out.len();
        out.extend_from_slice(identity.team_line);
        match found.write_rows(request, scratch, out) {
            0 => {
                out.truncate(start);
                identity.nothing_to_list.write(identity.team_line, out);
                Counter::TwitterNothing
            }
            _ => Counter::TwitterValid,
        }
    })
}

/// Counts a lookup that went wrong, logs one every ten seconds at most, answers 500.
#[cold]
pub(super) fn fail(
    counter: Counter,
    user_id: u64,
    error: &dyn Display,
    reply: Reply<'_>,
) -> Counter {
    static LINES: Throttle = Throttle::every(Duration::from_secs(10));
    metrics::add(counter, 1);
    if LINES.admits() {
        let failed_total = metrics::read(counter);
        warn!(user_id, %error, failed_total, "store lookup failed; run `trident store verify`");
    }
    let text = "this user's value cannot be read from the store";
    reply.line(Status::InternalServerError, text);
    Counter::TwitterUnavailable
}
