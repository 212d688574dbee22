//! The client against a stand-in authority on loopback that misbehaves to order.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::*;

/// What the stand-in does with a request.
enum Act {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Sends an answer and closes when the test has it.
    SendAndCloseAfter(Vec<u8>, Arc<Barrier>),
    /// Sends one byte of these every few milliseconds.
    Drip(Vec<u8>),
    /// Says nothing until the client goes away.
    Silence,
}

/// A stand-in authority; its threads end with the test process.
struct StandIn {
    address: SocketAddr,
    /// (connection number, body) of every request read.
    requests: Arc<Mutex<Vec<(usize, String)>>>,
    connections_ended: Arc<AtomicUsize>,
}

impl StandIn {
    /// `script` tells what to do with the n-th request, counted over all connections.
    fn start(script: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections_ended = Arc::new(AtomicUsize::new(0));
        let (seen, ended, script) = (
            requests.clone(),
            connections_ended.clone(),
            Arc::new(script),
        );
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (seen, ended, script) = (seen.clone(), ended.clone(), script.clone());
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    while let Some(body) = read_request(&mut stream) {
                        let index = {
                            let mut seen = seen.lock().unwrap();
                            seen.push((number, body));
                            seen.len() - 1
                        };
                        if !act(&mut stream, script(index)) {
                            break;
                        }
                    }
                    drop(stream);
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            requests,
            connections_ended,
        }
    }

    fn options(&self) -> RestOptions {
        RestOptions {
            url: format!("http://{}/rest_auth", self.address),
            deadline: Duration::from_secs(20),
            connections_max: 1,
            queue_max: 64,
        }
    }

    fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().unwrap().clone()
    }
}

/// Body of the next request; `None` when the client closed.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("post /rest_auth http/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: application/json\r\n"),
        "{head}"
    );
    let length = head
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some(String::from_utf8(body).unwrap())
}

/// Whether the connection goes on.
fn act(stream: &mut TcpStream, act: Act) -> bool {
    match act {
        Act::Send(bytes) => stream.write_all(&bytes).is_ok(),
        Act::SendAndClose(bytes) => {
            let _ = stream.write_all(&bytes);
            false
        }
        Act::SendAndCloseAfter(bytes, received) => {
            let _ = stream.write_all(&bytes);
            received.wait();
            false
        }
        Act::Drip(bytes) => {
            for byte in bytes {
                thread::sleep(Duration::from_millis(5));
                if stream.write_all(&[byte]).is_err() {
                    break;
                }
            }
            false
        }
        Act::Silence => stream.read(&mut [0]).is_err(),
    }
}

