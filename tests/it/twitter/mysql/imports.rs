//! `trident etl import`: new data while serving, interruption, versions, messages.

use super::*;
use crate::harness::without_settings;
use std::{process::Stdio, sync::atomic::AtomicBool, thread};

/// Readers never see an error, a mixture within one answer, or old data after new ones were announced.
#[test]
fn new_data_take_the_place_of_old_ones_while_serving() {
    let Some((directory, database)) = filled(300, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &["twitter.mysql_check_ms=50", PATIENT]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for start in 0..4 {
            let (server, is_over) = (&server, &is_over);
            scope.spawn(move || {
                let (mut client, mut user) = (server.connect(), start * 70);
                while !is_over.load(Relaxed) {
                    user = user % 300 + 1;
                    let got = ask(&mut client, &about(user));
                    let wanted = ["first", "second", "third"].map(|text| answer(user, text));
                    assert!(got.status == 200 && wanted.contains(&got.text()), "{got:?}");
                }
            });
        }
        for text in ["second", "third"] {
            let path = directory.join(text);
            numbered(&path, 300, text);
            load(&database.url(), &path);
            // Whoever asks for a reload need not wait for the next check.
            let reloaded = admin(&server, "POST", "/admin/reload");
            assert_eq!(reloaded.status, 200, "{reloaded:?}");
            let mut client = server.connect();
            for user in 1..=300 {
                assert_eq!(ask(&mut client, &about(user)).text(), answer(user, text));
            }
        }
        is_over.store(true, Relaxed);
    });
    assert!(
        admin(&server, "POST", "/admin/reload")
            .text()
            .starts_with("unchanged: ")
    );
    let tables = database.root("SHOW TABLES FROM trident");
    let tables: Vec<&str> = tables
        .lines()
        .map(|name| &name["trident_".len()..])
        .collect();
    assert_eq!(
        tables,
        [
            "batch", "changes", "meta", "people", "schema", "tweets", "users"
        ]
    );
}

#[test]
fn new_data_are_noticed_without_being_announced() {
    let Some((directory, database)) = filled(3, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &["twitter.mysql_check_ms=50", PATIENT]);
    let mut client = server.connect();
    assert_eq!(ask(&mut client, &about(2)).text(), answer(2, "first"));
    numbered(&directory.join("next"), 3, "second");
    load(&database.url(), &directory.join("next"));
    let is_new = || ask(&mut client, &about(2)).text() == answer(2, "second");
    assert!(eventually(is_new));
}

