//! Fairness by time: connections with costly requests wait for each other, and nobody else waits for all of them. Shown
//! by counts: how many costly requests a worker answers while a request of another client waits.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use trident::{
    http::{Handled, Limits, Reply, Request, Service},
    metrics::Counter,
};

use crate::{
    harness::{Client, eventually},
    in_process::InProcess,
};

/// Time of a costly request: twice the share of a turn.
const DEAR: Duration = Duration::from_micros(500);

/// What one worker has answered.
#[derive(Default)]
struct Seen {
    dear: AtomicUsize,
    attackers: Mutex<BTreeSet<Vec<u8>>>,
}

/// `/dear?WHO` takes [`DEAR`], `/cheap` nothing. Both are answered with the worker's index and the number of costly
/// requests it has answered before.
#[derive(Default)]
struct Costs {
    workers: Mutex<Vec<Arc<Seen>>>,
}

impl Service for Costs {
    type Worker = (usize, Arc<Seen>);

    fn worker(&self) -> Self::Worker {
        let mut workers = self.workers.lock().unwrap();
        workers.push(Arc::default());
        (workers.len() - 1, Arc::clone(&workers[workers.len() - 1]))
    }

    fn call(&self, worker: &mut Self::Worker, request: &Request<'_>, reply: Reply<'_>) -> Handled {
        let (index, seen) = worker;
        let before = seen.dear.load(Relaxed);
        if request.head.path == b"/dear" {
            let began = Instant::now();
            while began.elapsed() < DEAR {
                std::hint::spin_loop();
            }
            seen.dear.fetch_add(1, Relaxed);
            if !request.head.query.is_empty() {
                let who = request.head.query.to_vec();
                seen.attackers.lock().unwrap().insert(who);
            }
        }
        reply.text(|out| out.extend_from_slice(format!("{index} {before}").as_bytes()));
        Counter::OtherValid.into()
    }
}

/// Sends a request. Its answer gives the worker and the number of costly requests answered before.
fn ask(client: &mut Client, path: &str) -> (usize, usize) {
    let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
    let text = answer.text();
    let (index, before) = text.split_once(' ').unwrap();
    (index.parse().unwrap(), before.parse().unwrap())
}

/// The median number of costly requests that are answered while a request for `path` waits.
fn dear_before_each(victim: &mut Client, seen: &Seen, path: &str, requests: usize) -> usize {
    let mut counts: Vec<usize> = (0..requests)
        .map(|_| {
            let sent = seen.dear.load(Relaxed);
            ask(victim, path).1 - sent
        })
        .collect();
    counts.sort_unstable();
    counts[requests / 2]
}

#[test]
fn dear_requests_wait_for_each_other_and_cheap_ones_for_none() {
    const ATTACKERS: usize = 64;
    const PIPELINED: usize = 400;
    let server = InProcess::start(Costs::default(), Limits::default());
    let seen = |index: usize| Arc::clone(&server.service.workers.lock().unwrap()[index]);
    let attackers: Vec<Client> = (0..ATTACKERS)
        .map(|n| {
            let mut client = server.connect();
            let request = format!("GET /dear?{n} HTTP/1.1\r\nHost: t\r\n\r\n");
            client.send(request.repeat(PIPELINED).as_bytes());
            client
        })
        .collect();
    let begun = || {
        let workers = server.service.workers.lock().unwrap();
        let count = |seen: &Arc<Seen>| seen.attackers.lock().unwrap().len();
        workers.iter().map(count).sum::<usize>() == ATTACKERS
    };
    assert!(eventually(begun), "every attacker gets turns");
    // A connection's worker follows from its descriptor: connections are opened until one shares a worker with many
    // attackers.
    let mut others = Vec::new();
    let (mut victim, seen) = loop {
        let mut client = server.connect();
        let seen = seen(ask(&mut client, "/cheap").0);
        if seen.attackers.lock().unwrap().len() >= ATTACKERS / 4 {
            break (client, seen);
        }
        others.push(client);
        assert!(others.len() < ATTACKERS, "no worker has many attackers");
    };
    let rivals = seen.attackers.lock().unwrap().len();
    let cheap = dear_before_each(&mut victim, &seen, "/cheap", 31);
    let dear = dear_before_each(&mut victim, &seen, "/dear", 11);
    eprintln!(
        "{rivals} rivals; {cheap} dear requests before a cheap one, {dear} before a dear one"
    );
    assert!(
        cheap <= 3,
        "a cheap request waits for one that has begun, not for {cheap}"
    );
    assert!(
        dear <= rivals + 3,
        "a dear request waits for one of each rival, not for {dear}"
    );
    let all = rivals * PIPELINED;
    assert!(seen.dear.load(Relaxed) < all, "the attack had ended");
    drop(attackers);
}
