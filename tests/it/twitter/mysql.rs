//! `/twitter` from MariaDB: the same answers, outages, new data, imports, limits.
//!
//! Needs `mariadb-server`; `TRIDENT_SKIP=mariadb` leaves these tests out.

mod certificates;
pub mod database;
mod garbled;
mod hosts;
mod imports;
mod outages;
mod scripted;
mod tls;

use super::*;
use crate::harness::eventually;
use database::Database;
use std::process::{Command, Output};

const STATEMENTS: &str = "trident_database_statements_total{outcome=\"ok\"}";

/// The output of `script`, which runs in `directory` and must succeed.
fn in_shell(directory: &Path, script: &str) -> Vec<u8> {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    output.stdout
}

/// How long a lookup may take in tests of right answers: longer than the default, for a busy machine.
const PATIENT: &str = "twitter.mysql_deadline_ms=30000";

/// A server that answers from the database at `url` in the oracle's name.
fn serve_from(url: &str, settings: &[&str]) -> Server {
    Server::spawn(serving(url, settings))
}

fn serving(url: &str, settings: &[&str]) -> Command {
    let mut command = Server::command();
    command
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(TEAM)
        .arg("--twitter-store")
        .arg(url);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command
}

/// A server that has made all its connections: stopping the database before would end the attempts to
/// connect, so that lookups are refused and do not wait.
fn connected_to(url: &str, settings: &[&str]) -> Server {
    let server = serve_from(url, settings);
    let all = trident::store::database::Options::default().connections_max as u64;
    assert!(eventually(
        || server.metric("trident_database_connections") == all
    ));
    server
}

/// A `trident etl import` of the store at `path`.
fn loading(url: &str, path: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trident"));
    command.args(["etl", "load", "--mysql", url]).arg(path);
    command
}

fn load(url: &str, path: &Path) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = loading(url, path).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{out}{err}");
    for password in database::PASSWORD {
        assert!(!format!("{out}{err}").contains(password), "{out}{err}");
    }
    out.into_owned()
}

/// Exit code and standard error of a command that ends by itself; its output must not contain the password.
fn told(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    for password in database::PASSWORD.iter().chain(&["wrong-secret"]) {
        assert!(!format!("{out}{err}").contains(password), "{out}{err}");
    }
    (output.status.code().unwrap(), err.into_owned())
}

/// A query about a user of [`numbered`].
fn about(user: u64) -> String {
    format!("user_id={user}&type=both&phrase=a&hashtag=b")
}

/// The answer to [`about`].
fn answer(user: u64, text: &str) -> String {
    let other = user + 1;
    format!("{TEAM_LINE}{other}\tname{other}\tabout {other}\t{text} of {user}")
}

/// A store of the users 1 to `users`, in which every text begins with `text`.
fn numbered(path: &Path, users: u64, text: &str) {
    store(
        path,
        (1..=users).map(|user| {
            let text = format!("{text} of {user}");
            (user, value(user, &[(user + 1, 0, &[(1, &text, &[])])]))
        }),
    );
}

/// A database with the users 1 to `users`.
fn filled(users: u64, options: &[&str]) -> Option<(TempDir, Database)> {
    let database = Database::start(options)?;
    let directory = TempDir::new();
    numbered(&directory.join("store"), users, "first");
    load(&database.url(), &directory.join("store"));
    Some((directory, database))
}

fn admin(server: &Server, method: &str, target: &str) -> Response {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    Client::connect(server.admin.unwrap()).ask(request.as_bytes())
}

fn assert_refused(response: &Response) {
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(response.field("retry-after"), Some("1"), "{response:?}");
}

