//! Every reason has a request whose explanation names the rule, the place and the right value. Right values
//! come from `tests/build.rs`, which shares no code with the endpoint.

use super::*;
use crate::blockchain::{
    Options,
    sign::SLOW_OWN_TXS_MAX,
    tests::{
        build::{
            ALICE, BOB, GENESIS_TIME, MINUTE, TEAM, own, request, reward, sample, seal, signature,
            tx_hash,
        },
        pack,
    },
};
use num_bigint::BigUint;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CASES: &str = include_str!("../../../tests/data/blockchain_cases.jsonl");

fn explain(options: Options, cc: &[u8]) -> Explanation {
    Blockchain::new(options).explain(cc)
}

fn broken(explanation: Explanation) -> Broken {
    match explanation.verdict {
        Verdict::Invalid(broken) => broken,
        Verdict::Valid(answer) => panic!("valid: {answer}"),
    }
}

/// The finding for `request`.
fn of(request: &Value) -> Broken {
    broken(explain(
        Options::default(),
        &pack(request.to_string().as_bytes()),
    ))
}

/// The finding for the sample after `change` and sealing.
fn after(change: impl FnOnce(&mut Value)) -> Broken {
    let mut request = sample();
    change(&mut request);
    seal(&mut request);
    of(&request)
}

#[track_caller]
fn assert_found(broken: &Broken, reason: Reject, place: &str, expected: &str, found: &str) {
    assert_eq!(broken.reason, reason.name(), "{broken}");
    assert_eq!((broken.section, broken.rule), reason.rule());
    assert_eq!(broken.place, place, "{broken}");
    assert!(broken.expected.contains(expected), "{expected} in {broken}");
    assert!(broken.found.contains(found), "{found} in {broken}");
}

/// The oracle's cases: the explanation agrees with the handler and always has a place.
#[test]
fn every_case_of_the_oracle_is_explained_as_it_is_answered() {
    let endpoint = Blockchain::new(Options::default());
    let mut scratch = endpoint.scratch();
    let mut reasons = BTreeSet::new();
    for case in CASES.lines() {
        let case: Value = serde_json::from_str(case).unwrap();
        let cc = case["cc"].as_str().unwrap();
        let answered = endpoint.answer(&mut scratch, cc.as_bytes(), &mut Vec::new());
        let explanation = endpoint.explain(cc.as_bytes());
        match (answered, explanation.verdict) {
            (Ok(()), Verdict::Valid(answer)) => {
                assert_eq!(case["kind"], "valid");
                let pow = format!("\"pow\":{}", case["new_block"]["pow"]);
                assert!(answer.contains(&pow), "{pow} in {answer}");
                assert!(
                    explanation.request.contains("\nnew block "),
                    "{}",
                    explanation.request
                );
            }
            (Err(reject), Verdict::Invalid(broken)) => {
                assert_eq!(broken.reason, reject.name());
                assert_ne!(broken.place, "the request", "{broken}");
                assert_ne!(broken.expected, broken.found);
                reasons.insert(broken.reason);
            }
            (answered, verdict) => panic!("{answered:?} but {verdict:?}"),
        }
    }
    assert_eq!(reasons.len(), 17, "{reasons:?}");
}

