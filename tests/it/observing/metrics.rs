//! The metrics: every series is counted by something, Prometheus accepts the text, and the documents, the dashboard and
//! the rules name only existing metrics.
//!
//! Needs `promtool` (Debian: prometheus).

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use trident::{
    metrics::{Counter, Endpoint, reference},
    store::maintenance,
};

use crate::{
    harness::{Client, GET, Metrics, READY, Server, eventually, required},
    http::table,
    ingest,
    sample::first_target,
    temp_dir::TempDir,
    twitter::stores::damaged,
};

/// Series that no request can reach: a kernel out of memory, an LMDB that fails, a bug.
const OUT_OF_REACH: &[(Counter, &str)] = &[
    (Counter::StoreCacheHits, DATABASE),
    (Counter::StoreCacheMisses, DATABASE),
    (Counter::StoreCacheEvictions, DATABASE),
    (Counter::StoreRefusedBusy, DATABASE),
    (Counter::StoreRefusedDeadline, DATABASE),
    (Counter::StoreRefusedDown, DATABASE),
    (Counter::DatabaseStatementsOk, DATABASE),
    (Counter::DatabaseStatementsFailed, DATABASE),
    (Counter::DatabaseKeys, DATABASE),
    (Counter::DatabaseConnectsOk, DATABASE),
    (Counter::DatabaseConnectsFailed, DATABASE),
    (Counter::AcceptMemory, "the kernel is out of memory"),
    (Counter::AcceptOther, "accept(2) fails for a rare reason"),
    (
        Counter::HandlerPanics,
        "no handler has a way to panic; counted in `panic`",
    ),
    (Counter::HandlerFault, "as above"),
    (Counter::IngestFailed, "the disk is full, or LMDB fails"),
    (Counter::StoreFailed, "LMDB reports an error of its own"),
];

/// Not started here, because it takes long.
const DATABASE: &str = "needs a database; counted in `twitter::database`";

const TOKEN: &str = "metrics-test-token";

fn with_token(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n\r\n").into()
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").into()
}

fn post(target: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}").into()
}

/// Everything counted by several servers.
#[derive(Default)]
struct Counted(BTreeMap<String, u64>);

impl Counted {
    /// Adds what `server` has counted, as soon as it has room for one more connection.
    fn add(&mut self, server: &Server) {
        let request = b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        let mut text = String::new();
        assert!(eventually(|| {
            let answer = Client::connect(server.admin.unwrap()).ask(request);
            text = answer.text();
            answer.status == 200
        }));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            *self.0.entry(series.to_owned()).or_default() += value as u64;
        }
    }

    fn of(&self, counter: Counter) -> u64 {
        let series = counter.to_string();
        *self
            .0
            .get(&series)
            .unwrap_or_else(|| panic!("{series} is not exported"))
    }

    /// The sums of a family by the label `endpoint`.
    fn by_endpoint(&self, family: &str) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for (series, value) in &self.0 {
            let labels = series
                .strip_prefix(family)
                .and_then(|l| l.strip_prefix('{'));
            let endpoint = labels.and_then(|labels| labels.split_once("endpoint=\""));
            if let Some((name, _)) = endpoint.and_then(|(_, rest)| rest.split_once('"')) {
                *sums.entry(name).or_default() += value;
            }
        }
        sums
    }
}

#[test]
fn every_series_is_counted_by_something() {
    let mut counted = Counted::default();
    endpoints(&mut counted);
    faults(&mut counted);
    timeouts(&mut counted);
    let (_directory, ingesting) = ingest::used_server();
    counted.add(&ingesting);
    crowds(&mut counted);
    let is_reached = |counter: &&Counter| counted.of(**counter) > 0;
    let is_excused = |counter: &Counter| OUT_OF_REACH.iter().any(|(other, _)| other == counter);
    let (reached, missed): (Vec<_>, Vec<_>) = Counter::ALL.iter().partition(is_reached);
    let missed: Vec<_> = missed.into_iter().filter(|c| !is_excused(c)).collect();
    assert!(missed.is_empty(), "never incremented: {missed:?}");
    let excused: Vec<_> = reached.into_iter().filter(|c| is_excused(c)).collect();
    assert!(excused.is_empty(), "can be reached after all: {excused:?}");
    families_join_by_endpoint(&counted);
    let invalid = counted.by_endpoint("trident_invalid_total");
    for (endpoint, reasons) in invalid {
        let series =
            format!("trident_requests_total{{endpoint=\"{endpoint}\",outcome=\"invalid\"}}");
        // A page that is not a number is 400, with a reason too.
        let pages = match endpoint {
            "twitter" => counted.of(Counter::TwitterRefused),
            _ => 0,
        };
        let answers = counted.0[&series] + pages;
        assert_eq!(answers, reasons, "every INVALID has one reason");
    }
}

