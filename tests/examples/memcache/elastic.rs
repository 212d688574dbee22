//! The pool under load while it grows, shrinks and loses nodes: every answer is right and none is stale.

use super::*;
use crate::Running;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
};

/// Keys, each with a writer of its own.
const KEYS: usize = 4;

/// Threads that read all keys.
const READERS: usize = 4;

/// What was written under each key.
#[derive(Default)]
struct Written {
    /// The newest upload that has begun.
    begun: [AtomicU64; KEYS],
    /// The newest upload that was answered.
    acknowledged: [AtomicU64; KEYS],
    /// Reads that were answered and right.
    reads: AtomicU64,
    over: AtomicBool,
}

/// A file whose every part says which upload it is.
fn file(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(500)
}

impl Written {
    fn write(&self, mut front: Front, key: usize) {
        for number in 1.. {
            self.begun[key].store(number, SeqCst);
            let (status, answer) = front.upload(&format!("key{key}"), &file(number));
            assert_eq!(status, 200, "{answer}");
            self.acknowledged[key].store(number, SeqCst);
            if self.over.load(SeqCst) {
                return;
            }
        }
    }

    /// The newest upload acknowledged before the read began is the oldest that the answer may have.
    fn read(&self, mut front: Front) {
        while !self.over.load(SeqCst) {
            for key in 0..KEYS {
                let oldest = self.acknowledged[key].load(SeqCst);
                let content = front.read(&format!("key{key}"));
                let newest = self.begun[key].load(SeqCst);
                let Some(content) = content else {
                    assert_eq!(oldest, 0, "key{key} is gone");
                    continue;
                };
                let number = u64::from_le_bytes(content[..8].try_into().unwrap());
                assert!(content == file(number), "key{key} is no upload");
                assert!(
                    (oldest..=newest).contains(&number),
                    "key{key}: {number}, of {oldest} to {newest}"
                );
                self.reads.fetch_add(1, SeqCst);
            }
        }
    }

    /// Waits until as many reads as before and one more upload of every key were answered.
    fn go_on(&self) {
        let reads = self.reads.load(SeqCst) + 8 * (READERS * KEYS) as u64;
        let uploads: Vec<_> = self.acknowledged.iter().map(|n| n.load(SeqCst)).collect();
        assert!(eventually(|| {
            let now = self.acknowledged.iter().map(|n| n.load(SeqCst));
            let has_written = now.zip(&uploads).all(|(now, before)| now > *before);
            self.over.load(SeqCst) || has_written && self.reads.load(SeqCst) >= reads
        }));
        assert!(!self.over.load(SeqCst), "a client has failed");
    }
}

/// Ends the clients, even if one of them or the test itself fails.
struct Over<'a>(&'a Written);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.over.store(true, SeqCst);
        }
    }
}

/// Runs `disturb` beside writers and readers, whose answers must all be right.
fn under_load(memcache: &Memcache, disturb: impl FnOnce(&Written)) {
    let written = Written::default();
    thread::scope(|scope| {
        let written = &written;
        for key in 0..KEYS {
            let front = memcache.front();
            scope.spawn(move || {
                let _over = Over(written);
                written.write(front, key);
            });
        }
        for _ in 0..READERS {
            let front = memcache.front();
            scope.spawn(move || {
                let _over = Over(written);
                written.read(front);
            });
        }
        let _over = Over(written);
        written.go_on();
        disturb(written);
        written.over.store(true, SeqCst);
    });
    // The remaining file is the newest of all.
    let mut front = memcache.front();
    for key in 0..KEYS {
        let newest = written.acknowledged[key].load(SeqCst);
        assert_eq!(front.read(&format!("key{key}")).unwrap(), file(newest));
    }
}

fn kill_node(memcache: &Memcache, index: usize) {
    let pid = memcache.state()["pool"][index]["pid"].to_string();
    let sent = Command::new("kill").args(["-s", "KILL", &pid]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn no_read_is_old_while_the_pool_grows_and_shrinks() {
    let memcache = Memcache::start(&[]);
    under_load(&memcache, |written| {
        for _ in 1..8 {
            memcache.grow();
            written.go_on();
        }
        for _ in 1..8 {
            memcache.shrink();
            written.go_on();
        }
    });
    assert_eq!(memcache.node_count(), 1);
}

#[test]
fn a_killed_node_costs_misses_and_no_wrong_answer() {
    let memcache = Memcache::start(&["--nodes", "3"]);
    under_load(&memcache, |written| {
        for index in [0, 2, 1] {
            let before = memcache.nodes();
            kill_node(&memcache, index);
            written.go_on();
            assert!(eventually(|| memcache.nodes()[index] != before[index]));
            written.go_on();
            let after = memcache.nodes();
            let stayed = (0..3).filter(|other| after[*other] == before[*other]);
            assert_eq!(stayed.count(), 2);
        }
    });
    // Values come from a running node again: on the second read of each key, if not on the first.
    let mut front = memcache.front();
    let hits = || memcache.counted("hits");
    for key in 0..KEYS {
        let before = hits();
        let key = format!("key{key}");
        assert!(eventually(|| front.read(&key).is_some() && hits() > before));
    }
}

/// The nodes and their content outlive the front. The roles are started separately, without a token.
#[test]
fn a_front_that_is_started_again_is_told_of_the_nodes() {
    let directory = TempDir::new();
    let start = |role: &str, more: &[&str]| {
        let mut command = Command::new(example("memcache"));
        Running::start(command.arg(role).args(more))
    };
    let store = &directory.path("store");
    let front = start(
        "front",
        &["--front-listen", "127.0.0.1:0", "--store", store],
    );
    let (address, url) = (front.address, format!("http://{}", front.address));
    let nodes = ["--nodes", "2", "--sample-ms", "50", "--front", &url];
    let manager = start(
        "manager",
        &[&["--manager-listen", "127.0.0.1:0"], &nodes[..]].concat(),
    );
    let figure = |name: &str| {
        let answer = ask(&mut Client::connect(address), "GET", "/metrics", "", b"");
        let text = answer.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.expect(name).trim().parse::<u64>().unwrap()
    };
    assert_eq!(figure("memcache_front_nodes "), 2);
    let mut client = Front(Client::connect(address));
    assert_eq!(client.upload("key", &file(1)).0, 200);
    assert_eq!(client.read("key").unwrap(), file(1));
    front.kill();
    let listen = address.to_string();
    let _front = start("front", &["--front-listen", &listen, "--store", store]);
    assert!(eventually(|| figure("memcache_front_nodes ") == 2));
    let mut client = Front(Client::connect(address));
    assert_eq!(client.read("key").unwrap(), file(1));
    let counted = ["cached", "from_disk"].map(|of| figure(&format!("memcache_front_{of}_total ")));
    assert_eq!(counted, [1, 0]);
    assert!(manager.stop());
}

/// Nodes may still hold values that no key refers to any more.
#[test]
fn data_that_was_deleted_is_not_read_again() {
    let memcache = Memcache::start(&["--nodes", "2"]);
    let mut front = memcache.front();
    for round in 0..5 {
        for n in 0..10 {
            let key = n.to_string();
            assert_eq!(front.read(&key), None, "{round}");
            assert_eq!(front.upload(&key, &[round]).0, 200);
            assert_eq!(front.read(&key).unwrap(), [round]);
        }
        if round % 2 == 0 {
            memcache.grow();
        }
        memcache.does("POST", "/api/delete_all", &json!({}));
    }
}
