//! The cost of a panic in a handler: one connection, and nothing that was answered before it.
//!
//! The product's handlers have no way to panic, so a service of the test's own runs on the same loop.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use trident::{
    http::{Deferred, Handled, Limits, Reply, Request, Service, Status},
    metrics::{self, Counter},
};

use crate::{harness::eventually, in_process::InProcess};

/// Counters are those of the process: tests that count panics take turns.
static PANICS: Mutex<()> = Mutex::new(());

/// The counter of its answers, which nothing else in this process counts.
const COUNTED: Counter = Counter::QrPictureValid;

/// Panics on demand. Its scratch says whether a panic left it half-written.
#[derive(Default)]
struct Fragile {
    scratches: AtomicUsize,
}

struct Scratch {
    intact: bool,
}

impl Service for Fragile {
    type Worker = Scratch;

    fn worker(&self) -> Scratch {
        self.scratches.fetch_add(1, Relaxed);
        Scratch { intact: true }
    }

    fn call(&self, worker: &mut Scratch, request: &Request<'_>, reply: Reply<'_>) -> Handled {
        assert!(worker.intact, "scratch of a panicked call was used again");
        match request.head.path {
            b"/panic" => {
                worker.intact = false;
                panic!("on purpose");
            }
            b"/panic-midway" => reply.text(|out| {
                out.extend_from_slice(b"half of an ans");
                panic!("midway, on purpose");
            }),
            b"/panic-late" => {
                let (promise, deferred) =
                    Deferred::new(|_: Option<()>, _| panic!("late, on purpose"));
                promise.keep(());
                return deferred.into();
            }
            b"/silent" => {}
            _ => reply.line(Status::Ok, "fine"),
        }
        COUNTED.into()
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes()
}

/// Sends a good request and one to `path` in one batch, with a third behind; returns the statuses.
fn statuses_around(service: &InProcess<Fragile>, path: &str) -> Vec<u16> {
    let mut client = service.connect();
    client.send(&[get("/"), get(path), get("/")].concat());
    let mut statuses = Vec::new();
    while let Some(answer) = client.response() {
        statuses.push(answer.status);
        assert_eq!(answer.closes(), answer.status != 200);
        assert!(!answer.text().contains("half"), "{answer:?}");
    }
    statuses
}

#[test]
fn a_panic_costs_one_connection_and_is_counted() {
    let _turn = PANICS.lock().unwrap_or_else(|broken| broken.into_inner());
    let service = InProcess::start(Fragile::default(), Limits::default());
    // At least one on each worker: connections in a row have different descriptors, hence different workers.
    let mut bystanders: Vec<_> = (0..8).map(|_| service.connect()).collect();
    for bystander in &mut bystanders {
        assert_eq!(bystander.ask(&get("/")).status, 200);
    }
    for path in ["/panic", "/panic-midway"] {
        let before = metrics::read(Counter::HandlerPanics);
        let failed = metrics::read(Counter::OtherFailed);
        for _ in 0..10 {
            assert_eq!(statuses_around(&service, path), [200, 500], "{path}");
        }
        assert_eq!(metrics::read(Counter::HandlerPanics) - before, 10);
        let counted_twice = metrics::read(Counter::OtherFailed) - failed;
        assert_eq!(counted_twice, 0, "it is a fault already");
        for bystander in &mut bystanders {
            assert_eq!(bystander.ask(&get("/")).status, 200, "after {path}");
        }
    }
    assert!(
        service.service.scratches.load(Relaxed) >= 20,
        "scratch is replaced"
    );
    drop(bystanders);
    assert!(
        eventually(|| service.server.connections_open() == 0),
        "connections leak"
    );
    assert_eq!(service.server.buffered_bytes(), 0);
}

#[test]
fn a_panic_in_a_deferred_answer_costs_one_connection() {
    let _turn = PANICS.lock().unwrap_or_else(|broken| broken.into_inner());
    let service = InProcess::start(Fragile::default(), Limits::default());
    let before = metrics::read(Counter::HandlerPanics);
    let statuses = statuses_around(&service, "/panic-late");
    assert_eq!(statuses, [200, 500]);
    assert_eq!(metrics::read(Counter::HandlerPanics) - before, 1);
    assert_eq!(service.connect().ask(&get("/")).status, 200);
    assert!(eventually(|| service.server.connections_open() == 0));
}

/// The counter that a handler returns is counted when it has answered, and only then.
#[test]
fn only_answers_that_were_sent_are_counted() {
    let _turn = PANICS.lock().unwrap_or_else(|broken| broken.into_inner());
    let service = InProcess::start(Fragile::default(), Limits::default());
    let before = metrics::read(COUNTED);
    for path in ["/silent", "/panic", "/panic-midway", "/panic-late"] {
        statuses_around(&service, path); // one good answer before each
    }
    assert_eq!(service.connect().ask(&get("/")).status, 200);
    assert_eq!(metrics::read(COUNTED) - before, 5);
}

#[test]
fn a_handler_that_does_not_answer_is_answered_for() {
    let _turn = PANICS.lock().unwrap_or_else(|broken| broken.into_inner());
    let service = InProcess::start(Fragile::default(), Limits::default());
    assert_eq!(statuses_around(&service, "/silent"), [200, 500]);
}