/// One vocabulary: each endpoint has the same name in every family, and was measured as often as it was answered.
fn families_join_by_endpoint(counted: &Counted) {
    let requests = counted.by_endpoint("trident_requests_total");
    let names: Vec<_> = requests.keys().copied().collect();
    let mut declared: Vec<_> = Endpoint::ALL.iter().map(|e| e.name()).collect();
    declared.sort_unstable();
    assert_eq!(names, declared);
    assert_eq!(
        counted.by_endpoint("trident_handler_seconds_count"),
        requests
    );
    let written = counted.by_endpoint("trident_request_seconds_count");
    assert!(written.keys().eq(requests.keys()), "{written:?}");
}

/// Answers of every endpoint with every outcome, the cache, the store, the controls, the authority.
fn endpoints(counted: &mut Counted) {
    let directory = TempDir::new();
    let store = directory.join("store");
    damaged(&store);
    let broken = Server::start(&[
        "--twitter-store",
        store.to_str().unwrap(),
        "--cache-bytes",
        "65536",
        "--set",
        &format!("admin_token={TOKEN}"),
        "--set",
        "log.slow_request_ms=1",
    ]);
    let chain = first_target("blockchain_valid.txt");
    let mut client = broken.connect();
    for request in [
        get("/twitter?user_id=77&type=both&phrase=a&hashtag=a"), // damaged
        get(&chain),
        get("/blockchain?cc=x"),
        get("/blockchain?cc=x"), // a hit
        get("/qrcode?type=encode&data=a"),
        get(&format!("/qrcode?type=encode&data={}", "a".repeat(500))),
        get(&format!("{}&timestamp=1", first_target("qr_decode.txt"))),
        get("/qrcode?type=decode&data=0"),
        get("/qrcode"),
        get("/qrcode?type=encode&data=a&format=svg"),
        get(&format!(
            "/qrcode?type=encode&format=png&data={}",
            "a".repeat(3000)
        )),
        get("/no-such-path"),
        post(
            "/rest_auth",
            "{\"team_name\":\"a\",\"timestamp\":1,\"decoded_qrcode\":\"b\"}",
        ),
        post(
            "/rest_verify",
            &format!(
                "{{\"team_name\":\"a\",\"timestamp\":1,\"decoded_qrcode\":\"b\",\"token\":\"{}\"}}",
                "0".repeat(64)
            ),
        ),
        post("/rest_auth", "{"),
        post("/rest_verify", "{"),
        READY.to_vec(),
    ] {
        client.ask(&request);
    }
    let picture = get(&format!(
        "/qrcode?type=encode&format=png&data={}",
        "a".repeat(2900)
    ));
    client.send(&picture.repeat(10)); // each longer than a millisecond
    (0..10).for_each(|_| assert_eq!(client.response().unwrap().status, 200));
    for line in fs::read_to_string("benches/data/blockchain_valid.txt")
        .unwrap()
        .lines()
    {
        client.ask(&get(line.split('\t').next().unwrap())); // more than the cache holds
    }
    let mut admin = Client::connect(broken.admin.unwrap());
    assert_eq!(admin.ask(&with_token("POST", "/admin/reload")).status, 200);
    assert_eq!(
        admin
            .ask(b"POST /admin/cache/clear HTTP/1.1\r\nHost: t\r\n\r\n")
            .status,
        401
    );
    fs::rename(&store, directory.join("old")).unwrap();
    assert_eq!(admin.ask(&with_token("POST", "/admin/reload")).status, 500);
    damaged(&store);
    assert_eq!(admin.ask(&with_token("POST", "/admin/reload")).status, 200);
    let sample = Server::start(&[]);
    let mut client = sample.connect();
    client.ask(&get("/twitter?user_id=0&type=both&phrase=a&hashtag=a"));
    client.ask(&get("/twitter?user_id=x"));
    client.ask(&get(
        "/twitter?user_id=1&type=both&phrase=a&hashtag=a&limit=0",
    ));
    let known = sample_user();
    let listed = client.ask(&get(&format!(
        "/twitter?user_id={known}&type=both&phrase=a&hashtag=a"
    )));
    assert!(listed.text().contains('\t'), "{listed:?}");
    authority(&broken, counted);
    assert_eq!(admin.ask(&with_token("POST", "/admin/drain")).status, 200);
    assert!(eventually(|| broken.ask(READY).status == 503));
    counted.add(&broken);
    counted.add(&sample);
}

