//! The partition of a key, the decisions of the autoscaler and Amazon's signature, as tables.

#[path = "../../../examples/memcache/partition.rs"]
pub mod partition;
#[path = "../../../examples/memcache/policy.rs"]
mod policy;
#[path = "../../../examples/common/sigv4.rs"]
mod sigv4;

use policy::{Policy, decide};

/// The first digits of `md5sum`, of `printf %s KEY`.
#[test]
fn a_partition_is_the_first_digit_of_md5() {
    assert_eq!(partition::PARTITIONS, 16);
    let digests = [
        ("k1", "b637b17af08aced8850c18cccde915da"),
        ("k2", "61620957a1443c946a143cf99a7d24fa"),
        ("key1", "c2add694bf942dc77b376592d9c862cd"),
        ("key2", "78f825aaa0103319aaa1a30bf4fe3ada"),
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    ];
    for (key, digest) in digests {
        let first = usize::from_str_radix(&digest[..1], 16).unwrap();
        assert_eq!(partition::partition(key), first, "{key}");
    }
    let mut counts = [0; 16];
    (0..16_000).for_each(|n: u32| counts[partition::partition(&n.to_string())] += 1);
    assert!(
        counts.iter().all(|count| (800..1200).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn decisions_of_the_autoscaler() {
    let policy = Policy {
        automatic: true,
        max_miss_rate: 0.5,
        min_miss_rate: 0.1,
        expand_ratio: 2.0,
        shrink_ratio: 0.5,
    };
    let with = |expand_ratio, shrink_ratio| Policy {
        expand_ratio,
        shrink_ratio,
        ..policy
    };
    let cases = [
        // nodes, miss rate, policy, nodes afterwards
        (1, Some(0.51), policy, 2),
        (2, Some(1.0), policy, 4),
        (4, Some(0.9), policy, 8),
        (5, Some(0.9), policy, 8),
        (8, Some(0.9), policy, 8),
        // The thresholds themselves are within bounds.
        (4, Some(0.5), policy, 4),
        (4, Some(0.1), policy, 4),
        (4, Some(0.3), policy, 4),
        (8, Some(0.09), policy, 4),
        (3, Some(0.0), policy, 1),
        (1, Some(0.0), policy, 1),
        // Nothing was read, so the miss rate is unknown.
        (4, None, policy, 4),
        // A pool that grows has at least one node more, one that shrinks one less.
        (1, Some(0.9), with(1.1, 0.9), 2),
        (7, Some(0.9), with(1.1, 0.9), 8),
        (3, Some(0.9), with(1.5, 0.9), 5),
        (8, Some(0.0), with(1.1, 0.9), 7),
        (2, Some(0.0), with(1.1, 0.9), 1),
        (8, Some(0.0), with(1.1, 0.0), 1),
        (1, Some(0.9), with(8.0, 0.0), 8),
        // Ratios of one change nothing.
        (4, Some(0.9), with(1.0, 1.0), 4),
        (4, Some(0.0), with(1.0, 1.0), 4),
    ];
    for (nodes, miss_rate, policy, then) in cases {
        assert!(policy.checked().is_ok(), "{policy:?}");
        let decided = decide(nodes, miss_rate, &policy);
        assert_eq!(decided, then, "{nodes} nodes, {miss_rate:?}, {policy:?}");
        let manual = Policy {
            automatic: false,
            ..policy
        };
        assert_eq!(decide(nodes, miss_rate, &manual), nodes);
    }
}

#[test]
fn a_pool_never_leaves_its_bounds() {
    for nodes in policy::NODES_MIN..=policy::NODES_MAX {
        for percent in 0..=100 {
            for (expand_ratio, shrink_ratio) in [(1.0, 1.0), (1.3, 0.7), (8.0, 0.0)] {
                let policy = Policy {
                    automatic: true,
                    expand_ratio,
                    shrink_ratio,
                    ..Policy::default()
                };
                let then = decide(nodes, Some(f64::from(percent) / 100.0), &policy);
                assert!((1..=8).contains(&then), "{nodes} {percent} {policy:?}");
            }
        }
    }
}

/// From botocore's `SigV4Auth` with the same request and the same time.
#[test]
fn a_request_is_signed_as_amazon_does() {
    let signer = sigv4::Signer {
        key: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region: "eu-central-1",
        service: "monitoring",
    };
    let body = b"Action=PutMetricData&Version=2010-08-01&Namespace=a%20b";
    let mut fields = vec![
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", "monitoring.eu-central-1.amazonaws.com"),
        ("x-amz-date", "20261130T050607Z"),
    ];
    let scope =
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/eu-central-1/monitoring/aws4_request";
    let names = "content-type;host;x-amz-date";
    let signature = "c07d62e1ec834c31f259618b58360abda2ae23430baf1d55e901aeb1b32bbe1a";
    let expected = format!("{scope}, SignedHeaders={names}, Signature={signature}");
    assert_eq!(signer.authorization(&fields, body), expected);
    fields.push(("x-amz-security-token", "session/token+="));
    let names = "content-type;host;x-amz-date;x-amz-security-token";
    let signature = "93e7627365f6a21cd8acc24a1a54a5636fb300e94075f8656e8d8dc5ef121932";
    let expected = format!("{scope}, SignedHeaders={names}, Signature={signature}");
    assert_eq!(signer.authorization(&fields, body), expected);
}
