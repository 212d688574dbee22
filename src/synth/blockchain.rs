//! Requests to `/blockchain` of the genuine shape: two to four blocks, a handful of transactions.
//!
//! Called by `trident gen blockchain`. Request `n` depends on nothing but seed and `n`. Valid ones follow
//! docs/protocol/blockchain.md sections 1 to 4, invalid ones break one rule each. Hashes, signatures and
//! packing come from libraries, not from the endpoint; still, a grader should take right answers from an
//! independent implementation.

use super::random::Random;
use base64_simd::URL_SAFE;
use flate2::{Compression, write::ZlibEncoder};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, io::Write as _};

const REQUEST: u64 = 50;
const MODULUS: u64 = 1_561_906_343_821;
/// Euler's function of the modulus, 1231697 · 1268093.
const PHI: u64 = 1_231_696 * 1_268_092;
const TEAM: u64 = 1_097_844_002_039;
const GENESIS_NS: u64 = 1_582_520_400_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;
const FIRST_REWARD: i64 = 500_000_000;
const TARGETS: [&str; 10] = ["06", "07", "08", "09", "0a", "0b", "0c", "0d", "0e", "1"];

/// How an invalid request is wrong. Overdrafts are a third of the genuine ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    Overdraft,
    BlockIdJump,
    NoReward,
    NegativeAmount,
    NegativeFee,
    HashOverTarget,
    TimeBackwards,
    Signature,
    /// The text ends in the middle.
    Cut,
}

const DEFECTS: [Defect; 12] = [
    Defect::Overdraft,
    Defect::Overdraft,
    Defect::Overdraft,
    Defect::Overdraft,
    Defect::BlockIdJump,
    Defect::NoReward,
    Defect::NegativeAmount,
    Defect::NegativeFee,
    Defect::HashOverTarget,
    Defect::TimeBackwards,
    Defect::Signature,
    Defect::Cut,
];

struct Account {
    /// Its number is its public exponent.
    number: u64,
    private_exponent: u64,
    balance: i64,
}

/// A request under way.
struct Chain {
    random: Random,
    fault: Option<Defect>,
    accounts: Vec<Account>,
    time_ns: u64,
    last_reward_ns: u64,
    previous_hash: String,
    json: String,
}

/// Appends request target `index` of the list with this seed; no newline.
pub fn write_target(seed: u64, index: u64, invalid: bool, out: &mut Vec<u8>) {
    let mut random = Random::new(seed, REQUEST, index);
    let fault = invalid.then(|| random.pick(&DEFECTS));
    let mut chain = Chain::new(random, fault);
    let json = chain.request();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let packed = encoder
        .write_all(json.as_bytes())
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    let text = URL_SAFE.encode_to_string(&packed);
    let end = match fault {
        Some(Defect::Cut) => text.len() / 2,
        _ => text.len(),
    };
    out.extend_from_slice(b"/blockchain?cc=");
    out.extend_from_slice(&text.as_bytes()[..end]);
}

impl Chain {
    fn new(mut random: Random, fault: Option<Defect>) -> Self {
        let mut accounts = vec![account(TEAM)];
        while accounts.len() < 4 {
            let number = (MODULUS / 2 + random.below(MODULUS / 2)) | 1;
            if inverse(number, PHI).is_some() {
                accounts.push(account(number));
            }
        }
        Self {
            random,
            fault,
            accounts,
            time_ns: GENESIS_NS,
            last_reward_ns: GENESIS_NS,
            previous_hash: "00000000".to_owned(),
            json: String::new(),
        }
    }

    fn request(&mut self) -> String {
        let blocks = 2 + self.random.below(3);
        self.json.push_str("{\"chain\":[");
        for id in 0..blocks {
            if id > 0 {
                self.json.push(',');
            }
            self.block(id, id + 1 == blocks);
        }
        let target = self.random.pick(&TARGETS);
        let _ = write!(self.json, "],\"new_target\":\"{target}\",\"new_tx\":[");
        self.new_transactions();
        self.json.push_str("]}");
        std::mem::take(&mut self.json)
    }