#[test]
fn transport() {
    let default = || Options::default();
    let empty = broken(explain(default(), b""));
    assert!(
        empty.reason == "base64" && empty.found.contains("missing or empty"),
        "{empty}"
    );
    let cc = pack(sample().to_string().as_bytes());
    let mut odd = cc.clone();
    odd[17] = b'!';
    let odd = broken(explain(default(), &odd));
    assert_found(&odd, Reject::Base64, "cc, character 17", "base64", "\"!\"");

    let mut stream = Vec::new();
    crate::codec::base64url::decode(&cc, &mut stream).unwrap();
    let packed = |stream: &[u8]| {
        let mut cc = Vec::new();
        crate::codec::base64url::encode(stream, &mut cc);
        broken(explain(default(), &cc))
    };
    let (sum_at, sum) = (stream.len() - 4, stream[stream.len() - 4..].to_vec());
    let sum = sum
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let mut damaged = stream.clone();
    damaged[sum_at..].fill(0);
    let place = format!("the zlib stream, bytes {sum_at} to {}", sum_at + 3);
    assert_found(&packed(&damaged), Reject::Zlib, &place, &sum, "00000000");
    let cut = packed(&stream[..stream.len() / 2]);
    assert_found(
        &cut,
        Reject::Zlib,
        "the end of the zlib stream",
        "last block",
        "stream ends",
    );
    let header = packed(&[b"{}", &stream[..]].concat());
    assert_found(
        &header,
        Reject::Zlib,
        "the zlib stream, bytes 0 and 1",
        "78 9c",
        "[7b, 7d]",
    );

    let small = Options {
        inflated_bytes_max: 100,
        ..default()
    };
    let large = broken(explain(small, &cc));
    assert_found(
        &large,
        Reject::InflatedSize,
        "the zlib stream",
        "at most 100 bytes",
        "more",
    );
    let syntax = broken(explain(default(), &pack(b"{\"chain\": [}")));
    assert_found(
        &syntax,
        Reject::Json,
        "the JSON, byte 11",
        "JSON",
        "\"chain\\\": [}",
    );
}

#[test]
fn members() {
    let mut missing = sample();
    missing.as_object_mut().unwrap().remove("new_tx");
    assert_found(
        &of(&missing),
        Reject::Shape,
        "the request: new_tx",
        "an array",
        "missing",
    );
    let id = after(|r| r["chain"][1]["id"] = "1".into());
    assert_found(
        &id,
        Reject::Shape,
        "block 1: id",
        "an integer",
        "the string \"1\"",
    );
    let keys = after(|r| drop(r["new_tx"][1].as_object_mut().unwrap().remove("sig")));
    assert_found(
        &keys,
        Reject::TransactionKeys,
        "new_tx, transaction 1",
        "own",
        "sig is missing for a signed",
    );
    let float = after(|r| r["new_tx"][0]["amt"] = 1.5.into());
    assert_found(
        &float,
        Reject::TransactionValue,
        "new_tx, transaction 0: amt",
        "below 2^63",
        "1.5",
    );
    let negative = after(|r| r["chain"][1]["all_tx"][0]["fee"] = (-7).into());
    assert_found(
        &negative,
        Reject::Negative,
        "block 1, transaction 0: fee",
        "not negative",
        "-7",
    );
}

#[test]
fn order_amounts_and_balances() {
    let jump = after(|r| r["chain"][1]["id"] = 2.into());
    assert_found(&jump, Reject::BlockId, "block 1: id", "1", "2");
    let negative = after(|r| r["chain"][1]["id"] = (-1).into());
    assert_found(&negative, Reject::BlockId, "block 1: id", "index", "-1");
    let none = after(|r| drop(r["chain"][1]["all_tx"].as_array_mut().unwrap().pop()));
    assert_found(
        &none,
        Reject::RewardPlace,
        "block 1: all_tx",
        "then one reward",
        "signed",
    );
    let early = after(|r| r["new_tx"][0]["time"] = GENESIS_TIME.to_string().into());
    let last = (GENESIS_TIME + 10 * MINUTE).to_string();
    assert_found(
        &early,
        Reject::Time,
        "new_tx, transaction 0: time",
        &last,
        &GENESIS_TIME.to_string(),
    );
    let amount = after(|r| {
        r["chain"][1]["all_tx"][1] = reward(ALICE, 500_000_001, GENESIS_TIME + 10 * MINUTE)
    });
    assert_found(
        &amount,
        Reject::RewardAmount,
        "block 1, transaction 1: amt",
        "500000000 = ",
        "500000001",
    );
    let extra = after(|r| r["new_tx"][0] = reward(BOB, 1, GENESIS_TIME + 11 * MINUTE));
    assert_found(
        &extra,
        Reject::NewReward,
        "new_tx, transaction 0",
        "own",
        "a reward",
    );
    // The team has 500000000 - 1007 after the chain.
    let poor = after(|r| r["new_tx"][0]["amt"] = 499_998_994.into());
    assert_found(
        &poor,
        Reject::Overdraft,
        "new_tx, transaction 0",
        "499998994 + 0 = 499998994",
        "499998993",
    );
}

