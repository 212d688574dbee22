//! The manager: size, settings and policy of the pool, its statistics.

use super::{pure::partition, *};

const NOTHING: fn() -> Value = || json!({});

#[test]
fn a_pool_has_one_to_eight_nodes() {
    let memcache = Memcache::start(&[]);
    let bound = "a pool has 1 to 8 nodes";
    let refused = |path| {
        let (status, answer) = memcache.order("POST", path, &NOTHING());
        assert_eq!((status, &answer["error"]["message"]), (409, &json!(bound)));
    };
    refused("/api/shrink");
    for nodes in 2..=8 {
        let (status, answer) = memcache.order("POST", "/api/grow", &NOTHING());
        assert_eq!((status, &answer["nodes"]), (200, &json!(nodes)), "{answer}");
        assert_eq!(memcache.nodes().len(), nodes);
    }
    refused("/api/grow");
    let nodes = memcache.nodes();
    for count in (1..=7).rev() {
        memcache.shrink();
        assert_eq!(memcache.nodes(), nodes[..count]);
        let is_there = |node| std::net::TcpStream::connect(node).is_ok();
        assert!(!is_there(nodes[count]) && is_there(nodes[count - 1]));
    }
    refused("/api/shrink");
}

#[test]
fn partitions_belong_to_nodes_in_turn() {
    let memcache = Memcache::start(&["--nodes", "3"]);
    let mut front = memcache.front();
    let keys: Vec<_> = (0..100).map(|n| format!("key {n}")).collect();
    for key in &keys {
        assert_eq!(front.upload(key, key.as_bytes()).0, 200);
        assert_eq!(front.read(key).unwrap(), key.as_bytes());
    }
    // Values whose key has a new node move there: nothing is read from disk again.
    let misses = memcache.counted("misses");
    for change in ["grow", "grow", "shrink", "shrink"] {
        let nodes = memcache.nodes();
        let mut found = 0;
        for (index, node) in nodes.iter().enumerate() {
            for name in Memcache::node(*node, "/names").as_array().unwrap() {
                let key = &name.as_str().unwrap()[36..];
                assert_eq!(partition::partition(key) % nodes.len(), index, "{key}");
                found += 1;
            }
        }
        assert_eq!(found, keys.len());
        memcache.does("POST", &format!("/api/{change}"), &NOTHING());
        for key in &keys {
            assert_eq!(front.read(key).unwrap(), key.as_bytes());
        }
        assert!(memcache.counted("misses") <= misses);
    }
}

#[test]
fn settings_are_those_of_every_node_new_ones_too() {
    let memcache = Memcache::start(&["--nodes", "2"]);
    let mut front = memcache.front();
    let file = vec![7; 60_000];
    let mut fill = || {
        for n in 0..40 {
            let key = n.to_string();
            assert_eq!(front.upload(&key, &file).0, 200);
            assert_eq!(front.read(&key).unwrap(), file);
        }
    };
    fill();
    assert_eq!(memcache.counted("items"), 40);
    for replacement in ["random", "lru"] {
        let settings = json!({"capacity_mb": 0.2, "replacement": replacement});
        memcache.does("PUT", "/api/nodes", &settings);
        assert_eq!(memcache.state()["settings"], settings);
        memcache.grow();
        fill();
        for node in memcache.nodes() {
            let statistics = Memcache::node(node, "/statistics");
            let (items, bytes) = (&statistics["items"], statistics["bytes"].as_u64().unwrap());
            assert!(items == 3 && bytes <= 200_000, "{statistics}");
        }
    }
    memcache.does("POST", "/api/clear", &NOTHING());
    assert_eq!(memcache.counted("items"), 0);
    assert_eq!(memcache.front().read("0").unwrap(), file);
    memcache.does("POST", "/api/delete_all", &NOTHING());
    assert_eq!(memcache.counted("items"), 0);
    assert_eq!(memcache.front().keys(), json!([]));
    assert_eq!(memcache.front().read("0"), None);
    let files = memcache.directory.join("store/files");
    let left = std::fs::read_dir(files).unwrap().count();
    assert_eq!(left, 1, "the file that says whose they are");
}

