//! CloudCoin chains as a client sees them: unpacked, and checked by rules written down again here,
//! with plain libraries and none of the product's code (docs/protocol/blockchain.md).

use std::io::Read;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// RSA modulus and the team's account, as the product has them by default.
const MODULUS: u128 = 1_561_906_343_821;
const TEAM: u64 = 1_097_844_002_039;

/// The parsed chain of an answer's second line.
pub fn unpack(packed: &[u8]) -> Result<Value, String> {
    let stream = base64_simd::URL_SAFE
        .decode_to_vec(packed)
        .map_err(|fault| format!("not padded, URL-safe base64: {fault}"))?;
    let mut text = Vec::new();
    let mut decoder = flate2::bufread::ZlibDecoder::new(&stream[..]);
    decoder
        .read_to_end(&mut text)
        .map_err(|fault| format!("not zlib: {fault}"))?;
    if decoder.total_in() != stream.len() as u64 {
        return Err("bytes after the stream".into());
    }
    serde_json::from_slice(&text).map_err(|fault| format!("not JSON: {fault}"))
}

/// A JSON value as `cc` carries it.
pub fn pack(value: &str) -> String {
    let mut encoder = flate2::read::ZlibEncoder::new(value.as_bytes(), flate2::Compression::new(6));
    let mut stream = Vec::new();
    encoder.read_to_end(&mut stream).unwrap();
    base64_simd::URL_SAFE.encode_to_string(stream)
}

/// Lowercase hex of a text's SHA-256.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn cc_hash(text: &str) -> String {
    sha256(text)[..8].to_owned()
}

fn power(base: u128, mut exponent: u64) -> u128 {
    let (mut result, mut square) = (1, base % MODULUS);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * square % MODULUS;
        }
        square = square * square % MODULUS;
        exponent >>= 1;
    }
    result
}

/// Checks hashes, signatures, targets and the order of every block, and that the last one was mined
/// with the smallest number and pays the team.
pub fn check(chain: &Value) -> Result<(), String> {
    let blocks = chain["chain"].as_array().ok_or("no chain")?;
    let mut previous = "00000000".to_owned();
    for (id, block) in blocks.iter().enumerate() {
        let fault = |what: &str| Err(format!("block {id}: {what}"));
        if block["id"] != id {
            return fault("id");
        }
        let transactions = block["all_tx"].as_array().ok_or("no transactions")?;
        for transaction in transactions {
            check_transaction(transaction).map_err(|what| format!("block {id}: {what}"))?;
        }
        let seed = block_seed(id, &previous, transactions);
        let [pow, hash, target] =
            ["pow", "hash", "target"].map(|name| block[name].as_str().unwrap_or("?"));
        if cc_hash(&format!("{seed}{pow}")) != hash {
            return fault("hash");
        }
        if hash >= target {
            return fault("target");
        }
        if id + 1 == blocks.len() {
            let smallest = (0u64..).find(|n| cc_hash(&format!("{seed}{n}")).as_str() < target);
            if smallest.map(|n| n.to_string()).as_deref() != Some(pow) {
                return fault("a smaller pow exists");
            }
            check_reward(blocks, transactions.last())?;
        }
        previous = hash.to_owned();
    }
    Ok(())
}

fn block_seed(id: usize, previous: &str, transactions: &[Value]) -> String {
    let hashes = transactions
        .iter()
        .map(|tx| tx["hash"].as_str().unwrap_or("?"));
    let parts: Vec<&str> = [previous].into_iter().chain(hashes).collect();
    sha256(&format!("{id}|{}", parts.join("|")))
}

fn check_transaction(transaction: &Value) -> Result<(), String> {
    let number = |name: &str| match &transaction[name] {
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let [send, recv, amt, fee] = ["send", "recv", "amt", "fee"].map(number);
    let time = transaction["time"].as_str().ok_or("no time")?;
    let hash = transaction["hash"].as_str().ok_or("no hash")?;
    if cc_hash(&format!("{time}|{send}|{recv}|{amt}|{fee}")) != hash {
        return Err(format!("hash of {transaction}"));
    }
    let Some(account) = transaction["send"].as_u64() else {
        return Ok(());
    };
    let signature = transaction["sig"].as_u64().ok_or("no signature")?;
    let signed = u128::from_str_radix(hash, 16).map_err(|_| "hash is not hex")?;
    if power(signature.into(), account) != signed {
        return Err(format!("signature of {transaction}"));
    }
    Ok(())
}

/// The new block's reward: the team's, of the right amount, ten minutes after the last one.
fn check_reward(blocks: &[Value], reward: Option<&Value>) -> Result<(), String> {
    let reward = reward.ok_or("no reward")?;
    let last_time = blocks.iter().rev().nth(1).map_or(0, |block| {
        let last = block["all_tx"]
            .as_array()
            .and_then(|transactions| transactions.last());
        last.and_then(|last| last["time"].as_str()?.parse::<u64>().ok())
            .unwrap_or(0)
    });
    let expected = serde_json::json!({
        "recv": TEAM,
        "amt": 500_000_000u64 >> ((blocks.len() - 1) / 2),
        "time": (last_time + 600_000_000_000).to_string(),
        "hash": reward["hash"],
    });
    if *reward != expected {
        return Err(format!("reward {reward} instead of {expected}"));
    }
    Ok(())
}
