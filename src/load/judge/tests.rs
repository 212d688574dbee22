//! Checks against right and wrong answers, made from the built-in corpus.

use crate::load::{
    identity::Identity,
    judge::{
        chain,
        check::{BodyCheck, Checker},
        expect::Expect,
    },
    plan::corpus::Corpus,
};
use flate2::{Compression, read::MultiGzDecoder, write::ZlibEncoder};
use serde_json::{Value, json};
use std::io::{Read, Write};

fn identity() -> Identity {
    Identity {
        team: "T".into(),
        account: "1".into(),
        auth_key: None,
    }
}

/// A request and its packed answer for every entry of the built-in corpus that has a whole chain.
fn pairs() -> Vec<(String, String)> {
    let packed = include_bytes!("../../../data/load-corpus.jsonl.gz");
    let mut text = String::new();
    MultiGzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    let pair = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let answer = line["expect"]["chain"].as_str()?.to_owned();
        let request = line["target"].as_str()?.strip_prefix("/blockchain?cc=")?;
        Some((request.to_owned(), answer))
    };
    text.lines().filter_map(pair).collect()
}

fn packed(value: &Value) -> String {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::fast());
    out.write_all(value.to_string().as_bytes()).unwrap();
    base64_simd::URL_SAFE.encode_to_string(out.finish().unwrap())
}

/// A corpus of one entry with this `expect`.
fn corpus(expect: &Value) -> Corpus {
    let line = json!({"endpoint": "e", "target": "/", "expect": expect});
    Corpus::parse(line.to_string().as_bytes(), "test", &identity()).unwrap()
}

/// The verdict on a body of the first line and `result`.
fn verdict(expect: &Value, result: &str) -> BodyCheck {
    let corpus = corpus(expect);
    let mut checker = Checker::new(1, &identity());
    checker.check(
        0,
        &corpus.entries[0].expect,
        format!("T,1\n{result}").as_bytes(),
    )
}

#[test]
fn the_oracles_answers_are_right_by_both_ways_of_checking() {
    let pairs = pairs();
    assert!(pairs.len() > 100);
    for (request, answer) in pairs {
        let same = verdict(&json!({"chain": answer}), &answer);
        let continued = verdict(&json!({"extends": request}), &answer);
        assert_eq!((same, continued), (BodyCheck::Correct, BodyCheck::Correct));
        // packing and the order of keys are free
        let repacked = packed(&chain::unpack(answer.as_bytes()).unwrap());
        assert_eq!(
            verdict(&json!({"chain": answer}), &repacked),
            BodyCheck::Correct
        );
    }
}

#[test]
fn a_changed_block_is_found_without_an_oracle() {
    let (request, answer) = pairs()
        .into_iter()
        .find(|(request, _)| {
            let request = chain::unpack(request.as_bytes()).unwrap();
            let asked = request["new_tx"].as_array().unwrap();
            asked.iter().any(|tx| tx.get("sig").is_none())
        })
        .unwrap();
    let answer = chain::unpack(answer.as_bytes()).unwrap();
    let last = answer["chain"].as_array().unwrap().len() - 1;
    let own = |tx: &Value| tx["send"] == json!(1_097_844_002_039u64);
    let transactions = answer["chain"][last]["all_tx"].as_array().unwrap();
    let signed = transactions.iter().position(own).unwrap();
    let reward = transactions.len() - 1;
    let changes: [(String, Value, &str); 9] = [
        (
            "/chain/0/all_tx/0/amt".into(),
            json!(1),
            "old blocks were changed",
        ),
        (
            format!("/chain/{last}/target"),
            json!("2"),
            "target is not new_target",
        ),
        (
            format!("/chain/{last}/id"),
            json!(9),
            "block id is not its index",
        ),
        (
            format!("/chain/{last}/pow"),
            json!("1000000"),
            "block hash is wrong",
        ),
        (
            format!("/chain/{last}/hash"),
            json!("00000000"),
            "block hash is wrong",
        ),
        (
            format!("/chain/{last}/all_tx/{signed}/sig"),
            json!(5),
            "signature does not hold",
        ),
        (
            format!("/chain/{last}/all_tx/{signed}/fee"),
            json!(1),
            "a transaction of the team was completed wrongly",
        ),
        (
            format!("/chain/{last}/all_tx/{reward}/time"),
            json!("1"),
            "reward has the wrong time",
        ),
        (
            format!("/chain/{last}/all_tx/{reward}/recv"),
            json!(1),
            "reward goes to another account",
        ),
    ];
    for (place, value, fault) in changes {
        let mut changed = answer.clone();
        *changed.pointer_mut(&place).unwrap() = value;
        assert_eq!(
            verdict(&json!({"extends": request}), &packed(&changed)),
            BodyCheck::Wrong(fault),
            "{place}"
        );
        let expected = packed(&answer);
        assert_eq!(
            verdict(&json!({"chain": expected}), &packed(&changed)),
            BodyCheck::Wrong("chain")
        );
    }
    let mut longer = answer.clone();
    longer["more"] = json!(1);
    let longer = verdict(&json!({"extends": request}), &packed(&longer));
    assert_eq!(longer, BodyCheck::Wrong("answer has other keys than chain"));
}

