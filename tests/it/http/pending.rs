//! Answers that come later: order, pipelining, what the client does meanwhile, and the stop.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use trident::{
    http::{Deferred, Handled, Head, Limits, Promise, Reply, Request, Service},
    metrics::Counter,
};

use crate::{
    harness::{Client, eventually},
    in_process::InProcess,
};

/// Size of the answer to `/large`: no socket takes it at once.
const LARGE_BYTES: usize = 16 << 20;

/// Answers `/later…` when the test says so, everything else at once.
#[derive(Default)]
struct Deferring {
    jobs: Mutex<VecDeque<Job>>,
}

/// A request that waits.
struct Job {
    path: String,
    promise: Promise<()>,
}

impl Service for Deferring {
    type Worker = ();

    fn worker(&self) {}

    fn takes(&self, head: &Head<'_>) -> bool {
        head.path != b"/later/without-body"
    }

    fn call(&self, _: &mut (), request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let path = String::from_utf8_lossy(request.head.path).into_owned();
        if path == "/large" {
            reply.text(|out| out.resize(out.len() + LARGE_BYTES, b'x'));
            return Counter::OtherValid.into();
        }
        if !path.starts_with("/later") {
            reply.text(|out| out.extend_from_slice(path.as_bytes()));
            return Counter::OtherValid.into();
        }
        let answer = path.clone();
        let (promise, deferred) = Deferred::new(move |kept, reply| {
            if let Some(()) = kept {
                reply.text(|out| out.extend_from_slice(answer.as_bytes()));
            }
            Counter::OtherValid
        });
        if path == "/later/at-once" {
            promise.keep(());
        } else {
            self.jobs.lock().unwrap().push_back(Job { path, promise });
        }
        deferred.into()
    }
}

impl InProcess<Deferring> {
    fn waiting(&self) -> usize {
        self.service.jobs.lock().unwrap().len()
    }

    /// Waits until `count` requests wait.
    fn await_jobs(&self, count: usize) {
        assert!(
            eventually(|| self.waiting() >= count),
            "{} of {count}",
            self.waiting()
        );
    }

    /// Lets the oldest waiting request be answered; its path.
    fn release(&self) -> String {
        self.await_jobs(1);
        let job = self.service.jobs.lock().unwrap().pop_front().unwrap();
        job.promise.keep(());
        job.path
    }

    fn is_empty(&self) -> bool {
        eventually(|| self.server.connections_open() == 0) && self.server.buffered_bytes() == 0
    }
}

fn start() -> InProcess<Deferring> {
    InProcess::start(Deferring::default(), Limits::default())
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes()
}

fn next_text(client: &mut Client) -> String {
    client.response().expect("an answer").text()
}

#[test]
fn pipelined_answers_keep_their_order() {
    let service = start();
    let mut client = service.connect();
    client.send(&["/a", "/later/b", "/c", "/later/d", "/e"].map(get).concat());
    assert_eq!(next_text(&mut client), "/a", "what is ready does not wait");
    assert!(client.is_left_waiting());
    assert_eq!(
        service.waiting(),
        1,
        "one request of a connection at a time"
    );
    assert_eq!(service.release(), "/later/b");
    for path in ["/later/b", "/c"] {
        assert_eq!(next_text(&mut client), path);
    }
    assert_eq!(service.release(), "/later/d");
    for path in ["/later/d", "/e"] {
        assert_eq!(next_text(&mut client), path);
    }
    drop(client);
    assert!(service.is_empty());
}

#[test]
fn head_answers_that_come_later_have_no_body() {
    let service = start();
    let mut client = service.connect();
    client.send(b"HEAD /later HTTP/1.1\r\nHost: t\r\n\r\n");
    service.release();
    let answer = client.head_response().expect("an answer");
    assert_eq!(answer.field("content-length"), Some("6"));
    assert_eq!(client.ask(&get("/next")).text(), "/next");
}

/// Bytes that arrive meanwhile raise no second event for the socket.
#[test]
fn bytes_that_arrive_meanwhile_are_not_forgotten() {
    let service = start();
    let mut client = service.connect();
    client.send(&get("/later"));
    service.await_jobs(1);
    client.send(&get("/next"));
    client.await_arrival();
    let (begin, end) = (get("/split"), get("/end"));
    client.send(&begin[..10]);
    client.await_arrival();
    service.release();
    assert_eq!(next_text(&mut client), "/later");
    assert_eq!(next_text(&mut client), "/next");
    client.send(&begin[10..]);
    assert_eq!(next_text(&mut client), "/split");
    assert_eq!(client.ask(&end).text(), "/end");
}

#[test]
fn a_half_closed_client_gets_the_answer() {
    let service = start();
    let mut client = service.connect();
    client.send(&["/later", "/next"].map(get).concat());
    client.finish();
    service.await_jobs(1);
    client.await_arrival();
    service.release();
    assert_eq!(next_text(&mut client), "/later");
    assert_eq!(next_text(&mut client), "/next");
    assert_eq!(client.response(), None);
    assert!(service.is_empty());
}

