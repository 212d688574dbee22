//! Each rule of docs/protocol/blockchain.md §4 at its border.

use super::{
    ask, ask_cc,
    build::{
        ALICE, BOB, GENESIS_TIME, MINUTE, TEAM, cc_hash, own, request, resign, reward, sample,
        seal, signature, signed, tx_hash,
    },
    pack,
};
use crate::blockchain::{Options, Reject, chain::reward_amt, sign::SLOW_OWN_TXS_MAX};
use num_bigint::BigUint;
use serde_json::{Value, json};

const fn time(minutes: u64) -> u64 {
    GENESIS_TIME + minutes * MINUTE
}

/// Asks for `request` after `change` and sealing.
fn after(change: impl FnOnce(&mut Value)) -> Result<Value, Reject> {
    let mut request = sample();
    change(&mut request);
    seal(&mut request);
    ask(&request)
}

/// A chain of one block that gives the team 500000000, and `new_tx`.
fn rich_team(new_tx: &[Value]) -> Result<Value, Reject> {
    ask(&request(
        &[vec![reward(TEAM, 500_000_000, time(0))]],
        new_tx,
    ))
}

#[test]
fn the_sample_is_answered_in_full() {
    let request = sample();
    let answer = ask(&request).unwrap();
    let chain = answer["chain"].as_array().unwrap();
    assert_eq!(answer.as_object().unwrap().len(), 1);
    assert_eq!(chain[..2], request["chain"].as_array().unwrap()[..]);

    let mut completed = json!({
        "recv": BOB, "fee": 0, "amt": 30, "time": time(11).to_string(), "send": TEAM,
    });
    completed["hash"] = tx_hash(&completed).into();
    completed["sig"] = signature(TEAM, completed["hash"].as_str().unwrap()).into();
    let txs = [
        completed,
        request["new_tx"][1].clone(),
        reward(TEAM, 250_000_000, time(20)),
    ];
    let mut expected =
        json!({ "chain": [chain[0], chain[1], { "all_tx": txs, "id": 2, "target": "1" }] });
    seal(&mut expected);
    assert_eq!(answer, expected);
}

#[test]
fn the_new_block_is_written_in_the_reference_order() {
    let answer = ask_cc(Options::default(), &pack(sample().to_string().as_bytes())).unwrap();
    let (_, new_block) = answer.rsplit_once("},{\"all_tx\":[").unwrap();
    let keys: Vec<_> = new_block
        .split('"')
        .filter(|piece| piece.chars().all(char::is_alphabetic))
        .collect();
    let own = ["sig", "recv", "fee", "amt", "time", "send", "hash"];
    // The signed transaction stays as sent, in the alphabetical order of these tests.
    let sent = ["amt", "fee", "hash", "recv", "send", "sig", "time"];
    let rest = ["recv", "amt", "time", "hash", "pow", "id", "hash", "target"];
    let keys: Vec<_> = keys.into_iter().filter(|key| !key.is_empty()).collect();
    let is_key = |key: &&str| !key.chars().all(|c| c.is_ascii_hexdigit());
    let expected: Vec<_> = own
        .into_iter()
        .chain(sent)
        .chain(rest)
        .filter(is_key)
        .collect();
    assert_eq!(
        keys.into_iter().filter(is_key).collect::<Vec<_>>(),
        expected
    );
    assert!(!answer.contains(' '));
}

#[test]
fn rule_1_ids_count_from_zero() {
    assert_eq!(
        after(|r| r["chain"][0]["id"] = 1.into()),
        Err(Reject::BlockId)
    );
    assert_eq!(
        after(|r| r["chain"][1]["id"] = 0.into()),
        Err(Reject::BlockId)
    );
    assert_eq!(
        after(|r| r["chain"][1]["id"] = 2.into()),
        Err(Reject::BlockId)
    );
    assert_eq!(
        after(|r| r["chain"][0]["id"] = (-1).into()),
        Err(Reject::BlockId)
    );
}

