//! Faults of a request that was parsed (docs/protocol/blockchain.md §3 to §5).
//!
//! Written for clarity, with a digest per message and a map of balances; `chain`, `hash` and `sign` have the
//! fast forms of the rules.

use super::view::{Finding, Parsed};
use crate::blockchain::{
    Blockchain, Reject,
    chain::reward_amt,
    field::two_small_primes,
    mine,
    sign::SLOW_OWN_TXS_MAX,
    transaction::{Kind, Transaction},
};
use num_bigint::BigUint;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Most candidates tried to find the right `pow`.
const TRIES_MAX: u64 = 1 << 20;

/// The first place that breaks the rule of `reject`.
pub(super) fn finding(endpoint: &Blockchain, reject: Reject, view: &Parsed<'_>) -> Option<Finding> {
    let options = &endpoint.options;
    match reject {
        Reject::BlockId => block_id(view),
        Reject::RewardPlace => reward_place(view),
        Reject::Time => time(view),
        Reject::TransactionHash => transaction_hash(view),
        Reject::Signature => signature(endpoint, view),
        Reject::Overdraft => overdraft(options.team_account, view),
        Reject::RewardAmount => reward_amount(view),
        Reject::BlockHash => block_hash(view),
        Reject::Target => target(view),
        Reject::NewReward => new_reward(view),
        Reject::OwnTransactions => Some(Finding::new(
            "new_tx",
            format!("at most {SLOW_OWN_TXS_MAX} own transactions with a modulus of 2^63 or more"),
            own_count(view).to_string(),
        )),
        Reject::TargetUnreachable => Some(Finding::new(
            "new_target",
            "a text that some hash is below: more than zeros",
            format!("{:?}", view.lossy(view.request.new_target)),
        )),
        Reject::MiningTries => Some(mining_tries(options.mining_tries_max, view)),
        _ => None,
    }
}

fn block_id(view: &Parsed<'_>) -> Option<Finding> {
    let (index, (block, _)) = view
        .blocks()
        .enumerate()
        .find(|(index, (block, _))| block.id != *index as u64)?;
    Some(Finding::new(
        format!("block {index}: id"),
        index.to_string(),
        block.id.to_string(),
    ))
}

fn reward_place(view: &Parsed<'_>) -> Option<Finding> {
    let expected = "signed transactions, then one reward";
    let is_right = |txs: &[Transaction]| {
        let kinds: Vec<_> = txs.iter().map(|tx| tx.kind).collect();
        let last = kinds.split_last();
        last.is_some_and(|(last, rest)| {
            *last == Kind::Reward && rest.iter().all(|kind| *kind == Kind::Signed)
        })
    };
    let (index, (_, txs)) = view
        .blocks()
        .enumerate()
        .find(|(_, (_, txs))| !is_right(txs))?;
    let kinds: Vec<_> = txs.iter().map(|tx| kind(tx.kind)).collect();
    let found = if kinds.is_empty() {
        "no transaction".into()
    } else {
        kinds.join(", ")
    };
    Some(Finding::new(
        format!("block {index}: all_tx"),
        expected,
        found,
    ))
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Signed => "signed",
        Kind::Reward => "reward",
        Kind::Own => "own",
    }
}

fn time(view: &Parsed<'_>) -> Option<Finding> {
    let mut last = 0;
    for (place, tx) in view.chain_txs().chain(view.new_txs()) {
        if tx.time_ns <= last {
            return Some(Finding::new(
                format!("{place}: time"),
                format!("1 to 19 digits, a number above {last} and below 2^63"),
                format!("{:?}", view.lossy(tx.time)),
            ));
        }
        last = tx.time_ns;
    }
    None
}

