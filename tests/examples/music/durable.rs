//! Answered writes are stored: kill -9 in the middle of writes, a full store, a restart.

use super::{Music, ask, command, id};
use crate::{
    Running,
    harness::Client,
    temp_dir::TempDir,
    traced::{Attached, has_failed, may_attach, threads},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Clients that write at the same time, so that commits are groups.
const WRITERS: usize = 16;

/// Answers before the kill.
const ACKNOWLEDGED: usize = 400;

/// Writes songs until the connection ends. Returns the acknowledged ones.
fn write_until_the_end(
    address: std::net::SocketAddr,
    token: &str,
    number: usize,
    acknowledged: &AtomicUsize,
) -> BTreeMap<String, String> {
    let mut stored = BTreeMap::new();
    let mut client = Client::connect(address);
    for title in (0..).map(|n| format!("{number} {n}")) {
        let body = json!({"Artist": "a", "SongTitle": title}).to_string();
        let length = body.len();
        client.send(
            format!(
                "POST /api/v1/music/ HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        let Some(answer) = client.response() else {
            break;
        };
        if answer.status != 200 {
            break; // the store is gone
        }
        stored.insert(id(&answer, "music_id"), title);
        acknowledged.fetch_add(1, Relaxed);
    }
    stored
}

/// Writers on threads of their own until `enough` writes were acknowledged and `kill` has ended the service or its
/// store. Returns the acknowledged songs.
pub fn write_until(music: &Music, enough: usize, kill: impl FnOnce()) -> BTreeMap<String, String> {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (address, token) = (music.running.address, music.token.clone());
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || write_until_the_end(address, &token, number, &acknowledged))
        })
        .collect();
    let is_enough = || acknowledged.load(Relaxed) >= enough;
    assert!(crate::harness::eventually(is_enough));
    kill();
    let stored: BTreeMap<_, _> = writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap())
        .collect();
    assert!(stored.len() >= enough);
    stored
}

/// Every one of these songs can be read.
pub fn has_all(music: &mut Music, stored: &BTreeMap<String, String>) {
    for (song, title) in stored {
        let (status, answer) = music.call("GET", &format!("/api/v1/music/{song}"), "");
        let read = (status, answer["SongTitle"].as_str());
        assert_eq!(read, (200, Some(title.as_str())));
    }
}

/// Kills the service during writes, starts it again, and looks for what was acknowledged.
pub fn kill_during_writes(mut music: Music, store: impl AsRef<OsStr>) {
    for round in 1..=3 {
        let pid = music.running.child.id().to_string();
        let kill = || {
            let sent = Command::new("kill").args(["-s", "KILL", &pid]).status();
            assert!(sent.unwrap().success());
        };
        let stored = write_until(&music, ACKNOWLEDGED * round / 3, kill);
        music.running = Running::start(&mut command(&store));
        music.client = Client::connect(music.running.address);
        has_all(&mut music, &stored);
    }
}

#[test]
fn a_kill_during_writes_loses_nothing_that_was_acknowledged() {
    let music = Music::start();
    let store = music.directory.join("store");
    kill_during_writes(music, store);
}

/// LMDB gives up files whose metadata it could not write, for readers too.
#[test]
fn a_disk_that_fails_and_works_again_needs_no_restart() {
    if !may_attach() {
        return;
    }
    let mut music = Music::start();
    let mut songs = vec![music.song("first")];
    let record = music.directory.join("record");
    let song = json!({"Artist": "a", "SongTitle": "b"}).to_string();
    // Only this write fails; all from this one on do, and files cannot be opened either.
    for later in [false, true] {
        let mut closed = 0;
        for nth in 1.. {
            let plus = if later { "+" } else { "" };
            let mut strace = Command::new("strace");
            strace
                .args([
                    "-q",
                    "-e",
                    "signal=none",
                    "-e",
                    "trace=pwrite64,openat",
                    "-e",
                ])
                .arg(format!("inject=pwrite64:error=EIO:when={nth}{plus}"))
                .arg("-o")
                .arg(&record);
            if later {
                strace.args(["-e", "inject=openat:error=EMFILE"]);
            }
            let attached = Attached::to(&threads(music.running.child.id(), |_| true), strace);
            let (status, answer) = music.call("POST", "/api/v1/music/", &song);
            let path = format!("/api/v1/music/{}", songs[0]);
            let read = music.call("GET", &path, "").0;
            drop(attached);
            let what = format!("write {nth}{plus}: {status}, {answer}, then {read}");
            match status {
                200 => songs.push(answer["music_id"].as_str().unwrap().into()),
                _ => assert_eq!(status, 500, "{what}"),
            }
            assert!(
                read == 200 || read == 500 && later && status == 500,
                "{what}"
            );
            closed += usize::from(read == 500);
            // Reading first: nobody has to write for that.
            assert_eq!(music.call("GET", &path, "").0, 200, "{what}");
            songs.push(music.song("next"));
            if !has_failed(&record) {
                assert_eq!(status, 200, "{what}");
                break;
            }
        }
        assert_eq!(closed, usize::from(later), "the metadata are written once");
    }
    let store = music.directory.join("store");
    assert!(music.running.stop());
    music.running = Running::start(&mut command(store));
    music.client = Client::connect(music.running.address);
    for song in songs {
        let (status, answer) = music.call("GET", &format!("/api/v1/music/{song}"), "");
        assert_eq!(status, 200, "{song}: {answer}");
    }
}

#[test]
fn a_full_store_refuses_and_takes_again_what_has_room() {
    let directory = TempDir::new();
    let mut start = command(directory.join("store"));
    let running = Running::start(start.args(["--store-bytes-max", "1000000"]));
    let mut client = Client::connect(running.address);
    let user = json!({"fname": "f".repeat(40_000), "lname": "l", "email": "e"}).to_string();
    let mut users = Vec::new();
    let refused = loop {
        let answer = ask(&mut client, "", "POST", "/api/v1/user/", &user);
        if answer.status != 200 {
            break answer;
        }
        users.push(id(&answer, "user_id"));
        assert!(users.len() < 100, "the bound is not kept");
    };
    assert_eq!(refused.status, 507);
    assert!(
        refused.text().contains("--store-bytes-max"),
        "{}",
        refused.text()
    );
    // Reading goes on, and a deletion makes room.
    let body = json!({"user_id": users[0]}).to_string();
    let login = ask(&mut client, "", "PUT", "/api/v1/user/login", &body);
    let login: Value = serde_json::from_slice(&login.body).unwrap();
    let token = login["token"].as_str().expect("room for a token");
    for user in &users[1..] {
        let path = format!("/api/v1/user/{user}");
        assert_eq!(ask(&mut client, token, "GET", &path, "").status, 200);
        assert_eq!(ask(&mut client, token, "DELETE", &path, "").status, 200);
    }
    assert_eq!(
        ask(&mut client, "", "POST", "/api/v1/user/", &user).status,
        200
    );
}