#[test]
fn the_end_that_was_asked_for_waits_for_the_answer() {
    let service = start();
    let mut client = service.connect();
    client.send(b"GET /later HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    service.await_jobs(1);
    assert!(client.is_left_waiting());
    service.release();
    let answer = client.response().expect("an answer");
    assert!(answer.closes() && answer.text() == "/later", "{answer:?}");
    assert_eq!(client.response(), None);
    assert!(service.is_empty());
}

/// A client that waits to be invited may send its body nevertheless, and must not lose the answer to a reset.
#[test]
fn the_connection_stays_for_a_body_that_is_not_wanted() {
    let service = start();
    let mut client = service.connect();
    client.send(
        b"POST /later/without-body HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    service.await_jobs(1);
    service.release();
    let answer = client.response().expect("an answer");
    assert!(answer.closes() && answer.text() == "/later/without-body");
    assert_eq!(client.response(), None, "the server has ended its side");
    assert_eq!(service.server.connections_open(), 1);
    client.send(b"body");
    drop(client);
    assert!(service.is_empty());
}

#[test]
fn clients_that_leave_leave_nothing_behind() {
    let service = start();
    for _ in 0..50 {
        let mut client = service.connect();
        client.send(&get("/later"));
    }
    service.await_jobs(50);
    for _ in 0..50 {
        service.release();
    }
    assert!(service.is_empty());
}

/// In whatever order the answers come in, every client gets its own.
#[test]
fn hundreds_wait_at_once() {
    let service = start();
    let mut clients: Vec<(String, Client)> = (0..300)
        .map(|index| {
            let path = format!("/later/{index}");
            let mut client = service.connect();
            client.send(&[get(&path), get("/next")].concat());
            (path, client)
        })
        .collect();
    service.await_jobs(300);
    service
        .service
        .jobs
        .lock()
        .unwrap()
        .make_contiguous()
        .reverse();
    let wakers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..75).filter(|_| !service.release().is_empty()).count()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(wakers, 300);
    for (path, client) in &mut clients {
        assert_eq!(next_text(client), *path);
        assert_eq!(next_text(client), "/next");
    }
    drop(clients);
    assert!(service.is_empty());
}

/// An answer that is there before its connection waits is not missed, and leaves no wake behind.
#[test]
fn an_answer_that_is_there_already_is_given() {
    let service = start();
    let mut client = service.connect();
    for round in 0..50 {
        client.send(&[get("/later/at-once"), get("/next")].concat());
        assert_eq!(next_text(&mut client), "/later/at-once");
        assert_eq!(next_text(&mut client), "/next");
        let path = format!("/{round}");
        assert_eq!(client.ask(&get(&path)).text(), path);
    }
}

/// A wake that crosses with the coroutine going to sleep: once in thousands of times it cost a worker.
#[test]
fn answers_that_come_at_once_cost_no_worker() {
    let service = start();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    let job = service.service.jobs.lock().unwrap().pop_front();
                    let Some(job) = job else {
                        std::hint::spin_loop();
                        continue;
                    };
                    job.promise.keep(());
                }
            });
        }
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut client = service.connect();
                scope
                    .spawn(move || (0..5000).all(|_| client.ask(&get("/later")).text() == "/later"))
            })
            .collect();
        let answered: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        is_over.store(true, SeqCst);
        assert!(answered.into_iter().all(|all| all.unwrap()));
    });
    assert!(service.is_empty());
}

/// A promise that is dropped, and a deferral that sends nothing, must not leave the client waiting.
#[test]
fn an_answer_that_is_dropped_becomes_a_500() {
    let service = start();
    let mut client = service.connect();
    client.send(&[get("/later"), get("/next")].concat());
    service.await_jobs(1);
    service.service.jobs.lock().unwrap().clear();
    let answer = client.response().expect("an answer");
    assert_eq!((answer.status, answer.closes()), (500, true), "{answer:?}");
    assert_eq!(client.rest(), b"");
}

/// Requests in flight outlive the announcement of the stop, and their answers say that they are the last.
#[test]
fn answers_that_come_during_a_stop_are_delivered() {
    let service = start();
    let mut before = service.connect();
    before.send(&get("/later/before"));
    service.await_jobs(1);
    service.server.announce_close();
    let mut after = service.connect();
    after.send(&get("/later/after"));
    service.await_jobs(2);
    service.server.end_idle();
    for (path, client) in [("/later/before", &mut before), ("/later/after", &mut after)] {
        assert_eq!(service.release(), path);
        let answer = client.response().expect("an answer");
        assert!(answer.closes() && answer.text() == path, "{answer:?}");
        assert_eq!(client.response(), None);
    }
    assert!(service.is_empty());
}

/// An answer that the socket does not take at once goes out while the next one is still to come. The write deadline
/// does not run while there is nothing to write.
#[test]
fn earlier_answers_are_written_while_one_waits() {
    let limits = Limits {
        write_timeout: Duration::from_secs(2),
        write_buffer_bytes_max: 2 * LARGE_BYTES, // both requests in one turn,
        turn_us: u64::MAX,                       // however long it takes
        ..Limits::default()
    };
    let service = InProcess::start(Deferring::default(), limits);
    let mut client = service.connect();
    client.send(&["/large", "/later", "/next"].map(get).concat());
    service.await_jobs(1);
    let large = client.response().expect("an answer");
    assert_eq!(large.body.len(), LARGE_BYTES);
    // The second client does not read: when it is cut off, later, the first one's time would be over too.
    let mut unread = service.connect();
    unread.send(&get("/large"));
    unread.await_closed();
    service.release();
    assert_eq!(next_text(&mut client), "/later");
    assert_eq!(next_text(&mut client), "/next");
    drop(client);
    assert!(service.is_empty());
}

/// A client that does not read an earlier answer is cut off too.
#[test]
fn an_unread_answer_ends_the_wait_for_the_next() {
    let limits = Limits {
        write_timeout: Duration::from_millis(300),
        write_buffer_bytes_max: 2 * LARGE_BYTES, // both requests in one turn,
        turn_us: u64::MAX,                       // however long it takes
        ..Limits::default()
    };
    let service = InProcess::start(Deferring::default(), limits);
    let mut client = service.connect();
    client.send(&["/large", "/later"].map(get).concat());
    service.await_jobs(1);
    assert!(service.is_empty(), "closed, and nothing is left of it");
    service.release(); // wakes a connection that no longer exists
    assert_eq!(service.connect().ask(&get("/next")).text(), "/next");
}
