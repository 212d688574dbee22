//! Tables of values by key with transactions, in LMDB files or in MariaDB. When a write is answered it is on disk.
//!
//! ```text
//! LMDB:    read ─ on the caller's thread       write ─ queue ─ one thread: as many as wait ─ one commit
//! MariaDB: read, write ─ queue ─ threads with a connection each ─ a transaction each
//! ```

mod lmdb;
mod mariadb;

use std::time::Duration;

use crossbeam::channel::{Sender, TrySendError, bounded};
use trident::store::Location;

use super::ms;

/// Work that waits; one more is refused. At a commit a millisecond, below a second of waiting.
const QUEUE_MAX: usize = 4096;

/// Longest key in bytes: LMDB's own limit.
pub const KEY_BYTES_MAX: usize = 511;

/// Why work was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More work waits than the queue holds, or others changed the same all the time.
    #[error("too much work waits; try again")]
    Busy,
    /// There is no room.
    #[error("the store is full; give it more room (--store-bytes-max, disk, database)")]
    Full,
    /// The store failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The database was lost during the commit.
    #[error("the database was lost: the write may have been stored")]
    Unsettled,
}

/// The result of work.
pub type Result<T> = std::result::Result<T, Error>;

/// The tables within a transaction; a table is named by its number.
pub trait Tables {
    /// The value of a key.
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Keys that begin with `prefix` and their values, in order; at most `limit`.
    fn prefixed(&mut self, table: usize, prefix: &[u8], limit: usize) -> Result<Vec<Record>>;

    /// Sets the value of a key.
    fn put(&mut self, table: usize, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes a key.
    fn delete(&mut self, table: usize, key: &[u8]) -> Result<()>;
}

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Bounds of a store.
#[derive(Clone, Copy, clap::Args)]
pub struct Options {
    /// Most bytes of a store in files. Writes beyond are answered with 507.
    #[arg(long, default_value_t = 4 << 30)]
    pub store_bytes_max: usize,
    /// Connections to a database.
    #[arg(long, default_value_t = 8)]
    pub database_connections: u32,
    /// How long a database may take for a statement, and how long work is tried again that others are in the way of.
    #[arg(long, default_value = "5000", value_parser = ms)]
    pub database_timeout_ms: Duration,
}

/// Work of any type.
trait Job: Send {
    fn writes(&self) -> bool;

    /// Does it within a transaction; may be called again if that comes to nothing.
    fn run(&mut self, tables: &mut dyn Tables) -> Result<()>;

    /// Tells the result, after the commit.
    fn end(self: Box<Self>, result: Result<()>);
}

struct Work<T, W, D> {
    writes: bool,
    work: W,
    value: Option<T>,
    done: D,
}

impl<T, W, D> Job for Work<T, W, D>
where
    T: Send,
    W: FnMut(&mut dyn Tables) -> Result<T> + Send,
    D: FnOnce(Result<T>) + Send,
{
    fn writes(&self) -> bool {
        self.writes
    }

    fn run(&mut self, tables: &mut dyn Tables) -> Result<()> {
        self.value = Some((self.work)(tables)?);
        Ok(())
    }

    fn end(self: Box<Self>, result: Result<()>) {
        let value = self.value.ok_or(Error::Busy); // it was refused before it ran
        (self.done)(result.and(value));
    }
}

/// An open store. Its threads end with it.
pub struct Kv {
    /// Read by the caller itself.
    files: Option<lmdb::Files>,
    queue: Sender<Box<dyn Job>>,
}

impl Kv {
    /// Opens the store with these tables, which are made if they are not there, as is a directory.
    pub fn open<const N: usize>(
        place: &Location,
        tables: [&'static str; N],
        options: Options,
    ) -> anyhow::Result<Self> {
        let (queue, jobs) = bounded(QUEUE_MAX);
        let files = match place {
            Location::Directory(directory) => {
                let files = lmdb::Files::open(directory, options.store_bytes_max, tables)?;
                files.clone().start(jobs)?;
                Some(files)
            }
            Location::Database(address) => {
                mariadb::start(address, &tables, options, &jobs)?;
                None
            }
        };
        Ok(Self { files, queue })
    }

    /// Whether [`read`](Self::read) waits for a database.
    pub fn is_remote(&self) -> bool {
        self.files.is_none()
    }

    /// What `work` reads. Waits for a database; LMDB is memory.
    pub fn read<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnMut(&mut dyn Tables) -> Result<T> + Send + 'static,
    {
        match &self.files {
            Some(files) => files.read(work),
            None => self.wait(false, work),
        }
    }

    /// Does `work` in a transaction and returns when it is durable. It may run more than once; only the last run counts.
    pub fn write<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnMut(&mut dyn Tables) -> Result<T> + Send + 'static,
    {
        self.wait(true, work)
    }

    /// As [`read`](Self::read) or [`write`](Self::write), without waiting: `done` gets the result on another thread.
    /// If the store has ended, `done` is dropped.
    pub fn later<T, W, D>(&self, writes: bool, work: W, done: D)
    where
        T: Send + 'static,
        W: FnMut(&mut dyn Tables) -> Result<T> + Send + 'static,
        D: FnOnce(Result<T>) + Send + 'static,
    {
        let job = Work {
            writes,
            work,
            value: None,
            done,
        };
        if let Err(TrySendError::Full(job)) = self.queue.try_send(Box::new(job)) {
            job.end(Err(Error::Busy));
        }
    }

    fn wait<T, W>(&self, writes: bool, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnMut(&mut dyn Tables) -> Result<T> + Send + 'static,
    {
        let (send, receive) = bounded(1);
        self.later(writes, work, move |result| drop(send.send(result)));
        let ended = |_| Err(Error::Failed("its threads have ended".into()));
        receive.recv().unwrap_or_else(ended)
    }
}
