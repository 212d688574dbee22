//! Checks `/blockchain` answers without the server's code: unpacks them, compares them as JSON, and
//! recomputes every hash, signature and proof of work (docs/protocol/blockchain.md).
//!
//! Called by `check`. Written from the protocol document on `serde_json`, `flate2` and `sha2`. Speed
//! matters little, since verified answers are remembered.

use crate::load::format::hex;
use flate2::read::ZlibDecoder;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::io::Read;

/// Longest JSON of a request in a corpus.
const INFLATED_BYTES_MAX: u64 = 4 << 20;
/// Largest proof of work that is verified; servers give up earlier by default.
const TRIES_MAX: u64 = 1 << 20;
const RSA_MODULUS: u128 = 1_561_906_343_821;
const TEAM_ACCOUNT: u64 = 1_097_844_002_039;
const FIRST_REWARD: u64 = 500_000_000;
const TEN_MINUTES_NS: u64 = 600_000_000_000;
/// Time of the first reward of an empty chain.
const FIRST_REWARD_NS: u64 = 600_000_000_000;

/// Why an answer is wrong.
pub type Reason = &'static str;

/// Decodes base64 and zlib to JSON.
///
/// # Errors
/// Names the broken layer.
pub fn unpack(text: &[u8]) -> Result<Value, Reason> {
    let packed = base64_simd::URL_SAFE
        .decode_to_vec(text)
        .map_err(|_| "answer is not padded base64url")?;
    let mut json = Vec::new();
    ZlibDecoder::new(&packed[..])
        .take(INFLATED_BYTES_MAX)
        .read_to_end(&mut json)
        .map_err(|_| "answer does not inflate")?;
    serde_json::from_slice(&json).map_err(|_| "answer is not JSON")
}

/// Checks that `answer` appends one right block to the chain of `request`.
///
/// # Errors
/// The first rule that does not hold.
pub fn extends(request: &Value, answer: &Value) -> Result<(), Reason> {
    let (old, new) = (list(request, "chain")?, list(answer, "chain")?);
    if answer.as_object().map_or(0, Map::len) != 1 {
        return Err("answer has other keys than chain");
    }
    let (appended, earlier) = new.split_last().ok_or("answer has an empty chain")?;
    if earlier != old {
        return Err("old blocks were changed");
    }
    if appended["target"] != request["new_target"] {
        return Err("target is not new_target");
    }
    let transactions = list(appended, "all_tx")?;
    let (reward, transactions) = transactions.split_last().ok_or("new block is empty")?;
    let asked = list(request, "new_tx")?;
    if transactions.len() != asked.len() {
        return Err("new block lacks the transactions of new_tx");
    }
    for (asked, done) in asked.iter().zip(transactions) {
        completes(asked, done)?;
    }
    let last_ns = match old.last() {
        Some(block) => number_text(list(block, "all_tx")?.last().ok_or("empty block")?, "time")?,
        None => FIRST_REWARD_NS - TEN_MINUTES_NS,
    };
    if Some(number_text(reward, "time")?) != last_ns.checked_add(TEN_MINUTES_NS) {
        return Err("reward has the wrong time");
    }
    if reward["recv"].as_u64() != Some(TEAM_ACCOUNT) {
        return Err("reward goes to another account");
    }
    hashes_hold(answer)?;
    least_proof(old.last(), appended)
}

/// Checks that `done` is `asked`, signed by the team if it was not signed.
fn completes(asked: &Value, done: &Value) -> Result<(), Reason> {
    if asked.get("sig").is_some() {
        return (asked == done)
            .then_some(())
            .ok_or("a signed transaction was changed");
    }
    let same = |key| asked[key] == done[key];
    let ours = done["send"].as_u64() == Some(TEAM_ACCOUNT) && done["fee"].as_u64() == Some(0);
    (ours && same("recv") && same("amt") && same("time"))
        .then_some(())
        .ok_or("a transaction of the team was completed wrongly")
}

