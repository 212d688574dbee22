//! The music service: every call's good and bad forms.

mod client;
mod durable;
mod load;
mod mariadb;

use crate::{
    Running, example,
    harness::{Client, Response},
    temp_dir::TempDir,
};
use serde_json::{Value, json};
use std::{ffi::OsStr, process::Command};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn command(store: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(example("music"));
    command
        .args(["--listen", "127.0.0.1:0", "--workers", "2", "--store"])
        .arg(store);
    command
}

/// A test of a service that has just started.
type Form = fn(Music);

/// Every form of every call, whatever the store is.
const FORMS: &[(&str, Form)] = &[
    (
        "an_object_is_what_was_stored_with_its_id_until_it_is_deleted",
        an_object_is_what_was_stored_with_its_id_until_it_is_deleted,
    ),
    ("what_is_missing_is_named", what_is_missing_is_named),
    (
        "without_a_valid_token_nothing_is_told",
        without_a_valid_token_nothing_is_told,
    ),
    (
        "log_ins_of_a_user_are_bounded",
        log_ins_of_a_user_are_bounded,
    ),
    (
        "a_playlist_names_only_songs_that_exist",
        a_playlist_names_only_songs_that_exist,
    ),
    (
        "the_datastore_is_below_the_services",
        the_datastore_is_below_the_services,
    ),
    (
        "paths_methods_health_and_metrics",
        paths_methods_health_and_metrics,
    ),
];

#[test]
fn every_form_over_lmdb() {
    for (name, test) in FORMS {
        eprintln!("{name}");
        test(Music::start());
    }
}

/// A service with a store of its own, and a client that is logged in.
struct Music {
    directory: TempDir,
    running: Running,
    client: Client,
    token: String,
    user: String,
}

impl Music {
    fn start() -> Self {
        let directory = TempDir::new();
        let store = directory.join("store");
        Self::start_at(directory, store)
    }

    /// With this store.
    fn start_at(directory: TempDir, store: impl AsRef<OsStr>) -> Self {
        let running = Running::start(&mut command(store));
        let mut client = Client::connect(running.address);
        let ada = json!({"fname": "Ada", "lname": "Lovelace", "email": "ada@example.org"});
        let user = id(
            &ask(&mut client, "", "POST", "/api/v1/user/", &ada.to_string()),
            "user_id",
        );
        let body = json!({"user_id": user}).to_string();
        let token = text(
            &ask(&mut client, "", "PUT", "/api/v1/user/login", &body),
            "token",
        );
        Self {
            directory,
            running,
            client,
            token,
            user,
        }
    }

    /// Status and body of a call with the token.
    fn call(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = ask(&mut self.client, &self.token, method, path, body);
        (answer.status, json_of(&answer))
    }

    fn song(&mut self, title: &str) -> String {
        let song = json!({"Artist": "Kate Bush", "SongTitle": title}).to_string();
        let (status, answer) = self.call("POST", "/api/v1/music/", &song);
        assert_eq!(status, 200, "{answer}");
        answer["music_id"].as_str().unwrap().into()
    }
}