#[test]
fn rule_2_one_reward_at_the_end() {
    assert_eq!(
        after(|r| r["chain"][1]["all_tx"] = json!([])),
        Err(Reject::RewardPlace)
    );
    let without = after(|r| drop(r["chain"][1]["all_tx"].as_array_mut().unwrap().pop()));
    assert_eq!(without, Err(Reject::RewardPlace));
    let own_in_chain = after(|r| r["chain"][1]["all_tx"][0] = own(BOB, 1, time(1)));
    assert_eq!(own_in_chain, Err(Reject::RewardPlace));
    let twice = after(|r| r["chain"][1]["all_tx"][0] = reward(BOB, 500_000_000, time(1)));
    assert_eq!(twice, Err(Reject::RewardPlace));
}

#[test]
fn rules_3_and_12_time_goes_forward() {
    let first_at = |at| ask(&request(&[vec![reward(TEAM, 500_000_000, at)]], &[]));
    assert_eq!(first_at(0), Err(Reject::Time));
    assert!(first_at(1).is_ok());
    assert!(first_at(i64::MAX as u64).is_ok());
    assert_eq!(first_at(1 << 63), Err(Reject::Time));
    assert_eq!(first_at(10_000_000_000_000_000_000), Err(Reject::Time));

    let spent_at = |at| after(|r| r["chain"][1]["all_tx"][0] = signed(TEAM, ALICE, 1000, 7, at));
    assert_eq!(spent_at(time(0)), Err(Reject::Time));
    assert!(spent_at(time(0) + 1).is_ok());
    assert!(spent_at(time(10) - 1).is_ok());
    assert_eq!(spent_at(time(10)), Err(Reject::Time));

    let new_at = |at| rich_team(&[own(BOB, 1, at)]);
    assert_eq!(new_at(time(0)), Err(Reject::Time));
    assert!(new_at(time(0) + 1).is_ok());
    assert!(new_at(time(20_000)).is_ok(), "no upper bound");
}

#[test]
fn times_are_hashed_as_written_and_compared_as_numbers() {
    let mut zeros = reward(TEAM, 500_000_000, 5);
    zeros["time"] = "0000000000000000005".into();
    zeros["hash"] = tx_hash(&zeros).into();
    assert!(ask(&request(&[vec![zeros.clone()]], &[])).is_ok());
    for bad in [
        "",
        "x",
        "5x",
        "+5",
        " 5",
        "5 ",
        "-5",
        "00000000000000000005",
        "5.0",
    ] {
        zeros["time"] = bad.into();
        zeros["hash"] = tx_hash(&zeros).into();
        assert_eq!(
            ask(&request(&[vec![zeros.clone()]], &[])),
            Err(Reject::Time),
            "{bad:?}"
        );
    }
}

#[test]
fn rule_4_nothing_negative() {
    let spend = |amt: i64, fee: i64| {
        after(|r| r["chain"][1]["all_tx"][0] = signed(TEAM, ALICE, amt, fee, time(1)))
    };
    assert!(spend(0, 0).is_ok());
    assert_eq!(spend(-1, 7), Err(Reject::Negative));
    assert_eq!(spend(7, -1), Err(Reject::Negative));
    let mut negative = own(BOB, 0, time(1));
    assert!(rich_team(std::slice::from_ref(&negative)).is_ok());
    negative["amt"] = (-1).into();
    assert_eq!(rich_team(&[negative]), Err(Reject::Negative));
}

#[test]
fn rule_5_transaction_hashes_are_exact() {
    for hash in ["00000000", "", "29EBC739", "29ebc7390"] {
        let changed = after(|r| r["chain"][0]["all_tx"][0]["hash"] = hash.into());
        assert_eq!(changed, Err(Reject::TransactionHash), "{hash}");
    }
    let upper = after(|r| {
        let hash = &mut r["chain"][1]["all_tx"][0]["hash"];
        *hash = hash.as_str().unwrap().to_uppercase().into();
    });
    assert_eq!(upper, Err(Reject::TransactionHash));
}