#[test]
fn wrong_orders_change_nothing() {
    let memcache = Memcache::start(&[]);
    let (settings, policy) = (
        memcache.state()["settings"].clone(),
        memcache.state()["policy"].clone(),
    );
    let with = |value: &Value, name: &str, other: Value| {
        let mut changed = value.clone();
        changed[name] = other;
        changed
    };
    let mut less = policy.clone();
    less.as_object_mut().unwrap().remove("expand_ratio");
    let cases = [
        (
            "PUT",
            "/api/nodes",
            with(&settings, "capacity_mb", json!(-1)),
        ),
        (
            "PUT",
            "/api/nodes",
            with(&settings, "capacity_mb", json!("1")),
        ),
        (
            "PUT",
            "/api/nodes",
            with(&settings, "capacity_mb", json!(1e7)),
        ),
        (
            "PUT",
            "/api/nodes",
            with(&settings, "replacement", json!("fifo")),
        ),
        ("PUT", "/api/nodes", with(&settings, "colour", json!(1))),
        (
            "PUT",
            "/api/policy",
            with(&policy, "max_miss_rate", json!(1.1)),
        ),
        (
            "PUT",
            "/api/policy",
            with(&policy, "min_miss_rate", json!(-0.1)),
        ),
        (
            "PUT",
            "/api/policy",
            with(&policy, "min_miss_rate", json!(0.5)),
        ),
        (
            "PUT",
            "/api/policy",
            with(&policy, "expand_ratio", json!(0.9)),
        ),
        (
            "PUT",
            "/api/policy",
            with(&policy, "shrink_ratio", json!(1.1)),
        ),
        (
            "PUT",
            "/api/policy",
            with(&policy, "automatic", json!("yes")),
        ),
        ("PUT", "/api/policy", less),
        ("POST", "/api/grow", json!({"by": 2})),
        ("POST", "/api/delete_all", json!(null)),
        ("PUT", "/api/automatic", json!({"nodes": "3"})),
    ];
    for (method, path, body) in cases {
        let (status, answer) = memcache.order(method, path, &body);
        assert_eq!(
            (status, &answer["success"]),
            (400, &json!("false")),
            "{path} {body}"
        );
    }
    // A form of another site cannot send these.
    for path in ["/api/grow", "/api/shrink", "/api/clear", "/api/delete_all"] {
        for kind in [
            "",
            "Content-Type: text/plain\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\n",
        ] {
            let mut client = Client::connect(memcache.manager);
            assert_eq!(ask(&mut client, "POST", path, kind, b"{}").status, 415);
        }
    }
    // Each mode refuses the other's orders.
    let (status, _) = memcache.order("PUT", "/api/automatic", &json!({"nodes": 3}));
    assert_eq!(status, 409);
    let automatic = with(&policy, "automatic", json!(true));
    memcache.does("PUT", "/api/policy", &automatic);
    assert_eq!(memcache.order("POST", "/api/grow", &NOTHING()).0, 409);
    for nodes in [0, 9] {
        assert_eq!(
            memcache
                .order("PUT", "/api/automatic", &json!({"nodes": nodes}))
                .0,
            409
        );
    }
    let state = memcache.state();
    assert_eq!(
        (&state["settings"], &state["policy"]),
        (&settings, &automatic)
    );
    assert_eq!(memcache.node_count(), 1);
    memcache.does("PUT", "/api/automatic", &json!({"nodes": 2}));
    assert_eq!(memcache.node_count(), 2);
}

#[test]
fn the_history_has_thirty_minutes() {
    let memcache = Memcache::start(&["--sample-ms", "20", "--minute-ms", "100"]);
    let minutes = || memcache.state()["minutes"].as_array().unwrap().clone();
    let mut front = memcache.front();
    assert_eq!(front.upload("k", b"f").0, 200);
    for _ in 0..10 {
        front.read("k");
    }
    // Ten gets, one put into the node, the first of them a miss: in one minute, or spread over some.
    let mut seen = std::collections::BTreeMap::new();
    let sum = |seen: &std::collections::BTreeMap<u64, Value>, name: &str| -> u64 {
        seen.values()
            .map(|minute| minute[name].as_u64().unwrap())
            .sum()
    };
    assert!(eventually(|| {
        let minutes = minutes();
        assert!(minutes.len() <= 30);
        let at = |minute: &Value| minute["at_ms"].as_u64().unwrap();
        seen.extend(minutes.into_iter().map(|minute| (at(&minute), minute)));
        sum(&seen, "requests") >= 11
    }));
    let sums = ["requests", "hits", "misses"].map(|name| sum(&seen, name));
    assert_eq!(sums, [11, 9, 1]);
    for minute in seen.values() {
        let (hits, misses) = (
            minute["hits"].as_f64().unwrap(),
            minute["misses"].as_f64().unwrap(),
        );
        let share = |part: f64| (hits + misses > 0.0).then(|| part / (hits + misses));
        assert_eq!(minute["miss_rate"].as_f64(), share(misses));
        assert_eq!(minute["hit_rate"].as_f64(), share(hits));
        assert_eq!(minute["nodes"], 1);
    }
    assert!(eventually(|| minutes().len() == 30));
    assert!(minutes().last().unwrap()["items"] == 1);
}