/// Killed at any point, a load does not touch the served data and can be resumed.
#[test]
fn a_killed_import_is_resumed() {
    let options = ["--max-allowed-packet=65536"];
    let Some((directory, database)) = filled(3, &options) else {
        return;
    };
    let path = directory.join("large");
    let users = 4000;
    store(
        &path,
        (1..=users).map(|user| {
            let text = format!("large of {user}").repeat(200);
            (user, value(user, &[(user + 1, 0, &[(1, &text, &[])])]))
        }),
    );
    let rows = "SELECT COUNT(*) FROM trident.trident_users_load";
    let is_loading = "SELECT COUNT(*) FROM information_schema.tables \
                      WHERE table_name = 'trident_users_load'";
    let mut seen = 0;
    for _ in 0..2 {
        let mut child = loading(&database.url(), &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let grows = || database.number(is_loading) == 1 && database.number(rows) > seen;
        assert!(eventually(grows));
        child.kill().unwrap();
        child.wait().unwrap();
        seen = database.number(rows);
        assert!(seen < users, "killed too late: nothing is left to resume");
    }
    let server = serve_from(&database.url(), &[PATIENT]);
    assert_eq!(
        ask(&mut server.connect(), &about(2)).text(),
        answer(2, "first")
    );
    let report = load(&database.url(), &path);
    let resumed = report.split("resumed=").nth(1).unwrap();
    let resumed: u64 = resumed.split(' ').next().unwrap().parse().unwrap();
    assert!(resumed >= seen && resumed < users, "{report}");
    let count = "SELECT COUNT(*) FROM trident.trident_users";
    assert_eq!(database.number(count), users);
    admin(&server, "POST", "/admin/reload");
    let text = ask(&mut server.connect(), &about(users)).text();
    assert!(text.contains(&"large of 4000".repeat(200)));
    // Remains of the load of another store are not taken for the beginning of this one.
    database.root(
        "CREATE TABLE trident.trident_users_load LIKE trident.trident_users; \
         CREATE TABLE trident.trident_meta_load LIKE trident.trident_meta; \
         INSERT INTO trident.trident_users_load VALUES (1, 'x'); \
         INSERT INTO trident.trident_meta_load VALUES (1, '{}')",
    );
    assert!(load(&database.url(), &directory.join("store")).contains(" resumed=0 "));
    assert_eq!(database.number(count), 3);
}

#[test]
fn an_import_that_went_wrong_is_not_put_in_place() {
    let Some((directory, database)) = filled(30, &["--max-allowed-packet=65536"]) else {
        return;
    };
    // Another program writes into the table that is being loaded: the second load "resumes" it.
    database.root(
        "CREATE TABLE trident.trident_users_load LIKE trident.trident_users; \
         CREATE TABLE trident.trident_meta_load LIKE trident.trident_meta; \
         INSERT INTO trident.trident_meta_load SELECT * FROM trident.trident_meta; \
         INSERT INTO trident.trident_users_load SELECT user_id, CONCAT(data, 'x') \
         FROM trident.trident_users",
    );
    let (code, err) = told(loading(&database.url(), &directory.join("store")));
    assert_eq!(code, 69, "{err}");
    assert!(err.contains("differs from the store"), "{err}");
    let server = serve_from(&database.url(), &[PATIENT]);
    assert_eq!(
        ask(&mut server.connect(), &about(2)).text(),
        answer(2, "first")
    );
    load(&database.url(), &directory.join("store"));

    let path = directory.join("too-large");
    let text = "x".repeat(70_000);
    store(&path, [(5, value(5, &[(6, 0, &[(1, &text, &[])])]))]);
    let (code, err) = told(loading(&database.url(), &path));
    assert_eq!(code, 69);
    assert!(
        err.contains("the value of user 5 has") && err.contains("max_allowed_packet"),
        "{err}"
    );
}

#[test]
fn what_cannot_be_served_ends_the_start_with_a_message() {
    let Some(database) = Database::start(&[]) else {
        return;
    };
    let directory = TempDir::new();
    numbered(&directory.join("store"), 3, "first");
    database.root("CREATE DATABASE other");
    let url = database.url();
    let wrong_password = database.url_as("trident:wrong-secret", "trident");
    let wrong_database = database.url_as(database::USER, "nowhere");
    let refuses = |url: &str, why: &str| {
        let (code, err) = told(serving(url, &[]));
        assert_eq!(code, 69, "{err}");
        assert!(err.contains(why), "{err}");
    };
    refuses(&url, "holds no store; import one with `trident etl import");
    refuses(&wrong_password, "refuses us: ");
    refuses(&wrong_password, "Access denied for user 'trident'");
    refuses(&wrong_database, "check user, password, database and grants");
    for url in [&wrong_password, &wrong_database] {
        let (code, err) = told(loading(url, &directory.join("store")));
        assert!(code == 69 && err.contains("refuses us: "), "{err}");
    }
    let (code, err) = told(loading(
        "mysql://trident:wrong-secret@host",
        &directory.join("store"),
    ));
    assert_eq!(code, 64, "{err}");
    load(&url, &directory.join("store"));
    drop(serve_from(&url, &[]));
    database.root("INSERT INTO trident.trident_schema (version) VALUES (99)");
    refuses(&url, "has schema version 99, this program knows 2");
    let (code, err) = told(loading(&url, &directory.join("store")));
    assert!(code == 69 && err.contains("schema version 99"), "{err}");
    database.root("DELETE FROM trident.trident_schema WHERE version = 99");
    let version = |version| format!("'\"value_version\":{version}'");
    let (known, other) = (version(trident::store::value::VERSION), version(77));
    database.root(&format!(
        "UPDATE trident.trident_meta SET meta = REPLACE(meta, {known}, {other})"
    ));
    refuses(&url, "has values of version 77");
    database.root("DELETE FROM trident.trident_meta");
    refuses(&url, "holds no store");
}

/// Neither reports nor logs show the password.
#[test]
fn the_password_is_hidden() {
    let url = "mysql://ann:wrong-secret@127.0.0.1:1/db";
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    without_settings(&mut command)
        .args(["check-config", "--twitter-store", url])
        .env("TRIDENT_CONFIG", "/dev/null");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("mysql://ann:***@127.0.0.1:1/db"), "{text}");
    let (code, err) = told(command);
    assert_eq!(code, 0);
    assert!(err.contains("set TRIDENT_TWITTER_STORE instead"), "{err}");
    let server = serve_from(url, &["twitter.mysql_connect_timeout_ms=500"]);
    assert_refused(&ask(&mut server.connect(), &about(1)));
    assert!(eventually(|| server.log().contains("127.0.0.1:1")));
    assert!(!server.log().contains("wrong-secret"), "{}", server.log());
}
