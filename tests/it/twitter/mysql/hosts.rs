//! Several hosts in one address.

use super::*;
use crate::harness::unless_skipped;
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Lookups that a database has run.
fn share(database: &Database, before: u64) -> u64 {
    database.executed() - before
}

fn ask_all(server: &Server, users: std::ops::RangeInclusive<u64>) {
    let mut client = server.connect();
    for user in users {
        let text = ask(&mut client, &about(user)).text();
        assert_eq!(text, answer(user, "first"), "{user}");
    }
}

fn both(first: &Database, second: &Database, parameters: &str) -> String {
    let (user, name) = (database::USER, "trident");
    let (first, second) = (first.address(), second.address());
    format!("mysql://{user}@{first},{second}/{name}?{parameters}")
}

#[test]
fn another_host_stands_in_and_a_mended_one_is_gone_back_to() {
    let Some((directory, mut first)) = filled(300, &[]) else {
        return;
    };
    let Some(second) = Database::start(&[]) else {
        return;
    };
    load(&second.url(), &directory.join("store"));
    let settings = ["twitter.cache_bytes=0", "twitter.mysql_deadline_ms=5000"];
    let server = connected_to(&both(&first, &second, "policy=first"), &settings);
    let (on_first, on_second) = (first.executed(), second.executed());
    ask_all(&server, 1..=50);
    assert!(share(&first, on_first) >= 50);
    assert_eq!(share(&second, on_second), 0);
    first.crash();
    ask_all(&server, 51..=100);
    assert_eq!(
        server.metric("trident_store_refused_total"),
        0,
        "within the deadline"
    );
    assert!(share(&second, on_second) >= 50);
    first.restart();
    let on_first = first.executed();
    // Lookups go back to it by themselves, one connection after the other.
    let is_back = || {
        let before = second.executed();
        ask_all(&server, 101..=120);
        second.executed() == before
    };
    assert!(eventually(is_back));
    assert!(share(&first, on_first) > 0);
}

#[test]
fn hosts_take_turns() {
    let Some((directory, first)) = filled(100, &[]) else {
        return;
    };
    let Some(second) = Database::start(&[]) else {
        return;
    };
    load(&second.url(), &directory.join("store"));
    for policy in ["round-robin", "nearest"] {
        let url = both(&first, &second, &format!("policy={policy}"));
        let server = connected_to(&url, &["twitter.cache_bytes=0"]);
        let before = first.executed() + second.executed();
        ask_all(&server, 1..=100);
        assert!(first.executed() + second.executed() >= before + 100);
        if policy == "round-robin" {
            let connected =
                "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'trident'";
            let connected = [&first, &second].map(|database| database.number(connected));
            assert!(connected.iter().all(|count| *count >= 2), "{connected:?}");
        }
    }
}

#[test]
fn a_host_that_is_not_there_is_passed_over() {
    let Some((_place, database)) = filled(5, &[]) else {
        return;
    };
    let address = database.address().to_string();
    for hosts in [
        format!("127.0.0.1:1,{address}"),
        format!("{address},127.0.0.1:1"),
    ] {
        let url = database.url().replace(&address, &hosts);
        ask_all(&serve_from(&url, &[]), 1..=5);
    }
}

/// Passes connections to another address on, as long as the tests run.
fn forward(from: SocketAddr, to: SocketAddr) {
    let listener = TcpListener::bind(from).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(to)) else {
                continue;
            };
            let (back, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            for (mut from, mut to) in [(client, server), (back, to_client)] {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
}

/// A managed database that fails over gives its name another address: the name is looked up again when connections fail.
#[test]
fn a_name_that_moves_is_looked_up_again() {
    let root = rustix::process::geteuid().is_root();
    let obstacle =
        (!root).then(|| "names are changed in a mount namespace, by root only".to_owned());
    if !unless_skipped("root", obstacle) {
        return;
    }
    let Some((directory, mut first)) = filled(60, &[]) else {
        return;
    };
    let Some(second) = Database::start(&[]) else {
        return;
    };
    load(&second.url(), &directory.join("store"));
    let port = first.address().port();
    forward(([127, 0, 0, 2], port).into(), second.address());
    let hosts = directory.file("hosts", "127.0.0.1 database.test\n");
    let script = format!(
        "exec unshare --mount sh -c 'mount --bind {hosts} /etc/hosts && exec \"$@\"' sh \"$@\""
    );
    let url = first.url().replace("127.0.0.1", "database.test");
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    arguments.extend(TEAM);
    arguments.extend([
        "--twitter-store",
        &url,
        "--set",
        "twitter.cache_bytes=0",
        "--set",
        PATIENT,
    ]);
    let server = Server::spawn(Server::shell(&script, &arguments));
    let on_second = second.executed();
    ask_all(&server, 1..=20);
    assert_eq!(share(&second, on_second), 0);
    fs::write(&hosts, "127.0.0.2 database.test\n").unwrap();
    first.crash();
    let mut client = server.connect();
    assert!(eventually(
        || ask(&mut client, &about(21)).text() == answer(21, "first")
    ));
    ask_all(&server, 22..=60);
    assert!(share(&second, on_second) >= 40);
}