/// A user of the built-in sample with contacts.
fn sample_user() -> u64 {
    let places = trident::etl::sample::directories(|name| std::env::var_os(name));
    let path = trident::etl::sample::prepare(&places).unwrap();
    let mut known = None;
    let mut out = Vec::new();
    maintenance::dump(&path, &mut out).unwrap();
    for line in String::from_utf8(out).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        known = known.or_else(|| row["user_id"].as_u64());
    }
    known.expect("the sample has users")
}

/// Tokens from another process: one that answers, and one that does not run.
fn authority(other: &Server, counted: &mut Counted) {
    let decode = get(&format!("{}&timestamp=1", first_target("qr_decode.txt")));
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (address, valid) in [(other.address, true), (nobody, false)] {
        let url = format!("auth.url=http://{address}/rest_auth");
        let server = Server::with(&["auth.mode=rest", &url]);
        assert_eq!(!server.ask(&decode).text().contains("INVALID"), valid);
        counted.add(&server);
    }
}

/// Malformed requests: the table of `http::table`, and those that only small limits refuse.
fn faults(counted: &mut Counted) {
    let plain = Server::start(&[]);
    for bytes in table::requests() {
        let mut client = plain.connect();
        client.send(bytes);
        client.finish();
        client.rest();
    }
    counted.add(&plain);
    let server = Server::with(&[
        "http.request_line_bytes_max=300",
        "http.head_bytes_max=280",
        "http.header_count_max=5",
        "http.body_bytes_max=50",
        "http.chunk_overhead_bytes_max=40",
    ]);
    let head = "GET /healthz HTTP/1.1\r\nHost: t\r\n";
    let chunked = "POST /blockchain HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bytes in [
        format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(400)),
        format!("{head}X: {}\r\n\r\n", "x".repeat(400)),
        format!("{head}{}\r\n", "a: b\r\n".repeat(9)),
        format!("{chunked}1;{}\r\n", "x".repeat(60)),
        format!("{chunked}40\r\n{}", "x".repeat(60)),
        "\r\n".repeat(100),
    ] {
        let mut client = server.connect();
        client.send(bytes.as_bytes());
        client.finish();
        client.rest();
    }
    counted.add(&server);
}