fn ask(client: &mut Client, token: &str, method: &str, path: &str, body: &str) -> Response {
    let authorization = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    let length = body.len();
    client.ask(
        format!(
            "{method} {path} HTTP/1.1\r\nHost: t\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    )
}

fn json_of(answer: &Response) -> Value {
    assert_eq!(
        answer.field("content-type"),
        Some("application/json"),
        "{answer:?}"
    );
    serde_json::from_slice(&answer.body).unwrap()
}

fn text(answer: &Response, member: &str) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    json_of(answer)[member].as_str().unwrap().into()
}

/// An id in its usual form: lower case, with dashes.
fn id(answer: &Response, member: &str) -> String {
    let id = text(answer, member);
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    id
}

fn an_object_is_what_was_stored_with_its_id_until_it_is_deleted(mut music: Music) {
    let song = music.song("Hello \"Earth\" ☃");
    let cases = [
        (
            "user",
            "user_id",
            json!({"fname": "Grace", "lname": "Hopper", "email": "g@h"}),
            true,
        ),
        (
            "music",
            "music_id",
            json!({"Artist": "A", "SongTitle": ""}),
            false,
        ),
        (
            "playlist",
            "playlist_id",
            json!({"name": "none", "songs": []}),
            true,
        ),
        (
            "playlist",
            "playlist_id",
            json!({"name": "one", "songs": [song]}),
            true,
        ),
    ];
    for (kind, member, object, may_change) in cases {
        let all = format!("/api/v1/{kind}");
        let (status, created) = music.call("POST", &all, &object.to_string());
        assert_eq!(status, 200, "{created}");
        let one = format!("{all}/{}", created[member].as_str().unwrap());
        let mut stored = object.clone();
        stored[member] = created[member].clone();
        assert_eq!(created, stored);
        assert_eq!(music.call("GET", &one, ""), (200, stored.clone()));

        let mut other = object.clone();
        let first = other
            .as_object_mut()
            .unwrap()
            .values_mut()
            .find(|value| value.is_string());
        *first.unwrap() = "changed".into();
        if may_change {
            let (status, changed) = music.call("PUT", &one, &other.to_string());
            other[member] = created[member].clone();
            assert_eq!((status, &changed), (200, &other));
            assert_eq!(music.call("GET", &one, ""), (200, other));
        } else {
            let answer = ask(
                &mut music.client,
                &music.token,
                "PUT",
                &one,
                &other.to_string(),
            );
            assert_eq!(answer.status, 405);
            assert_eq!(answer.field("allow"), Some("GET, HEAD, DELETE"));
        }
        let deleted = json!({member: created[member]});
        assert_eq!(music.call("DELETE", &one, ""), (200, deleted));
        for method in ["GET", "DELETE"] {
            assert_eq!(music.call(method, &one, "").0, 404, "{method} {one}");
        }
    }
    assert!(music.running.stop());
}

fn what_is_missing_is_named(mut music: Music) {
    let user = json!({"fname": "f", "lname": "l", "email": "e"});
    let song = json!({"Artist": "a", "SongTitle": "s"});
    let playlist = json!({"name": "n", "songs": []});
    for (kind, object) in [("user", &user), ("music", &song), ("playlist", &playlist)] {
        let path = format!("/api/v1/{kind}/");
        let write = format!("/api/v1/datastore/write?objtype={kind}");
        for path in [&path, &write] {
            for member in object.as_object().unwrap().keys() {
                let mut less = object.clone();
                less.as_object_mut().unwrap().remove(member);
                let mut wrong = object.clone();
                wrong[member] = json!(7);
                for body in [less, wrong] {
                    let (status, answer) = music.call("POST", path, &body.to_string());
                    let why = answer["error"].as_str().unwrap();
                    assert_eq!(status, 400, "{body}");
                    assert!(why.contains(member.as_str()), "{path} {body}: {why}");
                }
            }
            let mut more = object.clone();
            more["colour"] = json!("red");
            let (status, answer) = music.call("POST", path, &more.to_string());
            assert_eq!(status, 400);
            assert!(
                answer["error"].as_str().unwrap().contains("colour"),
                "{answer}"
            );
            for body in ["", "{", "[]", "\"x\"", "null"] {
                assert_eq!(music.call("POST", path, body).0, 400, "{path} {body}");
            }
        }
    }
    for body in ["{}", "{\"user_id\":7}", "{\"user_id\":\"x\"}", ""] {
        let (status, answer) = music.call("PUT", "/api/v1/user/login", body);
        assert_eq!(status, 400, "{body}");
        let is_named = answer["error"].as_str().unwrap().contains("user_id");
        assert!(is_named || body.is_empty(), "{answer}");
    }
    let nobody = json!({"user_id": NOBODY}).to_string();
    assert_eq!(music.call("PUT", "/api/v1/user/login", &nobody).0, 404);
    let long = "x".repeat(65 << 10);
    let answer = ask(
        &mut music.client,
        &music.token,
        "POST",
        "/api/v1/user/",
        &long,
    );
    assert_eq!(answer.status, 413);
}

fn without_a_valid_token_nothing_is_told(mut music: Music) {
    let song = music.song("Aerial");
    let calls = [
        ("GET", format!("/api/v1/user/{}", music.user)),
        ("PUT", format!("/api/v1/user/{}", music.user)),
        ("DELETE", format!("/api/v1/user/{}", music.user)),
        ("PUT", "/api/v1/user/logoff".into()),
        ("POST", "/api/v1/music/".into()),
        ("GET", format!("/api/v1/music/{song}")),
        ("DELETE", format!("/api/v1/music/{song}")),
        ("GET", "/api/v1/music/unknown".into()),
        ("POST", "/api/v1/playlist/".into()),
        ("GET", format!("/api/v1/playlist/{NOBODY}")),
        ("PUT", format!("/api/v1/playlist/{NOBODY}/songs/{song}")),
        ("DELETE", format!("/api/v1/playlist/{NOBODY}/songs/{song}")),
        (
            "GET",
            format!("/api/v1/datastore/read?objtype=music&objkey={song}"),
        ),
        ("POST", "/api/v1/datastore/write?objtype=music".into()),
        (
            "PUT",
            format!("/api/v1/datastore/update?objtype=music&objkey={song}"),
        ),
        (
            "DELETE",
            format!("/api/v1/datastore/delete?objtype=music&objkey={song}"),
        ),
    ];
    let logged_off = {
        let body = json!({"user_id": music.user}).to_string();
        let answer = ask(&mut music.client, "", "PUT", "/api/v1/user/login", &body);
        let token = text(&answer, "token");
        let off = ask(&mut music.client, &token, "PUT", "/api/v1/user/logoff", "");
        assert_eq!(off.status, 200);
        token
    };
    let mut forged = music.token.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == '0' { '1' } else { '0' });
    let tokens = ["", "x", &logged_off, &forged, &format!("{}0", music.token)];
    for token in tokens {
        for (method, path) in &calls {
            let answer = ask(&mut music.client, token, method, path, "not JSON");
            assert_eq!(answer.status, 401, "{method} {path} {token:?}");
            assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
        }
    }
    // None of these had an effect, and the token that was not logged off is still valid.
    assert_eq!(music.call("GET", &calls[5].1, "").0, 200);
    // A user's tokens end with the user.
    assert_eq!(music.call("DELETE", &calls[0].1, "").0, 200);
    assert_eq!(music.call("GET", &calls[5].1, "").0, 401);
}

