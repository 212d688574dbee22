//! Real requests and answers, and some hundred generated ones with the answers of the protocol's reference.

use super::{ask_cc, unpack};
use crate::blockchain::{Blockchain, Options, Reject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const VECTORS: &str = include_str!("../../../tests/data/vectors.json");
const CASES: &str = include_str!("../../../tests/data/blockchain_cases.jsonl");

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_vector() {
    let vectors = parsed(VECTORS);
    let vectors = vectors["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["endpoint"] == "blockchain");
    let mut count = 0;
    for vector in vectors {
        let cc = vector["cc"].as_str().unwrap().as_bytes();
        let answer = ask_cc(Options::default(), cc).map(|text| parsed(&text));
        match vector["expect"].as_str().unwrap() {
            "valid" => {
                let expected = parsed(&unpack(vector["answer"].as_str().unwrap().as_bytes()));
                assert_eq!(answer, Ok(expected), "{}", vector["name"]);
            }
            _ => assert!(answer.is_err(), "{}", vector["name"]),
        }
        count += 1;
    }
    assert_eq!(count, 16);
}

/// The right reasons for each kind of mutation; several if a mutation breaks several rules or depends on
/// its place.
const REASONS: &[(&str, &[Reject])] = &[
    ("bad_base64", &[Reject::Base64]),
    ("bad_zlib", &[Reject::Zlib]),
    ("truncated_zlib", &[Reject::Zlib]),
    ("bad_json", &[Reject::Json]),
    ("missing_chain", &[Reject::Shape]),
    ("missing_new_tx", &[Reject::Shape]),
    ("missing_new_target", &[Reject::Shape]),
    ("id_string", &[Reject::Shape]),
    ("pow_number", &[Reject::Shape]),
    ("time_number", &[Reject::TransactionValue]),
    ("block_id_jump", &[Reject::BlockId]),
    ("block_hash", &[Reject::BlockHash, Reject::Target]),
    ("block_pow", &[Reject::BlockHash]),
    ("hash_over_target", &[Reject::Target]),
    ("prev_hash", &[Reject::BlockHash]),
    ("tx_hash", &[Reject::TransactionHash]),
    ("tx_sig", &[Reject::Signature]),
    ("tx_sender", &[Reject::Signature]),
    ("negative_amt", &[Reject::Negative]),
    ("negative_fee", &[Reject::Negative]),
    ("float_amt", &[Reject::TransactionValue]),
    ("overdraw", &[Reject::Overdraft]),
    ("overdraw_by_fee", &[Reject::Overdraft]),
    ("unknown_sender", &[Reject::Overdraft]),
    ("time_equal", &[Reject::Time]),
    ("time_backwards", &[Reject::Time]),
    ("time_backwards_block", &[Reject::Time]),
    ("reward_amount", &[Reject::RewardAmount]),
    ("reward_missing", &[Reject::RewardPlace]),
    ("reward_twice", &[Reject::RewardPlace]),
    ("reward_not_last", &[Reject::RewardPlace]),
    ("reward_with_fee", &[Reject::TransactionKeys]),
    ("empty_all_tx", &[Reject::RewardPlace]),
    ("missing_field", &[Reject::TransactionKeys]),
    ("new_time", &[Reject::Time]),
    ("new_sig", &[Reject::Signature]),
    ("new_hash", &[Reject::TransactionHash]),
    ("new_overdraw", &[Reject::Overdraft]),
    ("new_own_overdraw", &[Reject::Overdraft]),
    ("new_reward", &[Reject::NewReward]),
    ("new_missing_field", &[Reject::TransactionKeys]),
    ("new_negative", &[Reject::Negative]),
];

/// One endpoint and one scratch for all cases: leftovers of a request must not change the next answer.
#[test]
fn every_generated_case() {
    let reasons: BTreeMap<_, _> = REASONS.iter().copied().collect();
    let endpoint = Blockchain::new(Options::default());
    let mut scratch = endpoint.scratch();
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    for case in CASES.lines().map(parsed) {
        let kind = case["kind"].as_str().unwrap().to_owned();
        let cc = case["cc"].as_str().unwrap();
        out.clear();
        let outcome = endpoint.answer(&mut scratch, cc.as_bytes(), &mut out);
        if kind == "valid" {
            assert_eq!(outcome, Ok(()), "{cc}");
            let mut expected = parsed(&unpack(cc.as_bytes()))["chain"].clone();
            expected
                .as_array_mut()
                .unwrap()
                .push(case["new_block"].clone());
            assert_eq!(
                parsed(&unpack(&out)),
                serde_json::json!({ "chain": expected }),
                "{cc}"
            );
        } else {
            let reject = outcome.expect_err(&kind);
            assert!(
                reasons[kind.as_str()].contains(&reject),
                "{kind}: {reject:?} for {cc}"
            );
            assert!(out.is_empty());
        }
        seen.insert(kind);
    }
    assert_eq!(seen.len(), REASONS.len() + 1);
}