#[test]
fn rule_6_signatures() {
    let sig = sample()["chain"][1]["all_tx"][0]["sig"].as_u64().unwrap();
    let with_sig = |sig: u64| after(|r| r["chain"][1]["all_tx"][0]["sig"] = sig.into());
    assert_eq!(with_sig(sig + 1), Err(Reject::Signature));
    assert_eq!(with_sig(0), Err(Reject::Signature));
    assert!(
        with_sig(sig + super::build::MODULUS).is_ok(),
        "a signature counts modulo n"
    );
    assert_eq!(with_sig(1 << 63), Err(Reject::TransactionValue));
}

#[test]
fn rule_7_balances() {
    let spend = |amt: u64, fee: u64| {
        after(|r| r["chain"][1]["all_tx"][0] = signed(TEAM, ALICE, amt, fee, time(1)))
    };
    // In the sample the team pays 30 more at the end.
    assert!(spend(499_999_963, 7).is_ok());
    assert_eq!(spend(499_999_964, 7), Err(Reject::Overdraft));
    assert_eq!(spend(500_000_000, 1), Err(Reject::Overdraft));
    assert_eq!(
        spend(i64::MAX as u64, i64::MAX as u64),
        Err(Reject::Overdraft)
    );
    assert_eq!(
        after(|r| r["chain"][1]["all_tx"][0] = signed(BOB, ALICE, 1, 0, time(1))),
        Err(Reject::Overdraft)
    );
}

#[test]
fn rule_7_a_transfer_to_oneself_needs_the_sum_and_costs_the_fee() {
    let chain = |amt: u64, later: u64| {
        request(
            &[
                vec![reward(TEAM, 500_000_000, time(0))],
                vec![
                    signed(TEAM, TEAM, amt, 10, time(1)),
                    reward(BOB, 500_000_000, time(10)),
                ],
            ],
            &[own(BOB, later, time(11))],
        )
    };
    assert!(ask(&chain(499_999_990, 499_999_990)).is_ok());
    assert_eq!(ask(&chain(499_999_991, 0)), Err(Reject::Overdraft));
    assert_eq!(ask(&chain(1, 499_999_991)), Err(Reject::Overdraft));
}

#[test]
fn rule_7_the_miner_gets_the_fees_with_the_reward() {
    let chain = |amt: u64| {
        request(
            &[
                vec![reward(TEAM, 500_000_000, time(0))],
                vec![
                    signed(TEAM, ALICE, 100, 10, time(1)),
                    signed(TEAM, ALICE, 100, 20, time(2)),
                    reward(BOB, 500_000_000, time(10)),
                ],
            ],
            &[signed(BOB, ALICE, amt, 0, time(11))],
        )
    };
    assert!(ask(&chain(500_000_030)).is_ok());
    assert_eq!(ask(&chain(500_000_031)), Err(Reject::Overdraft));
}

#[test]
fn rule_7_holds_for_more_accounts_than_the_list_has_room_for() {
    let receivers: Vec<u64> = (1..60).collect();
    let mut txs: Vec<_> = receivers
        .iter()
        .map(|&n| signed(TEAM, n, 1000 + n, 0, time(0) + n))
        .collect();
    txs.push(reward(BOB, 500_000_000, time(10)));
    let paid: u64 = receivers.iter().map(|n| 1000 + n).sum();
    let chain = |left: u64| {
        let blocks = [vec![reward(TEAM, 500_000_000, time(0))], txs.clone()];
        ask(&request(&blocks, &[own(BOB, left, time(11))]))
    };
    assert!(chain(500_000_000 - paid).is_ok());
    assert_eq!(chain(500_000_001 - paid), Err(Reject::Overdraft));
}