fn answer(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn success(token: &str) -> Vec<u8> {
    answer(&format!(r#"{{"message":"SUCCESS","token":"{token}"}}"#))
}

fn submit(client: &RestClient, message: &[u8]) -> mpsc::Receiver<Result<String, RestError>> {
    let (sender, receiver) = mpsc::channel();
    let done: Done = Box::new(move |answer| sender.send(answer).unwrap());
    client
        .submit("TEAMID".into(), -5, message.to_vec(), done)
        .unwrap();
    receiver
}

fn ask(client: &RestClient, message: &[u8]) -> Result<String, RestError> {
    submit(client, message).recv().unwrap()
}

#[test]
fn a_token_comes_back_and_the_connection_is_kept() {
    let authority = StandIn::start(|index| Act::Send(success(&format!("token{index}"))));
    let client = RestClient::start(authority.options()).unwrap();
    assert_eq!(ask(&client, b"Upc7Lu").unwrap(), "token0");
    assert_eq!(ask(&client, "é \"\\\n".as_bytes()).unwrap(), "token1");
    assert_eq!(ask(&client, b"a\xffb").unwrap(), "token2");
    let body = |message: &str| {
        format!(r#"{{"team_name":"TEAMID","timestamp":-5,"decoded_qrcode":"{message}"}}"#)
    };
    let expected = [
        (0, body("Upc7Lu")),
        (0, body("é \\\"\\\\\\n")),
        (0, body("a\u{fffd}b")),
    ];
    assert_eq!(authority.requests(), expected);
}

#[test]
fn calls_run_side_by_side_up_to_the_connections() {
    let both_here = Arc::new(std::sync::Barrier::new(2));
    let authority = StandIn::start(move |_| {
        both_here.wait();
        Act::Send(success("t"))
    });
    let options = RestOptions {
        connections_max: 2,
        ..authority.options()
    };
    let client = RestClient::start(options).unwrap();
    let answers = [submit(&client, b"a"), submit(&client, b"b")];
    for answer in answers {
        assert_eq!(answer.recv().unwrap().unwrap(), "t");
    }
}

#[test]
fn a_silent_authority_costs_the_deadline_waiting_included() {
    let authority = StandIn::start(|_| Act::Silence);
    let deadline = Duration::from_secs(1);
    let options = RestOptions {
        deadline,
        ..authority.options()
    };
    let client = RestClient::start(options).unwrap();
    let start = Instant::now();
    let answers: Vec<_> = (0..20).map(|_| submit(&client, b"m")).collect();
    for answer in answers {
        assert_eq!(answer.recv().unwrap(), Err(RestError::Deadline));
    }
    let waited = start.elapsed();
    assert!(waited >= deadline);
    assert!(
        waited < deadline * 10,
        "20 claims on one connection share their deadline: {waited:?}"
    );
    assert!(
        authority.requests().len() < 10,
        "claims that expired in the queue are not sent"
    );
}

#[test]
fn a_dripping_authority_does_not_stretch_the_deadline() {
    let long = answer(&"x".repeat(3000));
    let authority = StandIn::start(move |_| Act::Drip(long.clone()));
    let options = RestOptions {
        deadline: Duration::from_millis(150),
        ..authority.options()
    };
    let client = RestClient::start(options).unwrap();
    assert_eq!(ask(&client, b"m"), Err(RestError::Deadline));
}

#[test]
fn a_kept_connection_that_died_is_replaced_once() {
    let received = Arc::new(Barrier::new(2));
    let third = Arc::clone(&received);
    let authority = StandIn::start(move |index| match index {
        0 => Act::Send(success("first")),
        1 => Act::SendAndClose(Vec::new()),
        2 => Act::SendAndCloseAfter(success("third"), Arc::clone(&third)),
        _ => Act::Send(success("last")),
    });
    let client = RestClient::start(authority.options()).unwrap();
    assert_eq!(ask(&client, b"a").unwrap(), "first");
    assert_eq!(
        ask(&client, b"b").unwrap(),
        "third",
        "sent again on a fresh connection"
    );
    received.wait();
    let connections: Vec<_> = authority
        .requests()
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(connections, [0, 0, 1]);
    while authority.connections_ended.load(Ordering::SeqCst) < 2 {
        thread::yield_now();
    }
    assert_eq!(
        ask(&client, b"c").unwrap(),
        "last",
        "closed between two calls"
    );
}

#[test]
fn a_fresh_connection_that_dies_is_an_error() {
    let authority = StandIn::start(|index| match index {
        0 => Act::SendAndClose(Vec::new()),
        1 => Act::Send(success("kept")),
        2 | 3 => Act::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{".to_vec()),
        _ => Act::Send(success("again")),
    });
    let client = RestClient::start(authority.options()).unwrap();
    assert_eq!(ask(&client, b"a"), Err(RestError::Disconnected));
    assert_eq!(authority.requests().len(), 1, "no second try");
    assert_eq!(ask(&client, b"b").unwrap(), "kept");
    assert_eq!(
        ask(&client, b"c"),
        Err(RestError::Disconnected),
        "two tries, both cut short"
    );
    assert_eq!(authority.requests().len(), 4);
    assert_eq!(ask(&client, b"d").unwrap(), "again");
}

/// The client took such a connection for a fresh one and did not try again.
#[test]
fn a_connection_kept_after_an_error_status_may_die_too() {
    for status in ["400 Bad Request", "302 Found", "204 No Content"] {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes();
        let authority = StandIn::start(move |index| match index {
            0 => Act::Send(head.clone()),
            1 => Act::SendAndClose(Vec::new()),
            _ => Act::Send(success("t")),
        });
        let client = RestClient::start(authority.options()).unwrap();
        assert_eq!(ask(&client, b"a"), Err(RestError::BadAnswer), "{status}");
        assert_eq!(ask(&client, b"b").as_deref(), Ok("t"), "{status}");
        let connections: Vec<_> = authority
            .requests()
            .iter()
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(connections, [0, 0, 1], "{status}");
    }
}

#[test]
fn nobody_listening_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rest_auth", listener.local_addr().unwrap());
    drop(listener);
    let client = RestClient::start(RestOptions {
        url,
        ..RestOptions::default()
    })
    .unwrap();
    assert_eq!(ask(&client, b"m"), Err(RestError::Refused));
}

#[test]
fn answers_not_agreed_are_bad_and_the_next_call_is_fine() {
    let long_token = "t".repeat(1025);
    let bad = vec![
        answer("{}"),
        answer(""),
        answer(r#"{"message":"FAILURE","token":"t"}"#),
        answer(r#"{"message":"SUCCESS"}"#),
        answer(r#"{"message":"SUCCESS","token":7}"#),
        answer(r#"{"message":"SUCCESS","token":""}"#),
        answer(r#"{"message":"SUCCESS","token":"a\nb"}"#),
        success(&long_token),
        answer(&format!(
            r#"{{"message":"SUCCESS","token":"t","pad":"{}"}}"#,
            "x".repeat(9000)
        )),
        answer("\u{0}\u{1}"),
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nlocation: /rest_auth\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
    ];
    let script = bad.clone();
    let authority = StandIn::start(move |index| match script.get(index) {
        Some(bytes) => Act::SendAndClose(bytes.clone()),
        None => Act::Send(success(&"t".repeat(1024))),
    });
    let client = RestClient::start(authority.options()).unwrap();
    for bytes in &bad {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(ask(&client, b"m"), Err(RestError::BadAnswer), "{text}");
    }
    assert_eq!(ask(&client, b"m").unwrap().len(), 1024);
    assert_eq!(
        authority.requests().len(),
        bad.len() + 1,
        "a bad answer is not asked for again"
    );
}

#[test]
fn a_full_queue_refuses_at_once_and_without_the_continuation() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let authority = StandIn::start(move |_| {
        let _ = gate.lock().unwrap().recv();
        Act::Send(success("t"))
    });
    let options = RestOptions {
        queue_max: 2,
        ..authority.options()
    };
    let client = RestClient::start(options).unwrap();
    let first = submit(&client, b"under way");
    while authority.requests().is_empty() {
        thread::yield_now();
    }
    let waiting = [submit(&client, b"waiting"), submit(&client, b"waiting")];
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let done: Done = Box::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(
        client.submit("T".into(), 0, b"refused".to_vec(), done),
        Err(RestError::Busy)
    );
    drop(open);
    assert_eq!(first.recv().unwrap().unwrap(), "t");
    for answer in waiting {
        assert_eq!(answer.recv().unwrap().unwrap(), "t");
    }
    drop(client);
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn stopping_answers_every_waiting_claim() {
    let authority = StandIn::start(|_| Act::Silence);
    let options = RestOptions {
        deadline: Duration::from_millis(200),
        ..authority.options()
    };
    let client = RestClient::start(options).unwrap();
    let under_way = submit(&client, b"m");
    while authority.requests().is_empty() {
        thread::yield_now();
    }
    let waiting: Vec<_> = (0..10).map(|_| submit(&client, b"m")).collect();
    drop(client);
    assert_eq!(under_way.recv().unwrap(), Err(RestError::Deadline));
    for answer in waiting {
        assert_eq!(answer.recv().unwrap(), Err(RestError::Stopped));
    }
    assert_eq!(authority.requests().len(), 1);
}

#[test]
fn a_panicking_continuation_costs_no_thread() {
    let authority = StandIn::start(|_| Act::Send(success("t")));
    let client = RestClient::start(authority.options()).unwrap();
    for _ in 0..3 {
        let done: Done = Box::new(|_| std::panic::resume_unwind(Box::new("in a continuation")));
        client.submit("T".into(), 0, Vec::new(), done).unwrap();
    }
    assert_eq!(ask(&client, b"m").unwrap(), "t");
}

#[test]
fn a_continuation_may_drop_the_client() {
    let authority = StandIn::start(|_| Act::Send(success("t")));
    let client = Arc::new(RestClient::start(authority.options()).unwrap());
    let (sender, receiver) = mpsc::channel();
    let (held, release) = (client.clone(), Arc::new(std::sync::Barrier::new(2)));
    let released = release.clone();
    let done: Done = Box::new(move |answer| {
        released.wait();
        drop(held);
        sender.send(answer).unwrap();
    });
    client.submit("T".into(), 0, Vec::new(), done).unwrap();
    drop(client);
    release.wait();
    assert_eq!(receiver.recv().unwrap().unwrap(), "t");
}

#[test]
fn unusable_options_are_named() {
    let with = |url: &str| RestOptions {
        url: url.into(),
        ..RestOptions::default()
    };
    for (url, reason) in [
        ("", "empty"),
        ("localhost:9000", "http://"),
        ("/rest_auth", "http://"),
        ("https://auth.example/rest_auth", "TLS"),
        ("ftp://auth.example/rest_auth", "http://"),
        ("http://", "empty"),
        ("http://a b/", "invalid"),
        ("http://auth:65536/rest_auth", "65535"),
        ("http://auth:0/rest_auth", "65535"),
        ("http://auth:auth/rest_auth", "65535"),
        ("http://[::1]:/rest_auth", "65535"),
    ] {
        let error = with(url).check().unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
    }
    let good = with("http://127.0.0.1:9000/rest_auth");
    good.check().unwrap();
    with("http://auth/rest_auth").check().unwrap();
    with("http://[::1]:65535/rest_auth").check().unwrap();
    let too_long = RestOptions {
        deadline: Duration::MAX,
        ..good.clone()
    };
    assert!(matches!(too_long.check(), Err(StartError::Deadline)));
    for bad in [
        RestOptions {
            deadline: Duration::ZERO,
            ..good.clone()
        },
        RestOptions {
            connections_max: 0,
            ..good.clone()
        },
        RestOptions {
            queue_max: 0,
            ..good
        },
    ] {
        assert!(matches!(RestClient::start(bad), Err(StartError::Zero(_))));
    }
}