/// Recomputes every hash, signature, reward and proof of work of `{"chain": […]}`.
///
/// # Errors
/// The first rule that does not hold.
pub fn hashes_hold(chain: &Value) -> Result<(), Reason> {
    let mut previous = "00000000";
    for (index, block) in list(chain, "chain")?.iter().enumerate() {
        if block["id"].as_u64() != Some(index as u64) {
            return Err("block id is not its index");
        }
        let transactions = list(block, "all_tx")?;
        let (reward, signed) = transactions.split_last().ok_or("empty block")?;
        for transaction in signed {
            transaction_holds(transaction, true)?;
        }
        transaction_holds(reward, false)?;
        let amount = FIRST_REWARD.checked_shr(index as u32 / 2).unwrap_or(0);
        if reward["amt"].as_u64() != Some(amount) {
            return Err("reward has the wrong amount");
        }
        let hash = text(block, "hash")?;
        if block_hash(previous, block, text(block, "pow")?)? != hash {
            return Err("block hash is wrong");
        }
        if hash >= text(block, "target")? {
            return Err("block hash is not below its target");
        }
        previous = hash;
    }
    Ok(())
}

fn transaction_holds(transaction: &Value, signed: bool) -> Result<(), Reason> {
    let keys = transaction.as_object().map_or(0, Map::len);
    if keys != if signed { 7 } else { 4 } {
        return Err("transaction has the wrong keys");
    }
    let number = |key| {
        transaction[key]
            .as_u64()
            .ok_or("transaction lacks a number")
    };
    let time = text(transaction, "time")?;
    let (recv, amt) = (number("recv")?, number("amt")?);
    let content = if signed {
        format!("{time}|{}|{recv}|{amt}|{}", number("send")?, number("fee")?)
    } else {
        format!("{time}||{recv}|{amt}|")
    };
    let hash = text(transaction, "hash")?;
    if short_hash(&content) != hash {
        return Err("transaction hash is wrong");
    }
    if !signed {
        return Ok(());
    }
    let opened = power(number("sig")?, number("send")?);
    let hashed = u64::from_str_radix(hash, 16).map_err(|_| "transaction hash is not hex")?;
    (opened == u128::from(hashed))
        .then_some(())
        .ok_or("signature does not hold")
}

/// Checks that the proof of work of `block` is the smallest that holds.
fn least_proof(previous: Option<&Value>, block: &Value) -> Result<(), Reason> {
    let previous = previous.map_or(Ok("00000000"), |block| text(block, "hash"))?;
    let target = text(block, "target")?;
    let found = number_text(block, "pow")?;
    if found > TRIES_MAX {
        return Err("proof of work is too large to verify");
    }
    for smaller in 0..found {
        if block_hash(previous, block, &smaller.to_string())?.as_str() < target {
            return Err("the proof of work is not the smallest");
        }
    }
    Ok(())
}

fn block_hash(previous: &str, block: &Value, pow: &str) -> Result<String, Reason> {
    let mut content = format!("{}|{previous}", block["id"].as_u64().unwrap_or(0));
    for transaction in list(block, "all_tx")? {
        content.push('|');
        content.push_str(text(transaction, "hash")?);
    }
    Ok(short_hash(&(hex(&Sha256::digest(content)) + pow)))
}

fn short_hash(content: &str) -> String {
    hex(&Sha256::digest(content)[..4])
}

/// `base` to the power `exponent`, modulo the protocol's modulus.
fn power(base: u64, mut exponent: u64) -> u128 {
    let mut square = u128::from(base) % RSA_MODULUS;
    let mut product = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = product * square % RSA_MODULUS;
        }
        square = square * square % RSA_MODULUS;
        exponent >>= 1;
    }
    product
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], Reason> {
    Ok(value
        .get(key)
        .and_then(Value::as_array)
        .ok_or("a list is missing")?)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, Reason> {
    value
        .get(key)
        .and_then(Value::as_str)
        .ok_or("a string is missing")
}

/// A number written as a string.
fn number_text(value: &Value, key: &str) -> Result<u64, Reason> {
    text(value, key)?
        .parse()
        .map_err(|_| "a string is not a number")
}
