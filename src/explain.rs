//! The output of `trident explain` for one request: its content, and its answer or the broken rule.
//!
//! Each endpoint makes an [`Explanation`] of the same bytes that its handler takes, without a socket. The
//! handlers do not know it: they return a `Copy` reason, and the explanation finds the place.
//!
//! ```text
//! INVALID  signature
//!   rule      docs/protocol/blockchain.md §4, rule 6: sig^send mod n is the hash
//!   at        block 1, transaction 0: sig
//!   expected  sig 1523500375459
//!   found     sig 1523500375460
//! ```

use std::fmt;

/// One request explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The request in readable form, as far as it could be decoded. Whole lines.
    pub request: String,
    /// What the endpoint makes of it.
    pub verdict: Verdict,
}

/// The endpoint's verdict on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered. The answer, in readable form.
    Valid(String),
    /// It is INVALID.
    Invalid(Broken),
}

/// The first rule that a request breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The handler's reason in snake case.
    pub reason: &'static str,
    /// Where the rule stands: `docs/protocol/blockchain.md §4, rule 6`.
    pub section: &'static str,
    /// The rule in one sentence.
    pub rule: &'static str,
    /// The place in the request.
    pub place: String,
    /// What would have been right there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.request)?;
        match &self.verdict {
            Verdict::Valid(answer) => write!(f, "VALID\n{answer}"),
            Verdict::Invalid(broken) => broken.fmt(f),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            section,
            rule,
            place,
            expected,
            found,
        } = self;
        writeln!(f, "INVALID  {reason}")?;
        writeln!(f, "  rule      {section}: {rule}")?;
        writeln!(f, "  at        {place}")?;
        writeln!(f, "  expected  {expected}")?;
        writeln!(f, "  found     {found}")
    }
}

/// A number with its noun: `1 word`, `2 words`.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// Bytes of the longest text that is repeated in an explanation.
const SHOWN_BYTES_MAX: usize = 80;

/// `bytes` in quotes, control characters escaped, cut after 80 bytes.
pub fn quoted(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    let text = String::from_utf8_lossy(shown);
    if shown.len() < bytes.len() {
        format!("{text:?}… ({})", counted(bytes.len(), "byte"))
    } else {
        format!("{text:?}")
    }
}
