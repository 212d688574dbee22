//! `POST /twitter/tweets`: JSON lines go into the store, a batch at a time, while it serves. `DELETE` on the same
//! path is the batch that deletes one tweet.
//!
//! The connection waits, its worker does not: one thread inflates, reads and writes the batches in turn. A
//! batch is answered when it is durable.
//!
//! | | answer |
//! | --- | --- |
//! | taken | 200, counts as JSON ([`Applied`]) |
//! | the token of `twitter.ingest_token` is missing or wrong | 401 |
//! | the setting is off | 403 on the admin address, 404 elsewhere |
//! | on the admin address, a page of another site sent it (`admin`) | 403 |
//! | the setting is `admin` and the request came elsewhere | 404 |
//! | a content coding other than gzip | 415 |
//! | damaged gzip; no tweet's id to delete | 400 |
//! | larger than `http.body_bytes_max`, or than `twitter.ingest_inflated_bytes_max` when inflated | 413 |
//! | a user's value would be too large | 422 |
//! | the store keeps no history | 409 |
//! | the batch reads and writes more than `twitter.mysql_write_bytes_max` of a database | 413 |
//! | no store is open, the queue is full, the store was replaced, the database cannot be reached or is busy | 503 and Retry-After |
//! | no room for the updates | 507 |
//! | the store cannot be read or written | 500 |
//!
//! An answer other than 200 means that nothing was changed. The one exception is a 503 that says so: the connection to
//! the database was lost during the commit, and nobody knows its outcome.
//!
//! `failure` says why a batch was refused, `pace` when a client should try again.

mod failure;
mod pace;