#[test]
fn rule_8_the_reward_halves_every_second_block() {
    assert_eq!(
        [0, 1, 2, 3, 4, 58, 60].map(reward_amt),
        [
            500_000_000,
            500_000_000,
            250_000_000,
            250_000_000,
            125_000_000,
            0,
            0
        ]
    );
    assert_eq!([127, 128, u64::MAX].map(reward_amt), [0; 3]);
    assert_eq!(
        after(|r| r["chain"][1]["all_tx"][1] = reward(ALICE, 500_000_007, time(10))),
        Err(Reject::RewardAmount)
    );
    let many: Vec<_> = (0..62)
        .map(|i| vec![reward(TEAM, 500_000_000 >> (i / 2), time(i * 10))])
        .collect();
    let answer = ask(&request(&many, &[])).unwrap();
    assert_eq!(answer["chain"][62]["all_tx"][0]["amt"], 0);
}

#[test]
fn rule_9_block_hashes_chain_up() {
    let mut request = sample();
    request["chain"][1]["pow"] = "x".into();
    assert_eq!(ask(&request), Err(Reject::BlockHash));

    // The second block follows another first block.
    let mut swapped = sample();
    let second = swapped["chain"][1].clone();
    swapped["chain"][0]["all_tx"][0] = reward(TEAM, 500_000_000, time(0) - 1);
    seal(&mut swapped);
    swapped["chain"][1] = second;
    assert_eq!(ask(&swapped), Err(Reject::BlockHash));
}

#[test]
fn rule_9_any_text_is_a_pow_if_its_hash_is_right() {
    for pow in ["", "007", "\u{20ac}uro \"quoted\"", &"9".repeat(200)] {
        let tx = reward(TEAM, 500_000_000, time(0));
        let seed = cc_hash_seed(&[&tx]);
        let hash = cc_hash(&format!("{seed}{pow}"));
        let block = json!({ "all_tx": [tx], "pow": pow, "id": 0, "hash": hash, "target": "g" });
        assert!(
            ask(&json!({ "chain": [block], "new_target": "1", "new_tx": [] })).is_ok(),
            "{pow:?}"
        );
    }
}