#[test]
fn answers_are_those_of_the_embedded_store_and_of_the_oracle() {
    let Some(database) = Database::start(&[]) else {
        return;
    };
    let directory = TempDir::new();
    let set = oracle::Set {
        seed: "21",
        queries: 1500,
        users: "300",
        empty: "header",
        empty_answer: "header",
    };
    let cases = std::env::var(CASES).map_or(set.queries, |text| text.parse().unwrap());
    let answers = oracle::ask_oracle(&directory, &set, cases);
    let path = directory.join("store");
    oracle::build(
        &path,
        &fs::read_to_string(directory.join("dump.jsonl")).unwrap(),
    );
    load(&database.url(), &path);
    let setting = "twitter.empty_answer=header";
    let embedded = serve(&path, &["--set", setting]);
    let server = serve_from(&database.url(), &[setting, PATIENT]);
    let cold = serve_from(
        &database.url(),
        &[setting, PATIENT, "twitter.cache_bytes=0"],
    );
    let mut clients = [&embedded, &server, &server, &cold].map(Server::connect);
    for line in answers.lines() {
        let (query, want): (String, String) = serde_json::from_str(line).unwrap();
        for client in &mut clients {
            let got = ask(client, &query);
            assert_eq!((got.status, got.text()), (200, want.clone()), "{query}");
        }
    }
    let statements = [&server, &cold].map(|server| server.metric(STATEMENTS));
    assert!(statements[0] < statements[1], "{statements:?}");
    let hits = server.metric("trident_store_cache_lookups_total{result=\"hit\"}");
    assert!(hits >= answers.lines().count() as u64, "{hits}");
    assert_eq!(cold.metric("trident_store_cache_bytes"), 0);
}

/// Many connections at once, pipelined requests, known and unknown users.
#[test]
fn everybody_gets_the_own_answer_at_once() {
    let Some((_place, database)) = filled(500, &[]) else {
        return;
    };
    for cache in ["twitter.cache_bytes=0", "twitter.cache_bytes=100000"] {
        let server = serve_from(&database.url(), &[cache, PATIENT]);
        std::thread::scope(|scope| {
            for start in 0..16u64 {
                let mut client = server.connect();
                scope.spawn(move || {
                    for round in 0..60 {
                        let users = [1, 7, 400].map(|step| 1 + (start * 31 + round * step) % 600);
                        client.send(&users.map(|user| get(&about(user))).concat());
                        for user in users {
                            let got = client.response().unwrap();
                            let want = match user {
                                ..=500 => answer(user, "first"),
                                _ => format!("{TEAM_LINE}INVALID"),
                            };
                            assert_eq!((got.status, got.text()), (200, want), "{user}");
                        }
                    }
                });
            }
        });
        let keys = server.metric("trident_database_keys_total");
        assert!(server.metric(STATEMENTS) < keys, "lookups share statements");
        assert_eq!(server.metric("trident_database_waiting"), 0);
    }
}

#[test]
fn users_that_do_not_exist_are_asked_for_once() {
    let Some((_place, database)) = filled(5, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &[PATIENT]);
    let mut client = server.connect();
    for _ in 0..3 {
        for user in [0, 77, 9_223_372_036_854_775_807] {
            assert_eq!(
                ask(&mut client, &about(user)).text(),
                format!("{TEAM_LINE}INVALID")
            );
        }
    }
    assert_eq!(server.metric(STATEMENTS), 3);
    assert_eq!(
        server.metric("trident_store_lookups_total{result=\"missing\"}"),
        9
    );
}

/// While the database does not answer, requests for one user gather; one statement serves them all.
#[test]
fn a_user_that_many_ask_for_is_looked_up_once() {
    let Some((_place, database)) = filled(5, &[]) else {
        return;
    };
    // The longest deadline: a lookup past its deadline no longer waits.
    let server = connected_to(&database.url(), &["twitter.mysql_deadline_ms=60000"]);
    let before = database.executed();
    database.signal("STOP");
    let mut clients: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send(&get(&about(3))));
    assert!(eventually(
        || server.metric("trident_database_waiting") == 40
    ));
    database.signal("CONT");
    for client in &mut clients {
        assert_eq!(client.response().unwrap().text(), answer(3, "first"));
    }
    assert_eq!(database.executed() - before, 1);
}