use std::{
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flate2::read::MultiGzDecoder;
use tracing::{info, warn};

use super::{bearer, twitter::source::Twitter};
use crate::{
    codec::{decimal, query},
    etl::{
        record::notice::Notice,
        update::{
            batch::{Applied, Batch},
            refused::Refused,
        },
    },
    http::{Deferred, Handled, Method, Promise, Reply, Request, Status, TEXT},
    metrics::{self, Counter},
    store::{StoreError, database},
    twitter::{IngestAccess, IngestOptions},
};
use failure::Failure;
use pace::{Pace, RETRY_AFTER_S};

const JSON: &str = "application/json";

const WRONG_TOKEN: &str =
    "wrong or missing token: send Authorization: Bearer and the twitter.ingest_token";

const NO_ID: &str = "which tweet? send its number as in /twitter/tweets?id=1234";

/// How often opening a store is tried that could not be opened again. Until then the instance is not ready, so a balancer
/// sends no batch that would try it.
const RETRY_EVERY: Duration = Duration::from_secs(1);

const OTHER_CODING: &str = "send JSON lines plain or with Content-Encoding: gzip";

/// The queue and the thread behind it, if the setting is on.
pub(super) struct Ingest {
    access: IngestAccess,
    token: String,
    queue: Option<Sender<Job>>,
    pace: Arc<Pace>,
    thread: Option<JoinHandle<()>>,
}

/// A batch as sent. A panic or a stop drops the promise, and the client gets an error.
struct Job {
    task: Task,
    promise: Promise<Result<Applied, Failure>>,
}

enum Task {
    /// JSON lines to take.
    Take { body: Vec<u8>, gzip: bool },
    /// A tweet to delete.
    Delete(u64),
}

impl Ingest {
    pub(super) fn start(options: IngestOptions, twitter: &Arc<Twitter>) -> io::Result<Self> {
        let mut ingest = Self {
            access: options.access,
            token: options.token.clone(),
            queue: None,
            pace: Arc::default(),
            thread: None,
        };
        if options.access != IngestAccess::Off {
            let (queue, jobs) = bounded(options.queue_max);
            let twitter = Arc::clone(twitter);
            let pace = Arc::clone(&ingest.pace);
            let work = move || work(&jobs, &options, &twitter, &pace);
            ingest.thread = Some(thread::Builder::new().name("ingest".into()).spawn(work)?);
            ingest.queue = Some(queue);
        }
        Ok(ingest)
    }

    /// Batches that wait, without the one that is being written.
    pub(super) fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, Sender::len)
    }

    /// Whether the endpoint exists for everybody; it always exists for the operator.
    pub(super) fn is_public(&self) -> bool {
        self.access == IngestAccess::Public
    }

    /// Whether the request has the token, or no token is required.
    pub(super) fn admits(&self, request: &Request<'_>) -> bool {
        self.token.is_empty() || bearer::has_token(request, &self.token)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `POST` and `DELETE /twitter/tweets`.
pub(super) fn answer(ingest: &Ingest, request: &Request<'_>, reply: Reply<'_>) -> Handled {
    let Some(queue) = &ingest.queue else {
        let text = "ingestion is off: set twitter.ingest to \"admin\"";
        reply.line(Status::Forbidden, text);
        return Counter::TweetsRefused.into();
    };
    let task = if ingest.admits(request) {
        task(request)
    } else {
        Err((Status::Unauthorized, WRONG_TOKEN))
    };
    let task = match task {
        Ok(task) => task,
        Err((status, text)) => {
            metrics::add(Counter::IngestRefused, 1);
            bearer::refuse(status, text, reply);
            return Counter::TweetsRefused.into();
        }
    };
    let (promise, deferred) =
        Deferred::new(|result, reply| report(result.unwrap_or(Err(Failure::GivenUp)), reply));
    match queue.try_send(Job { task, promise }) {
        Ok(()) => deferred.into(),
        Err(_full) => {
            metrics::add(Counter::IngestRefused, 1);
            let seconds = ingest.pace.seconds_for(queue.len() + 1);
            again_later("too many batches wait already", seconds, reply);
            Counter::TweetsFailed.into()
        }
    }
}

/// What a request asks for, or how to refuse it.
fn task(request: &Request<'_>) -> Result<Task, (Status, &'static str)> {
    if request.head.method == Method::Delete {
        let id = query::first(request.head.query, b"id").and_then(decimal::parse_u63);
        return id.map(Task::Delete).ok_or((Status::BadRequest, NO_ID));
    }
    let gzip = match request.field(b"content-encoding") {
        None | Some(b"") => false,
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => false,
        Some(coding) if coding.eq_ignore_ascii_case(b"gzip") => true,
        Some(_) => return Err((Status::UnsupportedMediaType, OTHER_CODING)),
    };
    let body = request.body.to_vec();
    Ok(Task::Take { body, gzip })
}

fn again_later(text: &str, seconds: u64, reply: Reply<'_>) {
    let seconds = seconds.to_string();
    let fields = [("Retry-After", seconds.as_str())];
    reply.send(Status::ServiceUnavailable, TEXT, &fields, |out| {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    });
}

/// Answers with the result of a batch.
fn report(result: Result<Applied, Failure>, reply: Reply<'_>) -> Counter {
    let failure = match result {
        Ok(applied) => {
            let text = serde_json::to_vec(&applied).unwrap_or_default();
            reply.send(Status::Ok, JSON, &[], |out| {
                out.extend_from_slice(&text);
                out.push(b'\n');
            });
            return Counter::TweetsValid;
        }
        Err(failure) => failure,
    };
    let status = failure.status();
    match status {
        Status::ServiceUnavailable => again_later(&failure.to_string(), RETRY_AFTER_S, reply),
        status => reply.line(status, &failure.to_string()),
    }
    match status.code() {
        ..500 => Counter::TweetsRefused,
        _ => Counter::TweetsFailed,
    }
}

/// The next batch; `None` = the application ends. Until it comes, a store that could not be opened is tried again.
fn next(jobs: &Receiver<Job>, twitter: &Twitter) -> Option<Job> {
    while twitter.is_closed() {
        match jobs.recv_timeout(RETRY_EVERY) {
            Err(RecvTimeoutError::Timeout) => twitter.retry(),
            job => return job.ok(),
        }
    }
    jobs.recv().ok()
}

/// Body of the thread: one batch after the other until the application ends. Sleeps in the channel.
fn work(jobs: &Receiver<Job>, options: &IngestOptions, twitter: &Twitter, pace: &Pace) {
    let mut writer = None;
    while let Some(job) = next(jobs, twitter) {
        // A panic costs its batch, not the thread.
        let done = catch_unwind(AssertUnwindSafe(|| {
            let start = Instant::now();
            let result = take(&job, options, twitter, &mut writer);
            pace.note(start.elapsed());
            note(&result);
            job.promise.keep(result);
        }));
        if done.is_err() {
            // Closes the connection and so ends the transaction, which would otherwise keep the lock of all batches.
            writer = None;
        }
    }
}

/// `writer`: the connection to a database, from one batch to the next.
fn take(
    job: &Job,
    options: &IngestOptions,
    twitter: &Twitter,
    writer: &mut Option<database::Writer>,
) -> Result<Applied, Failure> {
    let batch = batch(&job.task, options.inflated_bytes_max)?;
    let Some(client) = twitter.database() else {
        return apply(&batch, options, twitter);
    };
    // A transaction would wait for its turn and for the disks of the cluster. If the store takes no batches, that is
    // reported below.
    if client.keeps_history()
        && let Some(applied) = batch.of_nothing()
    {
        return Ok(applied);
    }
    let writer = match writer {
        Some(writer) => writer,
        None => {
            let new = client.writer().map_err(StoreError::from);
            writer.insert(new.map_err(Refused::from)?)
        }
    };
    let attempt =
        |update: database::Update<'_>| batch.apply_within(update.into(), options.value_bytes_max);
    Ok(writer.apply(attempt, Refused::fault)?)
}

/// Applies a batch to the open store. One that LMDB has given up is opened again, or else no user could be looked up
/// until a restart.
fn apply(batch: &Batch, options: &IngestOptions, twitter: &Twitter) -> Result<Applied, Failure> {
    twitter.retry();
    let store = twitter.store().ok_or(Failure::NoStore)?;
    let applied = batch.apply(&store, options.value_bytes_max);
    if applied.is_err() && store.has_given_up() {
        warn!("LMDB has given up the store after a failed write; it is opened again");
        drop(store);
        let _ = twitter.reload(); // logs what fails
    }
    Ok(applied?)
}

fn batch(task: &Task, inflated_bytes_max: usize) -> Result<Batch, Failure> {
    let inflated;
    let text = match task {
        Task::Delete(id) => return Ok(Batch::deletion(*id)),
        Task::Take { body, gzip: true } => {
            inflated = inflate(body, inflated_bytes_max)?;
            &inflated
        }
        Task::Take { body, gzip: false } if body.len() > inflated_bytes_max => {
            return Err(Failure::TooLarge(inflated_bytes_max));
        }
        Task::Take { body, gzip: false } => body,
    };
    Ok(Batch::read(text).map_err(Refused::from)?)
}

fn inflate(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let mut bounded = MultiGzDecoder::new(body).take(bytes_max as u64 + 1);
    bounded.read_to_end(&mut text).map_err(Failure::Gzip)?;
    if text.len() > bytes_max {
        return Err(Failure::TooLarge(bytes_max));
    }
    Ok(text)
}

fn counter(notice: Notice) -> Counter {
    match notice {
        Notice::Delete => Counter::NoticeDelete,
        Notice::ScrubGeo => Counter::NoticeScrubGeo,
        Notice::Limit => Counter::NoticeLimit,
        Notice::StatusWithheld => Counter::NoticeStatusWithheld,
        Notice::UserWithheld => Counter::NoticeUserWithheld,
        Notice::Warning => Counter::NoticeWarning,
    }
}

/// Counts and, where an operator has something to do, logs.
fn note(result: &Result<Applied, Failure>) {
    match result {
        Ok(applied) => {
            metrics::add(Counter::IngestAccepted, 1);
            metrics::add(Counter::IngestNew, applied.tweets_new);
            metrics::add(Counter::IngestReplaced, applied.tweets_replaced);
            metrics::add(Counter::IngestDuplicate, applied.duplicates);
            metrics::add(Counter::IngestDropped, applied.dropped.values().sum());
            metrics::add(Counter::IngestDeleted, applied.tweets_deleted);
            metrics::add(Counter::IngestOfDeleted, applied.deleted);
            for notice in Notice::ALL {
                let count = applied.notices.get(notice.name());
                metrics::add(counter(notice), count.copied().unwrap_or(0));
            }
            metrics::add(Counter::IngestValues, applied.users_touched);
            if applied.batch == 1 {
                info!("first updates of this store");
            }
        }
        Err(failure) => {
            let status = failure.status();
            if matches!(
                status,
                Status::InternalServerError | Status::InsufficientStorage
            ) {
                metrics::add(Counter::IngestFailed, 1);
                warn!(error = %failure, "a batch of tweets was not taken");
            } else {
                metrics::add(Counter::IngestRefused, 1);
            }
        }
    }
}
