//! `/blockchain`: unpack, validate, mine, pack. docs/protocol/blockchain.md, sections in brackets.

use std::{collections::HashMap, fmt::Display, io::Read, io::Write, sync::LazyLock};

use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use flate2::{Compression, bufread::ZlibDecoder, write::ZlibEncoder};
use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

static RSA_MODULUS: LazyLock<BigUint> = LazyLock::new(|| BigUint::from(1_561_906_343_821_u64));
static TEAM_PRIVATE: LazyLock<BigUint> = LazyLock::new(|| BigUint::from(343_710_770_439_u64));
const TEAM_ACCOUNT: i64 = 1_097_844_002_039;
const FIRST_REWARD: i64 = 500_000_000;
const TEN_MINUTES_NS: i64 = 600_000_000_000;
const GENESIS_PREVIOUS_HASH: &str = "00000000";
/// Largest JSON text accepted.
const INFLATED_BYTES_MAX: u64 = 1 << 20;
/// Most mining tries for a request; genuine ones need about 20.
const TRIES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Request {
    chain: Vec<Block>,
    new_target: String,
    new_tx: Vec<Tx>,
}

#[derive(Serialize)]
struct Answer {
    chain: Vec<Block>,
}

#[derive(Serialize, Deserialize)]
struct Block {
    all_tx: Vec<Tx>,
    pow: String,
    id: i64,
    hash: String,
    target: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tx {
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<i64>,
    recv: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<i64>,
    amt: i64,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    send: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

/// The packed answer to `cc`, or `None` for INVALID.
pub fn answer(cc: &str) -> Option<String> {
    let request: Request = serde_json::from_slice(&unpack(cc)?).ok()?;
    let chain = extend(request)?;
    pack(&serde_json::to_vec(&Answer { chain }).ok()?)
}

/// cc text to JSON text [1]. A `+` arrives as a space, as in every form-encoded query.
fn unpack(cc: &str) -> Option<Vec<u8>> {
    let url_safe = cc
        .trim_end_matches('=')
        .replace(['+', ' '], "-")
        .replace('/', "_");
    let packed = URL_SAFE_NO_PAD.decode(url_safe).ok()?;
    let mut json = Vec::new();
    ZlibDecoder::new(packed.as_slice())
        .take(INFLATED_BYTES_MAX + 1)
        .read_to_end(&mut json)
        .ok()?;
    (json.len() as u64 <= INFLATED_BYTES_MAX).then_some(json)
}

fn pack(json: &[u8]) -> Option<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json).ok()?;
    Some(URL_SAFE.encode(encoder.finish().ok()?))
}

/// Validates a request [4] and returns its chain with the new block [5].
fn extend(request: Request) -> Option<Vec<Block>> {
    let Request {
        mut chain,
        new_target,
        new_tx,
    } = request;
    let mut ledger = Ledger::default();
    let mut previous_hash = GENESIS_PREVIOUS_HASH;
    for (index, block) in chain.iter().enumerate() {
        ledger.check_block(index, previous_hash, block)?;
        previous_hash = &block.hash;
    }
    let reward_time = ledger.last_time.checked_add(TEN_MINUTES_NS)?;
    let mut all_tx = Vec::with_capacity(new_tx.len() + 1);
    for tx in new_tx {
        all_tx.push(ledger.complete_new_tx(tx)?);
    }
    let id = chain.len() as i64;
    all_tx.push(reward(id, reward_time));
    let seed = block_seed(id, previous_hash, &all_tx)?;
    let (pow, hash) = mine(&seed, &new_target)?;
    chain.push(Block {
        all_tx,
        pow,
        id,
        hash,
        target: new_target,
    });
    Some(chain)
}

/// Balances and the time reached while going through the chain.
#[derive(Default)]
struct Ledger {
    balances: HashMap<i64, i128>,
    last_time: i64,
}

impl Ledger {
    fn check_block(&mut self, index: usize, previous_hash: &str, block: &Block) -> Option<()> {
        let id = index as i64;
        let (reward, signed) = block.all_tx.split_last()?;
        ensure(block.id == id)?;
        let mut fees = 0;
        for tx in signed {
            self.advance_time(tx)?;
            fees += self.check_signed(tx)?;
        }
        self.advance_time(reward)?;
        ensure(reward.is_reward() && reward.recv >= 0)?;
        ensure(reward.amt == reward_amount(id))?;
        ensure(reward.hash.as_deref() == Some(&tx_hash(reward)))?;
        *self.balances.entry(reward.recv).or_default() += i128::from(reward.amt) + fees;
        let seed = block_seed(id, previous_hash, &block.all_tx)?;
        ensure(cc_hash(&format!("{seed}{}", block.pow)) == block.hash)?;
        ensure(block.hash < block.target)
    }