#[test]
fn what_cannot_be_unpacked_is_wrong() {
    let (request, answer) = pairs().swap_remove(0);
    for (result, fault) in [
        ("INVALID", "answer is not padded base64url"),
        ("AAAA", "answer does not inflate"),
        (&answer[..answer.len() / 8 * 4], "answer does not inflate"),
        (&packed(&json!(1)), "a list is missing"),
        (&packed(&json!({"chain": []})), "answer has an empty chain"),
    ] {
        assert_eq!(
            verdict(&json!({"extends": request}), result),
            BodyCheck::Wrong(fault),
            "{result}"
        );
    }
}

#[test]
fn a_body_that_was_verified_is_only_compared() {
    let (request, answer) = pairs().swap_remove(0);
    let corpus = corpus(&json!({"extends": request}));
    let mut checker = Checker::new(1, &identity());
    let body = format!("T,1\n{answer}");
    for _ in 0..3 {
        assert_eq!(
            checker.check(0, &corpus.entries[0].expect, body.as_bytes()),
            BodyCheck::Correct
        );
    }
    let other = format!("T,2\n{answer}");
    assert_eq!(
        checker.check(0, &corpus.entries[0].expect, other.as_bytes()),
        BodyCheck::Wrong("first line")
    );
    assert!(matches!(
        checker.check(0, &corpus.entries[0].expect, &body.as_bytes()[..60]),
        BodyCheck::Wrong(_)
    ));
}

#[test]
fn plain_bodies_are_compared_byte_for_byte() {
    let exact = json!({"result": "abc"});
    assert_eq!(verdict(&exact, "abc"), BodyCheck::Correct);
    assert_eq!(verdict(&exact, "abd"), BodyCheck::Wrong("body"));
    assert_eq!(verdict(&exact, "abcd"), BodyCheck::Wrong("length"));
    let digest =
        json!({"body_sha256": "469385590f61beef1dccc2b379b8190186bf0b7e14c57c2e01ed5c1c9d516493"});
    assert_eq!(verdict(&digest, "abc"), BodyCheck::Correct);
    assert_eq!(verdict(&digest, "abd"), BodyCheck::Wrong("body"));
}

#[test]
fn a_token_has_its_form_without_a_key_and_its_value_with_one() {
    let expect = json!({"token": {"timestamp": 1, "message": "m"}});
    assert_eq!(verdict(&expect, &"0a".repeat(32)), BodyCheck::Correct);
    for wrong in [&"0A".repeat(32), &"0a".repeat(31), "INVALID"] {
        assert_eq!(
            verdict(&expect, wrong),
            BodyCheck::Wrong("no token of 64 hex digits")
        );
    }
    let keyed = Identity {
        auth_key: Some([7; 32]),
        ..identity()
    };
    let line = json!({"endpoint": "e", "target": "/", "expect": expect});
    let corpus = Corpus::parse(line.to_string().as_bytes(), "test", &keyed).unwrap();
    // Python: hmac.new(b"\7" * 32, b"T|1|m", "sha256").hexdigest()
    let token = "1d898477d1e31085c26c5377f94b65785e550e9f1628cf5760c4e8c7f4d3f4cd";
    let body = format!("T,1\n{token}").into_bytes();
    assert_eq!(corpus.entries[0].expect, Expect::Exact(body.into()));
}

#[test]
fn an_encoded_matrix_is_asked_back() {
    let expect = json!({"decodes_to": "x"});
    assert_eq!(
        verdict(&expect, "0x0"),
        BodyCheck::Wrong("answer is neither a 21x21 nor a 25x25 matrix")
    );
    let corpus = corpus(&expect);
    let mut checker = Checker::new(1, &identity());
    let body = format!("T,1\n{}", "0x0".repeat(14)).into_bytes();
    let BodyCheck::FollowUp(follow_up) = checker.check(0, &corpus.entries[0].expect, &body) else {
        panic!("not asked")
    };
    assert_eq!(*follow_up.expected, *b"T,1\nx");
    assert!(follow_up.target.starts_with("/qrcode?type=decode&data=0x"));
    let wrong = checker.check_follow_up(0, &follow_up, b"T,1\ny");
    assert_eq!(
        wrong,
        BodyCheck::Wrong("decode does not return the encoded message")
    );
    // only a right answer makes the body a verified one
    assert!(matches!(
        checker.check(0, &corpus.entries[0].expect, &body),
        BodyCheck::FollowUp(_)
    ));
    assert_eq!(
        checker.check_follow_up(0, &follow_up, b"T,1\nx"),
        BodyCheck::Correct
    );
    assert_eq!(
        checker.check(0, &corpus.entries[0].expect, &body),
        BodyCheck::Correct
    );
}