    fn block(&mut self, id: u64, is_last: bool) {
        let fault = self.fault.filter(|_| is_last);
        let (mut texts, mut hashes, mut fees) = (Vec::new(), Vec::new(), 0);
        let signed = match id {
            0 => 0,
            1 => 1,
            _ => self.random.below(3),
        };
        for _ in 0..signed {
            let (text, hash, fee) = self.payment();
            (fees, _) = (fees + fee, hashes.push(hash));
            texts.push(text);
        }
        if fault != Some(Defect::NoReward) {
            let (text, hash) = self.reward(id, fees);
            texts.push(text);
            hashes.push(hash);
        }
        let number = match fault {
            Some(Defect::BlockIdJump) => id + 1,
            _ => id,
        };
        let target = self.random.pick(&TARGETS);
        let seed = format!("{number}|{}|{}", self.previous_hash, hashes.join("|"));
        let over = fault == Some(Defect::HashOverTarget);
        let (pow, hash) = mine(&hex_digest(&seed), target, over);
        let all_tx = texts.join(",");
        let _ = write!(
            self.json,
            "{{\"all_tx\":[{all_tx}],\"pow\":\"{pow}\",\"id\":{number},\"hash\":\"{hash}\",\"target\":\"{target}\"}}"
        );
        self.previous_hash = hash;
    }

    /// A payment that its sender can afford: text, hash, fee.
    fn payment(&mut self) -> (String, String, i64) {
        let senders: Vec<usize> = (0..self.accounts.len())
            .filter(|&at| self.accounts[at].balance > 1000)
            .collect();
        let sender = self.random.pick(&senders);
        let receiver = self.random.below(self.accounts.len() as u64) as usize;
        let amount = 1 + self.random.below(self.accounts[sender].balance as u64 / 2) as i64;
        let fee = self.random.below(100) as i64;
        self.accounts[sender].balance -= amount + fee;
        self.accounts[receiver].balance += amount;
        let (text, hash) = self.signed(sender, receiver, amount, fee);
        (text, hash, fee)
    }

    /// A signed transaction, whether it is right or not: text, hash.
    fn signed(
        &mut self,
        sender: usize,
        receiver: usize,
        amount: i64,
        fee: i64,
    ) -> (String, String) {
        let time = self.later();
        let (send, recv) = (self.accounts[sender].number, self.accounts[receiver].number);
        let hash = cc_hash(&format!("{time}|{send}|{recv}|{amount}|{fee}"));
        let message = u64::from_str_radix(&hash, 16).unwrap_or_default();
        let mut signature = power(message, self.accounts[sender].private_exponent);
        if self.fault == Some(Defect::Signature) {
            signature = (signature + 1) % MODULUS;
        }
        let text = format!(
            "{{\"sig\":{signature},\"recv\":{recv},\"fee\":{fee},\"amt\":{amount},\"time\":\"{time}\",\
             \"send\":{send},\"hash\":\"{hash}\"}}"
        );
        (text, hash)
    }

    /// The reward of block `id`: text, hash. The first goes to the team.
    fn reward(&mut self, id: u64, fees: i64) -> (String, String) {
        let receiver = match id {
            0 => 0,
            _ => self.random.below(self.accounts.len() as u64) as usize,
        };
        let time = match id {
            0 => self.time_ns,
            _ => self.later(),
        };
        self.last_reward_ns = time;
        let amount = FIRST_REWARD >> (id / 2);
        self.accounts[receiver].balance += amount + fees;
        let recv = self.accounts[receiver].number;
        let hash = cc_hash(&format!("{time}||{recv}|{amount}|"));
        let text =
            format!("{{\"recv\":{recv},\"amt\":{amount},\"time\":\"{time}\",\"hash\":\"{hash}\"}}");
        (text, hash)
    }