    /// Validates a transaction of `new_tx`; the team's own ones are signed.
    fn complete_new_tx(&mut self, mut tx: Tx) -> Option<Tx> {
        self.advance_time(&tx)?;
        if !tx.is_own() {
            self.check_signed(&tx)?;
            return Some(tx);
        }
        ensure(tx.recv >= 0 && tx.amt >= 0)?;
        tx.send = Some(TEAM_ACCOUNT);
        tx.fee = Some(0);
        let hash = tx_hash(&tx);
        tx.sig = Some(sign(&hash)?);
        tx.hash = Some(hash);
        self.transfer(TEAM_ACCOUNT, tx.recv, tx.amt, 0)?;
        Some(tx)
    }

    fn advance_time(&mut self, tx: &Tx) -> Option<()> {
        let digits =
            (1..=19).contains(&tx.time.len()) && tx.time.bytes().all(|b| b.is_ascii_digit());
        ensure(digits)?;
        let time = tx.time.parse().ok()?;
        ensure(time > self.last_time)?;
        self.last_time = time;
        Some(())
    }

    /// Validates a signed transaction and carries it out; returns its fee.
    fn check_signed(&mut self, tx: &Tx) -> Option<i128> {
        let (sig, fee, send, hash) = (tx.sig?, tx.fee?, tx.send?, tx.hash.as_deref()?);
        ensure([sig, fee, send, tx.recv, tx.amt].iter().all(|v| *v >= 0))?;
        ensure(hash == tx_hash(tx))?;
        ensure(signature_holds(sig, send, hash)?)?;
        self.transfer(send, tx.recv, tx.amt, fee)?;
        Some(i128::from(fee))
    }

    fn transfer(&mut self, send: i64, recv: i64, amt: i64, fee: i64) -> Option<()> {
        let sender = self.balances.entry(send).or_default();
        let left = *sender - i128::from(amt) - i128::from(fee);
        ensure(left >= 0)?;
        *sender = left;
        *self.balances.entry(recv).or_default() += i128::from(amt);
        Some(())
    }
}

impl Tx {
    fn is_reward(&self) -> bool {
        self.sig.is_none() && self.fee.is_none() && self.send.is_none()
    }

    fn is_own(&self) -> bool {
        self.is_reward() && self.hash.is_none()
    }
}

fn ensure(holds: bool) -> Option<()> {
    holds.then_some(())
}

fn reward_amount(id: i64) -> i64 {
    u32::try_from(id / 2)
        .ok()
        .and_then(|halvings| FIRST_REWARD.checked_shr(halvings))
        .unwrap_or(0)
}

fn reward(id: i64, time: i64) -> Tx {
    let mut tx = Tx {
        sig: None,
        recv: TEAM_ACCOUNT,
        fee: None,
        amt: reward_amount(id),
        time: time.to_string(),
        send: None,
        hash: None,
    };
    tx.hash = Some(tx_hash(&tx));
    tx
}

// --- hashes and signatures [3] ---

fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn cc_hash(text: &str) -> String {
    sha256_hex(text)[..8].to_owned()
}

fn tx_hash(tx: &Tx) -> String {
    fn or_empty(value: Option<impl Display>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    cc_hash(&format!(
        "{}|{}|{}|{}|{}",
        tx.time,
        or_empty(tx.send),
        tx.recv,
        tx.amt,
        or_empty(tx.fee)
    ))
}

fn block_seed(id: i64, previous_hash: &str, all_tx: &[Tx]) -> Option<String> {
    let mut text = format!("{id}|{previous_hash}");
    for tx in all_tx {
        text.push('|');
        text.push_str(tx.hash.as_deref()?);
    }
    Some(sha256_hex(&text))
}

fn signature_holds(sig: i64, account: i64, hash: &str) -> Option<bool> {
    let expected = BigUint::from(u32::from_str_radix(hash, 16).ok()?);
    let account = BigUint::from(account as u64);
    Some(BigUint::from(sig as u64).modpow(&account, &RSA_MODULUS) == expected)
}

fn sign(hash: &str) -> Option<i64> {
    let hash = BigUint::from(u32::from_str_radix(hash, 16).ok()?);
    i64::try_from(hash.modpow(&TEAM_PRIVATE, &RSA_MODULUS)).ok()
}

/// The smallest pow and its hash, or `None` when none is found within the tries.
fn mine(seed: &str, target: &str) -> Option<(String, String)> {
    (0..TRIES_MAX).find_map(|pow| {
        let hash = cc_hash(&format!("{seed}{pow}"));
        (hash.as_str() < target).then(|| (pow.to_string(), hash))
    })
}