/// A corrupt value costs only its user an answer, and is served once it is repaired.
#[test]
fn a_corrupt_value_costs_its_user_only() {
    let Some((_place, database)) = filled(20, &[]) else {
        return;
    };
    let good = database.root("SELECT HEX(data) FROM trident.trident_users WHERE user_id = 7");
    for (user, data) in [
        (3, "''"),
        (4, "'junk'"),
        (5, "REPEAT('x', 70000)"),
        (6, "CONCAT(data, 'x')"),
        (7, "CONCAT(LEFT(data, 40), 'x', SUBSTRING(data, 42))"),
        (
            8,
            "(SELECT data FROM (SELECT * FROM trident.trident_users) u WHERE user_id = 9)",
        ),
    ] {
        let change =
            format!("UPDATE trident.trident_users SET data = {data} WHERE user_id = {user}");
        database.root(&change);
    }
    let server = serve_from(&database.url(), &[PATIENT]);
    let mut client = server.connect();
    for _ in 0..2 {
        for user in 1..=20 {
            let got = ask(&mut client, &about(user));
            match user {
                // The last is the valid value of another user.
                3..=8 => assert_eq!(got.status, 500, "{user}"),
                _ => assert_eq!(got.text(), answer(user, "first")),
            }
        }
    }
    assert_eq!(
        server.metric("trident_store_lookups_total{result=\"corrupt\"}"),
        12
    );
    database.root(&format!(
        "UPDATE trident.trident_users SET data = UNHEX('{good}') WHERE user_id = 7"
    ));
    assert_eq!(ask(&mut client, &about(7)).text(), answer(7, "first"));
}

#[test]
fn capacity_and_policy_change_while_serving() {
    let Some((_place, database)) = filled(400, &[]) else {
        return;
    };
    let server = serve_from(&database.url(), &[PATIENT]);
    let ask_all = || {
        let mut client = server.connect();
        for user in 1..=400 {
            assert_eq!(ask(&mut client, &about(user)).text(), answer(user, "first"));
        }
    };
    std::thread::scope(|scope| {
        let clients = [(); 3].map(|()| scope.spawn(|| (0..10).for_each(|_| ask_all())));
        let mut round = 0;
        while !clients.iter().all(|client| client.is_finished()) {
            let policy = ["lru", "random"][round % 2];
            let bytes = [0, 60_000, 100_000_000][round % 3];
            let changed = format!("/admin/cache?capacity_bytes={bytes}&policy={policy}");
            let got = admin(&server, "POST", &changed);
            assert!(
                got.text().starts_with(&format!("capacity_bytes={bytes} ")),
                "{got:?}"
            );
            assert!(
                got.text().ends_with(&format!(" policy={policy}\n")),
                "{got:?}"
            );
            let [held, bound] = ["bytes", "limit_bytes"]
                .map(|name| server.metric(&format!("trident_store_cache_{name} ")));
            assert!(held <= bound);
            round += 1;
        }
    });
    admin(&server, "POST", "/admin/cache?capacity_bytes=100000000");
    ask_all();
    let before = server.metric(STATEMENTS);
    ask_all();
    assert_eq!(server.metric(STATEMENTS), before, "all are kept");
    assert!(server.metric("trident_store_cache_evictions_total") > 0);
    for target in [
        "?policy=fifo",
        "?capacity_bytes=-1",
        "?capacity_bytes=1099511627777",
    ] {
        let got = admin(&server, "POST", &format!("/admin/cache{target}"));
        assert_eq!(got.status, 400, "{got:?}");
    }
    assert_eq!(
        server
            .ask(b"POST /admin/cache HTTP/1.1\r\nHost: t\r\n\r\n")
            .status,
        404
    );
}