    fn new_transactions(&mut self) {
        let mut texts = Vec::new();
        for _ in 0..self.random.below(5).saturating_sub(1) {
            let affordable = self.accounts[0].balance;
            if self.random.per_mille(600) && affordable > 0 {
                let amount = self.random.below(affordable as u64 / 2 + 1) as i64;
                texts.push(self.own(amount));
            } else {
                texts.push(self.payment().0);
            }
        }
        match self.fault {
            Some(Defect::Overdraft) => {
                let more = 1 + self.random.below(1_000_000) as i64;
                texts.push(self.own(self.accounts[0].balance + more));
            }
            Some(Defect::NegativeAmount) => {
                let amount = -1 - self.random.below(1_000_000) as i64;
                texts.push(self.own(amount));
            }
            Some(Defect::NegativeFee) => texts.push(self.signed(0, 1, 0, -1).0),
            Some(Defect::Signature) => texts.push(self.signed(0, 1, 0, 0).0),
            Some(Defect::TimeBackwards) => {
                self.time_ns = self.last_reward_ns - 2 * 9 * MINUTE_NS;
                texts.push(self.own(0));
            }
            _ => {}
        }
        self.json.push_str(&texts.join(","));
    }

    /// A payment by the team, which the server is to complete.
    fn own(&mut self, amount: i64) -> String {
        let time = self.later();
        let receiver = self.random.below(self.accounts.len() as u64) as usize;
        if amount >= 0 {
            self.accounts[0].balance -= amount;
            self.accounts[receiver].balance += amount;
        }
        let recv = self.accounts[receiver].number;
        format!("{{\"recv\":{recv},\"amt\":{amount},\"time\":\"{time}\"}}")
    }

    /// Up to nine minutes after the last time.
    fn later(&mut self) -> u64 {
        self.time_ns += 1 + self.random.below(9 * MINUTE_NS);
        self.time_ns
    }
}

fn account(number: u64) -> Account {
    Account {
        number,
        private_exponent: inverse(number, PHI).unwrap_or_default(),
        balance: 0,
    }
}

/// The first number whose hash after `seed` is below `target`, or with `over` the first whose is not.
fn mine(seed: &str, target: &str, over: bool) -> (u64, String) {
    let mut pow = 0;
    loop {
        let hash = cc_hash(&format!("{seed}{pow}"));
        if (hash.as_str() < target) != over {
            return (pow, hash);
        }
        pow += 1;
    }
}

fn hex_digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn cc_hash(text: &str) -> String {
    let mut hex = hex_digest(text);
    hex.truncate(8);
    hex
}

/// `base` to the power `exponent`, modulo the modulus.
fn power(base: u64, mut exponent: u64) -> u64 {
    let product = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(MODULUS)) as u64;
    let (mut square, mut result) = (base % MODULUS, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = product(result, square);
        }
        square = product(square, square);
        exponent >>= 1;
    }
    result
}

/// The inverse of `number` modulo `modulus`, by Euclid; `None` if they share a factor.
fn inverse(number: u64, modulus: u64) -> Option<u64> {
    let (mut rest, mut next) = (i128::from(modulus), i128::from(number % modulus));
    let (mut old, mut new) = (0i128, 1i128);
    while next != 0 {
        let quotient = rest / next;
        (rest, next) = (next, rest - quotient * next);
        (old, new) = (new, old - quotient * new);
    }
    (rest == 1).then(|| old.rem_euclid(i128::from(modulus)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(index: u64, invalid: bool) -> String {
        let mut out = Vec::new();
        write_target(1, index, invalid, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_team_has_the_private_exponent_of_the_protocol() {
        assert_eq!(inverse(TEAM, PHI), Some(343_710_770_439));
        assert_eq!(power(power(12_345, TEAM), 343_710_770_439), 12_345);
        assert_eq!(inverse(4, PHI), None);
    }

    #[test]
    fn requests_have_the_genuine_size_and_never_change() {
        let targets: Vec<_> = (0..300)
            .map(|index| target(index, index % 3 == 0))
            .collect();
        let mean = targets.iter().map(String::len).sum::<usize>() / targets.len();
        assert!((400..600).contains(&mean), "{mean}");
        assert_eq!(target(7, false), targets[7]);
        assert_ne!(target(8, false), targets[7]);
        assert_ne!(target(7, true), targets[7]);
    }
}