fn hex_digest(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// CCHash of §3.
fn cc_hash(text: &str) -> String {
    hex_digest(text)[..8].to_owned()
}

/// The message under a transaction's hash.
fn message(view: &Parsed<'_>, tx: &Transaction) -> String {
    [
        tx.time,
        tx.send.digits,
        tx.recv.digits,
        tx.amt.digits,
        tx.fee.digits,
    ]
    .map(|span| view.lossy(span))
    .join("|")
}

fn transaction_hash(view: &Parsed<'_>) -> Option<Finding> {
    let hashed = view
        .chain_txs()
        .chain(view.new_txs())
        .filter(|(_, tx)| tx.kind != Kind::Own);
    hashed
        .map(|(place, tx)| (place, tx, message(view, tx)))
        .find(|(_, tx, message)| cc_hash(message).as_bytes() != tx.hash)
        .map(|(place, tx, message)| {
            let expected = format!("{}, CCHash of {message}", cc_hash(&message));
            Finding::new(format!("{place}: hash"), expected, shown_hash(tx.hash))
        })
}

fn shown_hash(hash: [u8; 8]) -> String {
    if hash == [0; 8] {
        return "a text that has not 8 bytes".into();
    }
    String::from_utf8_lossy(&hash).into_owned()
}

fn signature(endpoint: &Blockchain, view: &Parsed<'_>) -> Option<Finding> {
    let holds = |tx: &Transaction| {
        endpoint
            .rsa
            .verify(tx.sig.value, tx.send.value, tx.hash_value())
    };
    let mut signed = view
        .chain_txs()
        .chain(view.new_txs())
        .filter(|(_, tx)| tx.kind == Kind::Signed);
    let (place, tx) = signed.find(|(_, tx)| !holds(tx))?;
    let (modulus, hash, send) = (&endpoint.options.modulus, tx.hash_value(), tx.send.value);
    let power = BigUint::from(tx.sig.value).modpow(&send.into(), modulus);
    let right = private_exponent(endpoint, send)
        .map(|exponent| BigUint::from(hash).modpow(&exponent, modulus))
        .filter(|sig| sig.modpow(&send.into(), modulus) == hash.into())
        .map_or("a signature that account's owner can make".into(), |sig| {
            format!("sig {sig}")
        });
    Some(Finding::new(
        format!("{place}: sig"),
        format!("{right}: to the power of {send}, modulo {modulus}, it is the hash {hash}"),
        format!("sig {}, which gives {power}", tx.sig.value),
    ))
}

/// The exponent that undoes `send`, where the modulus has small factors.
fn private_exponent(endpoint: &Blockchain, send: u64) -> Option<BigUint> {
    let options = &endpoint.options;
    if send == options.team_account {
        return Some(options.team_private_exponent.clone());
    }
    let (p, q) = two_small_primes(u64::try_from(&options.modulus).ok()?)?;
    let phi = (u64::from(p) - 1) * (u64::from(q) - 1);
    BigUint::from(send).modinv(&phi.into())
}

fn overdraft(team_account: u64, view: &Parsed<'_>) -> Option<Finding> {
    let mut balances = HashMap::<u64, u128>::new();
    let mut fees = 0;
    for (place, tx) in view.chain_txs().chain(view.new_txs()) {
        let (amt, fee) = (u128::from(tx.amt.value), u128::from(tx.fee.value));
        if tx.kind == Kind::Reward {
            *balances.entry(tx.recv.value).or_default() += amt + std::mem::take(&mut fees);
            continue;
        }
        let sender = if tx.kind == Kind::Own {
            team_account
        } else {
            tx.send.value
        };
        let balance = balances.entry(sender).or_default();
        if *balance < amt + fee {
            return Some(Finding::new(
                place,
                format!(
                    "account {sender} has amt + fee = {amt} + {fee} = {}",
                    amt + fee
                ),
                format!("a balance of {balance}"),
            ));
        }
        *balance -= amt + fee;
        fees += fee;
        *balances.entry(tx.recv.value).or_default() += amt;
    }
    None
}

fn reward_amount(view: &Parsed<'_>) -> Option<Finding> {
    view.blocks().enumerate().find_map(|(index, (_, txs))| {
        let (reward, last) = (txs.last()?, txs.len() - 1);
        let right = reward_amt(index as u64);
        (reward.amt.value != right).then(|| {
            Finding::new(
                format!("block {index}, transaction {last}: amt"),
                format!("{right} = 500000000 >> ({index} / 2), fees not included"),
                reward.amt.value.to_string(),
            )
        })
    })
}

/// The seed of each block's hash: the digest of `id|prev_hash|h1|h2|…`.
fn seeds(view: &Parsed<'_>) -> Vec<String> {
    let mut previous = "00000000".to_owned();
    let mut seeds = Vec::new();
    for (block, txs) in view.blocks() {
        let mut message = format!("{}|{previous}", block.id);
        for tx in txs {
            message.push('|');
            message.push_str(&String::from_utf8_lossy(&tx.hash));
        }
        seeds.push(hex_digest(&message));
        previous = String::from_utf8_lossy(&block.hash).into_owned();
    }
    seeds
}

fn block_hash(view: &Parsed<'_>) -> Option<Finding> {
    let blocks = view.blocks().zip(seeds(view)).enumerate();
    blocks
        .map(|(index, ((block, _), seed))| {
            let pow = view.lossy(block.pow);
            (index, block, cc_hash(&format!("{seed}{pow}")), pow, seed)
        })
        .find(|(_, block, hash, ..)| hash.as_bytes() != block.hash)
        .map(|(index, block, hash, pow, seed)| {
            let expected = format!("{hash}, CCHash of the seed {seed} and pow {pow:?}");
            Finding::new(
                format!("block {index}: hash"),
                expected,
                shown_hash(block.hash),
            )
        })
}

fn target(view: &Parsed<'_>) -> Option<Finding> {
    let mut blocks = view.blocks().zip(seeds(view)).enumerate();
    blocks.find_map(|(index, ((block, _), seed))| {
        let target = view.text(block.target);
        if block.hash.as_slice() < target {
            return None;
        }
        let right = (0..TRIES_MAX)
            .map(|pow| (pow, cc_hash(&format!("{seed}{pow}"))))
            .find(|(_, hash)| hash.as_bytes() < target)
            .filter(|_| mine::threshold(target) > 0);
        let right = right.map_or("no pow gives one soon".into(), |(pow, hash)| {
            format!("the smallest pow that gives one is \"{pow}\", hash {hash}")
        });
        Some(Finding::new(
            format!("block {index}: hash"),
            format!(
                "a hash below the target {:?}; {right}",
                view.lossy(block.target)
            ),
            shown_hash(block.hash),
        ))
    })
}

fn new_reward(view: &Parsed<'_>) -> Option<Finding> {
    let (place, _) = view.new_txs().find(|(_, tx)| tx.kind == Kind::Reward)?;
    Some(Finding::new(
        place,
        "a signed or an own transaction",
        "a reward",
    ))
}

fn own_count(view: &Parsed<'_>) -> usize {
    view.request
        .new_txs
        .iter()
        .filter(|tx| tx.kind == Kind::Own)
        .count()
}

fn mining_tries(tries_max: u64, view: &Parsed<'_>) -> Finding {
    let target = view.text(view.request.new_target);
    let mean = (1u64 << 32) / mine::threshold(target).max(1);
    Finding::new(
        "new_target",
        format!("a hash below it among the first {tries_max} (blockchain.mining_tries_max)"),
        format!(
            "none below {:?}, which takes {mean} tries on average",
            view.lossy(view.request.new_target)
        ),
    )
}
