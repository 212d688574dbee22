//! The block that this server adds: its transactions and its JSON (docs/protocol/blockchain.md §5).
//!
//! The endpoint calls [`complete()`] after the rules of order and balance, and [`write()`] after mining. The
//! answer contains the old blocks byte for byte as sent.

use super::{
    chain::{REWARD_INTERVAL_NS, reward_amt},
    mine::ProofOfWork,
    request::ChainRequest,
    sign::Rsa,
    span::Span,
    transaction::{Integer, Kind, Transaction},
};
use crate::codec::{decimal, hex};

/// Fills in the missing members of the new transactions, except hashes and signatures, and appends the
/// reward.
///
/// `chain_end_ns` is the time of the chain's last reward. With the interval it may exceed 2^63 but not
/// 2^64; the rules bound only the times in a request.
pub fn complete(request: &mut ChainRequest, team_account: u64, chain_end_ns: u64) {
    let unescaped = &mut request.unescaped;
    let fee = integer(unescaped, 0);
    let send = integer(unescaped, team_account);
    for tx in request.new_txs.iter_mut().filter(|tx| tx.kind == Kind::Own) {
        tx.fee = fee;
        tx.send = send;
    }
    let amt = integer(unescaped, reward_amt(request.blocks.len() as u64));
    let time = integer(unescaped, chain_end_ns + REWARD_INTERVAL_NS);
    request.new_txs.push(Transaction {
        kind: Kind::Reward,
        sig: Integer::default(),
        recv: send,
        fee: Integer::default(),
        amt,
        send: Integer::default(),
        time_ns: time.value,
        time: time.digits,
        hash: [0; 8],
        json: Span::default(),
    });
}

/// `value` with its digits in `unescaped`.
fn integer(unescaped: &mut Vec<u8>, value: u64) -> Integer {
    let start = unescaped.len();
    decimal::write_u64(unescaped, value);
    Integer {
        value,
        digits: Span::at_end_of(unescaped, start),
    }
}

/// Appends the answer's JSON to `out`: the old chain and the new block.
pub fn write(
    request: &ChainRequest,
    json: &[u8],
    rsa: &Rsa,
    found: ProofOfWork,
    out: &mut Vec<u8>,
) {
    let text = |text: Span| text.of(json, &request.unescaped);
    out.extend_from_slice(b"{\"chain\":[");
    if !request.blocks.is_empty() {
        out.extend_from_slice(text(request.chain_text));
        out.push(b',');
    }
    out.extend_from_slice(b"{\"all_tx\":[");
    for tx in &request.new_txs {
        match tx.kind {
            Kind::Signed => out.extend_from_slice(text(tx.json)),
            Kind::Own => write_own(tx, text, rsa, out),
            Kind::Reward => write_reward(tx, text, out),
        }
        out.push(b',');
    }
    // There is always a reward, so there is a comma to remove.
    out.pop();
    out.extend_from_slice(b"],\"pow\":\"");
    decimal::write_u64(out, found.pow);
    out.extend_from_slice(b"\",\"id\":");
    decimal::write_u64(out, request.blocks.len() as u64);
    out.extend_from_slice(b",\"hash\":\"");
    out.extend_from_slice(&hex::digits_8(found.hash));
    out.extend_from_slice(b"\",\"target\":");
    out.extend_from_slice(text(request.new_target_json));
    out.extend_from_slice(b"}]}");
}

fn write_own<'a>(tx: &Transaction, text: impl Fn(Span) -> &'a [u8], rsa: &Rsa, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"sig\":");
    rsa.write_signature(tx.hash_value(), out);
    out.extend_from_slice(b",\"recv\":");
    out.extend_from_slice(text(tx.recv.digits));
    out.extend_from_slice(b",\"fee\":0,\"amt\":");
    out.extend_from_slice(text(tx.amt.digits));
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(text(tx.time));
    out.extend_from_slice(b"\",\"send\":");
    out.extend_from_slice(text(tx.send.digits));
    out.extend_from_slice(b",\"hash\":\"");
    out.extend_from_slice(&tx.hash);
    out.extend_from_slice(b"\"}");
}

fn write_reward<'a>(tx: &Transaction, text: impl Fn(Span) -> &'a [u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"recv\":");
    out.extend_from_slice(text(tx.recv.digits));
    out.extend_from_slice(b",\"amt\":");
    out.extend_from_slice(text(tx.amt.digits));
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(text(tx.time));
    out.extend_from_slice(b"\",\"hash\":\"");
    out.extend_from_slice(&tx.hash);
    out.extend_from_slice(b"\"}");
}
