//! The service over a MariaDB of the test's own: the same promises.

use super::{FORMS, Music, durable, load};
use crate::{
    certificates::Certificates,
    database::{Database, USER},
    harness::{Client, eventually, required},
    temp_dir::TempDir,
};
use serde_json::{Value, json};
use std::thread;

/// Commits are on disk before they are answered.
const DURABLE: &str = "--innodb-flush-log-at-trx-commit=1";

/// A service over the database.
fn start(database: &Database) -> Music {
    Music::start_at(TempDir::new(), database.url())
}

#[test]
fn every_form_over_mariadb() {
    let Some(database) = Database::start(&[DURABLE]) else {
        return;
    };
    for (number, (name, test)) in FORMS.iter().enumerate() {
        eprintln!("{name}");
        let of_test = format!("test{number}");
        database.root(&format!(
            "CREATE DATABASE {of_test}; GRANT ALL ON {of_test}.* TO trident"
        ));
        let url = database.url_as(USER, &of_test);
        test(Music::start_at(TempDir::new(), url));
    }
}

#[test]
fn a_kill_during_writes_loses_nothing_in_mariadb() {
    let Some(database) = Database::start(&[DURABLE]) else {
        return;
    };
    durable::kill_during_writes(start(&database), database.url());
}

/// The service is not started again: it connects again by itself.
#[test]
fn a_crash_of_mariadb_loses_nothing_and_is_survived() {
    let Some(mut database) = Database::start(&[DURABLE]) else {
        return;
    };
    let mut music = start(&database);
    let stored = durable::write_until(&music, 200, || database.crash());
    let song = json!({"Artist": "a", "SongTitle": "t"}).to_string();
    assert_eq!(music.call("POST", "/api/v1/music/", &song).0, 500);
    database.restart();
    durable::has_all(&mut music, &stored);
    assert_eq!(music.call("POST", "/api/v1/music/", &song).0, 200);
}

/// Two services on one database: one deletes songs while the other makes playlists of them.
#[test]
fn a_playlist_names_only_songs_that_exist_whoever_deletes_them() {
    const ROUNDS: usize = 40;
    let Some(database) = Database::start(&[DURABLE]) else {
        return;
    };
    let mut music = start(&database);
    let other = start(&database);
    let songs: Vec<_> = (0..ROUNDS).map(|n| music.song(&n.to_string())).collect();
    let connect = || (Client::connect(other.running.address), other.token.clone());
    let lists: Vec<Value> = thread::scope(|scope| {
        let makers: Vec<_> = (0..2)
            .map(|_| {
                let ((mut client, token), songs) = (connect(), &songs);
                let make = move |song: &String| {
                    let list = json!({"name": "p", "songs": [song]}).to_string();
                    let answer =
                        super::ask(&mut client, &token, "POST", "/api/v1/playlist/", &list);
                    assert!([200, 400].contains(&answer.status), "{}", answer.text());
                    (answer.status == 200).then(|| super::json_of(&answer))
                };
                scope.spawn(move || songs.iter().filter_map(make).collect::<Vec<_>>())
            })
            .collect();
        for song in &songs {
            let (status, answer) = music.call("DELETE", &format!("/api/v1/music/{song}"), "");
            assert!([200, 409].contains(&status), "{answer}");
        }
        let made = makers.into_iter().map(|maker| maker.join().unwrap());
        made.flatten().collect()
    });
    for list in lists {
        let song = list["songs"][0].as_str().unwrap();
        let (status, _) = music.call("GET", &format!("/api/v1/music/{song}"), "");
        assert_eq!(status, 200, "{list}");
        let (status, _) = music.call("DELETE", &format!("/api/v1/music/{song}"), "");
        assert_eq!(status, 409, "{list}");
    }
}

#[test]
fn a_database_that_may_lose_commits_is_refused() {
    let Some(database) = Database::start(&["--innodb-flush-log-at-trx-commit=2"]) else {
        return;
    };
    let started = super::command(database.url()).output().unwrap();
    let told = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success());
    assert!(
        told.contains("innodb_flush_log_at_trx_commit = 1"),
        "{told}"
    );
    let wrong = super::command(database.url_as("trident:wrong", "trident"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && told.contains("user"), "{told}");
    assert!(!told.contains("wrong"), "{told}");
}

/// A database that hangs is answered for, within the time that it may take, and is used again when it goes on.
#[test]
fn a_database_that_hangs_costs_answers_and_nothing_else() {
    let Some(database) = Database::start(&[DURABLE]) else {
        return;
    };
    let url = database.url();
    let mut command = super::command(&url);
    let running = crate::Running::start(command.args(["--database-timeout-ms", "300"]));
    let mut client = Client::connect(running.address);
    let user = json!({"fname": "f", "lname": "l", "email": "e"}).to_string();
    let mut create = || super::ask(&mut client, "", "POST", "/api/v1/user/", &user).status;
    assert_eq!(create(), 200);
    database.signal("STOP");
    assert_eq!(create(), 500);
    database.signal("CONT");
    assert!(eventually(|| create() == 200));
}

#[test]
fn six_stages_over_mariadb() {
    let Some(database) = Database::start(&[DURABLE]) else {
        return;
    };
    load::six_stages(&start(&database));
}

/// The database takes nothing but TLS, so what is stored and read has gone through it.
#[test]
fn tls_to_the_database_is_as_its_address_says() {
    if !required("mariadb", &["openssl"]) {
        return;
    }
    let certificates = Certificates::new();
    let options = certificates.options();
    let options = options.iter().map(String::as_str);
    let only_tls = ["--require-secure-transport=ON", DURABLE];
    let options: Vec<_> = options.chain(only_tls).collect();
    let Some(database) = Database::start(&options) else {
        return;
    };
    let ca = |name: &str| format!("ssl-ca={}", certificates.file(name));
    let url = |parameters: &str| format!("{}?{parameters}", database.url());
    for parameters in [
        "ssl=require".to_owned(),
        format!("ssl=verify-ca&{}", ca("ca.pem")),
        format!("ssl=verify-identity&{}", ca("ca.pem")),
    ] {
        let mut music = Music::start_at(TempDir::new(), url(&parameters));
        let song = music.song(&parameters);
        let (status, read) = music.call("GET", &format!("/api/v1/music/{song}"), "");
        assert_eq!((status, &read["SongTitle"]), (200, &json!(parameters)));
    }
    assert_eq!(database.number("SELECT COUNT(*) FROM trident.music"), 3);

    let by_name = url(&format!("ssl=verify-identity&{}", ca("ca.pem")));
    for (url, why) in [
        (url("ssl=off"), "ssl=require"),
        (
            url(&format!("ssl=verify-ca&{}", ca("other.pem"))),
            "ssl-ca=FILE",
        ),
        // The certificate is for 127.0.0.1 and for no name.
        (by_name.replace("127.0.0.1", "localhost"), "localhost"),
        (url("ssl=on"), "expected mysql://"),
        (
            database.url().replace("127.0.0.1", "127.0.0.1,127.0.0.2"),
            "several hosts",
        ),
    ] {
        let started = super::command(&url).output().unwrap();
        let told = String::from_utf8_lossy(&started.stderr).into_owned();
        assert!(!started.status.success(), "{url}");
        assert!(told.contains(why), "{url}: {told}");
        assert!(!told.contains("p%40ss") && !told.contains("p@ss"), "{told}");
    }
}
