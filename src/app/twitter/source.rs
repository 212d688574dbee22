//! The source of the values of `/twitter`: the open store or the client of a database, and its replacement
//! during service.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::{
    metrics::{self, Counter},
    store::{
        Location, Meta, Store, StoreError,
        database::{self, Address, Client, Start},
    },
    twitter::{EmptyAnswer, IngestAccess, IngestOptions, Options},
};

/// The open store and the settings that name it.
pub(in crate::app) struct Twitter {
    path: Option<PathBuf>,
    /// The store if it is in a database; `store` is then empty for ever.
    database: Option<Client>,
    pub(super) empty_answer: EmptyAnswer,
    ingest: IngestOptions,
    /// Swapped by reloads. A reader holds what it loaded for one request, so an old store is closed
    /// as soon as the last request that found it is answered.
    pub(super) store: ArcSwapOption<Store>,
    /// Held while a store is being opened.
    reloading: Mutex<()>,
}

/// The result of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The name still refers to the open store.
    Unchanged,
    /// Another store is serving now.
    Replaced,
    /// No store is configured.
    NoStore,
}

impl Twitter {
    /// The client of the store, if that is in a database.
    pub(in crate::app) fn database(&self) -> Option<&Client> {
        self.database.as_ref()
    }

    pub(in crate::app) fn open(options: Options) -> Result<Self, StoreError> {
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
            empty_answer: options.empty_answer,
            ingest: options.ingest.clone(),
            store: ArcSwapOption::new(store.map(Arc::new)),
            reloading: Mutex::new(()),
        })
    }

    pub(in crate::app) fn reload(&self) -> Result<Reload, StoreError> {
        let _one_at_a_time = self.reloading.lock();
        let outcome = self.swap();
        self.tell(&outcome);
        outcome
    }

    /// Tries to open a store that could not be opened again. A failure was told by the first try.
    pub(in crate::app) fn retry(&self) {
        if !self.is_closed() {
            return; // nor does a batch wait for a reload
        }
        let _one_at_a_time = self.reloading.lock();
        if self.is_closed() {
            let outcome = self.swap();
            if outcome.is_ok() {
                self.tell(&outcome);
            }
        }
    }

    fn tell(&self, outcome: &Result<Reload, StoreError>) {
        let counter = match outcome {
            Ok(Reload::Replaced) => Counter::ReloadReplaced,
            Ok(_) => Counter::ReloadUnchanged,
            Err(_) => Counter::ReloadFailed,
        };
        metrics::add(counter, 1);
        match outcome {
            Ok(outcome) => {
                info!(?outcome, store = self.text(), "reload");
                let is_new = matches!(outcome, Reload::Replaced);
                for warning in self.warnings().iter().filter(|_| is_new) {
                    warn!("{warning}");
                }
            }
            Err(error) if self.store.load().is_some() || self.database.is_some() => {
                warn!(%error, "reload failed; the old store goes on serving");
            }
            Err(error) => {
                warn!(%error, "no store is open and /readyz is 503; opening it is tried every second");
            }
        }
    }

    pub(in crate::app) fn is_reloading(&self) -> bool {
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
        let open = self.store.load_full();
        match &open {
            // LMDB must not open a file twice in a process, so this one is closed first. Queries get 503 meanwhile.
            Some(store) if store.has_given_up() => self.store.store(None),
            Some(store) if !store.is_replaced_at(path) => return Ok(Reload::Unchanged),
            _ => {}
        }
        drop(open);
        let new = open_store(path, &self.ingest)?;
        self.store.store(Some(Arc::new(new)));
        Ok(Reload::Replaced)
    }

    /// Whether the store in the directory of the settings is open; `None` without such a directory.
    pub(in crate::app) fn is_open(&self) -> Option<bool> {
        self.path.as_ref().map(|_| self.store.load().is_some())
    }

    /// Whether the store is in a directory that could not be opened again.
    pub(in crate::app) fn is_closed(&self) -> bool {
        self.is_open() == Some(false)
    }

    /// The store that is open.
    pub(in crate::app) fn store(&self) -> Option<Arc<Store>> {
        self.store.load_full()
    }

    pub(in crate::app) fn meta(&self) -> Option<(String, Meta)> {
        if let Some(database) = &self.database {
            let meta = database.meta()?;
            return Some((database.address().to_string(), meta));
        }
        let store = self.store.load();
        let store = store.as_deref()?;
        Some((store.path().display().to_string(), store.meta().clone()))
    }

    /// Batches taken since the store was built, or loaded into the database.
    pub(in crate::app) fn updates(&self) -> u64 {
        if let Some(database) = &self.database {
            return database.batches();
        }
        let store = self.store.load();
        let updates = store.as_deref().and_then(|open| open.updates_meta().ok());
        updates.map_or(0, |updates| updates.batches)
    }

    /// Warnings about the open store.
    pub(in crate::app) fn warnings(&self) -> Vec<String> {
        let Some((place, meta)) = self.meta() else {
            return Vec::new();
        };
        let updates = self.store().and_then(|store| store.updates_meta().ok());
        let users = updates
            .filter(|updates| updates.batches > 0)
            .map_or(meta.users, |updates| updates.users);
        let takes_tweets = self.ingest.access != IngestAccess::Off;
        let again = match self.database {
            None => "build it again with `trident etl --keep-history`",
            Some(_) => "load it again with `trident etl import --keep-history`",
        };
        let empty = format!(
            "twitter.store: {place} has no users, so /twitter lists nothing; `trident etl --input TWEETS \
             --output STORE` makes a store of your tweets"
        );
        let refuses = format!(
            "twitter.ingest: {place} keeps no history, so it takes no tweets (409); {again}, or set this to \
             \"off\""
        );
        [
            (users == 0, empty),
            (takes_tweets && meta.history.is_none(), refuses),
        ]
        .into_iter()
        .filter_map(|(holds, warning)| holds.then_some(warning))
        .collect()
    }

    pub(in crate::app) fn text(&self) -> String {
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

/// Connects to a database. A temporary outage must not stop the other endpoints.
fn connect(address: Address, options: database::Options) -> Result<Client, StoreError> {
    let (client, start) = Client::start(address, options)?;
    if let Start::Waiting(error) = start {
        warn!(%error, "/twitter waits for its database; not ready until it answers");
    }
    Ok(client)
}
