//! Builds right requests, which a test then breaks. Shares no code with the endpoint.

use num_bigint::BigUint;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const MODULUS: u64 = 1_561_906_343_821;
const PHI: u64 = (1_231_697 - 1) * (1_268_093 - 1);
pub const TEAM: u64 = 1_097_844_002_039;
/// Other accounts: primes, so that each has a private exponent.
pub const ALICE: u64 = 831_361_201_829;
pub const BOB: u64 = 905_790_126_919;
pub const GENESIS_TIME: u64 = 1_582_520_400_000_000_000;
pub const MINUTE: u64 = 60_000_000_000;

fn hex_digest(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub fn cc_hash(text: &str) -> String {
    hex_digest(text)[..8].to_owned()
}

/// A member in the form of the hashed message: strings without quotes, missing members empty.
fn shown(tx: &Value, key: &str) -> String {
    match &tx[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn tx_hash(tx: &Value) -> String {
    let members = ["time", "send", "recv", "amt", "fee"].map(|key| shown(tx, key));
    cc_hash(&members.join("|"))
}

/// The signature of a hash by the account whose number is `send`.
pub fn signature(send: u64, hash: &str) -> u64 {
    let private = BigUint::from(send)
        .modinv(&PHI.into())
        .expect("account numbers are coprime to phi");
    let hash = BigUint::from(u32::from_str_radix(hash, 16).unwrap());
    hash.modpow(&private, &MODULUS.into()).try_into().unwrap()
}

/// Hashes and signs `tx` again.
pub fn resign(tx: &mut Value) {
    let hash = tx_hash(tx);
    tx["sig"] = signature(tx["send"].as_u64().unwrap(), &hash).into();
    tx["hash"] = hash.into();
}

pub fn signed(
    send: u64,
    recv: u64,
    amt: impl Into<Value>,
    fee: impl Into<Value>,
    time: u64,
) -> Value {
    let mut tx = json!({ "recv": recv, "fee": fee.into(), "amt": amt.into(), "time": time.to_string(), "send": send });
    resign(&mut tx);
    tx
}

pub fn reward(recv: u64, amt: u64, time: u64) -> Value {
    let mut tx = json!({ "recv": recv, "amt": amt, "time": time.to_string() });
    tx["hash"] = tx_hash(&tx).into();
    tx
}

pub fn own(recv: u64, amt: u64, time: u64) -> Value {
    json!({ "recv": recv, "amt": amt, "time": time.to_string() })
}

/// Gives every block its hash and, as far as the target allows, the smallest `pow`.
pub fn seal(request: &mut Value) {
    let mut previous = "00000000".to_owned();
    for block in request["chain"].as_array_mut().unwrap() {
        let hashes: Vec<_> = block["all_tx"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tx| shown(tx, "hash"))
            .collect();
        let seed = hex_digest(
            &[vec![block["id"].to_string(), previous], hashes]
                .concat()
                .join("|"),
        );
        let target = block["target"].as_str().unwrap().to_owned();
        let hash_of = |pow: &u32| cc_hash(&format!("{seed}{pow}"));
        let pow = (0..100_000).find(|pow| hash_of(pow) < target).unwrap_or(0);
        previous = hash_of(&pow);
        block["pow"] = pow.to_string().into();
        block["hash"] = previous.clone().into();
    }
}

/// A request whose chain has a block for each list of transactions.
pub fn request(blocks: &[Vec<Value>], new_tx: &[Value]) -> Value {
    let blocks: Vec<_> = blocks
        .iter()
        .enumerate()
        .map(|(id, txs)| json!({ "all_tx": txs, "id": id, "target": "1" }))
        .collect();
    let mut request = json!({ "chain": blocks, "new_target": "1", "new_tx": new_tx });
    seal(&mut request);
    request
}

/// Two blocks and two new transactions. The team has 500000000 from the first block and pays 1000 and a fee
/// of 7 to Alice, who mines the second block; then both spend some of their money.
pub fn sample() -> Value {
    let time = |minutes: u64| GENESIS_TIME + minutes * MINUTE;
    request(
        &[
            vec![reward(TEAM, 500_000_000, time(0))],
            vec![
                signed(TEAM, ALICE, 1000, 7, time(1)),
                reward(ALICE, 500_000_000, time(10)),
            ],
        ],
        &[own(BOB, 30, time(11)), signed(ALICE, BOB, 40, 2, time(12))],
    )
}