/// Sixteen log-ins of a user hold; one more ends the oldest, which is the fixture's.
fn log_ins_of_a_user_are_bounded(mut music: Music) {
    let user = format!("/api/v1/user/{}", music.user);
    let body = json!({"user_id": music.user}).to_string();
    for nth in 2..=17 {
        assert_eq!(music.call("GET", &user, "").0, 200, "log-in {nth}");
        let answer = ask(&mut music.client, "", "PUT", "/api/v1/user/login", &body);
        assert_eq!(answer.status, 200);
        let token = text(&answer, "token");
        let read = ask(&mut music.client, &token, "GET", &user, "");
        assert_eq!(read.status, 200);
    }
    assert_eq!(music.call("GET", &user, "").0, 401);
}

fn a_playlist_names_only_songs_that_exist(mut music: Music) {
    let (first, second) = (music.song("Cloudbusting"), music.song("Hounds of Love"));
    let with = |songs: &[&str]| json!({"name": "p", "songs": songs}).to_string();
    for songs in [&[NOBODY][..], &[&first, NOBODY], &["x"], &[&first, &first]] {
        let (status, answer) = music.call("POST", "/api/v1/playlist/", &with(songs));
        assert_eq!(status, 400, "{songs:?}");
        let named = songs.last().unwrap();
        assert!(
            answer["error"].as_str().unwrap().contains(named),
            "{answer}"
        );
    }
    let (_, created) = music.call("POST", "/api/v1/playlist/", &with(&[&first]));
    let playlist = format!(
        "/api/v1/playlist/{}",
        created["playlist_id"].as_str().unwrap()
    );
    let song = |id: &str| format!("{playlist}/songs/{id}");
    assert_eq!(music.call("PUT", &playlist, &with(&[NOBODY])).0, 400);
    assert_eq!(music.call("PUT", &song(NOBODY), "").0, 404);
    for _ in 0..2 {
        let (status, both) = music.call("PUT", &song(&second), "");
        assert_eq!((status, &both["songs"]), (200, &json!([first, second])));
    }
    // A song that a playlist names cannot be deleted.
    for id in [&first, &second] {
        for path in [
            format!("/api/v1/music/{id}"),
            format!("/api/v1/datastore/delete?objtype=music&objkey={id}"),
        ] {
            assert_eq!(music.call("DELETE", &path, "").0, 409);
        }
    }
    let (status, rest) = music.call("DELETE", &song(&first), "");
    assert_eq!((status, &rest["songs"]), (200, &json!([second])));
    assert_eq!(music.call("DELETE", &song(&first), "").0, 404);
    assert_eq!(music.call("DELETE", &song("x"), "").0, 404);
    assert_eq!(
        music
            .call("DELETE", &format!("/api/v1/music/{first}"), "")
            .0,
        200
    );
    assert_eq!(music.call("GET", &playlist, "").1["songs"], json!([second]));
    assert_eq!(music.call("DELETE", &playlist, "").0, 200);
    assert_eq!(
        music
            .call("DELETE", &format!("/api/v1/music/{second}"), "")
            .0,
        200
    );
    assert_eq!(music.call("PUT", &song(&second), "").0, 404);
}

