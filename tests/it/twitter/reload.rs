//! A new store replaces the old one while requests go on.

use super::*;
use crate::harness::eventually;
use std::{os::unix::fs::symlink, sync::atomic::AtomicBool, thread};

const QUERY: &str = "user_id=1&type=both&phrase=a&hashtag=b";
const RELOAD: &[u8] = b"POST /admin/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";

/// A store in which the latest tweet of user 1 is `text`.
fn numbered(path: &Path, text: &str) {
    store(path, [(1, value(1, &[(2, 0, &[(1, text, &[])])]))]);
}

fn answer(text: &str) -> String {
    format!("{TEAM_LINE}2\tname2\tabout 2\t{text}")
}

fn reload(server: &Server) -> Response {
    Client::connect(server.admin.unwrap()).ask(RELOAD)
}

/// Data files that the server has mapped.
fn mapped(server: &Server) -> usize {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    maps.lines()
        .filter(|line| line.contains("data.mdb"))
        .count()
}

#[test]
fn a_store_under_the_same_name_is_taken_up_by_post_and_by_signal() {
    let directory = TempDir::new();
    let path = directory.join("store");
    numbered(&path, "first");
    let server = serve(&path, &[]);
    let mut client = server.connect();
    assert_eq!(ask(&mut client, QUERY).text(), answer("first"));
    let unchanged = reload(&server);
    assert_eq!(unchanged.status, 200);
    assert!(unchanged.text().starts_with("unchanged: "), "{unchanged:?}");

    numbered(&path, "second");
    assert_eq!(ask(&mut client, QUERY).text(), answer("first"));
    let replaced = reload(&server);
    assert_eq!(replaced.status, 200);
    assert!(replaced.text().starts_with("replaced: "), "{replaced:?}");
    assert_eq!(ask(&mut client, QUERY).text(), answer("second"));

    numbered(&path, "third");
    server.signal("HUP");
    assert!(eventually(
        || ask(&mut client, QUERY).text() == answer("third")
    ));
    assert!(eventually(|| mapped(&server) == 1));
    // Counted after the replacement, which the answers above already saw.
    let replaced = || server.metric("trident_store_reloads_total{outcome=\"replaced\"}");
    assert!(eventually(|| replaced() == 2));
    assert_eq!(
        server.metric("trident_store_reloads_total{outcome=\"unchanged\"}"),
        1
    );
}

#[test]
fn a_symbolic_link_that_points_elsewhere_is_followed() {
    let directory = TempDir::new();
    let (link, next) = (directory.join("current"), directory.join("next"));
    numbered(&directory.join("a"), "in a");
    numbered(&directory.join("b"), "in b");
    symlink("a", &link).unwrap();
    let server = serve(&link, &[]);
    assert_eq!(ask(&mut server.connect(), QUERY).text(), answer("in a"));
    symlink("b", &next).unwrap();
    fs::rename(&next, &link).unwrap();
    assert_eq!(reload(&server).status, 200);
    assert_eq!(ask(&mut server.connect(), QUERY).text(), answer("in b"));
}

#[test]
fn after_a_failed_reload_the_old_store_goes_on() {
    let directory = TempDir::new();
    let path = directory.join("store");
    numbered(&path, "good");
    let server = serve(&path, &[]);
    let aside = directory.join("aside");
    fs::rename(&path, &aside).unwrap();
    let failed = reload(&server);
    assert_eq!(failed.status, 500);
    assert!(failed.text().contains("No such file"), "{failed:?}");
    // a damaged store in its place
    numbered(&path, "damaged");
    let data = fs::read(path.join("data.mdb")).unwrap();
    fs::write(path.join("data.mdb"), &data[..data.len() / 2]).unwrap();
    let failed = reload(&server);
    assert!(failed.text().contains("is damaged"), "{failed:?}");
    assert_eq!(ask(&mut server.connect(), QUERY).text(), answer("good"));
    assert_eq!(
        server.metric("trident_store_reloads_total{outcome=\"failed\"}"),
        2
    );
    // the very store again, under its old name
    fs::remove_dir_all(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert!(reload(&server).text().starts_with("unchanged"));
}

#[test]
fn the_public_listener_does_not_reload() {
    let directory = TempDir::new();
    numbered(&directory.join("store"), "x");
    let server = serve(&directory.join("store"), &[]);
    assert_eq!(server.ask(RELOAD).status, 404);
    let admin = server.admin.unwrap();
    let get = b"GET /admin/reload HTTP/1.1\r\nHost: t\r\n\r\n";
    assert_eq!(Client::connect(admin).ask(get).status, 405);
}

/// Requests by several clients without a pause, one reload after another: each request is answered from one of the
/// stores, and never from an older one than the request before.
#[test]
fn no_request_fails_while_stores_are_replaced() {
    const STORES: usize = 30;
    let directory = TempDir::new();
    let path = directory.join("store");
    numbered(&path, "text 0");
    let server = serve(&path, &[]);
    let done = AtomicBool::new(false);
    let requests = thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| hammer(&mut server.connect(), &done)))
            .collect();
        for number in 1..=STORES {
            numbered(&path, &format!("text {number}"));
            if number % 3 == 0 {
                server.signal("HUP");
                let current = answer(&format!("text {number}"));
                assert!(eventually(
                    || ask(&mut server.connect(), QUERY).text() == current
                ));
            } else {
                assert_eq!(reload(&server).status, 200);
            }
        }
        done.store(true, Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum::<usize>()
    });
    assert!(requests > STORES, "{requests}");
    assert_eq!(
        ask(&mut server.connect(), QUERY).text(),
        answer(&format!("text {STORES}"))
    );
    assert!(
        eventually(|| mapped(&server) == 1),
        "old stores are not closed"
    );
}

/// Asks until `done`; returns how often.
fn hammer(client: &mut Client, done: &AtomicBool) -> usize {
    let mut requests = 0;
    let mut last = 0;
    let prefix = answer("text ");
    while !done.load(Relaxed) {
        let response = ask(client, QUERY);
        assert_eq!(response.status, 200);
        let text = response.text();
        let number: usize = text.strip_prefix(&prefix).unwrap().parse().unwrap();
        assert!(number >= last, "store {number} after store {last}");
        (requests, last) = (requests + 1, number);
    }
    requests
}

/// Reloads are counted like other requests.
#[test]
fn reloads_are_counted_as_requests() {
    let directory = TempDir::new();
    let path = directory.join("store");
    numbered(&path, "first");
    let server = serve(&path, &[]);
    let valid = || server.metric("trident_requests_total{endpoint=\"admin\",outcome=\"valid\"}");
    let before = valid();
    for _ in 0..3 {
        assert_eq!(reload(&server).status, 200);
    }
    assert_eq!(valid(), before + 1 + 3, "one is the reading of metrics");
}
