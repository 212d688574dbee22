//! The admin address: state, history, who may ask, the controls, flame graphs, the log of slow requests.

use std::{
    fs,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::{
    harness::{Client, GET, PATIENCE, Response, Server, eventually},
    temp_dir::TempDir,
};

const TOKEN: &str = "admin-test-token";

fn with_token() -> Server {
    Server::with(&[&format!("admin_token={TOKEN}"), "cache_bytes=1048576"])
}

/// Asks the admin address; `fields` are lines with their CRLF.
fn ask(server: &Server, method: &str, path: &str, fields: &str) -> Response {
    let request = format!("{method} {path} HTTP/1.1\r\n{fields}\r\n");
    Client::connect(server.admin.unwrap()).ask(request.as_bytes())
}

fn control(server: &Server, path: &str) -> Response {
    let fields = format!("Host: t\r\nAuthorization: Bearer {TOKEN}\r\n");
    ask(server, "POST", path, &fields)
}

fn json(server: &Server, path: &str) -> Value {
    let answer = ask(server, "GET", path, "Host: t\r\n");
    assert_eq!(
        (answer.status, answer.field("content-type")),
        (200, Some("application/json"))
    );
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn state_tells_who_and_how() {
    let server = Server::start(&["--team", "Some Team", "--workers", "2"]);
    server.ask(GET);
    let state = json(&server, "/admin/state");
    assert_eq!(state["identity"], "Some Team,000000000000");
    assert_eq!(state["phase"], "ready");
    assert_eq!(
        (&state["pid"], &state["controls"]),
        (&server.pid().into(), &false.into())
    );
    assert_eq!(state["settings"]["workers"], 2);
    assert!(state["connections"]["open"].as_u64() >= Some(1), "{state}");
    let counted =
        &state["counters"]["trident_requests_total{endpoint=\"other\",outcome=\"valid\"}"];
    assert!(counted.as_u64() >= Some(1), "{state}");
}

#[test]
fn history_grows_by_the_second_and_can_be_asked_for_what_is_new() {
    let server = Server::start(&[]);
    let points = || {
        json(&server, "/admin/history")["seconds"]
            .as_array()
            .unwrap()
            .clone()
    };
    let asked = || {
        points()
            .iter()
            .map(|point| point["all"]["requests"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert!(eventually(|| {
        server.ask(GET);
        points().len() >= 3 && asked() >= 3
    }));
    let all = points();
    let newest = all.last().unwrap()["at_ms"].as_u64().unwrap();
    let since = json(&server, &format!("/admin/history?since={}", newest - 1));
    assert!((1..all.len()).contains(&since["seconds"].as_array().unwrap().len()));
    assert_eq!(
        since["endpoints"].as_array().unwrap().len(),
        all[0]["endpoints"].as_array().unwrap().len()
    );
    let busy = all
        .iter()
        .find(|point| point["all"]["requests"].as_u64() > Some(0))
        .unwrap();
    assert!(busy["all"]["p99_us"].as_f64() > Some(0.0), "{busy}");
}

#[test]
fn the_public_listener_knows_nothing_of_it() {
    let server = with_token();
    for path in ["/metrics", "/admin/state", "/admin/history", "/admin/drain"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(server.ask(request.as_bytes()).status, 404, "{path}");
    }
    let home = server.ask(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(home.field("content-type"), Some("text/plain"));
}

/// A name on the web may resolve to this machine: its pages must not read the admin pages.
#[test]
fn names_that_are_not_ours_are_refused_except_for_machines() {
    let server = Server::with(&["admin_hosts=ops.example.com"]);
    for (host, status) in [
        ("127.0.0.1:9090", 200),
        ("ops.example.com:9090", 200),
        ("evil.example.com", 403),
    ] {
        let fields = format!("Host: {host}\r\n");
        for path in ["/", "/admin/state", "/admin/history"] {
            assert_eq!(
                ask(&server, "GET", path, &fields).status,
                status,
                "{host} {path}"
            );
        }
        assert_eq!(ask(&server, "GET", "/metrics", &fields).status, 200);
        assert_eq!(ask(&server, "GET", "/healthz", &fields).status, 200);
    }
}

#[test]
fn the_page_may_load_nothing_from_elsewhere() {
    let server = Server::start(&[]);
    let page = ask(&server, "GET", "/", "Host: t\r\n");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.field("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let allowed = ask(&server, "POST", "/", "Host: t\r\nContent-Length: 0\r\n");
    assert_eq!(
        (allowed.status, allowed.field("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn controls_want_post_and_the_token() {
    let server = with_token();
    for path in [
        "/admin/cache?capacity_bytes=1",
        "/admin/cache/clear",
        "/admin/reload",
        "/admin/drain",
        "/admin/profile",
    ] {
        let got = ask(&server, "GET", path, "Host: t\r\n");
        assert_eq!(
            (got.status, got.field("allow")),
            (405, Some("POST")),
            "{path}"
        );
        let bare = ask(&server, "POST", path, "Host: t\r\n");
        assert_eq!(
            (bare.status, bare.field("www-authenticate")),
            (401, Some("Bearer")),
            "{path}"
        );
        let wrong = ask(
            &server,
            "POST",
            path,
            "Host: t\r\nAuthorization: Bearer admin-test-toke\r\n",
        );
        assert_eq!(wrong.status, 401, "{path}");
    }
    let right = format!("Host: t\r\nAuthorization: Bearer {TOKEN}\r\n");
    let elsewhere = format!("{right}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(
        ask(&server, "POST", "/admin/cache/clear", &elsewhere).status,
        403
    );
    assert_eq!(
        ask(&server, "POST", "/admin/cache/clear", &right).status,
        200
    );
    assert_eq!(server.ask(GET).status, 200, "nothing was drained");
    assert!(!server.log().contains(TOKEN), "the log holds the token");
}

#[test]
fn without_a_token_there_is_only_the_reload() {
    let server = Server::start(&[]);
    assert_eq!(
        ask(&server, "POST", "/admin/drain", "Host: t\r\n").status,
        403
    );
    assert_eq!(
        ask(&server, "POST", "/admin/reload", "Host: t\r\n").status,
        200
    );
    let page_elsewhere = "Host: t\r\nOrigin: https://example.com\r\n";
    assert_eq!(
        ask(&server, "POST", "/admin/reload", page_elsewhere).status,
        403
    );
}

#[test]
fn the_cache_can_be_set_and_cleared() {
    let server = with_token();
    let cache = || json(&server, "/admin/state")["cache"].clone();
    let chain = "GET /blockchain?cc=wrong HTTP/1.1\r\nHost: t\r\n\r\n";
    server.ask(chain.as_bytes());
    assert_eq!(cache()["entries"], 1);
    assert_eq!(
        control(&server, "/admin/cache/clear").text(),
        "1 answers dropped\n"
    );
    assert_eq!(cache()["entries"], 0);
    assert_eq!(
        control(&server, "/admin/cache?capacity_bytes=2097152&policy=random").text(),
        "capacity_bytes=2097152 bytes=0 entries=0 policy=random\n"
    );
    assert_eq!(control(&server, "/admin/cache?policy=random").status, 200);
    assert_eq!(
        (&cache()["limit_bytes"], &cache()["policy"]),
        (&2_097_152.into(), &"random".into())
    );
    for wrong in [
        "",
        "?capacity_bytes=",
        "?capacity_bytes=-1",
        "?capacity_bytes=1e3",
        "?capacity_bytes=9999999999999999",
        "?capacity_bytes=5&policy=fifo",
    ] {
        assert_eq!(
            control(&server, &format!("/admin/cache{wrong}")).status,
            400,
            "{wrong}"
        );
    }
    assert_eq!(cache()["limit_bytes"], 2_097_152);
    control(&server, "/admin/cache?capacity_bytes=0");
    server.ask(chain.as_bytes());
    assert_eq!(cache()["entries"], 0);
}

#[test]
fn drain_stops_as_a_signal_does() {
    let mut server = Server::with(&[
        &format!("admin_token={TOKEN}"),
        "drain.accept_ms=100",
        "drain.quiet_ms=0",
    ]);
    assert_eq!(control(&server, "/admin/drain").text(), "draining\n");
    assert!(server.wait().success());
}

/// Does `work` while the server is busy.
fn busy<T>(server: &Server, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let (begin, begun) = mpsc::channel();
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            let mut client = server.connect();
            let request =
                b"GET /qrcode?type=encode&data=profile&format=png HTTP/1.1\r\nHost: t\r\n\r\n";
            // Bounded, because `work` may fail.
            let give_up = Instant::now() + PATIENCE;
            while !done.load(Relaxed) && Instant::now() < give_up {
                client.send(&request.repeat(50));
                (0..50).for_each(|_| assert_eq!(client.response().unwrap().status, 200));
                let _ = begin.send(());
            }
        });
        begun.recv_timeout(PATIENCE).unwrap();
        let result = work();
        done.store(true, Relaxed);
        result
    })
}

/// A flame graph of two seconds. If other programs leave the server no processor time, there is no sample, and it is
/// recorded again.
fn recorded(server: &Server) -> Response {
    let mut answer = None;
    let is_there = || {
        let recorded = answer.insert(control(server, "/admin/profile?seconds=2"));
        recorded.status == 200
    };
    assert!(eventually(is_there), "{answer:?}");
    answer.unwrap()
}

#[test]
fn a_flame_graph_shows_the_handlers_while_requests_go_on() {
    let server = with_token();
    let graph = busy(&server, || recorded(&server));
    assert_eq!(
        (graph.status, graph.field("content-type")),
        (200, Some("image/svg+xml"))
    );
    let svg = graph.text();
    assert!(
        svg.trim_end().ends_with("</svg>"),
        "{}",
        &svg[svg.len() - 200..]
    );
    assert!(svg.contains("qrcode"), "no frame of the handler");
    for wrong in ["?seconds=0", "?seconds=301", "?seconds=x"] {
        assert_eq!(
            control(&server, &format!("/admin/profile{wrong}")).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn a_signal_writes_a_flame_graph() {
    let directory = TempDir::new();
    let setting = format!("profile.directory={}", directory.display());
    let server = Server::with(&["profile.on=SIGUSR2", "profile.seconds=1", &setting]);
    busy(&server, || {
        let mut sent = 0;
        assert!(eventually(|| {
            let log = server.log();
            if log.matches("no flame graph").count() == sent {
                server.signal("USR2"); // once more if there was no sample
                sent += 1;
            }
            log.contains("flame graph written")
        }));
    });
    let written: Vec<_> = fs::read_dir(&*directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(written.len(), 1, "{written:?}");
    assert!(fs::read_to_string(&written[0]).unwrap().contains("<svg"));
}

#[test]
fn slow_requests_are_logged_with_their_stages() {
    let server = Server::with(&["log.slow_request_ms=1"]);
    let request = format!(
        "GET /qrcode?type=encode&format=png&data={} HTTP/1.1\r\nHost: t\r\n\r\n",
        "a".repeat(2900)
    );
    let began = Instant::now();
    let mut client = server.connect();
    client.send(request.repeat(10).as_bytes());
    (0..10).for_each(|_| assert_eq!(client.response().unwrap().status, 200));
    assert!(eventually(|| server.log().contains("slow request")));
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("slow request"))
        .unwrap();
    for field in [
        "endpoint=\"qrcode_picture\"",
        "requests=",
        "read_bytes=",
        "answer_bytes=",
        "handler_us=",
        "write_us=",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
    assert!(
        log.matches("slow request").count() as u64 <= began.elapsed().as_secs() + 2,
        "more than one line a second: {log}"
    );
    assert!(server.metric("trident_slow_requests_total") > 0);
}

/// Every answer of the operator's side counts once, by its outcome; a control counts as done when it is done.
#[test]
fn controls_and_their_answers_are_counted_by_what_they_came_to() {
    let server = with_token();
    let series = [
        "trident_admin_controls_total{outcome=\"done\"}",
        "trident_admin_controls_total{outcome=\"refused\"}",
        "trident_admin_controls_total{outcome=\"failed\"}",
        "trident_requests_total{endpoint=\"admin\",outcome=\"valid\"}",
        "trident_requests_total{endpoint=\"admin\",outcome=\"4xx\"}",
        "trident_requests_total{endpoint=\"admin\",outcome=\"5xx\"}",
    ];
    let read = || {
        let state = json(&server, "/admin/state"); // counts as valid when it has been sent
        series.map(|name| state["counters"][name].as_u64().unwrap())
    };
    let grows = |path: &str, status: u16, by: [u64; 3]| {
        let before = read();
        assert_eq!(control(&server, path).status, status, "{path}");
        let after = read();
        let grown: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        let [done, refused, failed] = by;
        assert_eq!(
            grown,
            [done, refused, failed, done + 1, refused, failed],
            "{path}"
        );
    };
    grows("/admin/cache?capacity_bytes=1", 200, [1, 0, 0]);
    grows("/admin/cache?capacity_bytes=x", 400, [0, 1, 0]);
    grows("/admin/reload", 200, [1, 0, 0]); // answered by another thread
    grows("/admin/profile?seconds=0", 400, [0, 1, 0]);
    busy(&server, || {
        thread::scope(|scope| {
            let recording = scope.spawn(|| recorded(&server));
            let is_refused = || {
                let second = control(&server, "/admin/profile?seconds=1");
                second.status == 409 && second.text().contains("a recording is under way")
            };
            assert!(eventually(is_refused), "one recording at a time");
            // The second client may have come first once.
            assert_eq!(recording.join().unwrap().status, 200);
        });
    });
}

/// Answers that no handler gives are counted as well.
#[test]
fn methods_that_no_handler_sees_are_counted() {
    let server = Server::start(&[]);
    let refused = "trident_requests_total{endpoint=\"other\",outcome=\"4xx\"}";
    let unknown = "trident_request_faults_total{reason=\"unknown_method\"}";
    let read = || [refused, unknown].map(|series| server.metric(series));
    for (line, status, counted) in [("OPTIONS *", 405, [1, 0]), ("FETCH /", 501, [1, 1])] {
        let request = format!("{line} HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(server.ask(request.as_bytes()).status, status, "{line}");
        assert_eq!(read(), counted, "{line}");
    }
}

/// A recording is useless when its client has gone; the next one need not wait for its end.
#[test]
fn a_recording_stops_with_its_connection() {
    let server = with_token();
    let record = |seconds: u32| {
        let request = format!(
            "POST /admin/profile?seconds={seconds} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n"
        );
        let mut client = Client::connect(server.admin.unwrap());
        client.send(request.as_bytes());
        client
    };
    // The two may begin in another order than they were sent.
    let mut recording = None;
    assert!(eventually(|| {
        let mut first = record(300);
        let second = record(1).response();
        let is_refused = second.is_some_and(|answer| answer.status == 409);
        if is_refused && first.is_left_waiting() {
            recording = Some(first);
        }
        recording.is_some()
    }));
    drop(recording);
    assert!(eventually(|| {
        let mut second = record(1);
        second
            .response()
            .is_some_and(|answer| !answer.text().contains("under way"))
    }));
}

#[test]
fn refused_controls_do_not_fill_the_log() {
    const ASKED: usize = 400;
    let server = with_token();
    let mut client = Client::connect(server.admin.unwrap());
    for _ in 0..ASKED {
        let answer =
            client.ask(b"POST /admin/drain HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.status, 401);
    }
    assert_eq!(
        server.metric("trident_admin_controls_total{outcome=\"refused\"}"),
        ASKED as u64
    );
    assert!(eventually(|| server.log().contains("control refused")));
    let lines = server.log().matches("control refused").count();
    assert!(lines < ASKED / 2, "{lines} lines");
}