fn the_datastore_is_below_the_services(mut music: Music) {
    let key = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    let at = |operation: &str| format!("/api/v1/datastore/{operation}?objtype=music&objkey={key}");
    let song = |title: &str| json!({"Artist": "A", "SongTitle": title}).to_string();
    let stored = |title: &str| json!({"Artist": "A", "SongTitle": title, "music_id": key});
    assert_eq!(music.call("GET", &at("read"), "").0, 404);
    assert_eq!(music.call("PUT", &at("update"), &song("1")).0, 404);
    assert_eq!(music.call("DELETE", &at("delete"), "").0, 404);
    for title in ["1", "2"] {
        assert_eq!(
            music.call("POST", &at("write"), &song(title)),
            (200, stored(title))
        );
    }
    assert_eq!(
        music.call("PUT", &at("update"), &song("3")),
        (200, stored("3"))
    );
    assert_eq!(music.call("GET", &at("read"), ""), (200, stored("3")));
    assert_eq!(
        music.call("GET", &format!("/api/v1/music/{key}"), ""),
        (200, stored("3"))
    );
    assert_eq!(music.call("DELETE", &at("delete"), "").0, 200);
    for (query, named) in [
        ("", "objtype"),
        ("?objkey=1", "objtype"),
        ("?objtype=song&objkey=1", "objtype"),
        ("?objtype=music", "objkey"),
    ] {
        let (status, answer) = music.call("GET", &format!("/api/v1/datastore/read{query}"), "");
        assert_eq!(status, 400, "{query}");
        assert!(
            answer["error"].as_str().unwrap().contains(named),
            "{query}: {answer}"
        );
    }
    let bad_key = "/api/v1/datastore/write?objtype=music&objkey=1";
    assert_eq!(music.call("POST", bad_key, &song("1")).0, 400);
}

fn paths_methods_health_and_metrics(mut music: Music) {
    for path in [
        "/x",
        "/api/v1/",
        "/api/v1/song/",
        "/api/v1/user/1/2",
        "/%FF",
    ] {
        assert_eq!(music.call("GET", path, "").0, 404, "{path}");
    }
    for (path, allowed) in [
        ("/api/v1/user/", "POST"),
        ("/api/v1/user/login", "PUT"),
        ("/api/v1/playlist/x", "GET, HEAD, PUT, DELETE"),
        ("/api/v1/playlist/x/songs/y", "PUT, DELETE"),
        ("/api/v1/datastore/write", "POST"),
        ("/metrics", "GET, HEAD"),
    ] {
        let answer = ask(&mut music.client, "", "PATCH", path, "{}");
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, Some(allowed)),
            "{path}"
        );
    }
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(
            ask(&mut music.client, "", "GET", path, "").status,
            200,
            "{path}"
        );
    }
    assert_eq!(music.call("GET", "/api/v1/user/nobody", "").0, 404);
    let metrics = crate::harness::Metrics(ask(&mut music.client, "", "GET", "/metrics", "").text());
    let user = |outcome: &str| {
        metrics.sum(&format!(
            "music_requests_total{{outcome=\"{outcome}\",service=\"user\"}}"
        ))
    };
    assert_eq!((user("success"), user("refused"), user("error")), (2, 3, 0));
    let count = "music_request_seconds_count{service=\"user\"}";
    let under_100_ms = "music_request_seconds_bucket{service=\"user\",le=\"0.1\"}";
    assert_eq!(metrics.sum(count), 5);
    assert!(metrics.sum(under_100_ms) <= 5);
}