/// The seed of a first block, as hex.
fn cc_hash_seed(txs: &[&Value]) -> String {
    use sha2::{Digest, Sha256};
    let mut text = "0|00000000".to_owned();
    for tx in txs {
        text = format!("{text}|{}", tx["hash"].as_str().unwrap());
    }
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn rule_10_hash_below_target() {
    let mut request = sample();
    let hash = request["chain"][1]["hash"].as_str().unwrap().to_owned();
    let mut with_target = |target: &str| {
        request["chain"][1]["target"] = target.into();
        ask(&request)
    };
    assert_eq!(with_target(&hash), Err(Reject::Target));
    assert_eq!(with_target(&hash[..4]), Err(Reject::Target));
    assert!(with_target(&format!("{hash}0")).is_ok());
    assert!(with_target("\u{e9}").is_ok());
    assert_eq!(with_target(""), Err(Reject::Target));
}

#[test]
fn rules_11_to_14_new_transactions() {
    assert!(rich_team(&[]).is_ok());
    assert_eq!(
        rich_team(&[reward(TEAM, 500_000_000, time(1))]),
        Err(Reject::NewReward)
    );
    assert!(rich_team(&[own(BOB, 500_000_000, time(1))]).is_ok());
    assert_eq!(
        rich_team(&[own(BOB, 500_000_001, time(1))]),
        Err(Reject::Overdraft)
    );
    assert!(
        rich_team(&[
            own(TEAM, 500_000_000, time(1)),
            own(TEAM, 500_000_000, time(2))
        ])
        .is_ok()
    );
    assert_eq!(
        rich_team(&[
            own(BOB, 400_000_000, time(1)),
            own(BOB, 100_000_001, time(2))
        ]),
        Err(Reject::Overdraft)
    );
    let mut mixed = [
        signed(TEAM, ALICE, 10, 1, time(1)),
        own(ALICE, 5, time(2)),
        signed(ALICE, TEAM, 15, 0, time(3)),
    ];
    assert!(rich_team(&mixed).is_ok());
    mixed[2]["amt"] = 16.into();
    resign(&mut mixed[2]);
    assert_eq!(rich_team(&mixed), Err(Reject::Overdraft));
    mixed[2] = signed(ALICE, TEAM, 1, 0, time(3));
    mixed[2]["sig"] = 1.into();
    assert_eq!(rich_team(&mixed), Err(Reject::Signature));
}

/// With a modulus of two words signatures are slow, so the number of those to make is bounded: before
/// the search for a block, and only then.
#[test]
fn slow_signatures_are_bounded() {
    let asked = |modulus: &BigUint, count: usize, target: &str| {
        let txs: Vec<_> = (0..count as u64)
            .map(|nth| own(BOB, 0, time(nth)))
            .collect();
        let request = json!({ "chain": [], "new_target": target, "new_tx": txs });
        let options = Options {
            modulus: modulus.clone(),
            ..Options::default()
        };
        let answer: Value =
            serde_json::from_str(&ask_cc(options, &pack(request.to_string().as_bytes()))?).unwrap();
        Ok(answer["chain"][0]["all_tx"].as_array().unwrap().len() - 1)
    };
    let large = (BigUint::from(1u32) << 127u32) + 29u32;
    assert_eq!(asked(&large, 2, "1"), Ok(2));
    assert_eq!(asked(&large, SLOW_OWN_TXS_MAX, "1"), Ok(SLOW_OWN_TXS_MAX));
    let refused = Err(Reject::OwnTransactions);
    assert_eq!(asked(&large, SLOW_OWN_TXS_MAX + 1, "1"), refused);
    assert_eq!(asked(&large, SLOW_OWN_TXS_MAX + 1, "00000001"), refused);
    let default = Options::default().modulus;
    assert_eq!(asked(&default, 100, "1"), Ok(100));
}

#[test]
fn an_empty_chain_can_only_be_extended_by_an_empty_list() {
    let answer = ask(&json!({ "chain": [], "new_target": "1", "new_tx": [] })).unwrap();
    let block = &answer["chain"][0];
    assert_eq!(block["id"], 0);
    assert_eq!(
        block["all_tx"],
        json!([reward(TEAM, 500_000_000, 600_000_000_000)])
    );
    let nothing_to_spend = json!({ "chain": [], "new_target": "1", "new_tx": [own(BOB, 1, 5)] });
    assert_eq!(ask(&nothing_to_spend), Err(Reject::Overdraft));
}

#[test]
fn the_reward_time_may_pass_63_bits() {
    let last = i64::MAX as u64;
    let answer = ask(&request(&[vec![reward(TEAM, 500_000_000, last)]], &[])).unwrap();
    assert_eq!(
        answer["chain"][1]["all_tx"][0]["time"],
        (last + 600_000_000_000).to_string()
    );
}

#[test]
fn targets_that_cannot_or_hardly_be_met() {
    let with_target = |target: &str| after(|r| r["new_target"] = target.into());
    for target in ["", "0", "00000000", " ", "0/"] {
        assert_eq!(
            with_target(target),
            Err(Reject::TargetUnreachable),
            "{target:?}"
        );
    }
    for target in ["000000000", "00000001"] {
        assert_eq!(with_target(target), Err(Reject::MiningTries), "{target:?}");
    }
    for target in ["007", "g", "\u{e9}\n\"", "A"] {
        assert_eq!(with_target(target).unwrap()["chain"][2]["target"], target);
    }
}

#[test]
fn the_number_of_tries_is_a_setting() {
    let cc = pack(sample().to_string().as_bytes());
    let answer: Value = serde_json::from_str(&ask_cc(Options::default(), &cc).unwrap()).unwrap();
    let tries: u64 = answer["chain"][2]["pow"]
        .as_str()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        + 1;
    let with_tries = |mining_tries_max| {
        ask_cc(
            Options {
                mining_tries_max,
                ..Options::default()
            },
            &cc,
        )
    };
    assert!(with_tries(tries).is_ok());
    assert_eq!(with_tries(tries - 1), Err(Reject::MiningTries));
}