#[test]
fn hashes_and_signatures() {
    let right = tx_hash(&sample()["new_tx"][1]);
    let hash = after(|r| r["new_tx"][1]["hash"] = "01234567".into());
    assert_found(
        &hash,
        Reject::TransactionHash,
        "new_tx, transaction 1: hash",
        &right,
        "01234567",
    );
    for (place, path, send) in [
        ("block 1, transaction 0: sig", "/chain/1/all_tx/0", TEAM),
        ("new_tx, transaction 1: sig", "/new_tx/1", ALICE),
    ] {
        let wrong = after(|r| r.pointer_mut(path).unwrap()["sig"] = 7.into());
        let right = signature(
            send,
            sample().pointer(path).unwrap()["hash"].as_str().unwrap(),
        );
        assert_found(
            &wrong,
            Reject::Signature,
            place,
            &format!("sig {right}: "),
            "sig 7, which gives ",
        );
    }
    let mut request = sample();
    let right = request["chain"][1]["hash"].as_str().unwrap().to_owned();
    request["chain"][1]["hash"] = "00000000".into();
    assert_found(
        &of(&request),
        Reject::BlockHash,
        "block 1: hash",
        &right,
        "00000000",
    );
    let pow = sample()["chain"][1]["pow"].as_str().unwrap().to_owned();
    request["chain"][1]["hash"] = "ffffffff".into();
    let expected = format!("\"{pow}\", hash {right}");
    assert_found(
        &of(&request),
        Reject::Target,
        "block 1: hash",
        &expected,
        "ffffffff",
    );
}

#[test]
fn bounds_of_mining_and_signing() {
    let mut request = sample();
    request["new_target"] = "00".into();
    assert_found(
        &of(&request),
        Reject::TargetUnreachable,
        "new_target",
        "more than zeros",
        "\"00\"",
    );
    request["new_target"] = "00001".into();
    let few = Options {
        mining_tries_max: 10,
        ..Options::default()
    };
    let tries = broken(explain(few, &pack(request.to_string().as_bytes())));
    assert_found(
        &tries,
        Reject::MiningTries,
        "new_target",
        "first 10 ",
        "1048576 tries on average",
    );
    assert_eq!(SLOW_OWN_TXS_MAX, 16);
    let txs: Vec<_> = (1..=17)
        .map(|minute| own(BOB, 0, GENESIS_TIME + minute * MINUTE))
        .collect();
    let many = self::request(&[vec![reward(TEAM, 500_000_000, GENESIS_TIME)]], &txs);
    let long = Options {
        modulus: BigUint::from(3u8) << 100,
        ..Options::default()
    };
    let many = broken(explain(long, &pack(many.to_string().as_bytes())));
    assert_found(&many, Reject::OwnTransactions, "new_tx", "at most 16", "17");
}

#[test]
fn a_valid_request_shows_the_chain_and_the_answer() {
    let explanation = explain(Options::default(), &pack(sample().to_string().as_bytes()));
    let Verdict::Valid(answer) = &explanation.verdict else {
        panic!("{explanation}")
    };
    assert!(
        answer.contains("\"id\":2") && answer.contains("  answer     eA"),
        "{answer}"
    );
    let shown = explanation.to_string();
    for line in [
        "block 0  hash",
        "  reward  time 1582520400000000000  recv 1097844002039  amt 500000000",
        "new block 2  target \"1\"",
        "  own  time ",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let not_an_object = broken(explain(
        Options::default(),
        &pack(json!([1]).to_string().as_bytes()),
    ));
    assert_found(
        &not_an_object,
        Reject::Shape,
        "the JSON",
        "an object",
        "an array of 1 element",
    );
}
