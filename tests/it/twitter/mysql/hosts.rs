//! Several hosts in one address.

use super::*;

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
