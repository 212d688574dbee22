//! The autoscaler at work: the pool follows the miss rate and the current policy.

use super::*;

const SHORT: [&str; 6] = [
    "--sample-ms",
    "20",
    "--minute-ms",
    "100",
    "--every-ms",
    "200",
];

/// Reads keys over and over until the pool has `nodes` nodes.
fn read_until(memcache: &Memcache, keys: usize, nodes: u64) {
    let mut front = memcache.front();
    assert!(
        eventually(|| {
            for key in 0..keys {
                assert!(front.read(&key.to_string()).is_some());
            }
            memcache.node_count() == nodes
        }),
        "{} nodes",
        memcache.node_count()
    );
}

#[test]
fn the_pool_follows_its_miss_rate_and_the_policy() {
    let memcache = Memcache::start(&[&SHORT[..], &["--capacity-mb", "0.1"]].concat());
    let mut front = memcache.front();
    // Ten times as many keys as a node holds: read in turn under LRU, a pool of eight never has half of them.
    for key in 0..100 {
        assert_eq!(front.upload(&key.to_string(), &[7; 10_000]).0, 200);
    }
    let mut policy = json!({
        "automatic": true,
        "max_miss_rate": 0.5,
        "min_miss_rate": 0.1,
        "expand_ratio": 2.0,
        "shrink_ratio": 0.5,
    });
    // Manual: the same misses change nothing, for many rounds of the autoscaler.
    let rounds = |name: &str| {
        let mut client = Client::connect(memcache.autoscaler);
        let metrics = ask(&mut client, "GET", "/metrics", "", b"").text();
        let name = format!("memcache_autoscaler_{name}_total ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse::<u64>().unwrap()
    };
    // Counted when the manager has answered, that is after the pool has changed.
    let resized = |times| {
        eventually(|| rounds("resized") >= times);
        rounds("resized")
    };
    let before = rounds("rounds");
    assert!(eventually(|| {
        for key in 0..100 {
            front.read(&key.to_string());
        }
        assert_eq!(memcache.node_count(), 1);
        rounds("rounds") > before + 3
    }));
    memcache.does("PUT", "/api/policy", &policy);
    read_until(&memcache, 100, 8);
    assert!(memcache.state()["last_minute"]["miss_rate"].is_number());
    assert_eq!(resized(3), 3, "1, 2, 4, 8");
    // One key is always there: nothing but hits.
    read_until(&memcache, 1, 1);
    assert_eq!(resized(6), 6, "8, 4, 2, 1");
    // A policy with another ratio is in effect with the next round.
    policy["expand_ratio"] = json!(8.0);
    memcache.does("PUT", "/api/policy", &policy);
    read_until(&memcache, 100, 8);
    assert_eq!(resized(7), 7, "1, 8");
    policy["automatic"] = json!(false);
    memcache.does("PUT", "/api/policy", &policy);
    let before = rounds("rounds");
    assert!(eventually(|| {
        front.read("0");
        rounds("rounds") > before + 3
    }));
    assert_eq!((memcache.node_count(), rounds("failed")), (8, 0));
}
