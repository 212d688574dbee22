//! Everything the endpoints share: routing, identity, the text of an answer.

mod route;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{
    blockchain::{self, Blockchain},
    http::{Outcome, Reply, Request, Service},
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
    pub auth: crate::auth::Options,
    /// A store directory for `/twitter`; `None` = the built-in sample.
    pub twitter_store: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            team_name: "TEAMID".into(),
            aws_account: "000000000000".into(),
            cache_bytes: 0,
            blockchain: blockchain::Options::default(),
            auth: crate::auth::Options::default(),
            twitter_store: None,
        }
    }
}

/// Whether the next request would succeed.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
}

impl Health {
    /// Says what `/readyz` answers from now on.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// What `/readyz` answers.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }
}

/// State shared by all workers.
pub struct App {
    /// `TEAM,ACCOUNT\n`: the first line of every protocol answer.
    first_line: Vec<u8>,
    health: Health,
    blockchain: Blockchain,
}

/// Scratch of one worker.
pub struct Worker {
    blockchain: blockchain::Scratch,
}

impl App {
    /// Prepares every endpoint.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        Ok(Self {
            first_line: format!("{},{}\n", options.team_name, options.aws_account).into_bytes(),
            health: Health::default(),
            blockchain: Blockchain::new(options.blockchain),
        })
    }

    /// Readiness, as the lifecycle sets it.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

impl Service for App {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        Worker { blockchain: self.blockchain.scratch() }
    }

    fn call(&self, worker: &mut Worker, request: &Request<'_>, reply: Reply<'_>) -> Outcome {
        route::route(self, worker, request, reply)
    }
}
