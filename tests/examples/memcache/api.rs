//! The front: every call's good and bad forms.

use super::*;

/// The name of a file that no key names.
const LEFT_BEHIND: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

fn is_failure(status: u16, answer: &Value) -> bool {
    answer["success"] == "false"
        && answer["error"]["code"] == status
        && answer["error"]["message"].is_string()
}

#[test]
fn a_file_is_read_as_it_was_uploaded_last() {
    let memcache = Memcache::start(&[]);
    let mut front = memcache.front();
    assert_eq!(front.keys(), json!([]));
    let all_bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let long = "ü".repeat(255) + "."; // 511 bytes
    let keys = ["k1", "k2", "a/b?c#d e%2F+", "\"☃\"", &long];
    for (n, key) in keys.iter().enumerate() {
        let file = &all_bytes[n..];
        assert_eq!(front.upload(key, b"first").0, 200);
        assert_eq!(front.read(key).unwrap(), b"first");
        assert_eq!(front.upload(key, file), (200, json!({"success": "true"})));
        for _ in 0..3 {
            assert_eq!(front.read(key).unwrap(), file, "{key}");
        }
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    assert_eq!(front.keys(), json!(sorted));
    // The first read of a version misses, every other one hits.
    let (hits, misses) = (memcache.counted("hits"), memcache.counted("misses"));
    assert_eq!((hits, misses), (2 * 5, 2 * 5));
    assert_eq!(
        front.upload("empty", b""),
        (200, json!({"success": "true"}))
    );
    assert_eq!(front.read("empty").unwrap(), b"");
    assert_eq!(front.read("K1"), None);
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_stored() {
    let memcache = Memcache::start(&["--file-bytes-max", "100000"]);
    let mut front = memcache.front();
    let good = form(&[("key", b"k"), ("file", b"f")]);
    let long = [b'x'; 512];
    let cut_off = &good[..good.len() - 12];
    let no_boundary = "Content-Type: multipart/form-data\r\n";
    let urlencoded = "Content-Type: application/x-www-form-urlencoded\r\n";
    let cases: [(&str, &str, &[u8], &str); 14] = [
        ("/api/upload", "", &good, "multipart"),
        ("/api/upload", JSON, b"{}", "multipart"),
        ("/api/upload", urlencoded, b"key=k&file=f", "multipart"),
        ("/api/upload", no_boundary, &good, "multipart"),
        ("/api/upload", FORM, b"", ""),
        ("/api/upload", FORM, cut_off, ""),
        ("/api/upload", FORM, &form(&[("file", b"f")]), "key"),
        ("/api/upload", FORM, &form(&[("key", b"k")]), "file"),
        (
            "/api/upload",
            FORM,
            &form(&[("key", b""), ("file", b"f")]),
            "key",
        ),
        (
            "/api/upload",
            FORM,
            &form(&[("key", &long), ("file", b"f")]),
            "key",
        ),
        (
            "/api/upload",
            FORM,
            &form(&[("key", b"\xff"), ("file", b"f")]),
            "key",
        ),
        (
            "/api/upload",
            FORM,
            &form(&[("key", b"k"), ("key", b"l"), ("file", b"f")]),
            "twice",
        ),
        ("/api/key/%FF", "", b"", "key"),
        (&format!("/api/key/{}", "x".repeat(512)), "", b"", "key"),
    ];
    for (path, fields, body, named) in cases {
        let (status, answer) = front.call(path, fields, body);
        let told = answer["error"]["message"].as_str().unwrap_or_default();
        let case = format!("{path} {fields}{}", String::from_utf8_lossy(body));
        assert!(status == 400 && is_failure(status, &answer), "{case}");
        assert!(told.contains(named), "{case}: {told}");
    }
    for path in ["/api/upload", "/api/list_keys", "/api/key/k"] {
        for query in ["?key=k", "?x", "?="] {
            let (status, answer) = front.call(&format!("{path}{query}"), FORM, &good);
            assert!(status == 400 && is_failure(status, &answer), "{answer}");
            let told = answer["error"]["message"].as_str().unwrap();
            assert!(told.contains("URL"), "{told}");
        }
        for method in ["GET", "PUT", "DELETE"] {
            let answer = ask(&mut front.0, method, path, "", b"");
            assert_eq!((answer.status, answer.field("allow")), (405, Some("POST")));
            assert!(is_failure(405, &json_of(&answer)));
        }
    }
    for path in ["/api/key/k", "/api/key/", "/api", "/x"] {
        let (status, answer) = front.call(path, "", b"");
        assert!(status == 404 && is_failure(404, &answer), "{path}");
    }
    assert_eq!(front.keys(), json!([]));
    assert_eq!(front.upload("largest", &vec![7; 100_000]).0, 200);
    let too_large = form(&[("key", b"k"), ("file", &vec![7; 200_000])]);
    let answer = ask(&mut front.0, "POST", "/api/upload", FORM, &too_large);
    assert_eq!(answer.status, 413);
    assert_eq!(memcache.front().keys(), json!(["largest"]));
}

#[test]
fn calls_between_the_roles_need_the_token() {
    let memcache = Memcache::start(&[]);
    assert_eq!(memcache.front().upload("k", b"kept").0, 200);
    let node = memcache.nodes()[0];
    let calls = [
        (memcache.front, "PUT", "/pool"),
        (memcache.front, "DELETE", "/data"),
        (node, "GET", "/values/x"),
        (node, "PUT", "/values/x"),
        (node, "POST", "/values/x"),
        (node, "DELETE", "/values/x"),
        (node, "GET", "/names"),
        (node, "POST", "/clear"),
        (node, "PUT", "/settings"),
        (node, "GET", "/statistics"),
    ];
    for (address, method, path) in calls {
        for token in [
            "",
            "Authorization: Bearer x\r\n",
            "Authorization: Bearer a-token-for-test\r\n",
            "Authorization: Bearer a-token-for-testz\r\n",
            "Authorization: Bearer a-token-for-tests2\r\n",
            "Authorization: Basic YTpi\r\n",
        ] {
            let fields = format!("{JSON}{token}");
            let mut client = Client::connect(address);
            let answer = ask(&mut client, method, path, &fields, br#"{"nodes":[]}"#);
            assert_eq!(answer.status, 401, "{method} {path} {token}");
            assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(memcache.front().read("k").unwrap(), b"kept");
    assert_eq!(memcache.counted("items"), 1);
}

#[test]
fn health_and_metrics_of_every_role() {
    let memcache = Memcache::start(&[]);
    let node = memcache.nodes()[0];
    let roles = [
        (memcache.front, "memcache_front_nodes 1"),
        (memcache.manager, "memcache_pool_nodes 1"),
        (memcache.autoscaler, "memcache_autoscaler_resized_total 0"),
        (node, "memcache_node_items 0"),
    ];
    for (address, figure) in roles {
        let mut client = Client::connect(address);
        for path in ["/healthz", "/readyz", "/metrics"] {
            let answer = ask(&mut client, "GET", path, "", b"");
            assert_eq!(answer.status, 200, "{path}");
        }
        let metrics = ask(&mut client, "GET", "/metrics", "", b"").text();
        assert!(metrics.contains(&format!("\n{figure}\n")), "{metrics}");
        let counted = metrics
            .lines()
            .any(|line| line.starts_with("memcache_request_seconds_count"));
        assert!(counted, "{metrics}");
    }
}

/// No process gets a signal that it could handle: the roles end because the process above them has ended.
#[test]
fn a_kill_of_everything_loses_no_upload() {
    let mut memcache = Memcache::start(&[]);
    let nodes = memcache.nodes();
    let mut front = memcache.front();
    for n in 0..20 {
        assert_eq!(
            front
                .upload(&format!("k{}", n % 10), format!("{n}").as_bytes())
                .0,
            200
        );
    }
    memcache.kill();
    let is_there = |address| std::net::TcpStream::connect(address).is_ok();
    let roles = [memcache.front, memcache.manager, memcache.autoscaler];
    assert!(eventually(|| !roles.iter().chain(&nodes).any(is_there)));
    // The state that an interrupted upload leaves.
    let files = memcache.directory.join("store/files");
    std::fs::write(files.join(LEFT_BEHIND), "behind").unwrap();
    let directory = std::mem::replace(&mut memcache.directory, TempDir::new());
    let restarted = Memcache::start_in(directory, &[]);
    let mut front = restarted.front();
    for n in 10..20 {
        assert_eq!(
            front.read(&format!("k{}", n % 10)).unwrap(),
            format!("{n}").as_bytes()
        );
    }
    // And one that says whose they are.
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 11);

    // A map that was forgotten, or is another one, names none of them: they stay.
    let place = files.to_str().unwrap();
    let other = restarted.directory.path("other");
    let front = ["front", "--front-listen", "127.0.0.1:0", "--store", &other];
    let mut command = Command::new(example("memcache"));
    command.env("MEMCACHE_TOKEN", TOKEN).args(front);
    let refused = command.args(["--files", place]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{told}");
    assert!(told.contains("belong to another map"), "{told}");
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 11);
}
