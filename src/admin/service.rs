//! The service of the admin listener, its settings and shared state. `mod.rs`, `control` and `state` have
//! the answers.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use super::{history::History, page::Page, profile};
use crate::{app::App, http::Server, metrics::process::Process};

/// Settings of the operator's side.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Bearer token of the controls; empty = only the reload is on, and needs no token.
    pub token: String,
    /// Names besides addresses and names without a dot that a Host field may hold, separated by commas.
    pub hosts: String,
    /// Flame graphs.
    pub profile: profile::Options,
}

impl fmt::Debug for Options {
    /// Everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("controls", &!self.token.is_empty())
            .field("hosts", &self.hosts)
            .field("profile", &self.profile)
            .finish()
    }
}

/// The service of the admin listener.
pub struct AdminService {
    pub(super) app: Arc<App>,
    pub(super) options: Options,
    pub(super) server: Arc<Server>,
    pub(super) workers: usize,
    pub(super) history: Mutex<History>,
    pub(super) process: Mutex<Process>,
    pub(super) page: Page,
    pub(super) stop: Box<dyn Fn() + Send + Sync>,
}

impl AdminService {
    /// The operator's side of `app` and of `server`, which serves both. `stop` begins the stop of the server.
    pub fn new(
        app: Arc<App>,
        server: Arc<Server>,
        options: Options,
        workers: usize,
        stop: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            app,
            options,
            server,
            workers,
            history: Mutex::default(),
            process: Mutex::default(),
            page: Page::new(),
            stop: Box::new(stop),
        }
    }
}