/// Peers that are slow in every way, and one that resets its connection.
fn timeouts(counted: &mut Counted) {
    let settings = ["head", "body", "idle", "write", "linger"]
        .map(|name| format!("http.{name}_timeout_ms=300"));
    let server = Server::with(&settings.each_ref().map(String::as_str));
    let mut idle = server.connect();
    idle.ask(GET);
    let mut head = server.connect();
    head.send(b"GET / HT");
    let mut body = server.connect();
    body.send(b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nx");
    let mut linger = server.connect();
    linger.send(b"malformed\r\n\r\n");
    reads_nothing(server.address);
    for phase in ["idle", "head", "body", "write", "linger"] {
        let series = format!("trident_connections_expired_total{{phase=\"{phase}\"}}");
        assert!(eventually(|| server.metric(&series) > 0), "{series}");
    }
    counted.add(&server);
    drop((idle, head, body, linger));
    // No deadline here is quicker than the reset.
    let server = Server::start(&[]);
    let mut broken = server.connect();
    broken.ask(GET);
    broken.send(b"GET / HT");
    broken.await_read();
    socket2::SockRef::from(&broken.stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(broken);
    assert!(eventually(|| server
        .metric("trident_connections_reset_total")
        > 0));
    counted.add(&server);
}

/// Asks without reading an answer until the server breaks off.
fn reads_nothing(address: SocketAddr) {
    let mut client = Client::connect(address);
    let svg = "/qrcode?type=encode&format=svg&data=";
    let many = get(&format!("{svg}{}", "a".repeat(200))).repeat(100);
    while client.stream.write_all(&many).is_ok() {}
}

/// More connections, descriptors and bytes than the server has room for.
fn crowds(counted: &mut Counted) {
    let server = Server::with(&["http.connections_max=1"]);
    let mut only = server.connect();
    only.ask(GET);
    assert_eq!(server.ask(GET).status, 503);
    drop(only);
    let is_admitted = || Client::connect(server.admin.unwrap()).ask(GET).status == 200;
    assert!(eventually(is_admitted));
    counted.add(&server);
    let server = Server::with(&["http.buffered_bytes_max=1048576"]);
    let head = b"POST /blockchain HTTP/1.1\r\nHost: t\r\nContent-Length: 1048576\r\n\r\n";
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.send(head);
        client.send(&vec![b'x'; 900_000]); // whichever is read last exceeds the budget
    }
    let refused = || server.metric("trident_request_faults_total{reason=\"overloaded\"}");
    assert!(eventually(|| refused() > 0));
    drop(clients);
    counted.add(&server);
    let server = Server::with_few_descriptors("127.0.0.1:0");
    let mut admin = Client::connect(server.admin.unwrap());
    admin.ask(GET); // while there is room for a connection
    let clients: Vec<Client> = (0..80).map(|_| server.connect()).collect();
    assert!(eventually(|| {
        let answer = admin.ask(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
        let refused = "trident_accept_errors_total{reason=\"descriptors\"}";
        Metrics(answer.text()).sum(refused) > 0
    }));
    drop((clients, admin));
    let is_admitted = || {
        let mut client = Client::connect(server.admin.unwrap());
        client.send(GET);
        client.response().is_some_and(|answer| answer.status == 200)
    };
    assert!(eventually(is_admitted));
    counted.add(&server);
}

/// Gives `input` to `command`, which must accept it.
fn content(command: &mut Command, input: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn promtool_accepts_the_metrics() {
    if !required("promtool", &["promtool"]) {
        return;
    }
    let server = Server::start(&[]);
    server.ask(&get("/qrcode?type=encode&data=a"));
    content(
        Command::new("promtool").args(["check", "metrics"]),
        server.metrics().text(),
    );
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules() {
    if !required("promtool", &["promtool"]) {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus");
    content(
        Command::new("promtool")
            .args(["check", "rules"])
            .arg(folder.join("rules.yml")),
        "",
    );
    content(
        Command::new("promtool")
            .args(["test", "rules", "rules_test.yml"])
            .current_dir(&folder),
        "",
    );
    content(
        Command::new("promtool")
            .args(["check", "config"])
            .arg(folder.join("prometheus.yml")),
        "",
    );
}

#[test]
fn the_reference_page_is_that_of_the_code() {
    let page = include_str!("../../../docs/metrics.md");
    assert!(
        page == reference::page(&trident::app::reasons()),
        "run: trident documents metrics > docs/metrics.md"
    );
}

#[test]
fn dashboard_and_rules_name_only_metrics_that_exist() {
    let families = reference::families(&trident::app::reasons());
    let exists = |name: &str| {
        families.iter().any(|family| {
            let suffixes: &[&str] = match family.kind {
                "histogram" => &["", "_bucket", "_sum", "_count"],
                _ => &[""],
            };
            name.strip_prefix(family.name)
                .is_some_and(|suffix| suffixes.contains(&suffix))
        })
    };
    let texts = [
        include_str!("../../../config/grafana/trident.json"),
        include_str!("../../../config/prometheus/rules.yml"),
    ];
    let mut named = 0;
    for text in texts {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in
            words.filter(|word| word.starts_with("trident_") || word.starts_with("process_"))
        {
            assert!(exists(word), "{word} is no metric");
            named += 1;
        }
    }
    assert!(named > 30, "only {named} metrics are named");
    let dashboard: serde_json::Value = serde_json::from_str(texts[0]).unwrap();
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|panels| panels.len() > 8)
    );
}

#[test]
fn histograms_and_slow_log_can_be_turned_off() {
    let server = Server::with(&["metrics.histograms=false", "log.slow_request_ms=1"]);
    server.ask(&get("/qrcode?type=encode&data=a"));
    let metrics = server.metrics();
    assert_eq!(
        metrics.sum("trident_requests_total{endpoint=\"qrcode_encode\""),
        1
    );
    assert!(!metrics.text().contains("_seconds_bucket"));
}

/// As many descriptors as `http.connections_max` needs, whatever the soft limit was.
#[test]
fn the_limit_of_descriptors_follows_the_setting() {
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--set",
        "http.connections_max=300",
    ];
    let server = Server::spawn(Server::shell("ulimit -Sn 100; exec \"$@\"", &arguments));
    let limit = || server.metric("process_max_fds");
    assert!(eventually(|| limit() > 300), "{}", limit());
}

/// Latencies and counts agree: each answer is in both histograms of its endpoint.
#[test]
fn pipelined_requests_are_measured_one_by_one() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let batch = [
        get("/qrcode?type=encode&data=a"),
        get("/healthz"),
        get("/blockchain?cc=x"),
    ]
    .concat();
    client.send(&batch.repeat(20));
    (0..60).for_each(|_| assert_eq!(client.response().unwrap().status, 200));
    for (endpoint, requests) in [("qrcode_encode", 20), ("blockchain", 20)] {
        for latency in ["handler", "request"] {
            let series = format!("trident_{latency}_seconds_count{{endpoint=\"{endpoint}\"}}");
            // The turn's figures are there when its write has returned; the client may be faster.
            let is_measured = || server.metrics().sum(&series) == requests;
            assert!(eventually(is_measured), "{series}");
        }
    }
}
