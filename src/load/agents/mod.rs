//! Several generators, one verdict: `--agents` sends the run to agents; with `--agent` the process is one.
//!
//! ```text
//! coordinator (fleet)                        agent (serve)
//!      ◀── Hello: nonce, workers ────────────
//!      ─── Proof: HMAC of the nonce ─────────▶
//!      ─── Job: stages, corpus, targets ─────▶   asks each target once
//!      ◀── Ready, or Refused: why ───────────
//!      ─── Start, to all of them ────────────▶   runs its share of the workers
//!      ◀── Interval, after each second ──────
//!      ◀── Pair, for --record ───────────────
//!      ─── Stop, when the run ends early ────▶
//!      ◀── End ──────────────────────────────
//! ```
//!
//! The workers of all agents are numbered through, so each computes its share of users, rate and requests as it does in
//! one process. Intervals go into the coordinator's own collector: histograms are merged, and requirements, report and
//! timeline do not know which agent they come from. An agent stops when its coordinator is gone.
//!
//! `message` is what the two say.

mod fleet;
mod message;
mod serve;

pub(super) use fleet::Fleet;
pub(super) use message::Job;
pub use serve::serve;

use crate::load::format::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Where the agents are, and how they recognise their coordinator.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    /// `HOST:PORT` of each; none = this process sends the load.
    pub addresses: Vec<String>,
    /// The secret that they share with the coordinator.
    pub token: Vec<u8>,
}

/// The proof, for a nonce, of whoever has the token.
fn proof(token: &[u8], nonce: &str) -> String {
    // An HMAC takes a key of any length.
    let mut keyed = Hmac::<Sha256>::new_from_slice(token).expect("any length will do");
    keyed.update(b"trident load agent ");
    keyed.update(nonce.as_bytes());
    hex(&keyed.finalize().into_bytes())
}

/// Whether `given` is the proof, compared in constant time.
fn is_proof(token: &[u8], nonce: &str, given: &str) -> bool {
    let right = proof(token, nonce);
    let differences = right.bytes().zip(given.bytes());
    right.len() == given.len() && differences.fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
