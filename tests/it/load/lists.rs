//! Requests from lists of URLs and from access logs.

use super::{TempDir, ended, load, parsed};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// A server that answers each path with its last segment as status and the request's body as body, and reports each
/// request and its time.
fn echo() -> (String, Receiver<(String, Instant)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, asked) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            thread::spawn(move || {
                let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
                while let Ok(bytes @ 1..) = stream.read(&mut chunk) {
                    received.extend_from_slice(&chunk[..bytes]);
                    while let Some((line, body)) = request(&mut received) {
                        let _ = tell.send((line.clone(), Instant::now()));
                        let path = line.split(' ').nth(1).unwrap().split('?').next().unwrap();
                        let status = path.rsplit('/').next().unwrap();
                        let status = status.parse().unwrap_or(200);
                        let length = body.len();
                        let head =
                            format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
                        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
                    }
                }
            });
        }
    });
    (address, asked)
}

/// The first line and the body of the request at the start of `bytes`, which it takes off.
fn request(bytes: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let head_bytes = bytes.windows(4).position(|at| at == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..head_bytes].to_vec()).unwrap();
    let length = head.split("Content-Length: ").nth(1);
    let length: usize = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    let body = bytes.get(head_bytes..head_bytes + length)?.to_vec();
    bytes.drain(..head_bytes + length);
    Some((head.lines().next().unwrap().to_owned(), body))
}

/// The first lines of the requests of a run, without the one before the run.
fn lines(asked: &Receiver<(String, Instant)>) -> Vec<String> {
    asked.try_iter().skip(1).map(|(line, _)| line).collect()
}

fn report_of(arguments: &[&str]) -> (i32, Value, String) {
    let (code, out, err) = ended(load(arguments).args(["--json", "-"]));
    (code, parsed(&out, &err), err)
}

#[test]
fn a_url_with_a_path_is_a_request() {
    let (address, asked) = echo();
    let url = format!("{address}/some/page?x=1");
    let (code, report, _) = report_of(&[&url, "-n", "50"]);
    assert_eq!(
        (code, &report["endpoints"]["/some"]["correct"]),
        (0, &json!(50))
    );
    assert!(
        lines(&asked)
            .iter()
            .all(|line| line == "GET /some/page?x=1 HTTP/1.1")
    );
    // without an expectation any status from 400 is wrong
    let (code, report, _) = report_of(&[&format!("http://{address}/a/404"), "-n", "5"]);
    assert_eq!((code, &report["total"]["failed"]["status"]), (1, &json!(5)));
}

#[test]
fn expected_answers_are_compared() {
    let (address, asked) = echo();
    let directory = TempDir::new();
    directory.file("body", "hello");
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let list = format!(
        "# comment\n\nhttp://{address}/a/301\n/b/404 status=404\nPOST /c send=body sha256={hello}\n\
         PUT /d/201 send=body body_file=body status=201\n/e body_file=body\n/f/201 sha256={hello}\n"
    );
    let file = directory.file("list", &list);
    let (code, report, err) = report_of(&["--urls", &file, "-n", "600"]);
    assert_eq!(code, 1, "{report}{err}");
    let wrong = |name: &str| {
        let figures = &report["endpoints"][name];
        assert!(figures["requests"].as_u64() > Some(50), "{name}: {report}");
        (figures["wrong"].clone(), figures["failed"].clone())
    };
    for name in ["/a", "/b", "/c", "/d"] {
        assert_eq!(wrong(name), (json!({}), json!({})), "{name}");
    }
    assert_eq!(
        wrong("/e").0["length"],
        report["endpoints"]["/e"]["requests"]
    );
    assert_eq!(
        wrong("/f").1["status"],
        report["endpoints"]["/f"]["requests"]
    );
    assert!(
        lines(&asked)
            .iter()
            .any(|line| line.starts_with("PUT /d/201 "))
    );
    // --target takes the place of the servers in the list
    let (other, asked) = echo();
    let (code, _, _) = report_of(&[
        "--urls", &file, "--target", &other, "-n", "20", "--mix", "/a",
    ]);
    assert_eq!((code, lines(&asked).len()), (0, 20));
}

const LOG: &str = "\
10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /one HTTP/1.1\" 200 12\n\
10.0.0.1 - bob [10/Oct/2026:13:55:36 +0000] \"GET /two/404 HTTP/1.0\" 404 - \"-\" \"curl/8\"\n\
10.0.0.1 - - [10/Oct/2026:13:55:37 +0000] \"POST /form HTTP/1.1\" 200 12\n\
10.0.0.1 - - [10/Oct/2026:13:55:38 +0000] \"GET /three HTTP/1.1\" 200 12\n\
\\x16\\x03 nonsense\n";

#[test]
fn a_log_is_sent_once_and_in_its_order() {
    let (address, asked) = echo();
    let directory = TempDir::new();
    let log = directory.file("access.log", LOG);
    let (code, report, err) = report_of(&[&address, "--replay", &log, "-c", "1"]);
    assert_eq!(
        (code, &report["total"]["requests"]),
        (0, &json!(3)),
        "{err}"
    );
    assert!(err.contains("access.log: 2 lines left out"), "{err}");
    let sent = ["/one", "/two/404", "/three"].map(|path| format!("GET {path} HTTP/1.1"));
    assert_eq!(lines(&asked), sent);
    let (code, report, _) = report_of(&[&address, "--replay", &log, "-n", "7", "-c", "1"]);
    assert_eq!((code, &report["total"]["requests"]), (0, &json!(7)));
    assert_eq!(lines(&asked)[3..6], sent);
}

#[test]
fn a_log_keeps_its_times() {
    let (address, asked) = echo();
    let directory = TempDir::new();
    let log = directory.file("access.log", LOG);
    // due at 0, 0.25 and 1 s: never earlier, however slow this machine is
    let arguments = [&address, "--replay", &log, "--replay-speed", "2", "-c", "4"];
    let (code, report, _) = report_of(&arguments);
    assert_eq!(
        (code, &report["total"]["requests"]),
        (0, &json!(3)),
        "{report}"
    );
    let times: Vec<Instant> = asked.try_iter().skip(1).map(|(_, at)| at).collect();
    assert!(
        times[2] - times[0] >= Duration::from_millis(700),
        "{times:?}"
    );
    let measured = report["measured_s"].as_f64().unwrap();
    assert!((1.0..60.0).contains(&measured), "{measured}");
}
